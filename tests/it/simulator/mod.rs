//! A server whose best concurrency limit is known, to measure limiters that have to find it.
//!
//! Requests arrive at 10 a second, about twice what the server can carry at best, and whoever finds the limit reached is
//! refused. An admitted request needs 150 to 250 ms of work up to its first byte; 4 in 100 need ten times as much, so
//! that a slow first byte now and then means nothing. Then it streams for 5 to 10 s; 45 in 100 streams are twice as
//! long, 45 in 100 of these twice as long again, and so on up to ten minutes: 23 s in the mean. The permit is held to
//! the end of the stream. Without a first byte after [`PATIENCE`] the request is dropped.
//!
//! There are two [`Kind`]s of servers, one with a hard knee and one with a soft one.
//!
//! The capacity changes twice, to far less and to far more. Nobody tells the limiter.

mod adaptive;
pub(crate) mod random;
mod server;

use std::time::Duration;

use server::{Period, simulate};

/// The thresholds. After [`SETTLING`] in each period the limit is at most this share of the best one away from it, in
/// the mean over the rest of the period.
const WITHIN: f64 = 0.2;
/// Some forty mean streams: a lower limit takes hold only when streams end.
const SETTLING: Duration = Duration::from_secs(15 * 60);
const PERIOD: Duration = Duration::from_secs(30 * 60);
const CAPACITIES: [usize; 3] = [64, 24, 96];
const SEEDS: [u64; 3] = [1, 2, 3];
/// Where limiters begin, and between which bounds they move.
const START: usize = 32;
const BOUNDS: (usize, usize) = (4, 512);

/// The best limit is the largest at which nine of ten first bytes come within this.
const TARGET: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Each stream holds one of `capacity` slots from its work to its end, and who comes later waits inside the server
    /// for a slot: an engine that works on a batch, a pool of workers or connections. With a lower limit slots stand
    /// empty; with a higher one each request more only waits. So the best limit is the capacity.
    Slots,
    /// Everybody is served at once. Up to `capacity` requests in flight do not feel each other; from there on work takes
    /// longer in proportion to the excess. Nine of ten first bytes are in time up to a slowdown of 4.1.
    Crowd,
}

const KINDS: [Kind; 2] = [Kind::Slots, Kind::Crowd];

impl Kind {
    fn slowdown(self, in_flight: usize, capacity: usize) -> f64 {
        match self {
            Self::Slots => 1.0,
            Self::Crowd => 1.0 + 10.0 * in_flight.saturating_sub(capacity) as f64 / capacity as f64,
        }
    }

    fn best(self, capacity: usize) -> usize {
        match self {
            Self::Slots => capacity,
            Self::Crowd => capacity + capacity * 31 / 100,
        }
    }
}

/// What a limiter is fed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    /// One sample at each first byte: the time since the permit.
    FirstByte,
    /// One sample at the end of each stream: the time since the permit.
    WholeStream,
}

/// One sample; a dropped request is one with both feeds.
#[derive(Debug)]
struct Seen {
    latency: Duration,
    in_flight: usize,
    dropped: bool,
}

impl Period {
    fn holds(&self) -> bool {
        self.off <= WITHIN
    }
}

fn print(name: &str, kind: Kind, seed: u64, periods: &[Period]) {
    for Period { best, near_after, limit, off, running, first_byte } in periods {
        let near_after =
            near_after.map_or("never".to_owned(), |after| format!("after {} s", after.as_secs()));
        println!(
            "{name:<27} {kind:?}, seed {seed}: best {best:>3}, near it {near_after:<11}, then {limit:>5.1}, \
             off by {:>5.1} %, {running:>5.1} running, p90 first byte {first_byte:.1?}",
            off * 100.0,
        );
    }
}

/// The plainest limiter of all: a tenth less for each latency over the bound, one more for each other.
fn plain(bound: Duration) -> impl FnMut(&Seen) -> usize {
    let mut limit = START;
    move |seen| {
        if seen.dropped || seen.latency > bound {
            limit = (limit - limit.div_ceil(10)).max(BOUNDS.0);
        } else if seen.in_flight * 2 >= limit {
            limit = (limit + 1).min(BOUNDS.1);
        }
        limit
    }
}

fn fixed(kind: Kind, capacity: usize, limit: usize) -> Period {
    simulate(kind, &[capacity], SEEDS[0], Feed::FirstByte, limit, |_| limit).remove(0)
}

#[test]
fn the_best_limit_is_the_largest_that_keeps_first_bytes_in_time() {
    for kind in KINDS {
        for capacity in CAPACITIES {
            let best = kind.best(capacity);
            let (at, above) = (fixed(kind, capacity, best), fixed(kind, capacity, best + best.div_ceil(10)));
            assert!(at.first_byte <= TARGET, "{kind:?} {at:?}");
            assert!(above.first_byte > TARGET, "{kind:?} {above:?}");
        }
    }
}

#[test]
fn more_than_the_slots_gets_nothing_more_done_and_less_leaves_some_empty() {
    for capacity in CAPACITIES {
        let [less, best, more] =
            [capacity * 8 / 10, capacity, capacity * 2].map(|limit| fixed(Kind::Slots, capacity, limit));
        assert!(less.running < 0.85 * best.running, "{less:?} {best:?}");
        assert!(more.running < 1.05 * best.running, "{more:?} {best:?}");
    }
}

#[test]
fn a_limit_that_stands_still_holds_in_one_period_only() {
    for kind in KINDS {
        for (place, capacity) in CAPACITIES.into_iter().enumerate() {
            let limit = kind.best(capacity);
            let periods = simulate(kind, &CAPACITIES, SEEDS[0], Feed::FirstByte, limit, |_| limit);
            let held: Vec<_> = periods.iter().map(Period::holds).collect();
            assert_eq!(held, [0, 1, 2].map(|period| period == place), "{kind:?} {limit}");
        }
    }
}

#[test]
fn fed_with_whole_streams_a_plain_limiter_collapses_and_a_generous_bound_does_not_save_it() {
    for kind in KINDS {
        for seed in SEEDS {
            for (name, bound) in
                [("whole streams, plain, 1 s", TARGET), ("whole streams, plain, 60 s", TARGET * 60)]
            {
                let periods = simulate(kind, &CAPACITIES, seed, Feed::WholeStream, START, plain(bound));
                print(name, kind, seed, &periods);
                assert!(!periods.iter().any(Period::holds), "{periods:?}");
                if bound == TARGET {
                    assert!(periods.iter().all(|period| period.limit < 1.1 * BOUNDS.0 as f64), "{periods:?}");
                }
            }
        }
    }
}
