//! Deadline: when everything about an exchange should be over, and how sub-calls share what is left.

use std::fmt;
use std::future::IntoFuture;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::body::now;

/// The moment by which everything about a request should be over: queue, head and body.
///
/// [`DeadlineLayer`](super::DeadlineLayer) puts one into the request's extensions. It is a moment and no more: it can be
/// copied to wherever work is done, and nothing happens by itself when it passes.
///
/// It is kept on tokio's clock, which tests can pause. `min` of two is the earlier one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use tower_lifeline::Deadline;
///
/// # async fn query() {}
/// # async fn model() { std::future::pending().await }
/// let deadline = Deadline::after(Duration::from_secs(60));
///
/// // At most 15 s for the database, and 5 s are kept for what comes after the model.
/// let rows = deadline.at_most(Duration::from_secs(15)).bound(query()).await;
/// let answer = deadline.reserve(Duration::from_secs(5)).bound(model()).await;
///
/// assert!(rows.is_ok());
/// assert_eq!(answer.unwrap_err().to_string(), "deadline exceeded: 55s were left, 55s have passed");
/// assert_eq!(deadline.remaining(), Duration::from_secs(5));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

/// Further away than any exchange lasts, and near enough for every clock to count to.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

impl Deadline {
    /// This moment.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// So long from now; at most 30 years.
    #[must_use]
    pub fn after(left: Duration) -> Self {
        Self::counted_from(now(), left)
    }

    /// Decides without a clock. A moment that cannot be counted to is the nearest that can.
    fn counted_from(now: Instant, left: Duration) -> Self {
        Self(now.checked_add(left.min(FAR)).unwrap_or(now))
    }

    /// The moment.
    #[must_use]
    pub fn instant(&self) -> Instant {
        self.0
    }

    /// How much is left; zero when it is past.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.remaining().is_zero()
    }

    /// This deadline or so long from now, whichever is earlier: a limit for one step that never outlives the whole.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    /// So much earlier, so that this much is left for what comes afterwards. It is past when there is less than that.
    #[must_use]
    pub fn reserve(self, kept: Duration) -> Self {
        // The clock of some systems does not go back to before their start.
        Self(self.0.checked_sub(kept).unwrap_or_else(now).min(self.0))
    }

    /// The first of so many equal parts of what is left. Attempts that share a budget count down: `share(3)`, then
    /// `share(2)`, and the last one has `share(1)`, which is all. Zero parts are taken for one.
    #[must_use]
    pub fn share(self, parts: u32) -> Self {
        self.at_most(self.remaining() / parts.max(1))
    }

    /// Waits for a future until this deadline.
    ///
    /// The future goes first and the timer second: what is ready is never refused, at a tie and even after the deadline.
    /// So a deadline that is past still asks the future once. When the deadline passes, the future is dropped before
    /// this returns. What has only been *started* by it (a task, a query on its way to a server) is not undone by that.
    ///
    /// # Errors
    ///
    /// When the deadline passes first.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime with its timer enabled.
    pub async fn bound<F: IntoFuture>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        let began = now();
        // tokio adds to what it is given.
        let until = self.at_most(FAR).0;
        timeout_at(until.into(), future.into_future()).await.map_err(|_| DeadlineExceeded {
            allowed: self.0.saturating_duration_since(began),
            elapsed: now().saturating_duration_since(began),
        })
    }
}

/// [`Deadline::bound`] ended before its future did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineExceeded {
    allowed: Duration,
    elapsed: Duration,
}

impl DeadlineExceeded {
    /// How much was left when the wait began.
    #[must_use]
    pub fn allowed(&self) -> Duration {
        self.allowed
    }

    /// How long the wait took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deadline exceeded: {:?} were left, {:?} have passed", self.allowed, self.elapsed)
    }
}

impl std::error::Error for DeadlineExceeded {}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_runs_down_to_zero() {
        let deadline = Deadline::after(s(10));
        assert_eq!((deadline.remaining(), deadline.is_past()), (s(10), false));
        tokio::time::advance(s(9)).await;
        assert_eq!((deadline.remaining(), deadline.is_past()), (s(1), false));
        tokio::time::advance(s(1)).await;
        assert_eq!((deadline.remaining(), deadline.is_past()), (s(0), true));
        tokio::time::advance(s(1)).await;
        assert_eq!((deadline.remaining(), deadline.is_past()), (s(0), true));
        assert_eq!(Deadline::at(deadline.instant()), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_gets_at_most_its_limit_and_never_more_than_the_whole() {
        let deadline = Deadline::after(s(60));
        assert_eq!(deadline.at_most(s(15)).remaining(), s(15));
        tokio::time::advance(s(50)).await;
        assert_eq!(deadline.at_most(s(15)), deadline);
        assert_eq!(deadline.at_most(Duration::MAX), deadline);
        tokio::time::advance(s(20)).await;
        assert_eq!(deadline.at_most(s(15)), deadline, "a past deadline stays past");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_reserved_is_taken_from_the_end() {
        let deadline = Deadline::after(s(60));
        assert_eq!(deadline.reserve(s(5)).remaining(), s(55));
        assert_eq!(deadline.reserve(s(0)), deadline);
        assert!(deadline.reserve(s(60)).is_past());
        assert!(deadline.reserve(s(61)).is_past());
        assert!(deadline.reserve(Duration::MAX).is_past());
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_share_what_is_left() {
        let deadline = Deadline::after(s(60));
        assert_eq!(deadline.share(3).remaining(), s(20));
        tokio::time::advance(s(20)).await;
        assert_eq!(deadline.share(2).remaining(), s(20));
        tokio::time::advance(s(5)).await;
        assert_eq!(deadline.share(1), deadline);
        assert_eq!(deadline.share(0), deadline);
        tokio::time::advance(s(60)).await;
        assert_eq!(deadline.share(2), deadline, "a past deadline stays past");
    }

    #[tokio::test(start_paused = true)]
    async fn no_clock_overflows() {
        assert!(Deadline::after(Duration::MAX).remaining() > FAR - s(60));
        let mut last = now();
        let mut step = Duration::MAX;
        while !step.is_zero() {
            match last.checked_add(step) {
                Some(later) => last = later,
                None => step /= 2,
            }
        }
        let end = Deadline::at(last);
        let waited = tokio::time::timeout(s(1), end.bound(std::future::pending::<()>())).await;
        assert!(waited.is_err(), "still waiting");
        assert!(!end.is_past());
        assert_eq!(Deadline::counted_from(last, s(1)), end);
        assert_eq!(end.at_most(s(1)).reserve(s(1)).share(7).remaining(), s(0));
    }
}
