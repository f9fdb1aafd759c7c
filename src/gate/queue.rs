//! Decides: who waits, and whose turn it is?

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::task::Waker;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Those who wait, in the order of their arrival, and those whose turn has come and who have not looked yet.
// A waker may run anything, so none is dropped in here: this is used under a lock.
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
    NotYet,
    /// They have been sent away.
    Never,
}

/// What somebody leaves behind.
#[derive(Debug)]
pub(super) enum Left {
    Place(#[expect(dead_code, reason = "it is dropped where it may run anything")] Waker),
    /// Their turn had come: a permit, which goes to the next one.
    Permit,
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

    /// Asks whether it is this one's turn, and leaves the queue if so. The waker that was kept comes back in exchange.
    pub(super) fn ask(&mut self, ticket: Ticket, waker: &mut Waker) -> Turn {
        if self.called.remove(&ticket) {
            return Turn::Now;
        }
        match self.waiting.get_mut(&ticket) {
            Some(kept) => {
                mem::swap(kept, waker);
                Turn::NotYet
            }
            None => Turn::Never,
        }
    }

    /// Which one in line this is; the next one is 1. `None` for those who have been called or sent away.
    pub(super) fn place(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.contains_key(&ticket).then(|| self.waiting.range(..=ticket).count())
    }

    /// Leaves for good. `None` for those who were sent away.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Left> {
        if self.called.remove(&ticket) {
            return Some(Left::Permit);
        }
        self.waiting.remove(&ticket).map(Left::Place)
    }

    /// Sends everybody away who waits.
    pub(super) fn dismiss(&mut self) -> BTreeMap<Ticket, Waker> {
        mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_up_when_somebody_is_called_or_leaves() {
        let mut queue = Queue::default();
        let tickets = [(); 3].map(|()| queue.join(Waker::noop().clone()));
        let places = |queue: &Queue| tickets.map(|ticket| queue.place(ticket));
        assert_eq!(places(&queue), [Some(1), Some(2), Some(3)]);
        assert!(queue.call().is_some());
        assert_eq!(places(&queue), [None, Some(1), Some(2)]);
        assert!(matches!(queue.leave(tickets[1]), Some(Left::Place(_))));
        assert_eq!(places(&queue), [None, None, Some(1)]);
        assert_eq!(queue.dismiss().len(), 1);
        assert_eq!(places(&queue), [None, None, None]);
    }
}
