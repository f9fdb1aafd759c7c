//! Decides: is a stream stalled, by what is seen of it now and then?
//!
//! Nobody reads a clock when a frame goes out. A stream only counts, and what has not changed between two looks is at
//! least as old as the time between them. So a stall is never found early, and at most one [`pace`] late.

use std::time::{Duration, Instant};

use super::error::StallError;

/// So many looks fit into a limit. One of them is how late a stall can be found, which is 6.25 %.
const LOOKS: u32 = 16;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) limit: Duration,
    pub(super) rate: Option<Rate>,
}

/// So many bytes, in this time at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) bytes: u64,
    pub(super) per: Duration,
}

/// What a stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It waits for its producer, or has nothing more to say.
    Waits,
    /// It is being asked at this very moment, and its producer is at work.
    Works,
    /// So many frames have been taken from it, so many bytes in all, and nobody has asked for the next one.
    Unasked { frames: u64, bytes: u64 },
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It need not be looked at before its next frame.
    Fine,
    /// To be looked at again, at this instant if nothing has changed by then.
    Again(Option<Instant>),
    Stalled(StallError),
}

/// What has been seen of a stream.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    frames: u64,
    since: Instant,
    /// Where the rate began to be counted: with so many bytes, then.
    bytes: u64,
    counted_since: Instant,
}

impl Limits {
    /// How much time is between two looks.
    pub(super) fn pace(&self) -> Duration {
        // The timer knows no less than a millisecond, and the clock has an end.
        (self.limit / LOOKS).clamp(Duration::from_millis(1), Duration::from_secs(3_600))
    }
}

impl Watch {
    pub(super) fn look(&mut self, limits: &Limits, doing: Doing, now: Instant) -> Verdict {
        let (frames, bytes) = match doing {
            Doing::Waits => return Verdict::Fine,
            Doing::Works => {
                self.0 = None;
                return Verdict::Again(None);
            }
            Doing::Unasked { frames, bytes } => (frames, bytes),
        };
        let seen = self.0.get_or_insert(Seen { frames, since: now, bytes, counted_since: now });
        if seen.frames != frames {
            (seen.frames, seen.since) = (frames, now);
        }
        let taken = bytes - seen.bytes;
        if limits.rate.is_some_and(|rate| taken >= rate.bytes) {
            (seen.bytes, seen.counted_since) = (bytes, now);
        }
        let unasked = now.saturating_duration_since(seen.since);
        if unasked >= limits.limit {
            return Verdict::Stalled(StallError::unasked(limits.limit, unasked, bytes));
        }
        let mut until = seen.since.checked_add(limits.limit);
        if let Some(rate) = limits.rate {
            let elapsed = now.saturating_duration_since(seen.counted_since);
            if elapsed >= rate.per {
                return Verdict::Stalled(StallError::slow(limits.limit, rate, elapsed, taken, bytes));
            }
            until = until.into_iter().chain(seen.counted_since.checked_add(rate.per)).min();
        }
        Verdict::Again(until)
    }
}

/// Time as far as the watchdog was there to see it. When the whole runtime has stood still, no reader had a chance to
/// ask.
#[derive(Debug)]
pub(super) struct Clock {
    looked: Instant,
    seen: Instant,
    most: Duration,
}

