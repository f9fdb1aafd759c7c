//! Tells an adaptive limit what each admitted request met.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use http::StatusCode;

use super::handle::Inner;
use super::limit::{Limit, Sample};
use crate::body::now;
use crate::sync::Mutex;

/// Where the time that a request takes is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampleAt {
    /// At the response head: for handlers that answer when the work is done.
    Headers,
    /// At the first bytes of the response body: for handlers that answer at once and then think.
    #[default]
    FirstByte,
}

/// A limit that all requests of a gate report to.
#[derive(Clone)]
pub(super) struct Adaptive {
    pub(super) limit: Arc<Mutex<Box<dyn Limit>>>,
    pub(super) at: SampleAt,
}

impl Adaptive {
    pub(super) fn new(limit: impl Limit + 'static) -> Self {
        Self { limit: Arc::new(Mutex::new(Box::new(limit))), at: SampleAt::default() }
    }

    pub(super) fn current(&self) -> usize {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).current()
    }
}

/// One request on its way to its sample, which is taken once: when this is dropped, if not before.
// Always dropped before the request's permit: a sample counts the request itself.
pub(super) struct Sampling {
    gate: Arc<Inner>,
    adaptive: Adaptive,
    since: Instant,
    dropped: bool,
}

impl Sampling {
    /// Of a request that has just got its permit.
    #[inline]
    pub(super) fn begin(gate: &Arc<Inner>) -> Option<Box<Self>> {
        let adaptive = gate.settings.adaptive.clone()?;
        Some(Box::new(Self { gate: Arc::clone(gate), adaptive, since: now(), dropped: false }))
    }

    /// The response head is there. `None` when that was all there was to tell.
    pub(super) fn head(mut self: Box<Self>, status: StatusCode) -> Option<Box<Self>> {
        // These say that the handler, or a server behind it, has too much to do.
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ) {
            self.failed();
            return None;
        }
        (self.adaptive.at != SampleAt::Headers).then_some(self)
    }

    /// There was no answer, or no first byte of it.
    pub(super) fn failed(&mut self) {
        self.dropped = true;
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        let latency = now().saturating_duration_since(self.since);
        let in_flight = self.gate.shared.in_flight();
        // A client that has left before its first byte is no drop, but the time it has waited tells as much as an answer.
        let sample = Sample { dropped: self.dropped, ..Sample::new(latency, in_flight) };
        let changed = {
            let mut adaptive = self.adaptive.limit.lock().unwrap_or_else(PoisonError::into_inner);
            let limit = adaptive.sample(&sample);
            let changed = limit != self.gate.shared.limit();
            // Under the lock, or of two samples at once the older one's limit could stay.
            self.gate.shared.set_limit(limit);
            changed
        };
        // And this outside of it: a waker may run anything, even the end of another request.
        if changed {
            self.gate.shared.call_next();
        }
    }
}

impl fmt::Debug for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampling").field("since", &self.since).finish_non_exhaustive()
    }
}

#[cfg(all(test, lifeline_loom))]
mod loom_models {
    use loom::thread;

    use super::*;
    use crate::Gate;

    /// A limit that is never the same twice.
    struct Counting(usize);

    impl Limit for Counting {
        fn current(&self) -> usize {
            self.0
        }

        fn sample(&mut self, _: &Sample) -> usize {
            self.0 += 1;
            self.0
        }
    }

    /// Fails when the limit is set outside of its lock.
    #[test]
    fn of_two_samples_at_once_the_later_one_sets_the_limit() {
        loom::model(|| {
            let gate = Gate::adaptive(Counting(1));
            let sampling = || Sampling::begin(&gate.inner).expect("adaptive");
            let (one, other) = (sampling(), sampling());
            let dropped = thread::spawn(move || drop(other));
            drop(one);
            dropped.join().unwrap();
            assert_eq!(gate.stats().limit, 3);
        });
    }
}
