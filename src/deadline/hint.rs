//! What a caller says about less than the whole: about the head only, about silence only.

use std::time::Duration;

use super::budget::Deadline;

/// The moment by which the response *head* should be there, from `Prefer: wait`. It says nothing about the body.
///
/// [`DeadlineLayer`](super::DeadlineLayer) puts it into the request's extensions. A layer that knows of it answers by then;
/// a handler may: RFC 7240, section 4.3, leaves it to the server what the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeadDeadline(Deadline);

impl HeadDeadline {
    /// This moment.
    #[must_use]
    pub fn new(deadline: Deadline) -> Self {
        Self(deadline)
    }

    /// The moment, as a deadline that can bound a future.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.0
    }
}

/// For how long the caller bears a silence before it hangs up, from `x-stainless-read-timeout`. It says nothing about the
/// whole.
///
/// [`DeadlineLayer`](super::DeadlineLayer) puts it into the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SilenceHint(Duration);

impl SilenceHint {
    /// The shortest that [`DeadlineLayer`](super::DeadlineLayer) takes from a caller: a client must not be able to make a
    /// server beat all the time.
    pub const SHORTEST: Duration = Duration::from_secs(1);

    /// So long.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self(limit)
    }

    /// How long a silence may be, before the head, before the first byte, and between bytes.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.0
    }

    /// The longest heartbeat interval that keeps such a caller: a third of its limit, so that one beat may get lost in a
    /// stall and the next is still in time.
    #[must_use]
    pub fn beat(&self) -> Duration {
        self.0 / 3
    }
}
