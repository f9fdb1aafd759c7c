//! Additive increase, multiplicative decrease.

use std::time::Duration;

use super::{Limit, Sample};
use crate::ConfigError;
use crate::error::valid;

/// A limit that grows slowly while first bytes come in time, and shrinks when they do not.
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::gate::{Aimd, Limit, Sample};
///
/// let mut limit = Aimd::between(4, 512).starting_at(64).target(Duration::from_secs(1));
///
/// let in_time = Sample::new(Duration::from_millis(200), 64);
/// let late = Sample::new(Duration::from_secs(3), 64);
/// for _ in 0..63 {
///     assert_eq!(limit.sample(&in_time), 64);
/// }
/// assert_eq!(limit.sample(&in_time), 72);
/// for _ in 0..7 {
///     assert_eq!(limit.sample(&late), 72);
/// }
/// assert_eq!(limit.sample(&late), 64);
/// ```
///
/// # What happens when
///
/// Samples are counted in rounds: a round is as many as the limit. With streams that is about as long as a stream lasts
/// in the mean, which is how long a change of the limit takes to be felt. No clock is read.
///
/// | when | then |
/// |---|---|
/// | a first byte comes later than the target, or the request is dropped | the sample is slow |
/// | more slow samples in a round than a tenth of the limit | at once a tenth less, at least one; a new round begins |
/// | a round ends without that | the square root of the limit more; a new round begins |
/// | the same, but all along less than half of the limit was in flight | nothing: nobody knows what more would do |
///
/// So the limit settles where nine of ten first bytes are in time. Two things follow that a limit for streams needs. A
/// slow one now and then, a long prompt or a cold cache, costs nothing. And while all are slow, each of them takes
/// about one place away: a queue inside the server lowers the limit by its own length, and not by more although what it
/// still holds goes on to come late.
///
/// From `a` up to `b` it takes some 2·(√b − √a) rounds: eleven from 24 to 96, forty from 16 to 512.
/// [`starting_at`](Self::starting_at) spares them.
///
/// # Why a target
///
/// A target says what you want, and asks nothing of the traffic. Limits that compare with the shortest latency
/// seen have to be brought down now and then to measure it, take one quick kind of request for the normal case, and
/// drift as overload becomes usual. A server with a queue inside has a steep knee, so the target need not be exact:
/// twice to ten times what nine of ten first bytes take without load. Below that the limit ends at its lower bound.
///
/// # What it cannot do
///
/// A server that has just lost most of its capacity may give no first byte before its streams have ended, and so no
/// sample. A headers or first-byte limit ([`TimeoutLayer`](crate::TimeoutLayer)) inside of the gate makes drops of those
/// who wait for it.
///
/// # Defaults
///
/// | setting | value |
/// |---|---|
/// | bounds | none: [`between`](Self::between) asks for them |
/// | [`starting_at`](Self::starting_at) | the lower bound |
/// | [`target`](Self::target) | 2 s |
///
/// # Where it comes from
///
/// More by a step while it goes well and less by a share when it does not is how TCP shares a link. Netflix's
/// concurrency limits brought it to servers, with the tenth and with the rule about the half, but act on each sample by
/// itself: one place more for a good one, a tenth less for a bad one, so that one slow answer undoes the work of many. The
/// square root is the headroom of Envoy's adaptive concurrency; with one place a round it would be seventy-two rounds from
/// 24 to 96.
#[derive(Clone, Debug)]
pub struct Aimd {
    min: usize,
    max: usize,
    target: Duration,
    limit: usize,
    round: Round,
}

#[derive(Clone, Debug, Default)]
struct Round {
    samples: usize,
    slow: usize,
    half_used: bool,
}

const SHORTEST: Duration = Duration::from_millis(1);

