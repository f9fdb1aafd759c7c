//! A stream's part in a drain: how long it stays, and what it says when it goes.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::error::DrainError;
use super::guest::Guest;
use super::leave::{Leave, Stands};
use super::{OnDrain, leave};
use crate::StreamEnd;
use crate::body::{Cut, Fault};
use crate::dialect::{Dialect, Place, Tracker};
use crate::drain::report::{Stood, Went};
use crate::heartbeat::Beat;
use crate::reject::{Ending, Goodbye, Said};

/// What a stream knows of the drain.
#[derive(Debug)]
pub(crate) struct Stay {
    guest: Guest,
    leave: Leave,
    /// It has been told that the drain has begun.
    heard: bool,
    on_drain: OnDrain,
    ending: Ending,
    /// The handler's own last words.
    farewell: Option<Beat>,
    max_age: Duration,
    /// It has said goodbye.
    spoke: bool,
}

/// What to do now.
#[derive(Debug)]
pub(crate) enum Due {
    /// Nothing before this instant, if there is one.
    At(Option<Instant>),
    /// It ends at the next boundary: to be asked with every frame, and at this instant if there is one.
    Boundary {
        at_the_latest: Option<Instant>,
    },
    Over(Cut),
}

impl Stay {
    pub(super) fn new(mut guest: Guest, on_drain: OnDrain, ending: Ending, farewell: Option<Beat>) -> Self {
        guest.stands(Stood::Inside);
        Self {
            guest,
            leave: Leave::at_age(None),
            heard: false,
            on_drain,
            ending,
            farewell,
            max_age: Duration::ZERO,
            spoke: false,
        }
    }

    /// It makes room at this instant, when it is so old.
    pub(super) fn until(mut self, at: Option<Instant>, age: Duration) -> Self {
        self.leave = Leave::at_age(at);
        self.max_age = age;
        self
    }

    /// Something has happened that [`due`](Self::due) does not know.
    pub(crate) fn is_told(&self) -> bool {
        !self.heard && self.guest.drain().guests.is_begun()
    }

    pub(crate) fn listen(&mut self, waker: &Waker) {
        if !self.heard {
            self.guest.listen(waker);
        }
    }

    pub(crate) fn may_end_well(&self) -> bool {
        self.ending != Ending::Abort || self.farewell.is_some()
    }

    /// Asked while the inner body is pending, and now and then while it is ready.
    pub(crate) fn due(&mut self, tracker: Tracker, now: Instant) -> Due {
        self.hear(now);
        match self.leave.due(self.stands(tracker), now) {
            leave::Due::At(at) => Due::At(at),
            leave::Due::Boundary(at_the_latest) => Due::Boundary { at_the_latest },
            leave::Due::Leaves(why) => Due::Over(self.says(why, tracker)),
            leave::Due::Cut => Due::Over(self.cut(StreamEnd::Drained, Said::Abort)),
        }
    }

    pub(crate) fn ended(&mut self, end: StreamEnd) {
        self.guest.goes(Went::of(end, self.spoke));
    }

    /// Whether the drain's deadline has passed.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let began = self.guest.drain().guests.began();
        began.and_then(|began| began.by).is_some_and(|by| by <= now)
    }

    fn hear(&mut self, now: Instant) {
        if !self.is_told() {
            return;
        }
        self.heard = true;
        let drain = self.guest.drain();
        if let Some(began) = drain.guests.began() {
            let leaves = self.on_drain == OnDrain::Leave;
            let from = if leaves { drain.leaves_at(began, now) } else { None };
            self.leave.drain(from, began.by);
        }
    }

    fn stands(&self, tracker: Tracker) -> Stands {
        match tracker {
            _ if self.ending == Ending::Abort && self.farewell.is_none() => Stands::Nowhere,
            Tracker::Opaque => Stands::Nowhere,
            // Nothing but trailers can be said there, not even a farewell.
            Tracker::Grpc(_) if self.ending != Ending::Grpc => Stands::Nowhere,
            Tracker::Grpc(at) if at.is_between() => Stands::Between,
            _ if tracker.place() == Place::Between => Stands::Between,
            _ => Stands::Inside,
        }
    }

    fn says(&mut self, why: StreamEnd, tracker: Tracker) -> Cut {
        let said = match (&self.farewell, tracker) {
            (Some(farewell), Tracker::EventStream(_)) => {
                Said::Bytes(farewell.in_dialect(Dialect::EventStream))
            }
            (Some(farewell), Tracker::NdJson(_)) => Said::Bytes(farewell.in_dialect(Dialect::NdJson)),
            _ => {
                let message = match why {
                    StreamEnd::Aged => "This stream makes room for a new one.",
                    _ => "The server is about to stop.",
                };
                let retry = self.guest.drain().retry();
                Goodbye::elsewhere(message).with_retry(retry).say(&self.ending, tracker)
            }
        };
        self.cut(why, said)
    }

    fn cut(&mut self, end: StreamEnd, said: Said) -> Cut {
        self.spoke = !matches!(said, Said::Abort);
        let limit = match end {
            StreamEnd::Aged => self.max_age,
            _ => self.guest.drain().deadline(),
        };
        Cut { fault: Fault::Drain(DrainError::new(end, limit)), said }
    }
}
