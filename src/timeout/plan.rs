//! What all exchanges of a layer share, until one of them wants it otherwise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Extensions;

use super::bounds::Total;
use super::layer::{HeadersFrom, Progress};
use super::limits::Timeouts;
use super::phase::Phase;
use crate::deadline::{Deadline, HeadDeadline, SilenceHint};
use crate::dialect::Tracker;
use crate::jitter::Seeds;
use crate::reject::{Ending, Renderer};

/// In the extensions of a request that has waited in a queue: when it came. From then on the total counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived(pub(crate) Instant);

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) limits: Timeouts,
    pub(super) ceiling: Timeouts,
    pub(super) progress: Progress,
    pub(super) headers_from: HeadersFrom,
    /// The request's own end of the headers phase, whenever that began.
    pub(super) head: Option<Total>,
    /// The request's own end.
    pub(super) deadline: Option<Total>,
    /// When the exchange began, if that was before this layer knew of it.
    pub(super) arrived: Option<Instant>,
    /// How a stream ends behind the head, if not as its format suggests.
    pub(super) ending: Option<Ending>,
    pub(super) retry: Duration,
    pub(super) seeds: Arc<Seeds>,
    pub(super) renderer: Renderer,
}

impl Plan {
    pub(super) fn new(limits: Timeouts) -> Self {
        Self {
            limits,
            ceiling: Timeouts::new(),
            progress: Progress::default(),
            headers_from: HeadersFrom::default(),
            head: None,
            deadline: None,
            arrived: None,
            ending: None,
            retry: Duration::from_secs(2),
            seeds: Arc::new(Seeds::random()),
            renderer: Renderer::default(),
        }
    }

    /// Of a body without a head, of whose format nobody knows.
    pub(super) fn of_any_body(limits: Timeouts) -> Self {
        Self { ending: Some(Ending::Abort), ..Self::new(limits) }
    }

    /// This plan, or one of its own for a request that brought something along.
    pub(super) fn for_request(self: &Arc<Self>, extensions: &Extensions, began: Instant) -> Arc<Self> {
        let mut plan = Arc::clone(self);
        if let Some(wished) = extensions.get::<Timeouts>() {
            Arc::make_mut(&mut plan).change(wished);
        }
        if let Some(silence) = extensions.get::<SilenceHint>() {
            let (headers, first_byte) = (Some(silence.limit()), Some(silence.limit()));
            let own = Arc::make_mut(&mut plan);
            own.limits = own.limits.tightened_by(&Timeouts { headers, first_byte, ..Timeouts::new() });
        }
        if let Some(head) = extensions.get::<HeadDeadline>() {
            let at = head.deadline().instant().max(began);
            Arc::make_mut(&mut plan).head = Some(Total { at, limit: at - began, phase: Phase::Headers });
        }
        if let Some(deadline) = extensions.get::<Deadline>() {
            Arc::make_mut(&mut plan).deadline = Some(in_time(*deadline, began));
        }
        if let Some(Arrived(arrived)) = extensions.get() {
            Arc::make_mut(&mut plan).arrived = Some(*arrived);
        }
        plan
    }

    /// The limits that somebody wishes for, under the ceiling.
    pub(super) fn change(&mut self, wished: &Timeouts) {
        self.limits = self.limits.changed_by(wished).capped_by(&self.ceiling);
    }

    /// Whether there is a limit behind the head.
    pub(super) fn bounds_bodies(&self) -> bool {
        let Timeouts { first_byte, inter_chunk, total, .. } = self.limits;
        first_byte.or(inter_chunk).or(total).is_some() || self.deadline.is_some()
    }

    /// How a stream of this format ends.
    pub(super) fn ending_of(&self, tracker: Tracker) -> Ending {
        self.ending.clone().unwrap_or(Ending::for_stream(tracker))
    }

    /// When an exchange that began then has to be over: the total, or the request's own end if that is earlier.
    pub(super) fn total(&self, began: Instant) -> Option<Total> {
        Total::earlier(self.limits.total_from(self.arrived.unwrap_or(began)), self.deadline)
    }
}

/// A little before the request's own deadline (a tenth of what is left, at most 50 ms), so that the answer is there in
/// time, and before the caller's own timer or that of a server around this layer goes off.
fn in_time(deadline: Deadline, began: Instant) -> Total {
    let left = deadline.instant().saturating_duration_since(began);
    let limit = left - (left / 10).min(Duration::from_millis(50));
    // Whole milliseconds, because callers read it.
    let limit = Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    Total { at: began + limit, limit, phase: Phase::Deadline }
}
