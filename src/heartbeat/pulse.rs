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

#[cfg(test)]
mod tests {
    use super::*;

    use crate::Beat;
    use crate::heartbeat::settings::MidEvent;
    use crate::jitter::Seeds;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn any_instant() -> Instant {
        Instant::now()
    }

    fn every() -> Heartbeat {
        Heartbeat::every(Duration::from_secs(10))
    }

    /// Plays moments, each at so many tenths of a second behind the first wait: `+` content and `.` other bytes that are
    /// written, and what somebody asks between two events (`|`), at a line start (`/`) and inside of a line (`-`). A beat
    /// that is due is written.
    #[track_caller]
    fn check(settings: &Heartbeat, moments: &[(u64, char)], answers: &str) {
        check_from(settings, false, moments, answers);
    }

    /// `spoken`: there were bytes, and content, before the first wait.
    #[track_caller]
    fn check_from(settings: &Heartbeat, spoken: bool, moments: &[(u64, char)], answers: &str) {
        let zero = any_instant();
        let at = |tenths| zero + Duration::from_millis(100 * tenths);
        let tenths = |duration: Duration| duration.as_millis() / 100;
        let mut pulse = Pulse::new(settings, Seeds::random().next(), spoken, spoken, zero);
        let mut silent_since = zero;
        let mut given = Vec::new();
        for &(moment, what) in moments {
            let now = at(moment);
            let place = match what {
                '|' => Place::Between,
                '/' => Place::LineStart,
                '-' => Place::Inside,
                _ => {
                    pulse.waits_again(what == '+');
                    silent_since = now;
                    continue;
                }
            };
            let (due, event) = pulse.due(settings, place, silent_since, now);
            let mut answer = match due {
                Due::At(at) => tenths(at - zero).to_string(),
                Due::Written(None) => "written".to_owned(),
                Due::Written(Some(at)) => format!("written or {}", tenths(at - zero)),
                Due::Beat => {
                    pulse.beaten(settings, now);
                    silent_since = now;
                    "beat".to_owned()
                }
            };
            match event {
                Some(HeartbeatEvent::Held { silent }) => answer += &format!(" held {}", tenths(silent)),
                Some(HeartbeatEvent::Late { by }) => answer += &format!(" late {}", tenths(by)),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            given.push(answer);
        }
        assert_eq!(given.join(", "), answers, "{moments:?}");
        let beats = pulse.beats();
        let count = |what: &str| given.iter().filter(|answer| answer.contains(what)).count() as u32;
        assert_eq!((beats.sent, beats.held, beats.late), (count("beat"), count("held"), count("late")));
    }

    #[test]
    fn a_beat_is_due_an_interval_behind_the_last_byte_of_anybody() {
        check(&every(), &[(0, '|'), (99, '|'), (100, '|'), (100, '|')], "100, 100, beat, 200");
        check(
            &every(),
            &[(0, '|'), (50, '+'), (50, '|'), (60, '.'), (60, '|'), (160, '|')],
            "100, 150, 160, beat",
        );
    }

    #[test]
    fn or_an_interval_behind_the_last_beat() {
        let periodic = every().rhythm(Rhythm::Periodic);
        check(&periodic, &[(0, '|'), (95, '+'), (95, '|'), (100, '|'), (100, '|')], "100, 100, beat, 200");
    }

    #[test]
    fn inside_an_event_it_is_held_and_that_is_told_once_for_each_silence() {
        let moments = [(100, '-'), (110, '-'), (110, '.'), (110, '-'), (210, '-'), (215, '|')];
        check(&every(), &moments, "written held 100, written, 210, written held 100, beat");
        check(&every(), &[(100, '/')], "written held 100");
        let line = every().mid_event(MidEvent::CommentLine);
        check(&line, &[(100, '/'), (200, '-')], "beat, written held 100");
    }

    #[test]
    fn a_beat_that_comes_too_late_is_told() {
        check(&every(), &[(110, '|')], "beat");
        check(&every(), &[(111, '|')], "beat late 11");
        let quick = Heartbeat::every(Duration::from_millis(500));
        check(&quick, &[(6, '|')], "beat");
        check(&quick, &[(7, '|')], "beat late 2");
        // Nobody can be late for a beat that was due while the event was not at its end.
        let periodic = every().rhythm(Rhythm::Periodic);
        check(&periodic, &[(150, '+'), (155, '|')], "beat");
    }

    #[test]
    fn the_first_beat_may_be_due_at_once() {
        let at_once = every().at_once();
        check(&at_once, &[(0, '|'), (0, '|')], "beat, 100");
        check(&at_once, &[(0, '-'), (3, '.'), (3, '|')], "written or 100, beat");
        // The producer has spoken, so there is no first silence to break.
        check_from(&at_once, true, &[(0, '|')], "100");
        check_from(&at_once.pad_first(100), true, &[(0, '|')], "beat");
    }

    #[test]
    fn or_wait_for_content() {
        let after = every().after_content();
        check(&after, &[(200, '|'), (210, '.'), (320, '|')], "written, written");
        check(&after, &[(200, '+'), (200, '|'), (300, '|')], "300, beat");
        check_from(&after, true, &[(100, '|')], "beat");
    }

    #[test]
    fn so_many_in_a_row_and_then_not_before_there_is_content() {
        let two = every().most_in_a_row(2);
        let moments = [(100, '|'), (200, '|'), (300, '|'), (310, '.'), (410, '|'), (420, '+'), (520, '|')];
        check(&two, &moments, "beat, beat, written, written, beat");
    }

    #[test]
    fn a_beat_of_nothing_is_never_due() {
        check(&every().beat(Beat::none()), &[(0, '|'), (500, '|')], "written, written");
    }

    #[test]
    fn a_beat_beyond_the_clock_never_comes() {
        check(&Heartbeat::every(Duration::MAX), &[(0, '|')], "written");
    }

    #[test]
    fn each_beat_comes_early_by_chance_and_the_draw_holds_until_it_has_come() {
        let settings = every().jitter(Duration::from_secs(5));
        let zero = any_instant();
        let mut pulse = Pulse::new(&settings, Seeds::random().next(), false, false, zero);
        let mut early = Vec::new();
        for _ in 0..50 {
            let asked = |pulse: &mut Pulse| match pulse.due(&settings, Place::Between, zero, zero) {
                (Due::At(at), None) => at - zero,
                other => panic!("{other:?}"),
            };
            let first = asked(&mut pulse);
            assert_eq!(asked(&mut pulse), first);
            assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&first), "{first:?}");
            early.push(first);
            pulse.beaten(&settings, zero);
        }
        early.dedup();
        assert!(early.len() > 40, "{early:?}");
    }

    /// Who has read on behind so many frames, of a silence of so many seconds: whether a beat was missed.
    fn missed(settings: &Heartbeat, frames: u32, silent: u64) -> bool {
        let zero = any_instant();
        let mut pulse = Pulse::new(settings, Seeds::random().next(), false, false, zero);
        let now = zero + Duration::from_millis(100 * silent);
        let told = pulse.asked_again(settings, frames, zero, now);
        assert_eq!(pulse.beats().unread, u32::from(told.is_some()));
        told.is_some()
    }

    #[test]
    fn a_silence_in_which_nobody_asked_for_a_beat_is_told() {
        assert!(missed(&every(), 0, 111));
        assert!(!missed(&every(), 0, 110));
        // One of the gaps between the frames was as long as their mean.
        assert!(missed(&every(), 1, 222) && !missed(&every(), 1, 220));
        assert!(missed(&every(), 7, 900) && !missed(&every(), 8, 9_000));
        assert!(!missed(&every().rhythm(Rhythm::Periodic), 0, 200));
        assert!(!missed(&every().beat(Beat::none()), 0, 200));
        let mut no_more = every();
        no_more.most_in_a_row = 0;
        assert!(!missed(&no_more, 0, 200));
    }

    #[test]
    fn what_was_before_a_beat_or_was_held_has_been_asked_for() {
        let zero = any_instant();
        let at = |second| zero + Duration::from_secs(second);
        let settings = every();
        let mut pulse = Pulse::new(&settings, Seeds::random().next(), false, false, zero);
        pulse.beaten(&settings, at(10));
        assert_eq!(pulse.asked_again(&settings, 0, zero, at(20)), None);
        let silent = Duration::from_secs(12);
        assert_eq!(pulse.asked_again(&settings, 0, zero, at(22)), Some(HeartbeatEvent::Unread { silent }));
        let (due, event) = pulse.due(&settings, Place::Inside, at(22), at(40));
        assert_eq!((due, event.is_some()), (Due::Written(None), true));
        assert_eq!(pulse.asked_again(&settings, 0, at(22), at(40)), None);
    }
}
