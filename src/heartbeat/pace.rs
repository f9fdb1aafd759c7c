//! Decides: how often does an adaptive heartbeat beat?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The pace of an [adaptive](super::Heartbeat::adaptive) heartbeat, and the handle to it.
///
/// Clones are the same one.
#[derive(Clone, Debug)]
pub struct Pace {
    min: Duration,
    max: Duration,
    /// The longest interval that may be tried, in microseconds.
    longest: Arc<AtomicU64>,
}

impl Pace {
    pub(super) fn between(min: Duration, max: Duration) -> Self {
        Self { min, max, longest: Arc::new(AtomicU64::new(micros(min))) }
    }

    /// Tries longer intervals on streams that begin from now on: twice as long as before, up to the longest that is
    /// allowed. Where an idle timer has been inferred it stays below that, whatever is tried. A heartbeat never does this by
    /// itself, because streams break while it finds out.
    pub fn probe(&self) {
        let most = micros(self.max);
        // The function never fails, and so neither does this.
        let _ =
            self.longest.fetch_update(Relaxed, Relaxed, |longest| Some(longest.saturating_mul(2).min(most)));
    }

    /// Takes the shortest interval again.
    pub fn reset(&self) {
        self.longest.store(micros(self.min), Relaxed);
    }

    /// The interval of streams that begin now, behind an idle timer of so long if one is known.
    #[must_use]
    pub fn interval(&self, idle_timer: Option<Duration>) -> Duration {
        let longest = Duration::from_micros(self.longest.load(Relaxed));
        let below = idle_timer.map_or(longest, |idle| longest.min(idle / 2));
        below.clamp(self.min, self.max)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_begins_at_the_safe_end_and_only_an_operator_makes_it_longer() {
        let pace = Pace::between(secs(5), secs(60));
        assert_eq!(pace.interval(None), secs(5));
        assert_eq!(pace.interval(Some(secs(100))), secs(5));
        let mut tried = Vec::new();
        for _ in 0..5 {
            pace.probe();
            tried.push(pace.interval(None).as_secs());
        }
        assert_eq!(tried, [10, 20, 40, 60, 60]);
        pace.reset();
        assert_eq!(pace.interval(None), secs(5));
    }

    #[test]
    fn it_stays_below_half_of_an_idle_timer_and_within_its_bounds() {
        let pace = Pace::between(secs(5), secs(60));
        (0..9).for_each(|_| pace.probe());
        for (idle, interval) in [(600, 60), (100, 50), (55, 27), (30, 15), (9, 5), (1, 5)] {
            assert_eq!(pace.interval(Some(secs(idle))).as_secs(), interval, "{idle}");
        }
        let far = Pace::between(secs(1), Duration::MAX);
        (0..80).for_each(|_| far.probe());
        assert!(far.interval(None) > secs(1 << 40));
    }
}
