//! The whole stack on loopback sockets, HTTP/1.1 and HTTP/2, with everything going wrong that can.
//!
//! ```sh
//! CHAOS_SEED=7 CHAOS_STREAMS=20000 cargo test -p real --test chaos
//! CHAOS_SEED=7 CHAOS_ONLY=1234 cargo test -p real --test chaos   # this stream's script, and its family alone
//! ```
//!
//! A process of its own, because what it holds is counted.

mod client;
mod handler;
mod judge;
mod leftovers;
mod script;
mod server;
mod text;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use real::streams::Chance;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};
use tower_lifeline::{Gate, GateLayer};

use crate::handler::Speaking;
use crate::judge::{Outcome, Seen, Story};
use crate::leftovers::{Held, memory};
use crate::script::{FAMILY, Script, Version, mixed, script};
use crate::server::{Ledger, Serving};
use crate::world::{ROUND, world};

/// So many families at a time.
const FAMILIES: usize = 90;
const PERMITS: usize = 100_000;
/// What a run may hold more at its end than behind its first rounds.
const SLACK: usize = 16 * 1024;

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
        play(seed, round, these, &mut counts, &mut wrong).await;
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
    assert!(wrong.is_empty(), "CHAOS_SEED={seed}: {} streams\n{}", wrong.len(), wrong.join("\n"));
    // The first rounds fill pools of runtime and allocator.
    if let [_, _, warm, .., last] = live[..] {
        assert!(last <= warm + SLACK, "{warm} bytes are held behind three rounds, and {last} at the end");
    }
}

/// Counts for the table of a run.
#[derive(Debug, Default)]
struct Counts {
    faults: BTreeMap<&'static str, u64>,
    causes: BTreeMap<String, u64>,
    seen: BTreeMap<&'static str, u64>,
    drains: u64,
    /// How late the runtime was at most, in milliseconds, in each round.
    late: Vec<u64>,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, count) in &self.faults {
            writeln!(f, "fault  {count:>7}  {name}")?;
        }
        for (name, count) in &self.causes {
            writeln!(f, "cause  {count:>7}  {name}")?;
        }
        for (name, count) in &self.seen {
            writeln!(f, "seen   {count:>7}  {name}")?;
        }
        writeln!(f, "drains {:>7}\nthe runtime was late by at most {:?} ms", self.drains, self.late)
    }
}

/// A round: one gate, some servers one after the other, and all of its streams.
async fn play(seed: u64, round: u64, range: Range<u64>, counts: &mut Counts, wrong: &mut Vec<String>) {
    let world = world(seed, round);
    let (permits, queue) = world.tight.unwrap_or((PERMITS, 0));
    let gate = Gate::new(permits).queue(queue).max_wait(Duration::from_millis(150));
    let ledger = Arc::new(Ledger::new(seed, round * ROUND, ROUND));
    let mut troubles = JoinSet::new();
    let late = Arc::new(AtomicU64::new(0));
    troubles.spawn(watch(Arc::clone(&late)));
    troubles.spawn(resize(gate.clone(), permits, mixed(seed, round, 4)));
    if world.blocks {
        (0..2).for_each(|worker| drop(troubles.spawn(block(mixed(seed, round, 5 + worker)))));
    }

    let mut serving = Arc::new(Serving::start(&world, &gate, &ledger).await);
    let mut stopping = JoinSet::new();
    let families = Arc::new(Semaphore::new(FAMILIES));
    let mut clients = JoinSet::new();
    for first in range.clone().step_by(FAMILY as usize) {
        let place = first - round * ROUND;
        if world.drains.iter().any(|at| (place..place + FAMILY).contains(at)) {
            let next = Arc::new(Serving::start(&world, &gate, &ledger).await);
            let old = std::mem::replace(&mut serving, next);
            counts.drains += 1;
            stopping.spawn(async move { old.stop().await });
        }
        // Not all of them in one moment.
        sleep(Duration::from_millis(1)).await;
        let place = families.clone().acquire_owned().await.expect("open");
        let (serving, range) = (Arc::clone(&serving), first..(first + FAMILY).min(range.end));
        clients.spawn(async move {
            let outcomes = family(&serving, seed, range).await;
            drop(place);
            (outcomes, Arc::clone(&serving.aborted))
        });
    }
    let told = clients.join_all().await;
    // Those who are left when no client is have nobody to wait for.
    stopping.spawn(async move { serving.stop().await });
    stopping.join_all().await;
    troubles.shutdown().await;
    counts.late.push(late.load(SeqCst));

    for (outcomes, aborted) in told {
        for (script, outcome) in outcomes {
            let told = ledger.told(script.index);
            counts.add(&script, &told, &outcome);
            let (arrived, aborted) = (ledger.arrived(script.index), aborted.load(SeqCst));
            let story =
                Story { script: &script, world: &world, arrived, told: &told, outcome: &outcome, aborted };
            if let Err(sentence) = judge::judge(&story) {
                wrong.push(telling(&story, &sentence));
            }
        }
    }
    for index in ledger.wrong.lock().unwrap().iter() {
        wrong.push(format!("{index}: its upload came otherwise than it was sent"));
    }
    if let Err(sentence) = is_whole(&gate, permits).await {
        wrong.push(format!("round {round}: {sentence}"));
    }
}

