//! What a heartbeat has to tell.

use std::time::Duration;

use crate::StreamEnd;

/// What happened to a heartbeat; told to [`Heartbeat::on_event`](super::Heartbeat::on_event).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeartbeatEvent {
    /// A beat was due in the middle of an event and was not written. Told once for each silence.
    Held {
        /// How long the wire has been silent.
        silent: Duration,
    },
    /// A beat was written later than it should have been, by more than a tenth of its interval and 100 ms: the runtime was
    /// late to ask, although it was woken in time.
    Late {
        /// By how much.
        by: Duration,
    },
    /// The client did not read for so long that a beat was due, and nobody asked for it; told when it has read on. hyper
    /// does not ask a body for more while what it has given before is waiting to be read.
    Unread {
        /// The wire was silent for as long as this at the least.
        silent: Duration,
    },
    /// A stream that had a heartbeat has ended. Told once for each.
    Ended {
        /// How it ended.
        end: StreamEnd,
        /// What was written into it.
        beats: Beats,
    },
}

/// The heartbeats of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Beats {
    /// Written.
    pub sent: u32,
    /// Due in the middle of an event and not written then.
    pub held: u32,
    /// Written, but late. They count as sent too.
    pub late: u32,
    /// Silences in which the client did not read, so that no beat was asked for.
    pub unread: u32,
}
