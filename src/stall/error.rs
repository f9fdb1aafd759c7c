//! That a stream was stalled, and what was seen.

use std::fmt;
use std::time::Duration;

use super::watch::Rate;

/// The reader of a body has stopped reading, or reads slower than it may, and the body is gone.
///
/// The error of a [`StallBody`](super::StallBody) whose reader reads on, and what
/// [`StallLayer::on_stall`](super::StallLayer::on_stall) is told.
///
/// ```
/// use tower_lifeline::{BoxError, StallError};
///
/// fn is_stall(error: &BoxError) -> bool {
///     error.downcast_ref::<StallError>().is_some()
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallError {
    limit: Duration,
    elapsed: Duration,
    bytes: u64,
    slow: Option<Slow>,
}

/// The rate that was not kept, and what was taken instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slow {
    rate: Rate,
    taken: u64,
}

impl StallError {
    pub(super) fn unasked(limit: Duration, elapsed: Duration, bytes: u64) -> Self {
        Self { limit, elapsed, bytes, slow: None }
    }

    pub(super) fn slow(limit: Duration, rate: Rate, elapsed: Duration, taken: u64, bytes: u64) -> Self {
        Self { limit, elapsed, bytes, slow: Some(Slow { rate, taken }) }
    }

    /// The limit of the layer.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How long nobody had asked for more when that was noticed; or, of a reader that was too slow, for how long its
    /// bytes were counted.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How many bytes of the body had been taken in all. Not all of them need have reached the client.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the reader did move, but slower than the [minimum rate](super::StallLayer::min_rate).
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.slow.is_some()
    }
}

impl fmt::Display for StallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, elapsed, bytes, slow } = self;
        match slow {
            None => write!(
                f,
                "nobody has asked for more of the body for {elapsed:?} (stall limit: {limit:?}); {bytes} bytes were taken"
            ),
            Some(Slow { rate: Rate { bytes, per }, taken }) => write!(
                f,
                "{taken} bytes of the body were taken in {elapsed:?} (minimum rate: {bytes} bytes in {per:?})"
            ),
        }
    }
}

impl std::error::Error for StallError {
    #[cfg(feature = "h2")]
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(crate::error::cancel())
    }
}
