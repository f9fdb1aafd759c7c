//! A round: one gate, some servers one after the other, and all of its streams.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::{Layer, ServiceExt};
use tower_lifeline::{Gate, GateLayer};

use crate::counts::Counts;
use crate::handler::Speaking;
use crate::judge::{Outcome, Story, judge};
use crate::script::{FAMILY, Script, Version, mixed, script};
use crate::server::{Ledger, Serving};
use crate::troubles::{block, resize, watch};
use crate::world::{ROUND, world};
use crate::{client, text};

/// So many families at a time.
const FAMILIES: usize = 90;
/// Where there are more than streams.
pub const PERMITS: usize = 100_000;

/// Plays these streams, counts them, and adds a sentence for each that is not as it must be.
pub async fn play(seed: u64, round: u64, range: Range<u64>, counts: &mut Counts, wrong: &mut Vec<String>) {
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
    if let Err(sentence) = is_empty(&gate).await {
        wrong.push(format!("round {round}: {sentence}"));
    }
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
            match judge(&story) {
                Ok(()) => counts.overtaken += u64::from(story.is_overtaken()),
                Err(sentence) => wrong.push(telling(&story, &sentence)),
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

/// When all clients have gone, their permits are given back while the server goes on.
async fn is_empty(gate: &Gate) -> Result<(), String> {
    // Far longer than any limit.
    for _ in 0..2_000 {
        if (gate.stats().in_flight, gate.stats().queued) == (0, 0) {
            return Ok(());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Err(format!("no client is there, and permits are out: {:?}", gate.stats()))
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
