//! What became of those who were here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Uri};

use super::guests::Who;
use crate::StreamEnd;

/// What has become of the requests behind a [`Drain`](super::Drain)'s layers, since it began.
///
/// ```
/// let report = tower_lifeline::Drain::new().report();
/// assert_eq!(report.to_string(), "0 here, 0 finished, 0 left, 0 cut, 0 abandoned, 0 refused");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// Those who are here: not answered yet, or with a response body that has not ended. With a
    /// [`finished`](super::Drain::finished) drain: nobody reads their bodies, so they could not be told.
    pub present: usize,
    /// Ended by themselves, or with their announced length gone out, or failed.
    pub finished: u64,
    /// Streams that said goodbye and ended between two messages.
    pub left: u64,
    /// Not answered, or not at an end, at the deadline.
    pub cut: u64,
    /// Dropped by the server before their end, most likely because the client had gone.
    pub abandoned: u64,
    /// Came too late.
    pub refused: u64,
    /// Who was cut, and who is here when this is the report of a drain that is over: the first hundred of each.
    pub unfinished: Vec<Unfinished>,
}

/// A request that was not at its end when the drain was.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unfinished {
    /// Its method.
    pub method: Method,
    /// Where it went. In HTTP/1 that is most often the path alone.
    pub uri: Uri,
    /// How long it had been here.
    pub age: Duration,
    /// Where it stood.
    pub stood: Stood,
}

/// Where a request stood at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stood {
    /// Its handler had not answered. It got a 503, or what its protocol has for it.
    Unanswered,
    /// Inside a message, or in bytes of an unknown format. Its body failed.
    Inside,
    /// Nobody asked for more of its body, most likely because the client does not read. Nothing could be done about it
    /// from here; see [`Drain::bound`](super::Drain::bound).
    Unread,
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { present, finished, left, cut, abandoned, refused, .. } = self;
        write!(
            f,
            "{present} here, {finished} finished, {left} left, {cut} cut, {abandoned} abandoned, {refused} refused"
        )
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, uri, age, stood } = self;
        let stood = match stood {
            Stood::Unanswered => "not answered",
            Stood::Inside => "inside a message",
            Stood::Unread => "not read by its client",
        };
        write!(f, "{method} {uri}: {stood} after {age:?}")
    }
}

/// So many are named in a report.
pub(super) const NAMED: usize = 100;

/// The same, being made.
#[derive(Debug, Default)]
pub(super) struct Tally {
    finished: AtomicU64,
    left: AtomicU64,
    cut: AtomicU64,
    abandoned: AtomicU64,
    refused: AtomicU64,
    unfinished: Mutex<Vec<Unfinished>>,
}

impl Tally {
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn went(&self, how: Went) {
        let counter = match how {
            Went::Finished => &self.finished,
            Went::Left => &self.left,
            Went::Cut => &self.cut,
            Went::Abandoned => &self.abandoned,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn names(&self, unfinished: Unfinished) {
        let mut all = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < NAMED {
            all.push(unfinished);
        }
    }

    pub(super) fn report(&self, present: usize) -> DrainReport {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        DrainReport {
            present,
            finished: count(&self.finished),
            left: count(&self.left),
            cut: count(&self.cut),
            abandoned: count(&self.abandoned),
            refused: count(&self.refused),
            unfinished: self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// How somebody went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    Finished,
    Left,
    Cut,
    Abandoned,
}

impl Went {
    /// `spoke`: the stream could say goodbye.
    pub(super) fn of(end: StreamEnd, spoke: bool) -> Self {
        match end {
            StreamEnd::Finished | StreamEnd::Failed | StreamEnd::TimedOut(_) => Self::Finished,
            StreamEnd::Drained | StreamEnd::Aged if spoke => Self::Left,
            StreamEnd::Drained | StreamEnd::Aged => Self::Cut,
            StreamEnd::Dropped => Self::Abandoned,
        }
    }
}

impl Unfinished {
    pub(super) fn new(who: Who, now: Instant, stood: Stood) -> Self {
        let Who { method, uri, since } = who;
        Self { method, uri, age: now.saturating_duration_since(since), stood }
    }
}