impl Aimd {
    /// A limit between these two, both included, with the [defaults](Self#defaults).
    ///
    /// # Panics
    ///
    /// When `min` is zero or more than `max`. [`try_between`](Self::try_between) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn between(min: usize, max: usize) -> Self {
        valid(Self::try_between(min, max))
    }

    /// [`between`](Self::between) that returns what is wrong with the bounds.
    ///
    /// # Errors
    ///
    /// When `min` is zero or more than `max`.
    pub fn try_between(min: usize, max: usize) -> Result<Self, ConfigError> {
        if min == 0 {
            return Err(ConfigError::new("the lower bound of an adaptive limit is at least 1, got 0"));
        }
        if min > max {
            return Err(ConfigError::new(format!(
                "the upper bound of an adaptive limit is at least the lower one of {min}, got {max}"
            )));
        }
        Ok(Self { min, max, target: Duration::from_secs(2), limit: min, round: Round::default() })
    }

    /// The limit before the first sample. Default: the lower bound.
    ///
    /// # Panics
    ///
    /// When it is outside of the bounds. [`try_starting_at`](Self::try_starting_at) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn starting_at(self, limit: usize) -> Self {
        valid(self.try_starting_at(limit))
    }

    /// [`starting_at`](Self::starting_at) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is outside of the bounds.
    pub fn try_starting_at(mut self, limit: usize) -> Result<Self, ConfigError> {
        let Self { min, max, .. } = self;
        if limit < min || limit > max {
            return Err(ConfigError::new(format!(
                "an adaptive limit between {min} and {max} starts between them, got {limit}"
            )));
        }
        self.limit = limit;
        Ok(self)
    }

    /// Within what time nine of ten first bytes should come, counted from the permit. Default: 2 s.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_target`](Self::try_target) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn target(self, target: Duration) -> Self {
        valid(self.try_target(target))
    }

    /// [`target`](Self::target) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_target(mut self, target: Duration) -> Result<Self, ConfigError> {
        if target < SHORTEST {
            return Err(ConfigError::new(format!(
                "the target of an adaptive limit is at least {SHORTEST:?}, got {target:?}"
            )));
        }
        self.target = target;
        Ok(self)
    }
}

impl Limit for Aimd {
    fn current(&self) -> usize {
        self.limit
    }

