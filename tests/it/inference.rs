//! What is named, and what is not, in streams that break off by a path that is known.

use std::time::{Duration, Instant};

use tower_lifeline::observe::{Disconnect, Finding, FindingKind, Inference};

use crate::disconnects::{
    BEAT, CAPS, End, IDLE, Leaves, RANDOM, SEEDS, STREAMS, Talks, WITHIN, World, ends, random_worlds, secs,
};

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn any_instant() -> Instant {
    Instant::now()
}

fn seen(end: End, beat: Option<Duration>) -> Disconnect {
    let disconnect = Disconnect::new(end.age, end.silence).survived(end.survived);
    match beat {
        Some(beat) => disconnect.beat(beat),
        None => disconnect,
    }
}

/// All that is found in so many disconnects, and after how many.
fn found(world: World, seed: u64, streams: usize) -> Vec<(usize, Finding)> {
    let (mut inference, now) = (Inference::new(), any_instant());
    let mut found = Vec::new();
    for (number, end) in ends(world, seed).take(streams).enumerate() {
        let finding = inference.disconnected("all", &seen(end, world.beat), now);
        found.extend(finding.map(|finding| (number + 1, finding)));
    }
    found
}

#[track_caller]
fn check(name: &str, world: World, seed: u64, kind: FindingKind, at: Duration) {
    let found = found(world, seed, STREAMS);
    for (number, finding) in &found {
        println!("{name}, seed {seed}: after {number} streams, {finding}");
    }
    assert!(!found.is_empty(), "{name}, seed {seed}: nothing is named");
    for (_, finding) in found {
        assert_eq!(finding.kind, kind, "{name}, seed {seed}: {finding}");
        assert!(finding.estimate.abs_diff(at) <= WITHIN, "{name}, seed {seed}: {finding}");
    }
}

#[test]
fn random_disconnects_give_no_finding() {
    let look = |seed| {
        for world in random_worlds() {
            let found = found(world, seed, RANDOM);
            assert!(found.is_empty(), "{world:?}, seed {seed}: {found:?}");
        }
    };
    println!("seeds {SEEDS:?}");
    std::thread::scope(|scope| {
        for seed in SEEDS {
            scope.spawn(move || look(seed));
        }
    });
}

/// The rate that the documentation states. `cargo test --release --test it many_more -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn many_more_random_disconnects() {
    let (mut looked_at, mut findings) = (0_u64, 0);
    for seed in 1..=100 {
        for world in random_worlds() {
            let found = found(world, seed, RANDOM);
            looked_at += RANDOM as u64;
            findings += found.len();
            if let Some((number, finding)) = found.first() {
                println!("{world:?}, seed {seed}: after {number}: {finding}");
            }
        }
    }
    println!("{findings} findings in {looked_at} random disconnects");
}

#[test]
fn an_idle_timer_is_named() {
    for idle in IDLE {
        for talks in [Talks::Once, Talks::Tokens] {
            for seed in SEEDS {
                let world = World { talks, idle: Some(secs(idle)), ..World::QUIET };
                let name = format!("idle timer of {idle} s, {talks:?}");
                check(&name, world, seed, FindingKind::IdleTimer, secs(idle));
            }
        }
    }
}

#[test]
fn an_idle_timer_is_named_among_people_who_leave() {
    for idle in IDLE {
        for leaves in [Leaves::AnyMoment, Leaves::AfterReading, Leaves::Evenly] {
            for seed in SEEDS {
                let path = World { talks: Talks::Tokens, idle: Some(secs(idle)), ..World::QUIET };
                let world = World { leaves, people: 30, ..path };
                let name = format!("idle timer of {idle} s, 30 of 100 by people, {leaves:?}");
                check(&name, world, seed, FindingKind::IdleTimer, secs(idle));
            }
        }
    }
}

#[test]
fn a_lifetime_cap_is_named_and_not_taken_for_an_idle_timer() {
    for cap in CAPS {
        for (talks, beat) in [
            (Talks::NowAndThen, None),
            (Talks::NowAndThen, Some(BEAT)),
            // All of them are cut at the same silence: 29 s is 14 s behind a beat, or 4 s behind an event.
            (Talks::Never, Some(BEAT)),
            (Talks::Every(secs(5)), None),
            (Talks::Every(secs(7)), None),
        ] {
            for seed in SEEDS {
                let world = World { talks, beat, cap: Some(secs(cap)), ..World::QUIET };
                let name = format!("cap of {cap} s, {talks:?}, beat {beat:?}");
                check(&name, world, seed, FindingKind::LifetimeCap, secs(cap));
            }
        }
    }
}

