//! Overload, in drawn time: ten times what the gate can carry, for a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tower_lifeline::Gate;

use super::{ask, assert_whole, streams};

const MINUTE: Duration = Duration::from_secs(60);
const PERMITS: usize = 10;
const CAPACITY: u64 = 6_000;

/// What became of all requests.
#[derive(Debug, Default)]
struct Tally {
    /// Answered in full while somebody still waited for it, within the minute.
    good: AtomicU64,
    refused: AtomicU64,
    gave_up: AtomicU64,
    /// The longest that anybody waited for a head, in milliseconds.
    longest: AtomicU64,
}

/// A thousand clients a second, each for 100 ms of work on one of ten permits, so a hundred a second can be served. Each
/// gives up after two seconds.
async fn overload(gate: &Gate) -> Arc<Tally> {
    let service = streams(gate, Duration::ZERO, "0s=a 100ms=b 100ms=end");
    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..60_000 {
        sleep_until(began + Duration::from_millis(client)).await;
        let (service, tally) = (service.clone(), Arc::clone(&tally));
        clients.spawn(async move {
            let arrived = Instant::now();
            let served = timeout(Duration::from_secs(2), async {
                let answer = ask(&service).await;
                let waited = u64::try_from(arrived.elapsed().as_millis()).unwrap();
                tally.longest.fetch_max(waited, Ordering::Relaxed);
                let served = answer.status() == 200;
                answer.into_body().collect().await.map(|_| served).unwrap()
            })
            .await;
            let counter = match served {
                Ok(true) if began.elapsed() <= MINUTE => &tally.good,
                Ok(true) => return,
                Ok(false) => &tally.refused,
                Err(_) => &tally.gave_up,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        });
    }
    clients.join_all().await;
    tally
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn ten_times_the_load_gets_what_can_be_carried_and_the_rest_is_refused_at_once() {
    let gate = Gate::new(PERMITS).queue(2 * PERMITS).max_wait(Duration::from_millis(500));
    let tally = overload(&gate).await;
    println!("bounded: {tally:?}");
    assert!(of(&tally.good) >= CAPACITY * 95 / 100, "{tally:?}");
    assert!(of(&tally.good) <= CAPACITY, "{tally:?}");
    let stats = gate.stats();
    assert_eq!(of(&tally.refused), stats.queue_full + stats.queue_timeout);
    assert_eq!(of(&tally.refused) + stats.admitted, 60_000);
    assert_eq!(of(&tally.gave_up), 0);
    // Nobody waited for longer than was allowed, and the queue drains in 200 ms.
    assert!(of(&tally.longest) <= 210, "{tally:?}");
    assert_eq!(stats.queue_timeout, 0);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_bounded_although_the_queue_is_not() {
    let gate = Gate::new(PERMITS).queue(usize::MAX).max_wait(Duration::from_millis(500));
    let tally = overload(&gate).await;
    println!("bounded in time alone: {tally:?}");
    assert!(of(&tally.good) >= CAPACITY * 95 / 100, "{tally:?}");
    assert!(of(&tally.longest) <= 500, "{tally:?}");
    assert_eq!(of(&tally.refused), gate.stats().queue_timeout);
    assert_whole(&gate);
}

/// The control: without bounds there is as much work, and nobody left to read it.
#[tokio::test(start_paused = true)]
async fn without_bounds_the_same_load_gets_almost_nothing() {
    let gate = Gate::new(PERMITS).queue(usize::MAX).max_wait(Duration::from_secs(3_600));
    let tally = overload(&gate).await;
    println!("unbounded: {tally:?}");
    assert_eq!(of(&tally.refused), 0);
    assert!(of(&tally.good) < CAPACITY / 2, "{tally:?}");
    assert_whole(&gate);
}
