//! Every interleaving of a watchdog and the streams that it looks at.
//!
//! A model that cannot fail proves nothing: each says which change makes it fail.

use std::mem::forget;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use loom::thread;

use super::super::slot::Slot;
use super::*;
use crate::BoxError;

const LIMIT: Duration = Duration::from_secs(16);

impl Running {
    /// The model is the watchdog.
    pub(super) fn starts(self) -> bool {
        forget(self);
        true
    }
}

/// A body that is always ready, counts how often it has been dropped, and takes the lock of the list when it is.
struct Endless {
    dropped: Arc<AtomicUsize>,
    watchdog: Arc<Watchdog>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
        // Never returns when it is held.
        self.watchdog.list.ends();
    }
}

struct Stage {
    watchdog: Arc<Watchdog>,
    dropped: Arc<AtomicUsize>,
    began: Instant,
}

impl Stage {
    fn new() -> Self {
        let limits = Limits { limit: LIMIT, rate: None };
        let settings = Settings { limits, disconnect: super::super::Disconnect::Never, hook: None };
        Self { watchdog: Watchdog::new(settings), dropped: Arc::default(), began: now() }
    }

    fn stream(&self) -> Slot<Endless> {
        let body = Endless { dropped: Arc::clone(&self.dropped), watchdog: Arc::clone(&self.watchdog) };
        Slot::new(body, Arc::clone(&self.watchdog), super::super::layer::Reader::default())
    }

    fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    /// A look after so much time, by somebody else.
    fn looks(&self, after: Duration) -> thread::JoinHandle<()> {
        let (watchdog, seen) = (Arc::clone(&self.watchdog), self.began + after);
        thread::spawn(move || assert_eq!(watchdog.look(0, seen, &mut (seen + LIMIT)), None))
    }

    fn look(&self, after: Duration) {
        self.looks(after).join().unwrap();
    }
}

fn poll(stream: &mut Slot<Endless>) -> Option<Result<(), BoxError>> {
    match Pin::new(stream).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => item.map(|result| result.map(drop)),
        Poll::Pending => panic!("it is always ready"),
    }
}

/// Fails when a body is dropped under a lock, and when the error is forgotten. That a look waits for no stream is shown in
/// tests/it/stall.rs: loom takes whoever tries a lock for somebody who waits for it.
#[test]
fn who_reads_on_while_being_cut_gets_a_frame_or_an_error() {
    loom::model(|| {
        let stage = Stage::new();
        let mut stream = stage.stream();
        stage.look(Duration::ZERO);
        let looks = stage.looks(LIMIT);
        let first = poll(&mut stream).expect("no silence");
        looks.join().unwrap();
        assert_eq!(stage.dropped(), usize::from(first.is_err()), "dropped with the error, and only then");
        match first {
            Ok(()) => assert!(poll(&mut stream).expect("no silence").is_ok()),
            Err(_) => assert!(poll(&mut stream).is_none()),
        }
        drop(stream);
        assert_eq!(stage.dropped(), 1);
        assert!(stage.watchdog.list.ends(), "nobody is left");
    });
}

/// Fails when a body is dropped under a lock.
#[test]
fn who_is_dropped_while_being_cut_is_dropped_once() {
    loom::model(|| {
        let stage = Stage::new();
        let stream = stage.stream();
        stage.look(Duration::ZERO);
        let looks = stage.looks(LIMIT);
        drop(stream);
        looks.join().unwrap();
        assert_eq!(stage.dropped(), 1);
        assert!(stage.watchdog.list.ends(), "nobody is left");
    });
}

/// Fails when a drop leaves a place that it has not taken from under the stream's lock: somebody else may stand there.
#[test]
fn who_begins_while_another_is_dropped_and_cut_keeps_its_place() {
    loom::model(|| {
        let stage = Stage::new();
        let first = stage.stream();
        stage.look(Duration::ZERO);
        let looks = stage.looks(LIMIT);
        let drops = thread::spawn(move || drop(first));
        let mut second = stage.stream();
        looks.join().unwrap();
        drops.join().unwrap();
        assert_eq!(stage.dropped(), 1);
        assert!(poll(&mut second).expect("no silence").is_ok());
        assert!(!stage.watchdog.list.ends(), "the second is looked at");
        drop(second);
        assert!(stage.watchdog.list.ends(), "nobody is left");
    });
}

/// Fails when a watchdog ends after it has let go of the lock, and when who enters looks for one before.
#[test]
fn a_watchdog_that_ends_while_a_stream_begins_leaves_it_with_one() {
    struct Alone;
    impl Watched for Alone {
        fn look(
            &self,
            _: &mut super::super::watch::Watch,
            _: &Limits,
            _: Instant,
        ) -> super::super::list::Look {
            super::super::list::Look::Stays(None)
        }
        fn reader(&self) -> &super::super::layer::Reader {
            unreachable!("it is never given up")
        }
    }
    loom::model(|| {
        let list = Arc::new(List::new());
        let (gone, started) = list.enter(Arc::new(Alone));
        assert!(started);
        list.leave(gone);
        let others = Arc::clone(&list);
        let ends = thread::spawn(move || others.ends());
        let (_, started) = list.enter(Arc::new(Alone));
        assert_eq!(ends.join().unwrap(), started, "one watchdog, and not two");
    });
}
