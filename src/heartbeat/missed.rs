//! Heartbeats that could not be written, or not in time, are worth a warning, with the reason (feature `tracing`).

use std::time::{Duration, Instant};

use super::event::HeartbeatEvent;
#[cfg(feature = "tracing")]
use crate::warn::Limiter;

/// One limit for each reason, shared by all streams of a layer.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    #[cfg(feature = "tracing")]
    held: Limiter,
    #[cfg(feature = "tracing")]
    unread: Limiter,
    #[cfg(feature = "tracing")]
    late: Limiter,
}

impl Warnings {
    #[cfg(feature = "tracing")]
    pub(super) fn tell(&self, event: &HeartbeatEvent, interval: Duration, now: Instant) {
        let (limiter, reason, time) = match event {
            HeartbeatEvent::Held { silent } => {
                (&self.held, "the producer stopped in the middle of an event", silent)
            }
            HeartbeatEvent::Unread { silent } => (&self.unread, "the client did not read", silent),
            HeartbeatEvent::Late { by } => (&self.late, "the runtime was late", by),
            HeartbeatEvent::Ended { .. } => return,
        };
        if let Some(kept_back) = limiter.pass(now) {
            let (time, interval) = (time.as_secs_f64(), interval.as_secs_f64());
            tracing::warn!(reason, time, interval, kept_back, "missed a heartbeat: {reason}");
        }
    }

    #[cfg(not(feature = "tracing"))]
    pub(super) fn tell(&self, _: &HeartbeatEvent, _: Duration, _: Instant) {}
}
