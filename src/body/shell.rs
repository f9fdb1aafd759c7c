//! The one body that every layer's body is: the inner body first, then the parts, then the timer.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::end::StreamEnd;
use super::facts::Facts;
use super::parts::{Memory, Parts, Wish};
use super::timer::{self, Timer};

pin_project! {
    /// A body with parts.
    pub(crate) struct Shell<B: Body> {
        // Gone at the end, and with it whatever it holds.
        #[pin]
        inner: Option<B>,
        parts: Parts,
        facts: Facts,
        // What the inner body gave in a turn that had something else to say first.
        next: Option<Box<Item<B::Error>>>,
        // Made when the stream first waits: a body that is always ready never pays for it.
        waiting: Option<Pin<Box<Waiting>>>,
    }

    impl<B: Body> PinnedDrop for Shell<B> {
        fn drop(this: Pin<&mut Self>) {
            let done = matches!(this.next.as_deref(), Some(None)) || this.is_end_stream();
            let this = this.project();
            let memory = this.waiting.as_ref().map(|waiting| &waiting.memory);
            this.parts.ended(memory, StreamEnd::of_drop(done));
        }
    }
}

pin_project! {
    /// What only a stream that waits needs.
    #[derive(Debug)]
    struct Waiting {
        #[pin]
        timer: Timer,
        memory: Memory,
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for Shell<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell")
            .field("inner", &self.inner)
            .field("parts", &self.parts)
            .field("facts", &self.facts)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

type Item<E> = Option<Result<Frame<Bytes>, E>>;

impl<B: Body> Shell<B> {
    pub(crate) fn is_end_stream(&self) -> bool {
        let ended = self.inner.as_ref().is_none_or(Body::is_end_stream);
        ended && self.next.is_none() && !self.facts.keeps_bytes()
    }
}

impl<B: Body<Data = Bytes>> Shell<B> {
    pub(crate) fn new(inner: B, facts: Facts, parts: Parts) -> Self {
        Self { inner: Some(inner), parts, facts, next: None, waiting: None }
    }

    #[inline]
    pub(crate) fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<B::Error>> {
        loop {
            let this = self.as_mut().project();
            if let Some(item) = this.next.take() {
                return Poll::Ready(self.pass(*item));
            }
            let Some(inner) = this.inner.as_pin_mut() else {
                return Poll::Ready(None);
            };
            // Always the inner body first: data that is ready beats every timer.
            let item = match inner.poll_frame(cx) {
                Poll::Ready(item) => item,
                Poll::Pending if this.parts.is_empty() => return Poll::Pending,
                Poll::Pending => return self.poll_wait(cx).map(|beat| Some(Ok(Frame::data(beat)))),
            };
            if !this.facts.drops_bom() {
                return Poll::Ready(self.pass(item));
            }
            if let Some(item) = self.as_mut().without_bom(item) {
                return Poll::Ready(self.pass(item));
            }
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let Some(inner) = &self.inner else {
            return SizeHint::with_exact(0);
        };
        let hint = inner.size_hint();
        if !self.parts.may_add_bytes() {
            return hint;
        }
        let mut open = SizeHint::new();
        open.set_lower(hint.lower().saturating_sub(self.facts.may_drop()));
        open
    }

    /// Notes what leaves.
    #[inline]
    fn pass(self: Pin<&mut Self>, item: Item<B::Error>) -> Item<B::Error> {
        match &item {
            Some(Ok(frame)) => self.project().facts.passed(frame),
            Some(Err(_)) => self.end(StreamEnd::Failed),
            None => self.end(StreamEnd::Finished),
        }
        item
    }

    /// Tells the end and gives everything back.
    #[cold]
    fn end(self: Pin<&mut Self>, end: StreamEnd) {
        let mut this = self.project();
        let memory = this.waiting.as_ref().map(|waiting| &waiting.memory);
        this.parts.ended(memory, end);
        *this.waiting = None;
        this.inner.set(None);
    }

    /// Behind a beat that was the first of all bytes: the same item without a BOM. `None` when nothing of it is left.
    #[cold]
    fn without_bom(self: Pin<&mut Self>, item: Item<B::Error>) -> Option<Item<B::Error>> {
        let this = self.project();
        let item = match item.map(|result| result.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                let left = this.facts.drop_bom(data);
                return (!left.is_empty()).then(|| Some(Ok(Frame::data(left))));
            }
            Some(Ok(Err(trailers))) => Some(Ok(trailers)),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        let kept = this.facts.give_back_bom();
        if kept.is_empty() {
            return Some(item);
        }
        *this.next = Some(Box::new(item));
        Some(Some(Ok(Frame::data(kept))))
    }

    /// The inner body has nothing now. Ready with bytes to write in its silence.
    fn poll_wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Bytes> {
        let this = self.project();
        let over =
            this.facts.trailers || this.inner.as_ref().get_ref().as_ref().is_none_or(Body::is_end_stream);
        if over {
            return Poll::Pending;
        }
        let mut now = None;
        let waiting = match this.waiting {
            Some(waiting) => {
                if let Some(content) = this.facts.take_written() {
                    let now = *now.insert(timer::now());
                    waiting.as_mut().project().memory.waits_again(content, now);
                }
                if waiting.timer.is_armed_for(cx) {
                    return Poll::Pending;
                }
                waiting
            }
            None => {
                let now = *now.insert(timer::now());
                let Some(memory) = this.parts.first_wait(this.facts, now) else {
                    return Poll::Pending;
                };
                this.facts.take_written();
                this.waiting.insert(Box::pin(Waiting { timer: Timer::new(now), memory }))
            }
        };
        let mut waiting = waiting.as_mut().project();
        loop {
            let now = now.take().unwrap_or_else(timer::now);
            match waiting.memory.wish(this.parts, this.facts, now) {
                Wish::Nothing(None) => {
                    waiting.timer.disarm();
                    return Poll::Pending;
                }
                Wish::Nothing(Some(at)) => ready!(waiting.timer.as_mut().poll_at(at, cx)),
                Wish::Beat(beat) => {
                    this.facts.beaten();
                    return Poll::Ready(beat);
                }
            }
        }
    }
}
