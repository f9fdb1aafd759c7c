//! What is known of a stream when it has ended.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode, Version};

use super::cause::{EndCause, EndedBy, When, code};
use crate::Dialect;
use crate::heartbeat::Beats;
use crate::reject::Protocol;

/// A request that has come in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opening {
    /// Its method.
    pub method: Method,
    /// Its HTTP version.
    pub version: Version,
    /// The route's label: see [`Observer::route`](super::Observer::route). Empty when nobody has told.
    pub route: Arc<str>,
    /// The path class: see [`Observer::path_class`](super::Observer::path_class).
    pub class: Arc<str>,
    /// What the caller speaks.
    pub protocol: Protocol,
    /// It comes back for more: it has a `Last-Event-ID`.
    pub resumed: bool,
}

/// What became of one stream. One is written for each request, whatever happens to it.
///
/// Times are counted from the call, and are as sharp as the moments at which somebody looked: see
/// [resolution](super#resolution).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamReport {
    /// The request.
    pub opening: Opening,
    /// The response's status, if there was a response.
    pub status: Option<StatusCode>,
    /// How the body is written, if that is a dialect with events or lines.
    pub dialect: Option<Dialect>,
    /// Why it ended.
    pub cause: EndCause,
    /// How far it had got.
    pub when: When,
    /// From the call to the response head.
    pub headers: Option<Duration>,
    /// From the call to the handler's own head, where another was sent before it.
    pub late_headers: Option<Duration>,
    /// The handler's own status in that case, if it had one to give: nobody has sent it.
    pub late_status: Option<StatusCode>,
    /// From the call to the first byte of the body, whoever wrote it.
    pub first_byte: Option<Duration>,
    /// From the call to the first content: unlike comments and heartbeats.
    pub first_content: Option<Duration>,
    /// The longest time between two moments at which somebody waited and then got bytes. The time that a slow client took
    /// to come back for more is in it.
    pub largest_gap: Duration,
    /// From the call to the end.
    pub age: Duration,
    /// How long nobody had written anything when it ended. Zero when the last bytes were not waited for again.
    pub silence: Duration,
    /// How long it has waited for a permit, whether or not it got one.
    pub queued: Duration,
    /// How long its client did not read, as far as somebody watches for that.
    pub stalled: Duration,
    /// Bytes of the body that were handed out.
    pub bytes: u64,
    /// In so many frames.
    pub frames: u64,
    /// So many of which ended where an event, a line or a gRPC message does. Those that begin with a comment do not count.
    pub events: u64,
    /// Its heartbeats.
    pub beats: Beats,
    /// Their interval.
    pub interval: Option<Duration>,
}

/// Streams that people leave so early are fewer than streams that something on the way does not let through.
const EARLY: Duration = Duration::from_secs(60);
/// A proxy that holds a response back makes its client wait.
const LATE: Duration = Duration::from_secs(5);

impl StreamReport {
    /// Two letters, as in HAProxy's log: who ended it, and when. `--` for a stream that came to its own end. See
    /// [codes](super#codes).
    #[must_use]
    pub fn code(&self) -> &'static str {
        code(self.cause, self.when)
    }

    /// Who ended it.
    #[must_use]
    pub fn ended_by(&self) -> EndedBy {
        self.cause.by()
    }

    /// The client, or something on the way, dropped it within 60 s. Some people do, so this is worth a look only where it
    /// happens more often than elsewhere.
    #[must_use]
    pub fn dropped_early(&self) -> bool {
        self.cause == EndCause::Abandoned && self.age <= EARLY
    }

    /// Its first data came later than 5 s, or not at all within that time.
    #[must_use]
    pub fn began_late(&self) -> bool {
        self.first_content.unwrap_or(self.age) > LATE
    }

    /// Something on the way may have interfered: its first data came late, and it was dropped early.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.dropped_early() && self.began_late()
    }
}

pub(super) fn since(from: Instant, to: Instant) -> Duration {
    to.saturating_duration_since(from)
}

/// One line for a log.
///
/// ```text
/// CS GET /chat 200: abandoned (client, streaming) after 71.4s, 11.2s of them silent; 18 events in 18 frames, 1204 bytes
/// ```
impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Opening { method, route, .. } = &self.opening;
        write!(f, "{} {method}", self.code())?;
        if !route.is_empty() {
            write!(f, " {route}")?;
        }
        match self.status {
            Some(status) => write!(f, " {}: ", status.as_u16())?,
            None => write!(f, " -: ")?,
        }
        match self.ended_by() {
            EndedBy::Itself => write!(f, "{}", self.cause)?,
            by => write!(f, "{} ({}, {})", self.cause, by.word(), self.when.word())?,
        }
        let Self { events, frames, bytes, .. } = self;
        write!(
            f,
            " after {:.1}s, {:.1}s of them silent; {events} events in {frames} frames, {bytes} bytes",
            self.age.as_secs_f64(),
            self.silence.as_secs_f64(),
        )
    }
}
