//! Which limit was reached, and what was seen.

use std::fmt;
use std::time::Duration;

use super::phase::Phase;

/// A phase took longer than its limit.
///
/// The extensions of an answer that is a refusal hold it, and body errors downcast to it:
///
/// ```
/// use http::Response;
/// use tower_lifeline::{BoxError, TimeoutError};
///
/// fn is_refusal<B>(answer: &Response<B>) -> bool {
///     answer.extensions().get::<TimeoutError>().is_some()
/// }
///
/// fn is_timeout(error: &BoxError) -> bool {
///     error.downcast_ref::<TimeoutError>().is_some()
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutError {
    phase: Phase,
    limit: Duration,
    elapsed: Duration,
}

impl TimeoutError {
    pub(crate) fn new(phase: Phase, limit: Duration, elapsed: Duration) -> Self {
        Self { phase, limit, elapsed }
    }

    /// The same of a request body, whose phases have names of their own.
    pub(crate) fn of_request(self) -> Self {
        let phase = match self.phase {
            Phase::FirstByte | Phase::InterChunk => Phase::RequestGap,
            Phase::Total => Phase::RequestTotal,
            phase => phase,
        };
        Self { phase, ..self }
    }

    /// The phase whose limit was reached.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How long the phase had taken when that was noticed: the limit, or more.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, limit, elapsed } = self;
        match phase {
            Phase::Connect => write!(f, "no connection")?,
            Phase::RequestGap => write!(f, "no bytes of the request body")?,
            Phase::RequestTotal => write!(f, "the request body has not ended")?,
            Phase::Headers => write!(f, "no response head")?,
            Phase::FirstByte => write!(f, "no first content of the response body")?,
            Phase::InterChunk => write!(f, "no further content of the response body")?,
            Phase::Total | Phase::Deadline => write!(f, "the exchange has not ended")?,
        }
        write!(f, " for {elapsed:?} ({phase} limit: {limit:?})")
    }
}

impl std::error::Error for TimeoutError {
    #[cfg(feature = "h2")]
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(crate::error::cancel())
    }
}
