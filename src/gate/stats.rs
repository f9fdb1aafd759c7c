//! What a gate has seen.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::shed::Shed;

/// A gate at one moment; see [`Gate::stats`](super::Gate::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateStats {
    /// Permits that exist.
    pub limit: usize,
    /// Permits that are out. More than `limit` for a while after it was lowered.
    pub in_flight: usize,
    /// Requests that wait.
    pub queued: usize,
    /// Requests that got a permit.
    pub admitted: u64,
    /// Requests that were refused because the queue was full.
    pub queue_full: u64,
    /// Requests that were refused because they had waited too long.
    pub queue_timeout: u64,
    /// Requests that were refused because their deadline would have passed in the queue.
    pub deadline_too_short: u64,
    /// Requests that were refused because the gate was closed.
    pub closed: u64,
    /// Requests that were refused because their key was over its cap.
    pub key_over_cap: u64,
    /// How long those waited who waited and got a permit.
    pub wait: Summary,
    /// How long permits were held.
    pub hold: Summary,
}

/// Many durations in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: Duration,
    /// A mean of the last ones, in which older ones fade: each new one weighs a sixteenth.
    pub recent: Duration,
    /// The longest.
    pub longest: Duration,
}

/// The same, being made. Its parts are not read at one instant, so a summary of a busy gate is a little blurred.
#[derive(Debug, Default)]
pub(super) struct Durations {
    count: AtomicU64,
    // Of all together, so nanoseconds would run over: in three weeks with ten thousand streams.
    micros: AtomicU64,
    recent: AtomicU64,
    longest: AtomicU64,
}

impl Durations {
    pub(super) fn add(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let first = self.count.fetch_add(1, Relaxed) == 0;
        self.micros.fetch_add(nanos.saturating_add(500) / 1_000, Relaxed);
        // Most are not the longest, and to look costs less than to write.
        if self.longest.load(Relaxed) < nanos {
            self.longest.fetch_max(nanos, Relaxed);
        }
        // Not atomic as a whole: of two at the same time one may not weigh.
        let recent = self.recent.load(Relaxed);
        let recent = if first { nanos } else { recent - recent / 16 + nanos / 16 };
        self.recent.store(recent, Relaxed);
    }

    pub(super) fn recent(&self) -> Duration {
        Duration::from_nanos(self.recent.load(Relaxed))
    }

    pub(super) fn summary(&self) -> Summary {
        let count = self.count.load(Relaxed);
        Summary {
            count,
            mean: Duration::from_micros(self.micros.load(Relaxed).checked_div(count).unwrap_or(0)),
            recent: self.recent(),
            longest: Duration::from_nanos(self.longest.load(Relaxed)),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    shed: [AtomicU64; Shed::ALL.len()],
    pub(super) wait: Durations,
    pub(super) hold: Durations,
}

impl Counts {
    pub(super) fn shed(&self, reason: Shed) {
        self.shed[reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn of(&self, reason: Shed) -> u64 {
        self.shed[reason as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_short() {
        let durations = Durations::default();
        assert_eq!(durations.summary(), Summary::default());
        for seconds in [16, 32, 0] {
            durations.add(Duration::from_secs(seconds));
        }
        let summary = durations.summary();
        assert_eq!((summary.count, summary.mean.as_secs()), (3, 16));
        assert_eq!(summary.longest, Duration::from_secs(32));
        assert_eq!(summary.recent, Duration::from_secs(17) * 15 / 16);
    }

    #[test]
    fn a_mean_stays_right_when_all_together_are_long() {
        let durations = Durations::default();
        let centuries = Duration::from_secs(10_000_000_000);
        for _ in 0..100 {
            durations.add(centuries);
        }
        assert_eq!(durations.summary().mean, centuries);
        assert_eq!(durations.recent(), centuries);
    }
}
