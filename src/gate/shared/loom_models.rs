//! Every interleaving of two or three who use a gate at once.
//!
//! A model that cannot fail proves nothing: each says which change to `shared.rs` makes it fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;

use super::*;

// Not one of loom's: it is looked at only when all others are done, and a point more to switch at would cost time.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

enum Guest {
    In,
    Waits(Ticket, Arc<Wakes>),
    Refused,
}

use Guest::{In, Refused, Waits};

/// A gate of which so many permits are out.
fn gate(limit: usize, depth: usize, held: usize) -> Arc<Shared> {
    let shared = Arc::new(Shared::new(limit, depth));
    for _ in 0..held {
        assert!(shared.try_enter());
    }
    shared
}

/// As a request does it.
fn come(shared: &Shared) -> Guest {
    if shared.try_enter() {
        return In;
    }
    if shared.is_closed() || shared.is_full() {
        return Refused;
    }
    let wakes = Arc::default();
    let waker = Waker::from(Arc::clone(&wakes));
    match shared.arrive(&waker) {
        Arrival::Queued(ticket) => match shared.poll_turn(ticket, &Context::from_waker(&waker)) {
            Poll::Pending => Waits(ticket, wakes),
            Poll::Ready(true) => In,
            Poll::Ready(false) => Refused,
        },
        Arrival::Full | Arrival::Closed => Refused,
    }
}

/// In another thread.
fn comes(shared: &Arc<Shared>) -> thread::JoinHandle<Guest> {
    let shared = Arc::clone(shared);
    thread::spawn(move || come(&shared))
}

fn releases(shared: &Arc<Shared>) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || shared.release())
}

fn leaves(shared: &Arc<Shared>, guest: Guest) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        if let Waits(ticket, _) = guest {
            shared.leave(ticket);
        }
    })
}

/// When everybody has stopped: who was woken finds the reason, who was not still waits, and only because all permits are
/// out. Returns how many are in and how many wait.
fn settled(shared: &Shared, held: usize, guests: impl IntoIterator<Item = Guest>) -> (usize, usize) {
    let (mut inside, mut waiting) = (held, 0);
    for guest in guests {
        match guest {
            In => inside += 1,
            Refused => {}
            Waits(ticket, wakes) => {
                let woken = wakes.0.load(Ordering::SeqCst);
                match shared.poll_turn(ticket, &Context::from_waker(Waker::noop())) {
                    Poll::Ready(admitted) => {
                        assert_eq!(woken, 1, "a wake-up was lost");
                        inside += usize::from(admitted);
                    }
                    Poll::Pending => {
                        assert_eq!(woken, 0, "woken for nothing");
                        waiting += 1;
                    }
                }
            }
        }
    }
    assert_eq!(shared.in_flight(), inside, "permits out");
    assert_eq!(shared.queued(), waiting, "places taken");
    assert!(waiting == 0 || inside >= shared.limit(), "somebody waits beside a free permit");
    (inside, waiting)
}

/// Fails when `release` looks at `queued` before it counts its permit in `returned`, when `arrive` does not call the next
/// one after it has joined, and when it becomes visible in `queued` only after that.
#[test]
fn a_permit_given_back_while_somebody_joins_reaches_them() {
    loom::model(|| {
        let shared = gate(1, 1, 1);
        let guest = comes(&shared);
        shared.release();
        assert_eq!(settled(&shared, 0, [guest.join().unwrap()]), (1, 0));
    });
}

/// Fails when `try_enter` does not look at `queued`.
#[test]
fn nobody_overtakes_who_waits_while_a_permit_is_given_back() {
    loom::model(|| {
        let shared = gate(1, 2, 1);
        let first = come(&shared);
        let second = comes(&shared);
        shared.release();
        let second = second.join().unwrap();
        assert!(matches!(second, Waits(..)), "the permit was not theirs");
        assert_eq!(settled(&shared, 0, [first, second]), (1, 1));
    });
}

