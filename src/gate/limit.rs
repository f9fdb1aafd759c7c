//! How many may be in flight, found out from how long they wait for their first byte.

mod aimd;

use std::time::Duration;

pub use aimd::Aimd;

/// Decides how many may be in flight from what the last ones met.
///
/// It sees the time from the permit to the response head or the first byte, and nothing of the stream behind it. How
/// long a stream lasts is how much there is to say, not how busy the server is; a limit that is fed with it takes every
/// long answer for an overload, and collapses.
///
/// [`Aimd`] is the one that is here. Another one is a few lines:
///
/// ```
/// use tower_lifeline::gate::{Limit, Sample};
///
/// /// One less for each drop, down to one.
/// struct Cautious(usize);
///
/// impl Limit for Cautious {
///     fn current(&self) -> usize {
///         self.0
///     }
///
///     fn sample(&mut self, sample: &Sample) -> usize {
///         if sample.dropped && self.0 > 1 {
///             self.0 -= 1;
///         }
///         self.0
///     }
/// }
/// ```
pub trait Limit: Send {
    /// The limit as it stands; before the first sample, where it starts.
    fn current(&self) -> usize;

    /// Takes what one request met, and returns the limit from now on.
    ///
    /// Called once for each admitted request, under a lock: it must be quick and must not panic.
    fn sample(&mut self, sample: &Sample) -> usize;
}

/// What one admitted request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// From the permit to the response head or the first byte, or to the drop.
    pub latency: Duration,
    /// How many permits were out at that moment, this one included.
    pub in_flight: usize,
    /// There was no answer, or one that says that the server has too much to do. Its latency does not matter then: a
    /// refusal can be quick.
    pub dropped: bool,
}

impl Sample {
    /// A request that was answered.
    #[must_use]
    pub fn new(latency: Duration, in_flight: usize) -> Self {
        Self { latency, in_flight, dropped: false }
    }

    /// A request that was not.
    #[must_use]
    pub fn dropped(latency: Duration, in_flight: usize) -> Self {
        Self { dropped: true, ..Self::new(latency, in_flight) }
    }
}
