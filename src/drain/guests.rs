//! Who is here, and how each is told that it is time.
//!
//! # Why nobody misses it
//!
//! To enter, to leave one's waker and to begin the drain all take the same lock. Who enters or leaves a waker before
//! is among those who are woken; who comes after sees that it has begun.

use std::mem;
use std::task::Waker;
use std::time::Instant;

use http::{Method, Uri};

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering::SeqCst};

#[derive(Debug)]
pub(super) struct Guests {
    /// Whether to ask for more. Read without the lock.
    begun: AtomicBool,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    began: Option<Began>,
    rooms: Vec<Room>,
    free: Vec<usize>,
}

#[derive(Debug)]
enum Room {
    Free,
    Taken { who: Who, waker: Option<Waker> },
}

/// When the drain began, and when everybody has to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Began {
    pub(super) at: Instant,
    /// `None` is beyond the clock.
    pub(super) by: Option<Instant>,
}

/// A request that is here, for a report.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) since: Instant,
}

/// Where somebody stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(usize);

/// The door is shut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shut;

impl Guests {
    pub(super) fn new() -> Self {
        Self { begun: AtomicBool::new(false), book: Mutex::new(Book::default()) }
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    pub(super) fn began(&self) -> Option<Began> {
        self.lock().began
    }

    /// When the drain has begun, only `late` guests get in.
    pub(super) fn enter(&self, who: Who, late: bool) -> Result<Key, Shut> {
        let mut book = self.lock();
        if book.began.is_some() && !late {
            return Err(Shut);
        }
        let room = Room::Taken { who, waker: None };
        Ok(Key(match book.free.pop() {
            Some(key) => {
                book.rooms[key] = room;
                key
            }
            None => {
                book.rooms.push(room);
                book.rooms.len() - 1
            }
        }))
    }

    /// Wakes this one when the drain begins, unless it has.
    pub(super) fn listen(&self, key: Key, waker: Waker) -> Option<Began> {
        // Dropped behind the lock: a waker may run anything.
        let mut waker = Some(waker);
        let mut book = self.lock();
        if book.began.is_none() {
            if let Some(Room::Taken { waker: kept, .. }) = book.rooms.get_mut(key.0) {
                mem::swap(kept, &mut waker);
            }
        }
        book.began
    }

    /// Whether that was the last who was here while it drains. `count` is told who it was, before anybody can see that they
    /// have gone; not before the drain has begun.
    pub(super) fn leave(&self, key: Key, count: impl FnOnce(Who)) -> bool {
        let (last, _waker) = {
            let mut book = self.lock();
            let room = book.rooms.get_mut(key.0).map(|room| mem::replace(room, Room::Free));
            let begun = book.began.is_some();
            let waker = match room {
                Some(Room::Taken { who, waker }) => {
                    if begun {
                        count(who);
                    }
                    waker
                }
                Some(Room::Free) | None => None,
            };
            book.free.push(key.0);
            let empty = book.present() == 0;
            // What a busy hour needed is not kept for ever.
            if empty && book.rooms.len() > KEPT_ROOMS {
                book.rooms = Vec::new();
                book.free = Vec::new();
            }
            // The waker is dropped behind the lock.
            (begun && empty, waker)
        };
        last
    }

    /// Whoever is here is to be woken. `None` when it has begun before.
    pub(super) fn begin(&self, began: Began) -> Option<Vec<Waker>> {
        let mut book = self.lock();
        if book.began.is_some() {
            return None;
        }
        book.began = Some(began);
        self.begun.store(true, SeqCst);
        Some(book.rooms.iter_mut().filter_map(Room::take_waker).collect())
    }

    pub(super) fn present(&self) -> usize {
        self.lock().present()
    }

    /// Some of those who are here.
    pub(super) fn who(&self, most: usize) -> Vec<Who> {
        let book = self.lock();
        let taken = book.rooms.iter().filter_map(|room| match room {
            Room::Taken { who, .. } => Some(who.clone()),
            Room::Free => None,
        });
        taken.take(most).collect()
    }

    // Nothing in here panics while the lock is held, and the book is whole at every step.
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

const KEPT_ROOMS: usize = 1_024;

impl Book {
    fn present(&self) -> usize {
        self.rooms.len() - self.free.len()
    }
}

impl Room {
    fn take_waker(&mut self) -> Option<Waker> {
        match self {
            Self::Taken { waker, .. } => waker.take(),
            Self::Free => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    pub(crate) fn any_instant() -> Instant {
        Instant::now()
    }

    pub(crate) fn anybody() -> Who {
        Who { method: Method::GET, uri: Uri::from_static("/"), since: any_instant() }
    }

    pub(crate) fn began() -> Began {
        let at = any_instant();
        Began { at, by: Some(at + Duration::from_secs(30)) }
    }

    #[cfg(not(lifeline_loom))]
    #[test]
    fn rooms_are_used_again_and_given_up_when_nobody_is_here() {
        let guests = Guests::new();
        let keys: Vec<_> = (0..3_000).map(|_| guests.enter(anybody(), false).unwrap()).collect();
        assert_eq!((guests.present(), guests.who(5).len()), (3_000, 5));
        let (first, rest) = keys.split_first().unwrap();
        guests.leave(*first, |_| {});
        assert_eq!(guests.enter(anybody(), false), Ok(*first));
        rest.iter().for_each(|key| assert!(!guests.leave(*key, |_| panic!("it does not drain"))));
        guests.begin(began()).unwrap();
        let mut counted = 0;
        assert!(guests.leave(*first, |_| counted = 1 + guests.book.try_lock().is_err() as usize));
        assert_eq!(counted, 2, "before anybody sees that they have gone");
        assert_eq!((guests.present(), guests.lock().rooms.capacity()), (0, 0));
    }

    #[cfg(not(lifeline_loom))]
    #[test]
    fn once_it_has_begun_only_late_guests_get_in_and_everybody_knows() {
        let guests = Guests::new();
        let early = guests.enter(anybody(), false).unwrap();
        assert_eq!(guests.listen(early, Waker::noop().clone()), None);
        let began = began();
        assert_eq!(guests.begin(began).unwrap().len(), 1);
        assert!(guests.begin(began).is_none());
        assert!(guests.is_begun());
        assert_eq!(guests.listen(early, Waker::noop().clone()), Some(began));
        assert_eq!(guests.enter(anybody(), false), Err(Shut));
        let late = guests.enter(anybody(), true).unwrap();
        assert_eq!(guests.listen(late, Waker::noop().clone()), Some(began));
    }
}

#[cfg(all(test, lifeline_loom))]
mod loom_models {
    use std::sync::Arc;
    use std::task::Wake;

    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::tests::{anybody, began};
    use super::*;

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Enters, looks and waits as a body does: what was there to be seen, or the wake-up that is to come.
    fn stays(guests: &Guests, woken: &Arc<Woken>) -> Option<(Key, bool)> {
        let key = guests.enter(anybody(), false).ok()?;
        Some((key, guests.listen(key, Waker::from(Arc::clone(woken))).is_some()))
    }

    #[test]
    fn who_comes_while_it_begins_is_refused_or_sees_it_or_is_woken() {
        loom::model(|| {
            let guests = Arc::new(Guests::new());
            let woken = Arc::new(Woken(AtomicUsize::new(0)));
            let other = thread::spawn({
                let (guests, woken) = (Arc::clone(&guests), Arc::clone(&woken));
                move || stays(&guests, &woken).map(|(_, seen)| seen)
            });
            guests.begin(began()).expect("the first").into_iter().for_each(Waker::wake);
            let stays = other.join().unwrap();
            let wakes = woken.0.load(Ordering::SeqCst);
            assert_eq!(wakes, usize::from(stays == Some(false)), "{stays:?}");
        });
    }

    #[test]
    fn who_goes_while_being_told_is_gone_once() {
        loom::model(|| {
            let guests = Arc::new(Guests::new());
            let woken = Arc::new(Woken(AtomicUsize::new(0)));
            let (key, _) = stays(&guests, &woken).expect("open");
            let (other, _) = stays(&guests, &woken).expect("open");
            let leaving = thread::spawn({
                let guests = Arc::clone(&guests);
                move || guests.leave(key, |_| {})
            });
            guests.begin(began()).expect("the first").into_iter().for_each(Waker::wake);
            let last = guests.leave(other, |_| {});
            // Exactly one of them turns the lights out.
            assert!(leaving.join().unwrap() ^ last);
            assert_eq!(guests.present(), 0);
        });
    }
}
