//! A report that is being written. Whatever happens to it, it is sent once: when it is dropped.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{Response, StatusCode};
use http_body::Body;

use super::cause::{self, Head, Known, Upstream};
use super::observer::Inner;
use super::report::{Opening, StreamReport, since};
use super::seen::Seen;
use super::span::Span;
use crate::body::{Journal, Verdict, now};
use crate::dialect::Tracker;
use crate::{Dialect, StreamEnd};

/// What is known of one stream so far. It travels from the future to the body.
pub(crate) struct Draft {
    pub(super) observer: Arc<Inner>,
    pub(super) journal: Journal,
    pub(super) opening: Opening,
    pub(super) began: Instant,
    pub(super) span: Span,
    head: Option<TheHead>,
    pub(crate) seen: Seen,
    end: StreamEnd,
    /// Bytes since somebody last waited for them.
    unread: Option<bool>,
}

struct TheHead {
    at: Instant,
    status: StatusCode,
    dialect: Option<Dialect>,
    facts: Head,
}

impl Draft {
    pub(super) fn new(observer: Arc<Inner>, journal: Journal, opening: Opening) -> Self {
        let span = observer.sinks.span(&opening);
        Self {
            observer,
            journal,
            opening,
            began: now(),
            span,
            head: None,
            seen: Seen::default(),
            end: StreamEnd::Dropped,
            unread: None,
        }
    }

    /// There will be no response.
    pub(super) fn failed(mut self: Box<Self>) {
        self.end = StreamEnd::Failed;
    }

    /// The response head is there. How its body is written.
    pub(super) fn headed<B: Body>(&mut self, response: &Response<B>) -> Tracker {
        let status = response.status();
        let is_the_end = self.journal.read().verdict.is_some();
        let upstream = response.extensions().get::<Upstream>().copied();
        let exact = response.body().size_hint().exact();
        // Most responses are all there, and cost no further look.
        let tracker = match exact {
            Some(_) => Tracker::Opaque,
            None => Tracker::of_response(response.headers()),
        };
        self.head = Some(TheHead {
            at: now(),
            status,
            dialect: tracker.dialect(),
            facts: Head { is_the_end, upstream },
        });
        tracker
    }

    /// Somebody waits for the body. `written`: whether there was content, if there were bytes since the last wait.
    pub(crate) fn waits(&mut self, written: Option<bool>, now: Instant) {
        self.seen.waits(self.told(written), now);
    }

    /// The goodbye of a layer of ours is no content. Asked for once a stream, and then at its end.
    fn told(&self, written: Option<bool>) -> Option<bool> {
        let first = written == Some(true) && !self.seen.has_content();
        let ours = first && self.may_be_a_goodbye();
        written.map(|content| content && !ours)
    }

    /// A stream that is taken away from its client, or cut, says none; and only formats that can say one have events.
    fn may_be_a_goodbye(&self) -> bool {
        let speaks = |verdict| !matches!(verdict, Verdict::Stalled | Verdict::DrainCut);
        let has_events = self.head.as_ref().is_some_and(|head| head.dialect.is_some());
        has_events && self.seen.events <= 1 && self.journal.read().verdict.is_some_and(speaks)
    }

    /// The body has ended like this. `unread`: whether there was content, if there were bytes since somebody last waited.
    pub(crate) fn ended(mut self: Box<Self>, end: StreamEnd, unread: Option<bool>) {
        self.end = end;
        self.unread = unread;
    }

    fn write(&mut self) -> StreamReport {
        let now = now();
        let began = self.began;
        let notes = self.journal.read();
        let head_at = self.head.as_ref().map(|head| head.at);
        let silence = self.seen.ends(self.told(self.unread), head_at.unwrap_or(began), now);
        let known = Known {
            end: self.end,
            head: self.head.as_ref().map(|head| head.facts),
            content: self.seen.has_content(),
            panicking: std::thread::panicking(),
        };
        let (cause, when) = cause::decide(&known, &notes);
        let at = |instant: Option<Instant>| instant.map(|instant| since(began, instant));
        StreamReport {
            opening: self.opening.clone(),
            status: self.head.as_ref().map(|head| head.status),
            dialect: self.head.as_ref().and_then(|head| head.dialect),
            cause,
            when,
            headers: at(notes.committed.or(head_at)),
            late_headers: at(notes.answered),
            late_status: notes.status,
            first_byte: at(self.seen.first_byte),
            first_content: at(self.seen.first_content),
            largest_gap: self.seen.largest_gap,
            age: since(began, now),
            silence,
            queued: notes.waited,
            stalled: notes.stalled,
            bytes: self.seen.bytes,
            frames: self.seen.frames,
            events: self.seen.events,
            beats: notes.beats,
            interval: notes.interval,
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let report = self.write();
        let _entered = self.span.enter();
        self.observer.ended(&report);
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("opening", &self.opening)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::body::{More, Notes};

    #[test]
    fn a_report_that_is_being_written_takes_little_memory() {
        let (draft, notes, more) = (size_of::<Draft>(), size_of::<Notes>(), size_of::<More>());
        // With the counts of the journal's `Arc` and its lock.
        let boxed = draft + more + notes + 24;
        assert!(boxed <= 456, "{draft} + {more} + {notes} + 24 = {boxed} bytes boxed");
    }
}
