//! What a request body tells those who wait for the response: that it has been read, or has taken too long.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use super::error::TimeoutError;

/// In the extensions of a request with `Expect: 100-continue`, put there by somebody outside who must not answer before the
/// client has been told to go on: whether somebody has asked for the body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Arc<AtomicBool>);

impl Asked {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Relaxed);
    }
}

/// Shared by one request's body and those who wait for its response. In the request's extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Upload(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    read_at: Option<Instant>,
    expired: Option<TimeoutError>,
    /// Whoever asked last for either.
    asks_read: Option<Waker>,
    asks_expired: Option<Waker>,
}

impl Upload {
    pub(super) fn was_read(&self, now: Instant) {
        let waker = {
            let mut state = self.lock();
            state.read_at.get_or_insert(now);
            state.asks_read.take()
        };
        wake(waker);
    }

    pub(super) fn expire(&self, error: TimeoutError) {
        let waker = {
            let mut state = self.lock();
            state.expired.get_or_insert(error);
            state.asks_expired.take()
        };
        wake(waker);
    }

    /// When the body had been read. If it has not, this task is woken when it has.
    pub(super) fn read_at(&self, cx: &Context<'_>) -> Option<Instant> {
        let mut state = self.lock();
        let known = state.read_at;
        let replaced = if known.is_none() { keep(&mut state.asks_read, cx) } else { None };
        drop(state);
        drop(replaced);
        known
    }

    /// How it took too long. If it has not, this task is woken when it has.
    pub(super) fn expired(&self, cx: &Context<'_>) -> Option<TimeoutError> {
        let mut state = self.lock();
        let known = state.expired;
        let replaced = if known.is_none() { keep(&mut state.asks_expired, cx) } else { None };
        drop(state);
        drop(replaced);
        known
    }

    // Nothing in here panics while the lock is held, and the state is whole at every step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives back the waker that was there before. Its task may go with it, so it is not dropped under the lock.
fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => None,
        _ => slot.replace(cx.waker().clone()),
    }
}

// A waker may run anything, so never under the lock.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    /// A task that has been given up: what it held goes with its last waker, a request body among it.
    struct GivenUp(Upload);

    impl Wake for GivenUp {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for GivenUp {
        fn drop(&mut self) {
            assert!(self.0.0.try_lock().is_ok(), "dropped under the lock");
        }
    }

    #[test]
    fn a_waker_is_dropped_outside_of_the_lock() {
        let upload = Upload::default();
        for _ in 0..2 {
            let waker = Waker::from(Arc::new(GivenUp(upload.clone())));
            assert_eq!(upload.read_at(&Context::from_waker(&waker)), None);
            assert_eq!(upload.expired(&Context::from_waker(&waker)), None);
        }
        let other = Context::from_waker(Waker::noop());
        assert_eq!(upload.read_at(&other), None);
        assert_eq!(upload.expired(&other), None);
    }
}
