//! Decides: who waits, and whose turn it is?

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Those who wait, in the order of their arrival, and those whose turn has come and who have not looked yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Ticket, Waker>,
    called: BTreeSet<Ticket>,
    next: u64,
}

/// What somebody who comes back is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is theirs, and so is a permit.
    Now,
    /// So many are in front of them.
    NotYet(usize),
}

impl Queue {
    pub(super) fn join(&mut self, waker: Waker) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.insert(ticket, waker);
        ticket
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Calls the next one: first come, first served. Another order belongs here and nowhere else.
    pub(super) fn call(&mut self) -> Option<Waker> {
        let (ticket, waker) = self.waiting.pop_first()?;
        self.called.insert(ticket);
        Some(waker)
    }

    /// Asks whether it is this one's turn, and leaves the queue if so.
    pub(super) fn ask(&mut self, ticket: Ticket, waker: &Waker) -> Turn {
        if self.called.remove(&ticket) {
            return Turn::Now;
        }
        if let Some(kept) = self.waiting.get_mut(&ticket) {
            kept.clone_from(waker);
        }
        Turn::NotYet(self.waiting.range(..ticket).count())
    }

    /// Leaves for good. `Turn::Now` when a permit was already theirs, which has to go to the next one.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Turn> {
        if self.called.remove(&ticket) {
            return Some(Turn::Now);
        }
        self.waiting.remove(&ticket).map(|_| Turn::NotYet(0))
    }

    /// Everybody who waits, to be told that it is over.
    pub(super) fn wakers(&self) -> impl Iterator<Item = &Waker> {
        self.waiting.values()
    }
}
