use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Arrive,
    /// One of those who wait or have been called looks whether it is their turn.
    Look(Index),
    /// One of those who have been called does.
    LookWhenCalled(Index),
    /// One of those who wait or have been called is gone.
    Leave(Index),
    Release(Index),
    Resize(usize),
    ResizeQueue(usize),
    Close,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Arrive),
        2 => any::<Index>().prop_map(Step::Look),
        4 => any::<Index>().prop_map(Step::LookWhenCalled),
        3 => any::<Index>().prop_map(Step::Leave),
        5 => any::<Index>().prop_map(Step::Release),
        1 => (0_usize..5).prop_map(Step::Resize),
        1 => (0_usize..5).prop_map(Step::ResizeQueue),
        1 => Just(Step::Close),
        2 => Just(Step::Reopen),
    ]
}

struct Guest {
    name: usize,
    ticket: Ticket,
    wakes: Arc<Count>,
}

impl Guest {
    fn woken(&self) -> usize {
        self.wakes.0.load(SeqCst)
    }

    fn look(&self, shared: &Shared) -> Poll<bool> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        shared.poll_turn(self.ticket, &Context::from_waker(&waker))
    }
}

/// The gate as a story: who holds a permit, who has been called, who waits, in order.
struct House {
    shared: Shared,
    limit: usize,
    depth: usize,
    closed: bool,
    /// Not more than this many permits may be out: the limit, or what was out when it was lowered and has not come back.
    most: usize,
    held: Vec<usize>,
    /// How many ever held one.
    served: u64,
    called: VecDeque<Guest>,
    waiting: VecDeque<Guest>,
    sent_away: Vec<Guest>,
    next: usize,
}

impl House {
    fn new(limit: usize, depth: usize) -> Self {
        Self {
            shared: Shared::new(limit, depth),
            limit,
            depth,
            closed: false,
            most: limit,
            held: Vec::new(),
            served: 0,
            called: VecDeque::new(),
            waiting: VecDeque::new(),
            sent_away: Vec::new(),
            next: 0,
        }
    }

    fn out(&self) -> usize {
        self.held.len() + self.called.len()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Arrive => self.arrive(),
            Step::Look(index) if !self.inside().is_empty() => {
                let name = *index.get(&self.inside());
                self.look(name);
            }
            Step::LookWhenCalled(index) if !self.called.is_empty() => {
                let name = self.called[index.index(self.called.len())].name;
                self.look(name);
            }
            Step::Leave(index) if !self.inside().is_empty() => {
                let name = *index.get(&self.inside());
                let guest = self.take(name);
                self.shared.leave(guest.ticket);
                // To leave twice would give a permit back twice.
                self.shared.leave(guest.ticket);
            }
            Step::Release(index) if !self.held.is_empty() => {
                self.held.swap_remove(index.index(self.held.len()));
                self.shared.release();
            }
            Step::Resize(limit) => {
                self.limit = *limit;
                self.most = self.out();
                self.shared.resize(*limit);
            }
            Step::ResizeQueue(depth) => {
                self.depth = *depth;
                self.shared.set_depth(*depth);
            }
            Step::Close => {
                self.closed = true;
                self.sent_away.extend(self.waiting.drain(..));
                self.shared.close();
            }
            Step::Reopen => {
                self.closed = false;
                self.shared.reopen();
            }
            Step::Look(_) | Step::LookWhenCalled(_) | Step::Leave(_) | Step::Release(_) => {}
        }
        self.check();
    }

    fn inside(&self) -> Vec<usize> {
        self.called.iter().chain(&self.waiting).map(|guest| guest.name).collect()
    }

    fn take(&mut self, name: usize) -> Guest {
        for line in [&mut self.called, &mut self.waiting] {
            if let Some(at) = line.iter().position(|guest| guest.name == name) {
                return line.remove(at).expect("it is there");
            }
        }
        panic!("nobody of that name");
    }

    fn arrive(&mut self) {
        let name = self.next;
        self.next += 1;
        let free = !self.closed && self.out() < self.limit && self.waiting.is_empty();
        assert_eq!(self.shared.try_enter(), free, "{name}");
        if free {
            self.serve(name);
            return;
        }
        let wakes = Arc::default();
        let expected_full = self.waiting.len() >= self.depth;
        assert_eq!(self.shared.is_full(), expected_full);
        match self.shared.arrive(&Waker::from(Arc::clone(&wakes))) {
            Arrival::Closed => assert!(self.closed),
            Arrival::Full => assert!(!self.closed && expected_full),
            Arrival::Queued(ticket) => {
                assert!(!self.closed && !expected_full);
                self.waiting.push_back(Guest { name, ticket, wakes });
            }
        }
    }

    fn serve(&mut self, name: usize) {
        self.held.push(name);
        self.served += 1;
    }

    fn look(&mut self, name: usize) {
        let called = self.called.iter().any(|guest| guest.name == name);
        let guest = self.take(name);
        let looked = guest.look(&self.shared);
        if called {
            assert_eq!(looked, Poll::Ready(true), "{name} was called");
            self.serve(name);
        } else {
            assert_eq!(looked, Poll::Pending, "{name} is not next");
            let at = self.waiting.iter().position(|other| other.name > name).unwrap_or(self.waiting.len());
            self.waiting.insert(at, guest);
        }
    }

    /// What holds between any two steps.
    fn check(&mut self) {
        // First come, first served: who is free to be called has been, in order, and was woken once for it.
        while self.out() < self.limit {
            let Some(guest) = self.waiting.pop_front() else {
                break;
            };
            assert_eq!(guest.woken(), 1, "{} was called and not woken", guest.name);
            self.called.push_back(guest);
        }
        for guest in &self.called {
            assert_eq!(self.shared.place(guest.ticket), None, "{} was called", guest.name);
        }
        for (nth, guest) in self.waiting.iter().enumerate() {
            assert_eq!(self.shared.place(guest.ticket), Some(nth + 1), "of {}", guest.name);
            assert_eq!(guest.woken(), 0, "{} was woken and not called", guest.name);
        }
        // Permits out and free are as many as there are, whoever has them.
        assert_eq!(self.shared.in_flight(), self.out());
        assert_eq!(self.shared.admitted(), self.served + self.called.len() as u64);
        assert_eq!(self.shared.limit(), self.limit);
        self.most = self.most.min(self.out()).max(self.limit);
        assert!(self.out() <= self.most);
        assert_eq!(self.shared.queued(), self.waiting.len());
        assert!(self.waiting.is_empty() || self.out() >= self.limit, "somebody waits beside a free permit");
        for guest in self.sent_away.drain(..) {
            assert_eq!(guest.woken(), 1, "{} was sent away and not woken", guest.name);
            assert_eq!(guest.look(&self.shared), Poll::Ready(false), "{} was sent away", guest.name);
            self.shared.leave(guest.ticket);
        }
    }

    /// Everybody goes home, each in their way.
    fn empty(mut self) {
        for name in self.inside() {
            let guest = self.take(name);
            self.shared.leave(guest.ticket);
        }
        for _ in self.held.drain(..) {
            self.shared.release();
        }
        assert_eq!((self.shared.in_flight(), self.shared.queued()), (0, 0));
    }
}

