//! What a body is told of its limits when the response head is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::TimeoutError;
use super::layer::Progress;
use super::limits::Timeouts;
use super::phase::Phase;
use super::plan::Plan;
use crate::body::{Cut, Fault, Watch};
use crate::dialect::Tracker;
use crate::reject::{Ending, Goodbye};

#[derive(Debug)]
pub(crate) struct Bounds {
    pub(super) plan: Arc<Plan>,
    /// The exchange.
    pub(super) began: Instant,
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
    /// Of a body alone.
    pub(crate) fn of_any_body(limits: Timeouts, began: Instant) -> Self {
        Self { plan: Arc::new(Plan::of_any_body(limits)), began }
    }

    /// What the limits want to know of the bytes.
    pub(super) fn watch(&self) -> Watch {
        let Timeouts { first_byte, inter_chunk, .. } = self.plan.limits;
        match self.plan.progress {
            _ if first_byte.or(inter_chunk).is_none() => Watch::Nothing,
            Progress::Content => Watch::Content,
            Progress::AnyByte => Watch::AnyByte,
        }
    }

    pub(crate) fn counts_any_byte(&self) -> bool {
        self.plan.progress == Progress::AnyByte
    }

    pub(crate) fn limits(&self) -> &Timeouts {
        &self.plan.limits
    }

    /// Whether there is an end that no frame puts off.
    pub(crate) fn is_absolute(&self) -> bool {
        self.plan.limits.total.is_some() || self.plan.deadline.is_some()
    }

    pub(crate) fn total(&self) -> Option<Total> {
        self.plan.total(self.began)
    }

    /// What is said at the end of a body that stands here.
    pub(crate) fn cut(&self, error: TimeoutError, tracker: Tracker) -> Cut {
        let retry = self.plan.seeds.next().about(self.plan.retry);
        let goodbye = Goodbye::timeout(error.phase().word(), error.limit()).with_retry(retry);
        Cut { fault: Fault::Timeout(error), said: goodbye.say(&self.plan.ending_of(tracker), tracker) }
    }

    /// Whether a body of this format may end early, or longer, without an error.
    pub(crate) fn may_end_well(&self, tracker: Tracker) -> bool {
        tracker != Tracker::Opaque && self.plan.ending != Some(Ending::Abort)
    }
}
