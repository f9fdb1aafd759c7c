//! Streams that break off by a path that is known, to measure what tries to name it.
//!
//! A path has an idle timer, a lifetime cap, both or neither. At the end of each stream there may be a person, who leaves
//! by one of eight laws, none of which has to do with the path. Producers talk in five ways, with heartbeats in their
//! silences or without. The server sees an end up to 140 ms late, and up to 440 ms in two of a hundred cases.
//!
//! The thresholds, set before there was anything to measure:
//!
//! - Where no timer and no cap cuts, [`RANDOM`] disconnects give no finding: for each of the eight laws with each of the
//!   five producers, without heartbeats and with, for each of three seeds.
//! - An idle timer is named within [`WITHIN`] and from at most [`STREAMS`] disconnects, also when 30 of 100 streams are left
//!   by people.
//! - A lifetime cap is named within the same bounds, and never as an idle timer: not even when all streams have the same
//!   rhythm, so that all are cut at the same silence. Nor is an idle timer named as a cap.

mod world;

use std::collections::VecDeque;
use std::time::Duration;

pub(crate) use world::{By, End, Leaves, PEOPLE, PRODUCERS, Talks, World, ends};

pub(crate) const RANDOM: usize = 10_000;
pub(crate) const STREAMS: usize = 30;
pub(crate) const WITHIN: Duration = Duration::from_millis(500);
pub(crate) const SEEDS: [u64; 3] = [1, 2, 3];

/// Idle timers, in seconds: nginx and haproxy in our tests, CloudFront, Heroku, nginx by default, Cloudflare of old.
pub(crate) const IDLE: [u64; 5] = [3, 30, 55, 60, 100];
/// Lifetime caps, in seconds: API Gateway, Cloud Run, and the two of Railway and Cloud Run at the most.
pub(crate) const CAPS: [u64; 4] = [29, 300, 900, 3_600];

pub(crate) const BEAT: Duration = Duration::from_secs(15);

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Every way in which only people end streams.
pub(crate) fn random_worlds() -> impl Iterator<Item = World> {
    PEOPLE.into_iter().flat_map(|leaves| {
        PRODUCERS.into_iter().flat_map(move |talks| {
            [None, Some(BEAT)].map(|beat| World { leaves, talks, beat, ..World::QUIET })
        })
    })
}

/// The plainest detector of all: a fifth of the last disconnects came within half a second of one silence.
fn plain(ends: impl Iterator<Item = End>) -> Option<(usize, Duration)> {
    let mut last = VecDeque::new();
    for (number, end) in ends.enumerate() {
        last.push_front(end.silence);
        last.truncate(100);
        let near = last.iter().filter(|other| other.abs_diff(end.silence) <= WITHIN).count();
        if last.len() >= 20 && near * 5 >= last.len() {
            return Some((number + 1, end.silence));
        }
    }
    None
}

#[test]
fn the_same_seed_gives_the_same_ends() {
    for world in random_worlds() {
        let draw = |seed| ends(world, seed).take(50).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1), "{world:?}");
        assert_ne!(draw(1), draw(2), "{world:?}");
        assert!(draw(3).iter().all(|end| end.by == By::Person && end.silence <= end.age), "{world:?}");
    }
}

#[test]
fn people_leave_when_they_should() {
    let check = |leaves, median: f64, ninth_decile: f64| {
        let world = World { leaves, talks: Talks::Never, ..World::QUIET };
        let mut ages: Vec<_> = ends(world, 1).take(RANDOM).map(|end| end.age).collect();
        ages.sort_unstable();
        for (at, expected) in [(RANDOM / 2, median), (RANDOM * 9 / 10, ninth_decile)] {
            let age = ages[at].as_secs_f64();
            assert!((age / expected - 1.0).abs() < 0.07, "{leaves:?}: {age} s for {expected} s");
        }
    };
    check(Leaves::AnyMoment, 62.4, 207.2);
    check(Leaves::Evenly, 300.0, 540.0);
    check(Leaves::AfterReading, 45.0, 209.5);
    check(Leaves::AtOnceOrLate, 1.9, 8.1);
    check(Leaves::AfterOneScreen, 35.4, 52.8);
    check(Leaves::BouncesOrStays, 87.8, 570.6);
    check(Leaves::AtWholeSeconds, 42.0, 139.0);
}

#[test]
fn a_path_cuts_when_it_should_and_heartbeats_help_against_idle_timers_only() {
    for idle in IDLE {
        let world = World { idle: Some(secs(idle)), ..World::QUIET };
        for end in ends(world, 1).take(100) {
            assert_eq!(end.by, By::Idle);
            assert!((0..450).contains(&(end.silence - secs(idle)).as_millis()), "{end:?}");
        }
    }
    let world = World { idle: Some(secs(60)), cap: Some(secs(310)), beat: Some(BEAT), ..World::QUIET };
    for end in ends(World { talks: Talks::Never, ..world }, 1).take(100) {
        assert_eq!((end.by, end.survived, end.silence.as_secs()), (By::Cap, BEAT, 10));
    }
}

/// The negative control of all that follows.
#[test]
fn the_plain_detector_takes_people_for_a_timer_and_a_cap_for_a_timer() {
    let fooled = random_worlds().filter(|world| plain(ends(*world, SEEDS[0]).take(RANDOM)).is_some()).count();
    assert!(fooled > 40, "{fooled} of {}", random_worlds().count());
    let world = World { cap: Some(secs(310)), beat: Some(BEAT), talks: Talks::Never, ..World::QUIET };
    assert!(plain(ends(world, SEEDS[0]).take(STREAMS)).is_some());
}