    fn sample(&mut self, sample: &Sample) -> usize {
        let round = &mut self.round;
        round.samples += 1;
        round.slow += usize::from(sample.dropped || sample.latency > self.target);
        round.half_used |= sample.in_flight >= self.limit.div_ceil(2);

        let next = if round.slow > self.limit / 10 {
            self.limit - self.limit.div_ceil(10)
        } else if round.samples < self.limit {
            return self.limit;
        } else if round.half_used {
            self.limit.saturating_add(self.limit.isqrt())
        } else {
            self.limit
        };
        self.limit = next.clamp(self.min, self.max);
        self.round = Round::default();
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const MAX: usize = usize::MAX;

    /// The limit after samples such as `"57 quick, 7 slow, 1 dropped"`, all permits out, or half or less of them.
    fn after(start: usize, samples: &str) -> usize {
        let mut limit = Aimd::between(4, 100).starting_at(start).target(Duration::from_secs(1));
        for some in samples.split(", ") {
            let (count, kind) = some.split_once(' ').unwrap();
            for _ in 0..count.parse().unwrap() {
                let now = limit.current();
                limit.sample(&match kind {
                    "quick" => Sample::new(Duration::from_secs(1), now),
                    "slow" => Sample::new(Duration::from_nanos(1_000_000_001), now),
                    "dropped" => Sample::dropped(Duration::ZERO, now),
                    "half" => Sample::new(Duration::ZERO, now.div_ceil(2)),
                    "idle" => Sample::new(Duration::ZERO, now.div_ceil(2) - 1),
                    _ => unreachable!("{kind}"),
                });
            }
        }
        limit.current()
    }

    #[test]
    fn what_samples_do_to_the_limit() {
        for (start, samples, limit) in [
            // A round is as many samples as the limit, and adds its square root.
            (64, "63 quick", 64),
            (64, "64 quick", 72),
            (64, "64 quick, 71 quick", 72),
            (64, "64 quick, 72 quick", 80),
            (4, "4 quick", 6),
            // A tenth may be slow.
            (64, "6 slow, 58 quick", 72),
            (64, "58 quick, 6 slow", 72),
            (64, "6 slow, 57 quick, 1 slow", 57),
            // More than that counts at once, and begins a new round.
            (64, "7 slow", 57),
            (64, "7 slow, 5 slow", 57),
            (64, "7 slow, 6 slow", 51),
            (64, "7 slow, 56 quick", 57),
            (64, "7 slow, 57 quick", 64),
            // A drop is slow, however quick.
            (64, "7 dropped", 57),
            (64, "3 dropped, 4 slow", 57),
            // Each slow one costs about one place.
            (100, "40 slow", 64),
            // Few places: one slow sample is more than a tenth, and takes one.
            (9, "1 slow", 8),
            (10, "1 slow", 10),
            (10, "2 slow", 9),
            // Nothing is learnt while less than half is in use; once in a round is enough.
            (64, "640 idle", 64),
            (63, "63 idle", 63),
            (64, "64 half", 72),
            (63, "63 half", 70),
            (64, "63 idle, 1 half", 72),
            (64, "1 half, 63 idle, 63 idle", 72),
            (64, "57 idle, 7 slow", 57),
            // The bounds.
            (96, "96 quick", 100),
            (100, "100 quick", 100),
            (5, "2 slow", 4),
            (4, "9 dropped", 4),
        ] {
            assert_eq!(after(start, samples), limit, "{start} after {samples}");
        }
    }

    #[test]
    fn settings_that_cannot_work() {
        let limit = || Aimd::between(4, 512);
        let ns = Duration::from_nanos;
        for (tried, sentence) in [
            (Aimd::try_between(0, 4), "the lower bound of an adaptive limit is at least 1, got 0"),
            (
                Aimd::try_between(5, 4),
                "the upper bound of an adaptive limit is at least the lower one of 5, got 4",
            ),
            (limit().try_starting_at(3), "an adaptive limit between 4 and 512 starts between them, got 3"),
            (
                limit().try_starting_at(513),
                "an adaptive limit between 4 and 512 starts between them, got 513",
            ),
            (
                limit().try_target(ns(999_999)),
                "the target of an adaptive limit is at least 1ms, got 999.999µs",
            ),
        ] {
            assert_eq!(tried.unwrap_err().to_string(), sentence);
        }
        assert!(limit().try_starting_at(4).is_ok() && limit().try_starting_at(512).is_ok());
        assert!(limit().try_target(SHORTEST).is_ok() && limit().try_target(Duration::MAX).is_ok());
        assert_eq!(Aimd::between(1, 1).current(), 1);
        assert_eq!(Aimd::between(MAX, MAX).current(), MAX);
    }

    #[test]
    #[should_panic(expected = "the lower bound of an adaptive limit is at least 1, got 0")]
    fn a_lower_bound_of_zero_panics() {
        let _ = Aimd::between(0, 4);
    }

    #[test]
    #[should_panic(expected = "an adaptive limit between 4 and 8 starts between them, got 9")]
    fn a_start_outside_of_the_bounds_panics() {
        let _ = Aimd::between(4, 8).starting_at(9);
    }

    #[test]
    #[should_panic(expected = "the target of an adaptive limit is at least 1ms, got 0ns")]
    fn a_target_of_zero_panics() {
        let _ = Aimd::between(4, 8).target(Duration::ZERO);
    }

    fn places() -> impl Strategy<Value = usize> {
        prop_oneof![3 => 1..200usize, 1 => 1..=MAX, 1 => Just(MAX)]
    }

    fn limits() -> impl Strategy<Value = Aimd> {
        [places(), places(), places()].prop_map(|mut three| {
            three.sort();
            let [min, start, max] = three;
            Aimd::between(min, max).starting_at(start)
        })
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let latency = prop_oneof![
            Just(Duration::ZERO),
            Just(Duration::MAX),
            (0..4_000u64).prop_map(Duration::from_millis)
        ];
        let in_flight = prop_oneof![Just(0), places()];
        (latency, in_flight, any::<bool>()).prop_map(|(latency, in_flight, dropped)| Sample {
            latency,
            in_flight,
            dropped,
        })
    }

    proptest! {
        #[test]
        fn any_samples_leave_it_within_its_bounds(
            mut limit in limits(), samples in prop::collection::vec(sample(), 0..500),
        ) {
            for sample in samples {
                let said = limit.sample(&sample);
                prop_assert_eq!(said, limit.current());
                prop_assert!((limit.min..=limit.max).contains(&said), "{:?}", limit);
            }
        }

        #[test]
        fn it_does_not_grow_while_less_than_half_is_in_use(
            mut limit in limits(), in_flight in prop::collection::vec(places(), 0..500),
        ) {
            let start = limit.current();
            for in_flight in in_flight {
                let less_than_half = in_flight.min(start.div_ceil(2) - 1);
                prop_assert_eq!(limit.sample(&Sample::new(Duration::ZERO, less_than_half)), start);
            }
        }

        #[test]
        fn drops_bring_it_down_to_its_lower_bound(
            min in 1..50usize, more in 0..1_000usize, before in prop::collection::vec(sample(), 0..500),
        ) {
            let start = min + more;
            let mut limit = Aimd::between(min, 2 * start).starting_at(start);
            for sample in before {
                limit.sample(&sample);
            }
            for _ in 0..2 * limit.current() {
                limit.sample(&Sample::dropped(Duration::ZERO, 1));
            }
            prop_assert_eq!(limit.current(), min);
        }

        #[test]
        fn quick_answers_at_full_use_bring_it_up_to_its_upper_bound(
            mut limit in (1..50usize, 0..200usize).prop_map(|(min, more)| Aimd::between(min, min + more)),
        ) {
            let rounds = 2 * limit.max.isqrt() + 2;
            for _ in 0..rounds * limit.max {
                limit.sample(&Sample::new(Duration::ZERO, limit.current()));
            }
            prop_assert_eq!(limit.current(), limit.max);
        }
    }
}
