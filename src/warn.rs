//! Keeps warnings few: what goes wrong for one stream most often goes wrong for thousands.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets a few of a kind pass in a while, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Limiter(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    passed: u32,
    kept_back: u64,
}

const MOST: u32 = 5;
const WHILE: Duration = Duration::from_secs(10);

impl Limiter {
    /// Whether one may pass, and how many have been kept back since the last that did.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |began: Instant| now.saturating_duration_since(began) >= WHILE;
        if window.began.is_none_or(over) {
            window.began = Some(now);
            window.passed = 0;
        }
        if window.passed == MOST {
            window.kept_back += 1;
            return None;
        }
        window.passed += 1;
        Some(std::mem::take(&mut window.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_ten_seconds_and_then_how_many_were_kept_back() {
        let limiter = Limiter::default();
        let from = crate::body::now();
        let pass = |second| limiter.pass(from + Duration::from_secs(second));
        for _ in 0..5 {
            assert_eq!(pass(0), Some(0));
        }
        for second in 0..10 {
            assert_eq!(pass(second), None);
        }
        assert_eq!(pass(10), Some(10));
        assert_eq!(pass(11), Some(0));
    }
}
