//! Decides: is a beat due, may it be written here, and if not, when to ask again?

use std::time::{Duration, Instant};

use super::event::{Beats, HeartbeatEvent};
use super::settings::{Heartbeat, Rhythm};
use crate::dialect::Place;
use crate::jitter::Jitter;

/// One stream's heartbeat, from its first wait on.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// When the last beat was written; before the first one, when the stream first waited.
    last_beat: Instant,
    /// Tells how much earlier than an interval the next beat comes. Drawn from again and again rather than kept: two
    /// words for each waiting stream.
    jitter: Jitter,
    beats: Beats,
    /// Beats since the last content.
    in_a_row: u32,
    /// The first beat is due at the first wait.
    at_once: bool,
    /// Not before there has been content.
    waits_for_content: bool,
    /// This silence's held beat has been told.
    told: bool,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before this instant, whatever is written until then.
    At(Instant),
    /// Nothing before something is written or, if there is one, this instant.
    Written(Option<Instant>),
    /// Write a beat.
    Beat,
}

impl Pulse {
    /// The stream waits for the first time. `spoken`: the inner body has already given bytes; `content`: some that count.
    pub(crate) fn new(
        settings: &Heartbeat,
        jitter: Jitter,
        spoken: bool,
        content: bool,
        now: Instant,
    ) -> Self {
        Self {
            waits_for_content: settings.after_content && !content,
            last_beat: now,
            jitter,
            beats: Beats::default(),
            in_a_row: 0,
            at_once: settings.at_once && (!spoken || settings.pad_first > 0),
            told: false,
        }
    }

    /// The stream waits again after bytes of anybody. `content`: the producer's own, and more than a sign of life.
    pub(crate) fn waits_again(&mut self, content: bool) {
        self.told = false;
        if content {
            self.in_a_row = 0;
            self.waits_for_content = false;
        }
    }

    /// Somebody asks again, behind so many frames (eight or more cannot be told apart) and when the timer has gone off.
    /// Whether there was a silence among them in which a beat should have been.
    pub(crate) fn asked_again(
        &mut self,
        settings: &Heartbeat,
        frames: u32,
        silent_since: Instant,
        now: Instant,
    ) -> Option<HeartbeatEvent> {
        let limit = settings.interval.saturating_add(tolerance(settings));
        // However the frames lay, one of the gaps between them was as long as their mean. What was before a beat has been
        // asked for, and so has a silence in which one was held.
        let since = silent_since.max(self.last_beat);
        let silent = now.saturating_duration_since(since) / (frames + 1);
        let missed = frames < 8 && silent > limit && settings.rhythm == Rhythm::Silence;
        if !missed || self.told || settings.beat.is_none() || self.in_a_row >= settings.most_in_a_row {
            return None;
        }
        self.beats.unread = self.beats.unread.saturating_add(1);
        Some(HeartbeatEvent::Unread { silent })
    }

    /// Asked while the stream waits.
    pub(crate) fn due(
        &mut self,
        settings: &Heartbeat,
        place: Place,
        silent_since: Instant,
        now: Instant,
    ) -> (Due, Option<HeartbeatEvent>) {
        if settings.beat.is_none() || self.waits_for_content || self.in_a_row >= settings.most_in_a_row {
            return (Due::Written(None), None);
        }
        if self.at_once && place == Place::Between {
            return (Due::Beat, None);
        }
        let from = match settings.rhythm {
            Rhythm::Silence => silent_since,
            Rhythm::Periodic => self.last_beat,
        };
        // At most half of the interval. And an instant beyond the clock's range never comes.
        let early = self.jitter.clone().up_to(settings.jitter);
        let Some(at) = from.checked_add(settings.interval - early) else {
            return (Due::Written(None), None);
        };
        if now < at {
            return (if self.at_once { Due::Written(Some(at)) } else { Due::At(at) }, None);
        }
        if !settings.beat.fits(place, settings.mid_event) {
            return (Due::Written(None), self.hold(now - silent_since));
        }
        let by = now - at.max(silent_since);
        let late = by > tolerance(settings);
        (Due::Beat, late.then(|| self.late(by)))
    }

    /// The beat has been written.
    pub(crate) fn beaten(&mut self, settings: &Heartbeat, now: Instant) {
        self.last_beat = now;
        self.jitter.up_to(settings.jitter);
        self.at_once = false;
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.beats.sent = self.beats.sent.saturating_add(1);
    }

    pub(crate) fn beats(&self) -> Beats {
        self.beats
    }

    fn hold(&mut self, silent: Duration) -> Option<HeartbeatEvent> {
        let first = !std::mem::replace(&mut self.told, true);
        first.then(|| {
            self.beats.held = self.beats.held.saturating_add(1);
            HeartbeatEvent::Held { silent }
        })
    }

    fn late(&mut self, by: Duration) -> HeartbeatEvent {
        self.beats.late = self.beats.late.saturating_add(1);
        HeartbeatEvent::Late { by }
    }
}

/// A beat that comes so much later is worth a word.
fn tolerance(settings: &Heartbeat) -> Duration {
    Duration::from_millis(100).max(settings.interval / 10)
}
