//! The adaptive limit before a server whose best limit is known.

use std::time::Duration;

use tower_lifeline::gate::{Aimd, Limit, Sample};

use super::server::{Period, simulate};
use super::{BOUNDS, CAPACITIES, Feed, KINDS, Kind, SEEDS, START, TARGET, plain, print};

fn adaptive(name: &str, kind: Kind, seed: u64, feed: Feed, target: Duration) -> Vec<Period> {
    let mut limit = Aimd::between(BOUNDS.0, BOUNDS.1).starting_at(START).target(target);
    let periods = simulate(kind, &CAPACITIES, seed, feed, START, |seen| {
        limit.sample(&if seen.dropped {
            Sample::dropped(seen.latency, seen.in_flight)
        } else {
            Sample::new(seen.latency, seen.in_flight)
        })
    });
    print(&format!("{name}, {target:?}"), kind, seed, &periods);
    periods
}

#[test]
fn fed_with_first_bytes_it_finds_the_best_limit_and_follows_it() {
    for kind in KINDS {
        for seed in SEEDS {
            let periods = adaptive("first bytes", kind, seed, Feed::FirstByte, TARGET);
            assert!(periods.iter().all(Period::holds), "{periods:?}");
        }
    }
}

#[test]
fn where_the_server_queues_the_target_need_not_be_exact() {
    for target in [TARGET / 2, TARGET * 2, TARGET * 4] {
        let periods = adaptive("first bytes", Kind::Slots, SEEDS[0], Feed::FirstByte, target);
        assert!(periods.iter().all(Period::holds), "{periods:?}");
    }
}

/// One more for each good sample runs far past the best limit, and a tenth less for each late one far below it.
#[test]
fn the_plain_limiter_is_off_even_with_first_bytes() {
    for kind in KINDS {
        for seed in SEEDS {
            let periods = simulate(kind, &CAPACITIES, seed, Feed::FirstByte, START, plain(TARGET));
            print("first bytes, plain, 1 s", kind, seed, &periods);
            assert!(!periods.iter().any(Period::holds), "{periods:?}");
        }
    }
}

/// Up to the length of a mean stream every target says overload, for ever. Far above, what the server does is lost in the
/// lengths of the streams.
#[test]
fn fed_with_whole_streams_it_collapses_and_no_target_makes_it_follow() {
    for kind in KINDS {
        for seed in SEEDS {
            let run = |seconds| {
                adaptive("whole streams", kind, seed, Feed::WholeStream, Duration::from_secs(seconds))
            };
            for target in [1, 20] {
                let periods = run(target);
                assert!(periods.iter().all(|period| period.limit < 0.5 * period.best as f64), "{periods:?}");
            }
            for target in [60, 120] {
                let periods = run(target);
                assert!(!periods.iter().all(Period::holds), "{periods:?}");
            }
        }
    }
}
