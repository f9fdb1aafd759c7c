//! Decides: given what has happened, which limit comes next, and has it been reached?

use std::time::{Duration, Instant};

use super::bounds::Total;
use super::error::TimeoutError;
use super::limits::Timeouts;
use super::phase::Phase;

/// One body's clocks, from its first wait on.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Since when somebody waits for content. Bytes that are none, and other people's slowness, do not move it.
    waits_since: Instant,
    /// There has been content.
    begun: bool,
    /// The limit has been put off because nobody had asked in time. Once, or a runtime that is always late would never
    /// end a stream.
    put_off: bool,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before this instant, if there is one.
    At(Option<Instant>),
    Over(TimeoutError),
}

/// A poll that comes so much after the limit was not ours: a client that did not read, a runtime that stood still.
const LATE: Duration = Duration::from_millis(100);

impl Schedule {
    pub(crate) fn new(begun: bool, now: Instant) -> Self {
        Self { waits_since: now, begun, put_off: false }
    }

    /// Somebody waits again, behind bytes of which some may have been content.
    pub(crate) fn waits_again(&mut self, content: bool, now: Instant) {
        if content {
            *self = Self::new(true, now);
        }
    }

    /// Asked while somebody waits. Later `waits_again` only ever move the answer later.
    ///
    /// At a tie the narrower phase wins, because it says more about the cause.
    pub(crate) fn due(&mut self, limits: &Timeouts, total: Option<Total>, now: Instant) -> Due {
        let (phase, limit) = if self.begun {
            (Phase::InterChunk, limits.inter_chunk)
        } else {
            (Phase::FirstByte, limits.first_byte)
        };
        let mut wake = total.map(|total| total.at);
        if let Some(limit) = limit {
            let late = now.saturating_duration_since(self.waits_since).saturating_sub(limit);
            if late > LATE && !self.put_off {
                // The producer gets as long again as nobody asked.
                self.put_off = true;
                self.waits_since += late + late.min(limit);
            }
            let at = self.waits_since.checked_add(limit);
            if at.is_some_and(|at| now >= at && total.is_none_or(|total| at <= total.at)) {
                return Due::Over(TimeoutError::new(phase, limit, now - self.waits_since));
            }
            wake = earliest(wake, at);
        }
        if let Some(error) = total.and_then(|total| total.over(now)) {
            return Due::Over(error);
        }
        if !self.begun {
            // The first content starts a clock that may be shorter than this one. The timer is not looked at then, so it
            // has to go off early enough now.
            wake = earliest(wake, limits.inter_chunk.and_then(|limit| now.checked_add(limit)));
        }
        Due::At(wake)
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Timeouts = Timeouts {
        headers: None,
        first_byte: Some(Duration::from_secs(60)),
        inter_chunk: Some(Duration::from_secs(10)),
        total: Some(Duration::from_secs(100)),
    };

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn any_instant() -> Instant {
        Instant::now()
    }

    /// Plays events, `+` for content and `.` for other bytes, each at a second, asks at the last second, and compares
    /// with the phase that is over or the second to wait for.
    #[track_caller]
    fn check(
        limits: Timeouts,
        events: &[(u64, char)],
        asked: u64,
        outcome: Result<Option<u64>, (Phase, u64)>,
    ) {
        let zero = any_instant();
        let at = |second| zero + Duration::from_secs(second);
        let total = limits.total.map(|limit| Total { at: zero + limit, limit, phase: Phase::Total });
        let mut schedule = Schedule::new(false, zero);
        for &(second, what) in events {
            schedule.waits_again(what == '+', at(second));
        }
        let due = match schedule.due(&limits, total, at(asked)) {
            Due::At(wake) => Ok(wake.map(|wake| (wake - zero).as_secs())),
            Due::Over(error) => Err((error.phase(), error.elapsed().as_secs())),
        };
        assert_eq!(due, outcome, "{events:?} asked at {asked}");
    }

    #[test]
    fn the_first_content_has_a_limit_of_its_own() {
        let only = Timeouts { inter_chunk: None, total: None, ..LIMITS };
        check(only, &[], 0, Ok(Some(60)));
        check(only, &[], 60, Err((Phase::FirstByte, 60)));
        check(only, &[(30, '.')], 60, Err((Phase::FirstByte, 60)));
        check(only, &[(30, '+')], 30, Ok(None));
    }

    #[test]
    fn further_content_has_another() {
        check(LIMITS, &[(5, '+')], 5, Ok(Some(15)));
        check(LIMITS, &[(5, '+'), (12, '.')], 12, Ok(Some(15)));
        check(LIMITS, &[(5, '+'), (12, '+')], 12, Ok(Some(22)));
        check(LIMITS, &[(5, '+')], 15, Err((Phase::InterChunk, 10)));
    }

    #[test]
    fn before_the_first_content_the_timer_goes_off_early_enough_for_the_next_limit() {
        check(LIMITS, &[], 0, Ok(Some(10)));
        check(LIMITS, &[], 10, Ok(Some(20)));
        check(LIMITS, &[], 55, Ok(Some(60)));
    }

    #[test]
    fn the_total_counts_whatever_happens() {
        let events: Vec<_> = (0..100).map(|second| (second, '+')).collect();
        check(LIMITS, &events, 99, Ok(Some(100)));
        check(LIMITS, &events, 100, Err((Phase::Total, 100)));
        check(LIMITS, &events, 130, Err((Phase::Total, 130)));
    }

    #[test]
    fn at_a_tie_the_narrower_phase_is_named() {
        check(LIMITS, &[(90, '+')], 100, Err((Phase::InterChunk, 10)));
        check(LIMITS, &[(91, '+')], 100, Err((Phase::Total, 100)));
    }

    #[test]
    fn a_poll_that_comes_too_late_puts_the_limit_off_once() {
        let no_total = Timeouts { total: None, ..LIMITS };
        let from = any_instant();
        let mut schedule = Schedule::new(true, from);
        let mut ask = |second| schedule.due(&no_total, None, from + Duration::from_secs(second));
        assert_eq!(ask(13), Due::At(Some(from + Duration::from_secs(16))));
        assert_eq!(ask(15), Due::At(Some(from + Duration::from_secs(16))));
        // As if it had begun to wait six seconds later: three that nobody asked, and three in return.
        let over = TimeoutError::new(Phase::InterChunk, Duration::from_secs(10), Duration::from_secs(84));
        assert_eq!(ask(90), Due::Over(over));
    }

    #[test]
    fn a_tenth_of_a_second_is_not_too_late() {
        let no_total = Timeouts { total: None, ..LIMITS };
        let from = any_instant();
        let asked =
            |millis| Schedule::new(true, from).due(&no_total, None, from + Duration::from_millis(millis));
        assert!(matches!(asked(10_100), Due::Over(_)));
        assert_eq!(asked(10_101), Due::At(Some(from + Duration::from_millis(10_202))));
    }

    #[test]
    fn a_limit_beyond_the_clock_never_comes() {
        let limits = Timeouts { inter_chunk: Some(Duration::MAX), total: None, ..LIMITS };
        check(limits, &[(1, '+')], 1_000, Ok(None));
    }
}
