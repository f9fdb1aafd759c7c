//! What a body has given so far, and when: counted by its shell.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Frame;

use crate::dialect::Tracker;

/// Times are taken at *edges*: when somebody waits for the body for the first time, and when somebody waits again behind
/// bytes. A frame that is ready costs two additions and no clock.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) events: u64,
    silent_since: Option<Instant>,
    pub(super) first_byte: Option<Instant>,
    pub(super) first_content: Option<Instant>,
    pub(super) largest_gap: Duration,
}

impl Seen {
    /// A frame goes out, after which the wire stands here.
    #[inline]
    pub(crate) fn passed(&mut self, frame: &Frame<Bytes>, tracker: &Tracker) {
        let Some(data) = frame.data_ref() else {
            return;
        };
        self.frames += 1;
        self.bytes += data.len() as u64;
        // A frame that begins with a comment is most often nothing else.
        if tracker.is_between() && data.first().is_some_and(|first| *first != b':') {
            self.events += 1;
        }
    }

    /// Whether somebody has waited yet.
    pub(crate) fn has_waited(&self) -> bool {
        self.silent_since.is_some()
    }

    /// Somebody waits. `written`: whether there was content, if there were bytes since the last wait.
    pub(crate) fn waits(&mut self, written: Option<bool>, now: Instant) {
        if written.is_none() && self.has_waited() {
            return;
        }
        let since = self.silent_since.replace(now);
        let Some(content) = written else {
            return;
        };
        if let Some(since) = since {
            self.largest_gap = self.largest_gap.max(now.saturating_duration_since(since));
        }
        self.first_byte.get_or_insert(now);
        if content {
            self.first_content.get_or_insert(now);
        }
    }

    pub(crate) fn has_content(&self) -> bool {
        self.first_content.is_some()
    }

    /// It is over. How long nobody had written anything: from the last time that somebody began to wait, or from the head.
    pub(super) fn ends(&mut self, written: Option<bool>, head: Instant, now: Instant) -> Duration {
        if written.is_some() {
            self.silent_since.get_or_insert(head);
            self.waits(written, now);
            return Duration::ZERO;
        }
        now.saturating_duration_since(self.silent_since.unwrap_or(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::dialect::Dialect;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn any_instant() -> Instant {
        Instant::now()
    }

    /// Plays edges, each at a second: `+` behind content, `.` behind other bytes, and a space behind none. What is then
    /// known at the last second: first byte, first content, largest gap and silence.
    #[track_caller]
    fn check(edges: &[(u64, char)], end: (u64, char), expected: [Option<u64>; 4]) {
        let head = any_instant();
        let at = |second| head + Duration::from_secs(second);
        let written = |what| match what {
            '+' => Some(true),
            '.' => Some(false),
            _ => None,
        };
        let mut seen = Seen::default();
        for &(second, what) in edges {
            seen.waits(written(what), at(second));
        }
        let silence = seen.ends(written(end.1), head, at(end.0));
        let second = |instant: Option<Instant>| instant.map(|instant| (instant - head).as_secs());
        let known = [
            second(seen.first_byte),
            second(seen.first_content),
            Some(seen.largest_gap.as_secs()),
            Some(silence.as_secs()),
        ];
        assert_eq!(known, expected, "{edges:?} {end:?}");
    }

    #[test]
    fn edges_tell_when_what_came() {
        check(&[], (7, ' '), [None, None, Some(0), Some(7)]);
        check(&[(0, ' ')], (7, ' '), [None, None, Some(0), Some(7)]);
        check(&[(0, ' '), (3, '.'), (5, '+'), (6, '+')], (9, ' '), [Some(3), Some(5), Some(3), Some(3)]);
        // Behind bytes that nobody waited for again there was no silence that one could know of.
        check(&[(0, ' '), (3, '+')], (9, '+'), [Some(3), Some(3), Some(6), Some(0)]);
        check(&[], (4, '+'), [Some(4), Some(4), Some(4), Some(0)]);
        // To wait again without bytes is the same wait.
        check(&[(1, ' '), (5, ' ')], (9, ' '), [None, None, Some(0), Some(8)]);
    }

    #[test]
    fn frames_that_end_an_event() {
        let mut seen = Seen::default();
        let mut tracker = Tracker::new(Dialect::EventStream);
        for chunk in ["data: a\n\n", "data", ": b\n", "\n", ":\n", ": hb\n\n", ""] {
            tracker.advance(chunk.as_bytes());
            seen.passed(&Frame::data(chunk.into()), &tracker);
        }
        assert_eq!((seen.frames, seen.bytes, seen.events), (7, 26, 2));
    }
}
