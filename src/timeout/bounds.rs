//! What a body is told of its limits when the response head is there.

use std::time::{Duration, Instant};

use super::error::TimeoutError;
use super::limits::Timeouts;
use super::phase::Phase;
use crate::body::{Cut, Fault};
use crate::dialect::Tracker;
use crate::reject::{Ending, Goodbye};

#[derive(Debug)]
pub(crate) struct Bounds {
    pub(crate) limits: Timeouts,
    pub(crate) total: Option<Total>,
    pub(crate) ending: Ending,
    /// When an `EventSource` may come back.
    pub(crate) retry: Duration,
}

/// When the exchange, or its head, has to be over, and how long it then has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) at: Instant,
    pub(crate) limit: Duration,
    /// Whose end it is: `Phase::Deadline` where the request itself brought it along.
    pub(crate) phase: Phase,
}

impl Total {
    pub(crate) fn over(self, now: Instant) -> Option<TimeoutError> {
        let late = now.checked_duration_since(self.at)?;
        Some(TimeoutError::new(self.phase, self.limit, self.limit.saturating_add(late)))
    }

    pub(crate) fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        a.into_iter().chain(b).min_by_key(|total| total.at)
    }
}

impl Bounds {
    /// What is said at the end of a body that stands here.
    pub(crate) fn cut(&self, error: TimeoutError, tracker: Tracker) -> Cut {
        let goodbye = Goodbye::timeout(error.phase().word(), error.limit()).with_retry(self.retry);
        Cut { fault: Fault::Timeout(error), said: goodbye.say(&self.ending, tracker) }
    }

    /// Whether the body may end early, or longer, without an error.
    pub(crate) fn may_end_well(&self) -> bool {
        self.ending != Ending::Abort
    }
}
