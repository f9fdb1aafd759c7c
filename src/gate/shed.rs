//! Why a request is refused, and when it makes sense to come back.

use std::time::Duration;

use http::StatusCode;

use crate::reject::Refusal;

/// Why a gate refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shed {
    /// All permits are out and all places in the queue are taken.
    QueueFull,
    /// It has waited for as long as the gate allows.
    QueueTimeout,
    /// Its [`Deadline`](crate::Deadline) would have passed in the queue, or has.
    DeadlineTooShort,
    /// The gate is closed.
    Closed,
    /// Its key has as many requests in flight and in the queue as it may have.
    KeyOverCap,
}

impl Shed {
    pub(super) const ALL: [Self; 5] =
        [Self::QueueFull, Self::QueueTimeout, Self::DeadlineTooShort, Self::Closed, Self::KeyOverCap];

    /// One word for a label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::DeadlineTooShort => "deadline_too_short",
            Self::Closed => "closed",
            Self::KeyOverCap => "key_over_cap",
        }
    }

    /// 503, but 429 (RFC 6585, section 4) for a key over its cap.
    pub(super) fn default_status(self) -> StatusCode {
        match self {
            Self::KeyOverCap => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn refusal(self, status: StatusCode, retry_after: Duration) -> Refusal {
        let refusal = match self {
            Self::QueueFull => Refusal::queue_full(),
            Self::QueueTimeout => Refusal::queue_timeout(),
            Self::DeadlineTooShort => Refusal::deadline_too_short(),
            Self::Closed => Refusal::closed(),
            Self::KeyOverCap => Refusal::key_over_cap(),
        };
        refusal.with_status(status).with_retry_after(retry_after)
    }
}

/// How long everybody in the queue takes to be admitted, and one more, when a permit is held for so long.
pub(super) fn drain_time(queued: usize, limit: usize, hold: Duration) -> Duration {
    let turns = u32::try_from(queued.saturating_add(1)).unwrap_or(u32::MAX);
    let limit = u32::try_from(limit.max(1)).unwrap_or(u32::MAX);
    hold.checked_mul(turns).unwrap_or(Duration::MAX) / limit
}

/// From a second to a minute; `spread` is a part of it by chance, up to a fifth either way, so that those who were refused
/// together do not come back together.
pub(super) fn retry_after(drains_in: Duration, spread: impl FnOnce(Duration) -> Duration) -> Duration {
    let about = drains_in.clamp(Duration::from_secs(1), Duration::from_secs(60));
    about * 4 / 5 + spread(about * 2 / 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_the_queue_takes() {
        let check = |queued, limit, hold, seconds| {
            assert_eq!(drain_time(queued, limit, Duration::from_secs(hold)), Duration::from_secs(seconds));
        };
        check(0, 1, 10, 10);
        check(7, 4, 10, 20);
        check(7, 0, 10, 80);
        assert!(drain_time(usize::MAX, 1, Duration::MAX) > Duration::from_secs(1));
    }

    #[test]
    fn when_to_come_back() {
        let check = |drains, least, most| {
            let drains = Duration::from_millis(drains);
            assert_eq!(retry_after(drains, |_| Duration::ZERO).as_millis(), least);
            assert_eq!(retry_after(drains, |width| width).as_millis(), most);
        };
        check(0, 800, 1_200);
        check(10_000, 8_000, 12_000);
        check(u64::MAX, 48_000, 72_000);
    }
}