#[test]
fn both_on_one_way_are_both_named() {
    for seed in SEEDS {
        // An event in ten seconds: every now and then the next one takes more than 45, and the others live to the cap.
        let world =
            World { talks: Talks::NowAndThen, idle: Some(secs(45)), cap: Some(secs(300)), ..World::QUIET };
        let mut kinds: Vec<_> = found(world, seed, 300).into_iter().map(|(_, found)| found.kind).collect();
        kinds.sort_unstable_by_key(|kind| kind.word());
        assert_eq!(kinds, [FindingKind::IdleTimer, FindingKind::LifetimeCap], "seed {seed}");
    }
}

#[test]
fn what_could_be_either_is_named_an_idle_timer_until_heartbeats_tell() {
    let silent = World { talks: Talks::Never, cap: Some(secs(300)), ..World::QUIET };
    let (mut inference, now) = (Inference::new(), any_instant());
    let mut feed = |world: World| {
        let ends = ends(world, 1).take(150);
        ends.filter_map(|end| inference.disconnected("all", &seen(end, world.beat), now)).collect::<Vec<_>>()
    };
    let first = feed(silent);
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!((first[0].kind, first[0].confidence), (FindingKind::IdleTimer, 0.5));
    assert!(first[0].to_string().ends_with("if heartbeats do not help it is a lifetime cap"));
    let second = feed(World { beat: Some(BEAT), ..silent });
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].kind, FindingKind::LifetimeCap);
    let left: Vec<_> = inference.findings().map(|finding| finding.kind).collect();
    assert_eq!(left, [FindingKind::LifetimeCap], "the first is taken back");
}

#[test]
fn a_limit_on_the_head_is_told_from_an_idle_timer() {
    let (mut inference, now) = (Inference::new(), any_instant());
    let found: Vec<_> = (0..STREAMS as u64)
        .filter_map(|number| {
            let age = secs(30) + Duration::from_millis(3 * number);
            inference.disconnected("slow", &Disconnect::new(age, age).before_head(), now)
        })
        .collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, FindingKind::HeadLimit);
    assert_eq!(inference.idle_timer("slow"), None);
}

#[test]
fn it_is_found_again_when_it_has_changed_and_only_then() {
    let (mut inference, now) = (Inference::new(), any_instant());
    let mut feed = |idle| {
        let world = World { talks: Talks::Tokens, idle: Some(secs(idle)), ..World::QUIET };
        ends(world, 1)
            .take(200)
            .filter_map(|end| inference.disconnected("all", &seen(end, None), now))
            .count()
    };
    assert_eq!((feed(60), feed(60), feed(20), feed(90)), (1, 0, 1, 1));
    let shortest = inference.idle_timer("all").expect("one was found");
    assert!(shortest.abs_diff(secs(20)) < WITHIN, "what follows from it only gets shorter: {shortest:?}");
}

#[test]
fn classes_are_told_apart_and_a_million_of_them_share_what_there_is() {
    let (mut inference, now) = (Inference::new(), any_instant());
    let cut = |class: &str, now, inference: &mut Inference| {
        let disconnect = Disconnect::new(secs(500), secs(60));
        (0..15).filter_map(|_| inference.disconnected(class, &disconnect, now)).count()
    };
    assert_eq!(cut("first", now, &mut inference), 1);
    for key in 0..1_000_000_u32 {
        let other = Disconnect::new(secs(u64::from(key % 977)), secs(u64::from(key % 89)));
        inference.disconnected(&format!("key {key}"), &other, now);
    }
    assert!(format!("{inference:?}").len() < 1_000_000, "it does not grow");
    assert_eq!(inference.idle_timer("first"), Some(secs(60)), "a finding is not forgotten");
    // A new one shares a class while all others are fresh, and has one of its own when they are stale.
    inference.disconnected("new", &Disconnect::new(secs(1), secs(1)), now);
    assert_eq!(cut("new", now + secs(3_600), &mut inference), 1);
    assert_eq!(inference.idle_timer("new"), Some(secs(60)));
    let names: Vec<_> = inference.findings().map(|finding| finding.class.to_string()).collect();
    assert!(names.contains(&"new".to_owned()) && names.contains(&"first".to_owned()), "{names:?}");
}
