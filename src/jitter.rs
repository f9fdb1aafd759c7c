//! Spreads moments, so that what began together does not stay together.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Steele, Lea and Flood's SplitMix64: one addition a number, and any seed is a good one.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// One stream's numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jitter {
    state: u64,
}

impl Jitter {
    /// A duration between zero and `most`.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        self.state = self.state.wrapping_add(GAMMA);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // The range of `u64` is 584 years of nanoseconds.
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(((u128::from(mixed) * u128::from(most)) >> 64) as u64)
    }

    /// A duration between half of this one and one and a half: those who are told it come back one after the other.
    pub(crate) fn about(&mut self, mean: Duration) -> Duration {
        (mean / 2).saturating_add(self.up_to(mean))
    }
}

/// Gives every stream of a layer numbers of its own.
#[derive(Debug)]
pub(crate) struct Seeds(AtomicU64);

impl Seeds {
    pub(crate) fn random() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(GAMMA)))
    }

    pub(crate) fn next(&self) -> Jitter {
        Jitter { state: self.0.fetch_add(GAMMA.rotate_left(17) | 1, Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_streams_fill_the_window_and_stay_inside() {
        let seeds = Seeds(AtomicU64::new(1));
        let most = Duration::from_secs(10);
        let mut tenths = [0; 10];
        for _ in 0..1_000 {
            let drawn = seeds.next().up_to(most);
            assert!(drawn <= most);
            tenths[(drawn.as_millis() / 1_000).min(9) as usize] += 1;
        }
        assert!(tenths.iter().all(|&count| count > 50), "{tenths:?}");
    }

    #[test]
    fn about_a_duration_is_half_of_it_and_up_to_as_much_again() {
        let mut jitter = Seeds(AtomicU64::new(1)).next();
        let second = Duration::from_secs(1);
        let drawn: Vec<_> = (0..100).map(|_| jitter.about(second)).collect();
        assert!(drawn.iter().all(|drawn| (second / 2..=second * 3 / 2).contains(drawn)));
        assert!(
            drawn.iter().any(|&drawn| drawn < second * 3 / 4)
                && drawn.iter().any(|&drawn| drawn > second * 5 / 4)
        );
    }

    #[test]
    fn the_ends_of_the_range() {
        let mut jitter = Seeds::random().next();
        assert_eq!(jitter.up_to(Duration::ZERO), Duration::ZERO);
        for _ in 0..100 {
            assert!(jitter.up_to(Duration::MAX) <= Duration::MAX);
            assert!(jitter.about(Duration::MAX) >= Duration::MAX / 2);
        }
    }
}