proptest! {
    #[test]
    fn the_gate_keeps_its_books_whatever_comes(
        limit in 0_usize..4,
        depth in 0_usize..4,
        steps in vec(step(), 0..120),
    ) {
        let mut house = House::new(limit, depth);
        for step in &steps {
            house.step(step);
        }
        house.empty();
    }
}

#[test]
fn a_place_given_up_is_free_at_once() {
    let shared = Shared::new(1, 1);
    assert!(shared.try_enter());
    let Arrival::Queued(ticket) = shared.arrive(Waker::noop()) else {
        panic!("a place is free");
    };
    assert_eq!(shared.arrive(Waker::noop()), Arrival::Full);
    shared.leave(ticket);
    assert!(!shared.is_full());
    assert!(matches!(shared.arrive(Waker::noop()), Arrival::Queued(_)));
}

#[test]
fn nobody_overtakes_while_a_new_permit_is_on_its_way_to_those_who_wait() {
    let shared = Shared::new(1, 1);
    assert!(shared.try_enter());
    assert!(matches!(shared.arrive(Waker::noop()), Arrival::Queued(_)));
    shared.set_limit(2);
    assert!(!shared.try_enter());
    shared.call_next();
    assert_eq!((shared.in_flight(), shared.queued()), (2, 0));
}

/// Does something with the gate when it is woken and when it is dropped, as wakers of simple executors do.
struct Meddler(Arc<Shared>, Ticket);

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.0.leave(self.1);
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

#[test]
fn a_waker_may_use_the_gate() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let shared = Arc::new(Shared::new(1, 9));
        assert!(shared.try_enter());
        let queue = || match shared.arrive(Waker::noop()) {
            Arrival::Queued(ticket) => ticket,
            refused => panic!("{refused:?}"),
        };
        let meddler = || Waker::from(Arc::new(Meddler(Arc::clone(&shared), queue())));
        let look = |ticket, waker: &Waker| shared.poll_turn(ticket, &Context::from_waker(waker));
        let (replaced, left, called, dismissed) = (queue(), queue(), queue(), queue());
        assert_eq!(look(replaced, &meddler()), Poll::Pending);
        assert_eq!(look(replaced, Waker::noop()), Poll::Pending);
        assert_eq!(look(left, &meddler()), Poll::Pending);
        shared.leave(left);
        shared.leave(replaced);
        assert_eq!(look(called, &meddler()), Poll::Pending);
        shared.release();
        assert_eq!(look(called, Waker::noop()), Poll::Ready(true));
        assert_eq!(look(dismissed, &meddler()), Poll::Pending);
        shared.close();
        assert_eq!((shared.in_flight(), shared.queued()), (1, 0));
        sender.send(()).expect("somebody waits");
    });
    receiver.recv_timeout(Duration::from_secs(30)).expect("nothing of a waker runs under the lock");
}
