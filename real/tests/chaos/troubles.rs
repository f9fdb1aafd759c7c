//! What goes wrong for all streams of a round at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use real::streams::Chance;
use tokio::time::{Instant, sleep};
use tower_lifeline::Gate;

use crate::round::PERMITS;

/// More and fewer permits while streams come and go, and in the end as many as before.
pub async fn resize(gate: Gate, permits: usize, seed: u64) {
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
pub async fn watch(late: Arc<AtomicU64>) {
    const TICK: Duration = Duration::from_millis(5);
    loop {
        let begun = Instant::now();
        sleep(TICK).await;
        late.fetch_max((begun.elapsed() - TICK).as_millis() as u64, SeqCst);
    }
}

/// A worker of the runtime stands still now and then; sometimes both at a time.
#[expect(clippy::disallowed_methods, reason = "to block a worker is the point")]
pub async fn block(seed: u64) {
    let mut chance = Chance::new(seed);
    loop {
        sleep(Duration::from_millis(100 + chance.below(500) as u64)).await;
        std::thread::sleep(Duration::from_millis(chance.below(60) as u64));
    }
}
