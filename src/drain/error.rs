//! A stream that was cut because the server stops.

use std::fmt;
use std::time::Duration;

use crate::StreamEnd;

/// The server stopped, and nothing could be said about it in the stream itself.
///
/// Body errors downcast to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainError {
    end: StreamEnd,
    limit: Duration,
}

impl DrainError {
    pub(super) fn new(end: StreamEnd, limit: Duration) -> Self {
        Self { end, limit }
    }

    /// Why: [`StreamEnd::Drained`] or [`StreamEnd::Aged`].
    #[must_use]
    pub fn end(&self) -> StreamEnd {
        self.end
    }

    /// The drain's [deadline](crate::Drain::deadline), or the stream's [age](crate::DrainLayer::max_age).
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        match self.end {
            StreamEnd::Aged => write!(f, "the stream has reached its age (limit: {limit:?})"),
            _ => write!(f, "the server stops, and the stream had not ended (deadline: {limit:?})"),
        }
    }
}

impl std::error::Error for DrainError {
    #[cfg(feature = "h2")]
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(crate::error::cancel())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_why() {
        let check = |end, text: &str| {
            let error = DrainError::new(end, Duration::from_secs(30));
            assert_eq!((error.to_string().as_str(), error.end(), error.limit().as_secs()), (text, end, 30));
        };
        check(StreamEnd::Drained, "the server stops, and the stream had not ended (deadline: 30s)");
        check(StreamEnd::Aged, "the stream has reached its age (limit: 30s)");
    }
}
