//! The simulated server and the limit in front of it. Virtual time: a run of hours takes milliseconds.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::random::Random;
use super::{Feed, Kind, PATIENCE, PERIOD, SETTLING, Seen, WITHIN};

/// What was seen in one period, all but `near_after` once it had time to settle.
#[derive(Debug, Default)]
pub(crate) struct Period {
    pub(crate) best: usize,
    /// When the limit first was as near to the best one as it has to stay, counted from the change.
    pub(crate) near_after: Option<Duration>,
    /// Mean over time of the limit.
    pub(crate) limit: f64,
    /// Mean over time of how far the limit was from the best one, as a share of the best.
    pub(crate) off: f64,
    /// Mean over time of the streams that are running: what the server gets done.
    pub(crate) running: f64,
    /// Nine of ten first bytes came within this.
    pub(crate) first_byte: Duration,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Change,
    Arrival,
    FirstByte(usize),
    GivenUp(usize),
    End(usize),
}

struct Request {
    admitted: Duration,
    answered: bool,
    /// From getting its turn to its first byte, and from there to its end.
    work: Duration,
    stream: Duration,
}

struct Run<'a, L> {
    kind: Kind,
    capacity: usize,
    random: Random,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, usize, Event)>>,
    scheduled: usize,
    requests: Vec<Request>,
    /// Admitted, but without a turn.
    waiting: VecDeque<usize>,
    working: usize,
    in_flight: usize,
    running: usize,
    limit: usize,
    feed: Feed,
    limiter: &'a mut L,
    first_bytes: Vec<Duration>,
}

/// One period for each capacity, in turn, with one limiter.
pub(crate) fn simulate(
    kind: Kind,
    capacities: &[usize],
    seed: u64,
    feed: Feed,
    start: usize,
    mut limiter: impl FnMut(&Seen) -> usize,
) -> Vec<Period> {
    let mut run = Run {
        kind,
        capacity: capacities[0],
        random: Random::seeded(seed),
        now: Duration::ZERO,
        events: BinaryHeap::new(),
        scheduled: 0,
        requests: Vec::new(),
        waiting: VecDeque::new(),
        working: 0,
        in_flight: 0,
        running: 0,
        limit: start,
        feed,
        limiter: &mut limiter,
        first_bytes: Vec::new(),
    };
    run.after(Duration::ZERO, Event::Arrival);
    capacities.iter().map(|&capacity| run.period(capacity)).collect()
}

impl<L: FnMut(&Seen) -> usize> Run<'_, L> {
    fn after(&mut self, wait: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((self.now + wait, self.scheduled, event)));
    }

    fn period(&mut self, capacity: usize) -> Period {
        let best = self.kind.best(capacity);
        let mut seen = Period { best, ..Period::default() };
        let off = |limit: usize| limit.abs_diff(best) as f64 / best as f64;

        self.capacity = capacity;
        self.give_turns();
        let changed = self.now;
        self.after(SETTLING, Event::Change);
        self.until_change(|run, _| {
            if seen.near_after.is_none() && off(run.limit) <= WITHIN {
                seen.near_after = Some(run.now - changed);
            }
        });

        self.first_bytes.clear();
        self.after(PERIOD - SETTLING, Event::Change);
        self.until_change(|run, passed| {
            let share = passed.as_secs_f64() / (PERIOD - SETTLING).as_secs_f64();
            seen.limit += share * run.limit as f64;
            seen.off += share * off(run.limit);
            seen.running += share * run.running as f64;
        });
        self.first_bytes.sort();
        seen.first_byte = self.first_bytes[self.first_bytes.len() * 9 / 10];
        seen
    }

    fn until_change(&mut self, mut watch: impl FnMut(&Self, Duration)) {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            watch(self, at - self.now);
            self.now = at;
            match event {
                Event::Change => return,
                Event::Arrival => self.arrives(),
                Event::FirstByte(id) => self.answers(id),
                Event::GivenUp(id) => self.gives_up(id),
                Event::End(id) => self.ends(id),
            }
        }
    }

    fn arrives(&mut self) {
        let gap = self.random.between(Duration::ZERO, Duration::from_millis(200));
        self.after(gap, Event::Arrival);
        if self.in_flight >= self.limit {
            return;
        }
        self.in_flight += 1;
        let id = self.requests.len();
        let request = self.draw();
        self.requests.push(request);
        self.waiting.push_back(id);
        self.after(PATIENCE, Event::GivenUp(id));
        self.give_turns();
    }

    fn draw(&mut self) -> Request {
        let mut work = self.random.between(Duration::from_millis(150), Duration::from_millis(250));
        if self.random.percent(4) {
            work *= 10;
        }
        let mut stream = self.random.between(Duration::from_secs(5), Duration::from_secs(10));
        let mut doublings = 0;
        while doublings < 6 && self.random.percent(45) {
            stream *= 2;
            doublings += 1;
        }
        Request { admitted: self.now, answered: false, work, stream }
    }

    fn give_turns(&mut self) {
        while self.kind == Kind::Crowd || self.working < self.capacity {
            let Some(id) = self.waiting.pop_front() else { return };
            self.working += 1;
            let work = self.requests[id].work.mul_f64(self.kind.slowdown(self.in_flight, self.capacity));
            self.after(work, Event::FirstByte(id));
        }
    }

    fn answers(&mut self, id: usize) {
        let request = &mut self.requests[id];
        let latency = self.now - request.admitted;
        // Whoever gave up is no longer there.
        if latency >= PATIENCE {
            return;
        }
        request.answered = true;
        self.running += 1;
        let stream = request.stream;
        self.first_bytes.push(latency);
        self.after(stream, Event::End(id));
        if self.feed == Feed::FirstByte {
            self.feed(latency, false);
        }
    }

    fn gives_up(&mut self, id: usize) {
        if self.requests[id].answered {
            return;
        }
        match self.waiting.iter().position(|&waiting| waiting == id) {
            Some(place) => drop(self.waiting.remove(place)),
            None => self.working -= 1,
        }
        self.first_bytes.push(PATIENCE);
        self.feed(PATIENCE, true);
        self.leaves();
    }

    fn ends(&mut self, id: usize) {
        self.working -= 1;
        self.running -= 1;
        if self.feed == Feed::WholeStream {
            self.feed(self.now - self.requests[id].admitted, false);
        }
        self.leaves();
    }

    fn leaves(&mut self) {
        self.in_flight -= 1;
        self.give_turns();
    }

    fn feed(&mut self, latency: Duration, dropped: bool) {
        self.limit = (self.limiter)(&Seen { latency, in_flight: self.in_flight, dropped });
    }
}
