//! Slot: a body that can be taken out while nobody polls it.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, TryLockError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::error::StallError;
use super::layer::Reader;
use super::list::{Look, Place, Watched};
use super::watch::{Doing, Limits, Verdict, Watch};
use super::watchdog::Watchdog;
use crate::BoxError;
use crate::sync::{Mutex, MutexGuard};

/// A body that its watchdog can take out. Then it ends in an error.
pub(crate) struct Slot<B> {
    shared: Arc<Shared<B>>,
    /// The inner body has said so: to ask it takes the lock.
    ended: bool,
}

/// What goes out above a slot, such as a beat of the shell around it, is taken by the same reader.
pub(crate) struct Above(Arc<dyn Beneath>);

trait Beneath: Send + Sync {
    fn is_taken_above(self: Arc<Self>, bytes: u64);
}

impl Above {
    /// So many bytes are given to the reader.
    pub(crate) fn gives(&self, bytes: usize) {
        Arc::clone(&self.0).is_taken_above(bytes as u64);
    }
}

impl fmt::Debug for Above {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Above")
    }
}

struct Shared<B> {
    state: Mutex<State<B>>,
    watchdog: Arc<Watchdog>,
    reader: Reader,
}

struct State<B> {
    body: Option<Pin<Box<B>>>,
    /// A frame, or the head, has been taken, and nobody has asked for what comes next.
    unasked: bool,
    frames: u64,
    bytes: u64,
    place: Option<Place>,
    error: Option<StallError>,
}

impl<B> Slot<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    pub(super) fn new(body: B, watchdog: Arc<Watchdog>, reader: Reader) -> Self {
        let ended = body.is_end_stream();
        let state = State {
            body: Some(Box::pin(body)),
            unasked: !ended,
            frames: 0,
            bytes: 0,
            place: None,
            error: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), watchdog, reader });
        if !ended {
            // Whoever has the head need not ask for a single frame: a client may have no room at all.
            shared.enters(&mut shared.lock());
        }
        Self { shared, ended }
    }

    /// To be told of what goes out above.
    pub(crate) fn above(&self) -> Above {
        Above(Arc::clone(&self.shared) as Arc<dyn Beneath>)
    }
}

impl<B> Shared<B> {
    // A producer may have panicked in here. What is left of its body is to be dropped all the same.
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the body, at its end or because nobody wants it. With the last frame already: HTTP/2 holds a body on until
    /// the client has taken that, without asking it anything.
    fn gives_back(&self) {
        let (body, place) = {
            let mut state = self.lock();
            (state.body.take(), state.place.take())
        };
        if let Some(place) = place {
            self.watchdog.leave(place);
        }
        // Last, and under no lock: it may run anything.
        drop(body);
    }
}

impl<B: Send + 'static> Beneath for Shared<B> {
    fn is_taken_above(self: Arc<Self>, bytes: u64) {
        let mut state = self.lock();
        if state.body.is_none() {
            return;
        }
        self.is_taken(&mut state, bytes);
    }
}

impl<B: Send + 'static> Shared<B> {
    /// The reader has so many bytes more, and has not asked for what comes next.
    #[inline(always)]
    fn is_taken(self: &Arc<Self>, state: &mut State<B>, bytes: u64) {
        state.unasked = true;
        state.frames += 1;
        state.bytes += bytes;
        if state.place.is_none() {
            self.enters(state);
        }
    }

    #[cold]
    fn enters(self: &Arc<Self>, state: &mut State<B>) {
        state.place = self.watchdog.enter(Arc::clone(self) as Arc<dyn Watched>);
    }
}

impl<B> Body for Slot<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    // Inlined, or each frame is moved once more.
    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut state = this.shared.lock();
        let Some(body) = &mut state.body else {
            return Poll::Ready(state.error.take().map(|error| Err(error.into())));
        };
        match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if body.is_end_stream() {
                    drop(state);
                    this.ended = true;
                    this.shared.gives_back();
                    return Poll::Ready(Some(Ok(frame)));
                }
                this.shared.is_taken(&mut state, frame.data_ref().map_or(0, |data| data.len() as u64));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => {
                state.unasked = false;
                Poll::Pending
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match &self.shared.lock().body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B> Drop for Slot<B> {
    fn drop(&mut self) {
        self.shared.gives_back();
    }
}

impl<B: Send + 'static> Watched for Shared<B> {
    fn look(&self, watch: &mut Watch, limits: &Limits, now: Instant) -> Look {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                watch.look(limits, Doing::Works, now);
                return Look::Stays(None);
            }
        };
        // Behind the back of whoever drops it at this moment.
        if state.place.is_none() {
            return Look::Stays(None);
        }
        let doing = if state.unasked {
            Doing::Unasked { frames: state.frames, bytes: state.bytes }
        } else {
            Doing::Waits
        };
        match watch.look(limits, doing, now) {
            Verdict::Again(at) => Look::Stays(at),
            Verdict::Fine => {
                state.place = None;
                Look::Left
            }
            Verdict::Stalled(error) => {
                state.place = None;
                state.body.take().map_or(Look::Left, |body| {
                    state.error = Some(error);
                    Look::Cut(error, body)
                })
            }
        }
    }

    fn reader(&self) -> &Reader {
        &self.reader
    }
}

#[cfg(all(test, not(lifeline_loom)))]
mod tests {
    use super::*;

    use crate::StallBody;

    #[test]
    fn a_stream_takes_little_memory() {
        type Inner = axum::body::Body;
        let inline = size_of::<StallBody<Inner>>();
        // The body, what is shared, and its two counts.
        let boxed = size_of::<Inner>() + size_of::<Shared<Inner>>() + 2 * size_of::<usize>();
        assert!(inline <= 96, "{inline} bytes inline");
        assert!(boxed <= 184, "{boxed} bytes boxed");
    }
}
