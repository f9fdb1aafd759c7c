//! The whole stack on loopback sockets, HTTP/1.1 and HTTP/2, with everything going wrong that can.
//!
//! ```sh
//! CHAOS_SEED=7 CHAOS_STREAMS=20000 cargo test -p real --test chaos
//! CHAOS_SEED=7 CHAOS_ONLY=1234 cargo test -p real --test chaos   # this stream's script, and its family alone
//! ```
//!
//! A process of its own, because what it holds is counted.

mod client;
mod counts;
mod handler;
mod heard;
mod judge;
mod leftovers;
mod round;
mod says;
mod script;
mod server;
mod text;
mod troubles;
mod wire;
mod world;

use std::env;
use std::io::{self, Write};

use tokio::time::Instant;

use crate::counts::Counts;
use crate::leftovers::{Held, memory};
use crate::script::{FAMILY, script};
use crate::world::{ROUND, world};

/// What a run may hold more at its end than behind its first rounds.
const SLACK: usize = 16 * 1024;

/// Of so many streams one failure may come before the frame in front of it, over HTTP/2 and where threads have to wait.
/// Without the 5 ms that an error waits for, it is one of fifty.
const MANY: u64 = 1_000;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, got {text}")))
}

fn say(text: &str) {
    // Not held back by the test harness.
    let _ = writeln!(io::stderr(), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_nothing_is_corrupted_lost_or_left_behind() {
    let by_chance = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let seed = number("CHAOS_SEED").unwrap_or(by_chance % 1_000_000_000);
    let only = number("CHAOS_ONLY");
    let streams = number("CHAOS_STREAMS").unwrap_or(20_000);
    let range = match only {
        Some(index) => {
            say(&format!("{:#?}\n{:#?}", script(seed, index), world(seed, index / ROUND)));
            let first = index / FAMILY * FAMILY;
            first..first + FAMILY
        }
        None => 0..streams,
    };
    say(&format!("CHAOS_SEED={seed} CHAOS_STREAMS={streams}"));
    let begun = Instant::now();
    let mut counts = Counts::default();
    let mut held = None;
    let mut live = vec![];
    let mut wrong = vec![];
    for round in range.start / ROUND..range.end.div_ceil(ROUND) {
        let these = range.start.max(round * ROUND)..range.end.min((round + 1) * ROUND);
        let before = *held.get_or_insert_with(Held::now);
        round::play(seed, round, these, &mut counts, &mut wrong).await;
        let after = before.again().await;
        assert!(
            after.tasks <= before.tasks && after.files <= before.files,
            "left behind by round {round}: {before:?} {after:?}; CHAOS_SEED={seed}"
        );
        live.push(memory());
        if !wrong.is_empty() {
            break;
        }
    }
    let time = begun.elapsed();
    say(&format!(
        "{counts}{} streams in {time:.1?}; live bytes behind each round: {live:?}",
        range.end - range.start
    ));
    let most = (range.end - range.start).div_ceil(MANY);
    assert!(counts.overtaken <= most, "CHAOS_SEED={seed}: {} failures overtook a frame", counts.overtaken);
    assert!(wrong.is_empty(), "CHAOS_SEED={seed}: {} streams\n{}", wrong.len(), wrong.join("\n"));
    // The first rounds fill pools of runtime and allocator.
    if let [_, _, warm, .., last] = live[..] {
        assert!(last <= warm + SLACK, "{warm} bytes are held behind three rounds, and {last} at the end");
    }
}
