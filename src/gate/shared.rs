//! Permits: taken without a lock as long as nobody waits, handed over in order as soon as somebody does.
//!
//! Permits that were ever taken and those that were given back are counted apart. What is in flight is the difference:
//! to take one is one locked operation and to give it back another, and how many were admitted is known for nothing.
//!
//! # Why there are never too many
//!
//! Both counts only grow, and `returned` is read before `taken`. So the difference may be too large, by what was given
//! back meanwhile, but never too small. Where it says that all permits are out, `returned` is read again: if it has
//! not moved, they all were.
//!
//! # Why no wake-up is lost
//!
//! Who joins the queue makes itself visible in `queued` *before* it looks at `returned` once more. Who gives a permit
//! back counts it in `returned` *before* it looks at `queued`. All four are sequentially consistent, so at least one of
//! the two sees the other, and calls the next in line.
//!
//! While nobody holds the lock, `queued` is the length of the queue.

use std::task::{Context, Poll, Waker};

use super::queue::{Left, Queue, Ticket, Turn};
use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering::SeqCst};

#[derive(Debug)]
pub(super) struct Shared {
    limit: AtomicUsize,
    // Where a `usize` has 32 bits both run over in the end, and the difference stays right.
    taken: AtomicUsize,
    returned: AtomicUsize,
    /// Of those returned, the ones that nobody had used.
    unused: AtomicUsize,
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
            taken: AtomicUsize::new(0),
            returned: AtomicUsize::new(0),
            unused: AtomicUsize::new(0),
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
            self.release_unused();
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
            self.release_unused();
        }
    }

    #[inline]
    pub(super) fn release(&self) {
        self.returned.fetch_add(1, SeqCst);
        if self.queued.load(SeqCst) > 0 {
            self.call_next();
        }
    }

    #[cold]
    fn release_unused(&self) {
        self.unused.fetch_add(1, SeqCst);
        self.release();
    }

    /// Permits beyond a lower limit are not taken away: they are not given out again.
    pub(super) fn resize(&self, limit: usize) {
        self.set_limit(limit);
        self.call_next();
    }

    /// The first half of [`Shared::resize`], which wakes nobody. The second has to follow: [`Shared::call_next`].
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, SeqCst);
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

    #[inline]
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
        let returned = self.returned.load(SeqCst);
        self.taken.load(SeqCst).wrapping_sub(returned)
    }

    /// How many got a permit, from the beginning.
    pub(super) fn admitted(&self) -> u64 {
        self.taken.load(SeqCst).wrapping_sub(self.unused.load(SeqCst)) as u64
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.load(SeqCst)
    }

    /// Hands free permits to those who have waited longest.
    pub(super) fn call_next(&self) {
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
        loop {
            let returned = self.returned.load(SeqCst);
            let taken = self.taken.load(SeqCst);
            if taken.wrapping_sub(returned) < self.limit.load(SeqCst) {
                if self.taken.compare_exchange(taken, taken.wrapping_add(1), SeqCst, SeqCst).is_ok() {
                    return true;
                }
            } else if self.returned.load(SeqCst) == returned {
                return false;
            }
        }
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
