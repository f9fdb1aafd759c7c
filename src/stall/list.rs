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

#[cfg(all(test, not(lifeline_loom)))]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    const LIMITS: Limits = Limits { limit: Duration::from_secs(16), rate: None };

    /// Counts the looks at it, and says each time what it was made to say.
    struct Scripted {
        reader: Reader,
        looks: AtomicUsize,
        says: fn(Instant) -> Look,
    }

    impl Watched for Scripted {
        fn look(&self, _: &mut Watch, _: &Limits, now: Instant) -> Look {
            self.looks.fetch_add(1, Ordering::Relaxed);
            (self.says)(now)
        }

        fn reader(&self) -> &Reader {
            &self.reader
        }
    }

    fn stream(says: fn(Instant) -> Look) -> Arc<Scripted> {
        Arc::new(Scripted { reader: Reader::default(), looks: AtomicUsize::new(0), says })
    }

    fn stays(now: Instant) -> Look {
        Look::Stays(Some(now + Duration::from_secs(5)))
    }

    fn looks(stream: &Scripted) -> usize {
        stream.looks.load(Ordering::Relaxed)
    }

    /// Where to go on, how long nobody needs to be looked at, and how many were cut.
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn look(list: &List, from: usize) -> (Option<usize>, u64, usize) {
        let now = Instant::now();
        let (mut until, mut cut) = (now + Duration::from_secs(60), Vec::new());
        let more = list.look(from, &LIMITS, now, &mut until, &mut cut);
        (more, (until - now).as_secs(), cut.len())
    }

    #[test]
    fn the_first_who_enters_starts_a_watchdog_and_so_does_the_first_behind_the_last() {
        let list = List::new();
        let (first, starts) = list.enter(stream(stays));
        assert!(starts);
        let (second, starts) = list.enter(stream(stays));
        assert!(!starts && first != second);
        list.leave(first);
        assert!(!list.ends());
        list.leave(second);
        assert!(list.ends());
        assert!(list.enter(stream(stays)).1);
        // It is gone, and somebody is left.
        list.is_abandoned();
        assert!(list.enter(stream(stays)).1);
    }

    #[test]
    fn who_has_left_is_not_looked_at_and_its_place_is_used_again() {
        let list = List::new();
        let [first, second] = [stream(stays), stream(stays)];
        let (place, _) = list.enter(first.clone());
        list.enter(second.clone());
        assert_eq!(look(&list, 0), (None, 5, 0));
        list.leave(place);
        // To leave twice would give the place to two.
        list.leave(place);
        assert_eq!(look(&list, 0), (None, 5, 0));
        assert_eq!((looks(&first), looks(&second)), (1, 2));
        let third = stream(stays);
        assert_eq!(list.enter(third.clone()).0, place);
        assert_ne!(list.enter(stream(stays)).0, place);
        assert_eq!(look(&list, 0), (None, 5, 0));
        assert_eq!((looks(&first), looks(&second), looks(&third)), (1, 3, 1));
    }

    #[test]
    fn who_waits_for_its_producer_or_is_cut_is_out_of_it() {
        let list = List::new();
        let [left, stalled] = [
            stream(|_| Look::Left),
            stream(|_| Look::Cut(StallError::unasked(LIMITS.limit, LIMITS.limit, 0), Box::pin(()))),
        ];
        list.enter(left.clone());
        list.enter(stalled.clone());
        list.enter(stream(|_| Look::Stays(None)));
        assert_eq!(look(&list, 0), (None, 60, 1));
        assert_eq!(look(&list, 0), (None, 60, 0));
        assert_eq!((looks(&left), looks(&stalled)), (1, 1));
        assert!(!list.ends());
    }

    #[test]
    fn many_are_looked_at_in_turns_and_each_once() {
        let list = List::new();
        let streams: Vec<_> = (0..2 * AT_A_TIME + 1).map(|_| stream(stays)).collect();
        for stream in &streams {
            list.enter(stream.clone());
        }
        assert_eq!(look(&list, 0).0, Some(AT_A_TIME));
        assert_eq!(look(&list, AT_A_TIME).0, Some(2 * AT_A_TIME));
        assert_eq!(look(&list, 2 * AT_A_TIME).0, None);
        assert!(streams.iter().all(|stream| looks(stream) == 1));
    }

    #[test]
    fn as_many_as_one_look_takes_need_no_other() {
        let list = List::new();
        for _ in 0..AT_A_TIME {
            list.enter(stream(stays));
        }
        assert_eq!(look(&list, 0).0, None);
    }
}