fn telling(story: &Story, sentence: &str) -> String {
    let Story { script, told, outcome, aborted, .. } = story;
    let mut text = String::new();
    let Script { index, version, upload, reading, leaves, connection, .. } = script;
    let _ = write!(
        text,
        "CHAOS_ONLY={index}: {sentence}\n  {:?} {version:?} {upload:?} {reading:?} ",
        script.faults()
    );
    let _ = write!(
        text,
        "{leaves:?} {connection:?} early {} aborted {aborted}\n  {told:?}\n  ",
        script.accepts_events
    );
    let Outcome { came, seen, sent } = outcome;
    let (length, status) = (came.body.len(), came.status);
    let tail = &came.body[length.saturating_sub(160)..];
    let _ = write!(
        text,
        "{status:?} {} {length} bytes, sent {sent}, {seen:?}: …{:?}",
        came.media_type,
        text::lossy(tail)
    );
    text
}

async fn family(serving: &Serving, seed: u64, range: Range<u64>) -> Vec<(Script, Outcome)> {
    let scripts: Vec<_> = range.map(|index| script(seed, index)).collect();
    let outcomes = match scripts[0].version {
        Version::Http1 => {
            futures_util::future::join_all(scripts.iter().map(|script| client::http1(serving.at, script)))
                .await
        }
        Version::Http2 => client::http2(serving.at[0], &scripts).await,
    };
    scripts.into_iter().zip(outcomes).collect()
}

impl Counts {
    fn add(&mut self, script: &Script, told: &[judge::Told], outcome: &Outcome) {
        for fault in script.faults() {
            *self.faults.entry(fault).or_default() += 1;
        }
        let cause = told.first().map_or("none: it never came".into(), |told| told.cause.to_string());
        *self.causes.entry(cause).or_default() += 1;
        let seen = match outcome.seen {
            Seen::Finished => "a whole response",
            Seen::Cut => "a response that broke off, or none",
            Seen::Left => "left",
            Seen::NoConnection => "no connection",
            Seen::Nonsense(_) | Seen::Hung => "what must not be",
        };
        *self.seen.entry(seen).or_default() += 1;
    }
}

/// More and fewer permits while streams come and go, and in the end as many as before.
async fn resize(gate: Gate, permits: usize, seed: u64) {
    struct Back(Gate, usize);
    impl Drop for Back {
        fn drop(&mut self) {
            self.0.resize(self.1);
        }
    }
    let back = Back(gate, permits);
    let mut chance = Chance::new(seed);
    loop {
        sleep(Duration::from_millis(1 + chance.below(30) as u64)).await;
        let fewer =
            if permits == PERMITS { permits - chance.below(1_000) } else { 1 + chance.below(2 * permits) };
        back.0.resize(fewer);
    }
}

/// How late this machine is.
async fn watch(late: Arc<AtomicU64>) {
    const TICK: Duration = Duration::from_millis(5);
    loop {
        let begun = Instant::now();
        sleep(TICK).await;
        late.fetch_max((begun.elapsed() - TICK).as_millis() as u64, SeqCst);
    }
}

/// A worker of the runtime stands still now and then; sometimes both at a time.
#[expect(clippy::disallowed_methods, reason = "to block a worker is the point")]
async fn block(seed: u64) {
    let mut chance = Chance::new(seed);
    loop {
        sleep(Duration::from_millis(100 + chance.below(500) as u64)).await;
        std::thread::sleep(Duration::from_millis(chance.below(60) as u64));
    }
}

/// Nobody has a permit or waits for one, and as many are there to be taken as the limit says.
async fn is_whole(gate: &Gate, permits: usize) -> Result<(), String> {
    let stats = gate.stats();
    if (stats.in_flight, stats.queued, stats.limit) != (0, 0, permits) {
        return Err(format!("a permit is lost: {stats:?}"));
    }
    // All of a few say as much as all of many.
    let few = permits.min(200);
    gate.resize(few);
    gate.resize_queue(0);
    let service = GateLayer::new(gate).layer(tower::service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Speaking::silent()))
    }));
    let mut taken = vec![];
    for _ in 0..few {
        taken.push(
            service.clone().oneshot(Request::new(Empty::<bytes::Bytes>::new())).await.expect("infallible"),
        );
    }
    let one_more = service.oneshot(Request::new(Empty::new())).await.expect("infallible").status();
    let all = taken.iter().all(|response| response.status() == StatusCode::OK);
    if all && one_more == StatusCode::SERVICE_UNAVAILABLE {
        Ok(())
    } else {
        Err(format!("of {few} permits not all can be taken, or more: {:?}", gate.stats()))
    }
}