/// Fails when `leave` forgets the permit of somebody who was called.
#[test]
fn a_permit_of_somebody_who_leaves_goes_on_to_the_next() {
    loom::model(|| {
        let shared = gate(1, 2, 1);
        let (first, second) = (come(&shared), come(&shared));
        let left = leaves(&shared, first);
        shared.release();
        left.join().unwrap();
        assert_eq!(settled(&shared, 0, [second]), (1, 0));
    });
}

/// Fails when `take` is a load and a store.
#[test]
fn of_two_who_come_for_one_permit_one_gets_it() {
    loom::model(|| {
        let shared = gate(1, 1, 0);
        let other = comes(&shared);
        let guest = come(&shared);
        assert_eq!(settled(&shared, 0, [guest, other.join().unwrap()]), (1, 1));
    });
    loom::model(|| {
        let shared = gate(1, 0, 0);
        let other = comes(&shared);
        let guest = come(&shared);
        assert_eq!(settled(&shared, 0, [guest, other.join().unwrap()]), (1, 0));
    });
}

/// Fails when `take` believes what it sees without a second look at `returned`, and when it reads `taken` first.
#[test]
fn nobody_is_refused_who_finds_a_permit_free_all_the_time() {
    loom::model(|| {
        let shared = gate(2, 0, 1);
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.release();
                come(&shared)
            })
        };
        let guest = come(&shared);
        assert_eq!(settled(&shared, 0, [guest, other.join().unwrap()]), (2, 0));
    });
}

/// Fails like the first, and when nobody is woken. With three there are too many interleavings to try all; three switches where nobody had to wait
/// find most of what can go wrong.
#[test]
fn of_two_who_join_while_a_permit_is_given_back_one_gets_it() {
    let mut few = loom::model::Builder::new();
    few.preemption_bound = Some(3);
    few.check(|| {
        let shared = gate(1, 2, 1);
        let (first, second) = (comes(&shared), comes(&shared));
        shared.release();
        let guests = [first.join().unwrap(), second.join().unwrap()];
        assert_eq!(settled(&shared, 0, guests), (1, 1));
    });
}

/// Fails when `arrive` looks whether the gate is closed before it has the lock, and when `close` says so after it had it.
#[test]
fn whoever_joins_while_the_gate_is_closed_is_sent_away() {
    loom::model(|| {
        let shared = gate(1, 1, 1);
        let guest = comes(&shared);
        shared.close();
        assert_eq!(settled(&shared, 1, [guest.join().unwrap()]), (1, 0));
    });
}

/// Fails when `try_enter` looks whether the gate is closed before it takes the permit.
#[test]
fn nobody_is_in_behind_the_back_of_who_has_closed_the_gate() {
    loom::model(|| {
        let shared = gate(1, 1, 0);
        let guest = comes(&shared);
        shared.close();
        let empty = shared.in_flight() == 0;
        let (inside, _) = settled(&shared, 0, [guest.join().unwrap()]);
        assert!(!empty || inside == 0);
    });
}

/// Fails when `resize` does not call anybody, or does so before it stores the limit.
#[test]
fn a_permit_more_reaches_who_joins_and_who_waits() {
    loom::model(|| {
        let shared = gate(1, 2, 1);
        let guest = comes(&shared);
        shared.resize(2);
        assert_eq!(settled(&shared, 1, [guest.join().unwrap()]), (2, 0));
    });
    loom::model(|| {
        let shared = gate(1, 2, 1);
        let guests = [come(&shared), come(&shared)];
        let released = releases(&shared);
        shared.resize(2);
        released.join().unwrap();
        assert_eq!(settled(&shared, 0, guests), (2, 0));
    });
}

/// Fails when `release` hands its permit over without asking for the limit.
#[test]
fn a_permit_less_is_not_given_out_again() {
    loom::model(|| {
        let shared = gate(2, 2, 2);
        let guests = [come(&shared), come(&shared)];
        let released = releases(&shared);
        shared.resize(1);
        released.join().unwrap();
        shared.release();
        // Two are out if the permit was handed on before there were fewer.
        assert_eq!(settled(&shared, 0, guests), (1, 1));
    });
}
