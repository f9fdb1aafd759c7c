//! The streams that may be stalled, and whether a watchdog looks at them.
//!
//! A stream is in it from a frame that was taken until a look finds it waiting for its producer, or until it is
//! dropped. So a stream that waits costs nothing, and one that is busy takes this lock once a look and not once a
//! frame.
//!
//! # Why no stream is left alone
//!
//! Whoever enters and finds no watchdog starts one, and a watchdog that finds nobody left ends: both are decided under
//! the lock. A watchdog never waits for the lock of a stream, because a stream that is being asked holds it and may
//! enter here.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::error::StallError;
use super::layer::Reader;
use super::watch::{Limits, Watch};
use crate::sync::{Mutex, MutexGuard};

/// A stream as the watchdog sees it.
pub(super) trait Watched: Send + Sync {
    /// Called under the lock of the list.
    fn look(&self, watch: &mut Watch, limits: &Limits, now: Instant) -> Look;

    fn reader(&self) -> &Reader;
}

pub(super) enum Look {
    /// It is not in the list any more.
    Left,
    Stays(Option<Instant>),
    /// It is not in the list any more, nor is this its body.
    Cut(StallError, Pin<Box<dyn Send>>),
}

/// Where a stream stands in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

pub(super) struct List(Mutex<Places>);

/// So many streams are looked at before others get the lock.
const AT_A_TIME: usize = 256;

#[derive(Default)]
struct Places {
    places: Vec<Option<Entry>>,
    free: Vec<usize>,
    watched: bool,
}

struct Entry {
    stream: Arc<dyn Watched>,
    watch: Watch,
}

/// One whose body has been taken out.
pub(super) struct Cut {
    pub(super) error: StallError,
    pub(super) body: Pin<Box<dyn Send>>,
    pub(super) stream: Arc<dyn Watched>,
}

impl List {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Places::default()))
    }

    /// Whether the caller has to start a watchdog: there was none, and now counts as one.
    pub(super) fn enter(&self, stream: Arc<dyn Watched>) -> (Place, bool) {
        let entry = Some(Entry { stream, watch: Watch::default() });
        let mut list = self.lock();
        let place = match list.free.pop() {
            Some(place) => {
                list.places[place] = entry;
                place
            }
            None => {
                list.places.push(entry);
                list.places.len() - 1
            }
        };
        (Place(place), !std::mem::replace(&mut list.watched, true))
    }

    pub(super) fn leave(&self, place: Place) {
        let entry = self.lock().remove(place.0);
        drop(entry);
    }

    /// Looks at some streams, from this place on, and brings `until` forward to when one of them wants to be looked at
    /// again. Returns the place to go on with, if there are more.
    pub(super) fn look(
        &self,
        from: usize,
        limits: &Limits,
        now: Instant,
        until: &mut Instant,
        cut: &mut Vec<Cut>,
    ) -> Option<usize> {
        let mut list = self.lock();
        let to = list.places.len().min(from + AT_A_TIME);
        for place in from..to {
            let Some(Entry { stream, watch }) = &mut list.places[place] else {
                continue;
            };
            match stream.look(watch, limits, now) {
                Look::Stays(at) => *until = at.map_or(*until, |at| at.min(*until)),
                Look::Left => drop(list.remove(place)),
                Look::Cut(error, body) => {
                    let stream = Arc::clone(stream);
                    list.remove(place);
                    cut.push(Cut { error, body, stream });
                }
            }
        }
        (to < list.places.len()).then_some(to)
    }

    /// Whether nobody is left to be looked at. Then the watchdog has ended, and must not look any more.
    pub(super) fn ends(&self) -> bool {
        let mut list = self.lock();
        let nobody = list.free.len() == list.places.len();
        if nobody {
            // The memory of a busy hour goes, too.
            *list = Places::default();
        }
        nobody
    }

    /// The watchdog is gone although there are streams to look at. The next who enters starts another one.
    pub(super) fn is_abandoned(&self) {
        self.lock().watched = false;
    }

    // The list is whole at every step.
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Places {
    fn remove(&mut self, place: usize) -> Option<Entry> {
        let entry = self.places.get_mut(place)?.take();
        if entry.is_some() {
            self.free.push(place);
        }
        entry
    }
}
