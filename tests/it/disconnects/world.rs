//! Streams that break off, and what their server sees of it. Virtual time, whole milliseconds.

use std::time::Duration;

use crate::simulator::random::Random;

/// When a person leaves, counted from the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    Never,
    /// Without memory, 90 s in the mean.
    AnyMoment,
    /// Any moment of ten minutes is as likely as any other.
    Evenly,
    /// Log-normal: half of them within 45 s, a tenth after 3.5 minutes.
    AfterReading,
    /// Pareto: half of them within 2 s, one in a hundred after more than a minute.
    AtOnceOrLate,
    /// Weibull with a hump at 35 s: an answer that takes everybody about as long to read.
    AfterOneScreen,
    /// A third within 3 s in the mean, the others five minutes.
    BouncesOrStays,
    /// By a clock that ticks once a second.
    AtWholeSeconds,
    /// Up to 300 ms behind an event, the twentieth in the mean or the last; at any moment where there are none.
    AtAnEvent,
}

pub(crate) const PEOPLE: [Leaves; 8] = [
    Leaves::AnyMoment,
    Leaves::Evenly,
    Leaves::AfterReading,
    Leaves::AtOnceOrLate,
    Leaves::AfterOneScreen,
    Leaves::BouncesOrStays,
    Leaves::AtWholeSeconds,
    Leaves::AtAnEvent,
];

/// What the producer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talks {
    /// Nothing at all.
    Never,
    /// One event within two seconds, then nothing.
    Once,
    /// Tokens, five a second, for up to a minute, then nothing.
    Tokens,
    /// An event every so often, on the dot.
    Every(Duration),
    /// Events at any moment, one in ten seconds.
    NowAndThen,
}

pub(crate) const PRODUCERS: [Talks; 5] =
    [Talks::Never, Talks::Once, Talks::Tokens, Talks::Every(Duration::from_secs(5)), Talks::NowAndThen];

/// What stands between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) leaves: Leaves,
    /// In a hundred: how many of the streams have a person at their end. The others only end by the path.
    pub(crate) people: u64,
    pub(crate) talks: Talks,
    /// A heartbeat in every silence of so long.
    pub(crate) beat: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) cap: Option<Duration>,
}

impl World {
    pub(crate) const QUIET: Self =
        Self { leaves: Leaves::Never, people: 100, talks: Talks::Once, beat: None, idle: None, cap: None };
}

/// The end of one stream, as its server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) age: Duration,
    /// Since the last bytes.
    pub(crate) silence: Duration,
    /// The longest silence before that, which the stream has survived.
    pub(crate) survived: Duration,
    pub(crate) by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Person,
    Idle,
    Cap,
}

/// The ends of one stream after the other, for ever.
pub(crate) fn ends(world: World, seed: u64) -> impl Iterator<Item = End> {
    let mut random = Random::seeded(seed);
    std::iter::repeat_with(move || end(world, &mut random))
}

/// Nobody lives longer.
const LONGEST: f64 = 86_400.0;

fn end(world: World, random: &mut Random) -> End {
    let person = random.percent(world.people);
    let cap = world.cap.map_or(LONGEST, |cap| cap.as_secs_f64());
    let any_time = if person { leaves(world.leaves, random) } else { LONGEST };
    // What comes later, nobody sees.
    let events = events(world.talks, cap.min(any_time), random);
    let leaves =
        if person && world.leaves == Leaves::AtAnEvent { at_an_event(&events, random) } else { any_time };
    let idle = world.idle.map(|idle| idle.as_secs_f64());
    let beat = world.beat.map(|beat| beat.as_secs_f64());

    let (mut last, mut survived) = (0.0_f64, 0.0_f64);
    let mut events = events.into_iter().peekable();
    let (cut, by) = loop {
        let event = events.peek().copied().unwrap_or(f64::INFINITY);
        let next = beat.map_or(event, |beat| event.min(last + beat));
        let idle = idle.map_or(f64::INFINITY, |idle| last + idle);
        let over = leaves.min(cap).min(idle);
        if over <= next {
            let by = if over == leaves && person && leaves < LONGEST {
                By::Person
            } else if over == idle {
                By::Idle
            } else {
                By::Cap
            };
            break (over, by);
        }
        if next == event {
            events.next();
        }
        survived = survived.max(next - last);
        last = next;
    };
    // A person's leaving is told by the same network and the same server.
    let seen = cut + delay(by, random);
    End { age: millis(seen), silence: millis(seen - last), survived: millis(survived), by }
}