impl Clock {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self { looked: now, seen: now, most: 2 * limits.pace() }
    }

    pub(super) fn look(&mut self, now: Instant) -> Instant {
        let passed = now.saturating_duration_since(self.looked);
        self.looked = now;
        self.seen += passed.min(self.most);
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    use crate::body::now;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits { limit: Duration::from_secs(16), rate: None };
    const RATED: Limits = Limits { rate: Some(Rate { bytes: 100, per: Duration::from_secs(32) }), ..LIMITS };

    fn unasked(frames: u64, bytes: u64) -> Doing {
        Doing::Unasked { frames, bytes }
    }

    /// What becomes of a stream that does this, second by second. The second in which it was found, and what was said.
    fn found(limits: Limits, doings: impl IntoIterator<Item = Doing>) -> Option<(u64, String)> {
        let begin = now();
        let mut watch = Watch::default();
        doings.into_iter().zip(0..).find_map(|(doing, second)| {
            match watch.look(&limits, doing, begin + second * SECOND) {
                Verdict::Stalled(error) => Some((second.into(), error.to_string())),
                Verdict::Fine => {
                    watch = Watch::default();
                    None
                }
                Verdict::Again(_) => None,
            }
        })
    }

    #[test]
    fn a_frame_that_was_taken_and_nothing_more_is_a_stall_at_the_limit() {
        let said = "nobody has asked for more of the body for 16s (stall limit: 16s); 9 bytes were taken";
        assert_eq!(found(LIMITS, [unasked(1, 9); 16]), None);
        assert_eq!(found(LIMITS, [unasked(1, 9); 99]), Some((16, said.to_owned())));
    }

    #[test]
    fn a_head_that_was_taken_and_no_frame_is_one_too() {
        assert_eq!(found(LIMITS, [unasked(0, 0); 99]).map(|found| found.0), Some(16));
    }

    #[test]
    fn the_next_frame_begins_the_wait_anew() {
        let moving = (0..99).map(|second| unasked(second / 15, 0));
        assert_eq!(found(LIMITS, moving), None);
        let stops = (0..99).map(|second: u64| unasked((second / 15).min(3), 0));
        assert_eq!(found(LIMITS, stops).map(|found| found.0), Some(45 + 16));
    }

    #[test]
    fn who_waits_for_the_producer_is_never_stalled() {
        assert_eq!(found(LIMITS, [Doing::Waits; 99]), None);
        let now_and_then = (0..99).map(|second| if second % 15 == 0 { Doing::Waits } else { unasked(1, 0) });
        assert_eq!(found(LIMITS, now_and_then), None);
    }

    #[test]
    fn a_producer_at_work_is_not_stalled_either() {
        assert_eq!(found(RATED, [Doing::Works; 99]), None);
        let busy = (0..99).map(|second| if second % 15 == 0 { Doing::Works } else { unasked(1, 0) });
        assert_eq!(found(RATED, busy), None);
    }

    #[test]
    fn a_byte_now_and_then_is_too_slow_where_a_rate_is_wanted() {
        let trickle = || (0..99).map(|second| unasked(second, second));
        assert_eq!(found(LIMITS, trickle()), None);
        let said = "32 bytes of the body were taken in 32s (minimum rate: 100 bytes in 32s)";
        assert_eq!(found(RATED, trickle()), Some((32, said.to_owned())));
        // What was taken at once before does not buy time.
        let after_much = (0..99).map(|second: u64| unasked(second, second.min(10) * 1000 + second));
        assert_eq!(found(RATED, after_much).map(|found| found.0), Some(10 + 32));
    }

    #[test]
    fn the_rate_is_kept_by_bursts_and_by_single_steps() {
        assert_eq!(found(RATED, (0..999).map(|second| unasked(second, second * 4))), None);
        assert_eq!(found(RATED, (0..999).map(|second| unasked(second / 15, second / 30 * 100))), None);
        // What the producer does not give cannot be taken.
        let slow_producer = |second| if second % 30 == 0 { Doing::Waits } else { unasked(second, second) };
        assert_eq!(found(RATED, (0..999).map(slow_producer)), None);
    }

    #[test]
    fn it_says_when_to_look_again() {
        let begin = now();
        let mut watch = Watch::default();
        let limit = Verdict::Again(Some(begin + 16 * SECOND));
        assert_eq!(watch.look(&RATED, unasked(1, 0), begin), limit);
        assert_eq!(watch.look(&RATED, unasked(1, 0), begin + SECOND), limit);
        let next = Verdict::Again(Some(begin + 26 * SECOND));
        assert_eq!(watch.look(&RATED, unasked(2, 0), begin + 10 * SECOND), next);
        // The rate is what comes next.
        let rate = Verdict::Again(Some(begin + 32 * SECOND));
        assert_eq!(watch.look(&RATED, unasked(3, 0), begin + 20 * SECOND), rate);
        // Further than the clock goes is never.
        let never = Limits { limit: Duration::MAX, rate: None };
        assert_eq!(Watch::default().look(&never, unasked(1, 0), begin), Verdict::Again(None));
    }

    #[test]
    fn the_pace_suits_short_and_long_limits() {
        let pace = |limit| Limits { limit, rate: None }.pace();
        assert_eq!(pace(Duration::from_millis(1)), Duration::from_millis(1));
        assert_eq!(pace(16 * SECOND), SECOND);
        assert_eq!(pace(Duration::MAX), 3_600 * SECOND);
    }

    #[test]
    fn a_standstill_counts_as_two_looks() {
        let begin = now();
        let mut clock = Clock::new(&LIMITS, begin);
        assert_eq!(clock.look(begin + SECOND), begin + SECOND);
        assert_eq!(clock.look(begin + 100 * SECOND), begin + 3 * SECOND);
        assert_eq!(clock.look(begin + 101 * SECOND), begin + 4 * SECOND);
        assert_eq!(clock.look(begin + 50 * SECOND), begin + 4 * SECOND);
    }

    proptest! {
        /// Whatever the looks and the frames fall on: a stall is found between the limit and a pace more.
        #[test]
        fn a_stall_is_found_in_time_and_never_early(
            moves in prop::collection::vec(1_u64..15_000, 0..20),
            phase in 0_u64..1_000,
        ) {
            let begin = now();
            let at = |millis| begin + Duration::from_millis(millis);
            let frames: Vec<u64> = moves.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let last = frames.last().copied().unwrap_or(0);
            let mut watch = Watch::default();
            let mut look = phase;
            let found = loop {
                let taken = frames.iter().filter(|frame| **frame <= look).count() as u64;
                match watch.look(&LIMITS, unasked(taken, 0), at(look)) {
                    Verdict::Stalled(_) => break look,
                    Verdict::Again(until) => {
                        let until = until.map_or(u64::MAX, |until| (until - begin).as_millis() as u64);
                        look = until.min(look + 1_000);
                    }
                    Verdict::Fine => unreachable!("it is not asked"),
                }
            };
            prop_assert!(found >= last + 16_000, "early: {found} after {last}");
            prop_assert!(found <= last + 17_000, "late: {found} after {last}");
        }
    }
}
