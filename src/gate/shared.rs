//! Permits: taken without a lock as long as nobody waits, handed over in order as soon as somebody does.
//!
//! # Why no wake-up is lost
//!
//! Who joins the queue makes itself visible in `queued` *before* it looks at `in_flight` once more. Who gives a permit
//! back takes it off `in_flight` *before* it looks at `queued`. All four are sequentially consistent, so at least one of
//! the two sees the other, and calls the next in line.
//!
//! While nobody holds the lock, `queued` is the length of the queue.

use std::task::{Context, Poll, Waker};

use super::queue::{Left, Queue, Ticket, Turn};
use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering::SeqCst};

#[derive(Debug)]
pub(super) struct Shared {
    limit: AtomicUsize,
    in_flight: AtomicUsize,
    depth: AtomicUsize,
    queued: AtomicUsize,
    closed: AtomicBool,
    queue: Mutex<Queue>,
}

/// What somebody who arrives is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// They have a place in the queue; it has to be left with [`Shared::leave`], or a permit got with
    /// [`Shared::poll_turn`].
    Queued(Ticket),
    Full,
    Closed,
}

impl Shared {
    pub(super) fn new(limit: usize, depth: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            in_flight: AtomicUsize::new(0),
            depth: AtomicUsize::new(depth),
            queued: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            queue: Mutex::new(Queue::default()),
        }
    }

    /// A permit at once, if one is free and nobody waits. It has to be given back with [`Shared::release`].
    #[inline]
    pub(super) fn try_enter(&self) -> bool {
        // Nobody overtakes those who wait.
        if self.queued.load(SeqCst) > 0 || !self.take() {
            return false;
        }
        // Last, so that whoever has closed the gate and then sees no permit out knows that none will be.
        let open = !self.is_closed();
        if !open {
            self.release();
        }
        open
    }

    /// Whether somebody who arrives now would have no place. One look, because a refusal has to be cheap.
    pub(super) fn is_full(&self) -> bool {
        self.queued.load(SeqCst) >= self.depth.load(SeqCst)
    }

    /// Takes a place in the queue; with a permit that is free their turn comes at once.
    pub(super) fn arrive(&self, waker: &Waker) -> Arrival {
        let waker = waker.clone();
        let ticket = {
            let mut queue = self.lock();
            if self.is_closed() {
                return Arrival::Closed;
            }
            if queue.len() >= self.depth() {
                return Arrival::Full;
            }
            self.queued.fetch_add(1, SeqCst);
            queue.join(waker)
        };
        // A permit may have been given back while nobody was seen to wait.
        self.call_next();
        Arrival::Queued(ticket)
    }

    /// Ready with a permit, or with the news that the gate has been closed. Either way the ticket is void.
    pub(super) fn poll_turn(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<bool> {
        let mut waker = cx.waker().clone();
        let turn = self.lock().ask(ticket, &mut waker);
        match turn {
            Turn::Now => Poll::Ready(true),
            Turn::NotYet => Poll::Pending,
            Turn::Never => Poll::Ready(false),
        }
    }

    /// Which one in line this is. `None` when their turn has come or never will.
    pub(super) fn place(&self, ticket: Ticket) -> Option<usize> {
        self.lock().place(ticket)
    }

    pub(super) fn leave(&self, ticket: Ticket) {
        let left = {
            let mut queue = self.lock();
            let left = queue.leave(ticket);
            if let Some(Left::Place(_)) = left {
                self.queued.fetch_sub(1, SeqCst);
            }
            left
        };
        if let Some(Left::Permit) = left {
            self.release();
        }
    }

    #[inline]
    pub(super) fn release(&self) {
        self.in_flight.fetch_sub(1, SeqCst);
        if self.queued.load(SeqCst) > 0 {
            self.call_next();
        }
    }

    /// Permits beyond a lower limit are not taken away: they are not given out again.
    pub(super) fn resize(&self, limit: usize) {
        self.limit.store(limit, SeqCst);
        self.call_next();
    }

    pub(super) fn set_depth(&self, depth: usize) {
        self.depth.store(depth, SeqCst);
    }

    pub(super) fn close(&self) {
        let dismissed = {
            let mut queue = self.lock();
            self.closed.store(true, SeqCst);
            let dismissed = queue.dismiss();
            self.queued.fetch_sub(dismissed.len(), SeqCst);
            dismissed
        };
        dismissed.into_values().for_each(Waker::wake);
    }

    pub(super) fn reopen(&self) {
        self.closed.store(false, SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(SeqCst)
    }

    pub(super) fn depth(&self) -> usize {
        self.depth.load(SeqCst)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.load(SeqCst)
    }

    /// Hands free permits to those who have waited longest.
    fn call_next(&self) {
        let mut called = Vec::new();
        {
            let mut queue = self.lock();
            while queue.len() > 0 && self.take() {
                self.queued.fetch_sub(1, SeqCst);
                called.extend(queue.call());
            }
        }
        // A waker may run anything, so never under the lock.
        called.into_iter().for_each(Waker::wake);
    }

    #[inline]
    fn take(&self) -> bool {
        let free = |in_flight| (in_flight < self.limit.load(SeqCst)).then(|| in_flight + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, free).is_ok()
    }

    // Nothing in here panics while the lock is held, and the queue is whole at every step.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(all(test, lifeline_loom))]
mod loom_models;
#[cfg(all(test, not(lifeline_loom)))]
mod tests;