/// How much later than it should have been an end is seen: a timer that is looked at ten times a second, the network, and
/// in two of a hundred ends a server that is busy.
fn delay(by: By, random: &mut Random) -> f64 {
    let tick = if by == By::Person { 0.0 } else { 0.1 * random.share() };
    let busy = if random.percent(2) { 0.3 * random.share() } else { 0.0 };
    tick + 0.005 + 0.035 * random.share() + busy
}

/// Seconds.
fn events(talks: Talks, seen: f64, random: &mut Random) -> Vec<f64> {
    let first = 2.0 * random.share();
    let spaced = |mut gap: Box<dyn FnMut() -> f64>, until: f64| {
        let until = until.min(seen);
        let mut events = vec![first];
        while events[events.len() - 1] < until {
            events.push(events[events.len() - 1] + gap());
        }
        events
    };
    match talks {
        Talks::Never => Vec::new(),
        Talks::Once => vec![first],
        Talks::Tokens => {
            let until = 60.0 * random.share();
            let mut random = random.fork();
            spaced(Box::new(move || exponential(0.2, &mut random)), until)
        }
        // On the dot from the call on: without a spread of their own.
        Talks::Every(period) => {
            let period = period.as_secs_f64();
            (0..720).map(|number| f64::from(number) * period).take_while(|at| *at <= seen).collect()
        }
        Talks::NowAndThen => {
            let mut random = random.fork();
            spaced(Box::new(move || exponential(10.0, &mut random)), 7_200.0)
        }
    }
}

fn leaves(leaves: Leaves, random: &mut Random) -> f64 {
    let seconds = match leaves {
        Leaves::Never => LONGEST,
        Leaves::AnyMoment => exponential(90.0, random),
        Leaves::Evenly => 600.0 * random.share(),
        Leaves::AfterReading => 45.0 * (1.2 * normal(random)).exp(),
        Leaves::AtOnceOrLate => (1.0 - random.share()).powf(-1.0 / 1.1),
        Leaves::AfterOneScreen => 40.0 * exponential(1.0, random).powf(1.0 / 3.0),
        Leaves::BouncesOrStays => {
            let mean = if random.percent(33) { 3.0 } else { 300.0 };
            exponential(mean, random)
        }
        Leaves::AtWholeSeconds => exponential(60.0, random).ceil(),
        // It depends on the events, and there are enough in ten minutes.
        Leaves::AtAnEvent => 600.0,
    };
    seconds.min(LONGEST - 1.0)
}

fn at_an_event(events: &[f64], random: &mut Random) -> f64 {
    let number = exponential(20.0, random) as usize;
    match events.get(number.min(events.len().saturating_sub(1))) {
        Some(event) => event + 0.3 * random.share(),
        None => exponential(60.0, random),
    }
}

fn exponential(mean: f64, random: &mut Random) -> f64 {
    -mean * (1.0 - random.share()).ln()
}

/// Box and Muller's.
fn normal(random: &mut Random) -> f64 {
    (-2.0 * (1.0 - random.share()).ln()).sqrt() * (std::f64::consts::TAU * random.share()).cos()
}

/// Whole milliseconds, so that the last bit of a logarithm makes no difference between machines.
fn millis(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1_000.0).round() as u64)
}
