//! What a request body tells those who wait for the response: that it has been read, or has taken too long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use super::error::TimeoutError;

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
        if state.read_at.is_none() {
            keep(&mut state.asks_read, cx);
        }
        state.read_at
    }

    /// How it took too long. If it has not, this task is woken when it has.
    pub(super) fn expired(&self, cx: &Context<'_>) -> Option<TimeoutError> {
        let mut state = self.lock();
        if state.expired.is_none() {
            keep(&mut state.asks_expired, cx);
        }
        state.expired
    }

    // Nothing in here panics while the lock is held, and the state is whole at every step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

// A waker may run anything, so never under the lock.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
