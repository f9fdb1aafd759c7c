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

    // Inlined all the way: a frame is 96 bytes, and each call between the inner body and the reader moves it once more.
    #[inline(always)]
    pub(crate) fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<B::Error>> {
        let this = self.as_mut().project();
        let mut polled = match this.inner.as_pin_mut() {
            // Always the inner body first: data that is ready beats every timer.
            Some(inner) if this.next.is_none() => inner.poll_frame(cx),
            _ => Poll::Ready(None),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) if !this.facts.drops_bom() => this.facts.passed(frame),
            Poll::Pending if self.as_mut().waits_as_arranged(cx) => {}
            _ => self.poll_unusual(&mut polled, cx),
        }
        polled
    }

    /// Anything but a frame that passes as it is and a wait that goes on. In place, for the same reason.
    #[inline(never)]
    fn poll_unusual(mut self: Pin<&mut Self>, polled: &mut Poll<Item<B::Error>>, cx: &mut Context<'_>) {
        if let Some(next) = self.as_mut().project().next.take() {
            *polled = Poll::Ready(self.pass(*next));
            return;
        }
        while let Poll::Ready(item) = polled {
            if let Some(left) = self.as_mut().without_bom(item.take()) {
                *item = self.pass(left);
                return;
            }
            if let Some(inner) = self.as_mut().project().inner.as_pin_mut() {
                *polled = inner.poll_frame(cx);
            }
        }
        // Asked again, because a BOM that was dropped just now stood between a beat and this wait.
        if !self.as_mut().waits_as_arranged(cx) {
            *polled = self.poll_wait(cx).map(|beat| Some(Ok(Frame::data(beat))));
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

    /// The inner body has nothing now: tells the parts, and whether the timer is armed already.
    #[inline(never)]
    fn waits_as_arranged(self: Pin<&mut Self>, cx: &Context<'_>) -> bool {
        let this = self.project();
        let Some(waiting) = this.waiting else {
            return this.parts.is_empty();
        };
        if let Some(content) = this.facts.take_written() {
            waiting.as_mut().project().memory.waits_again(content, timer::now());
        }
        waiting.timer.is_armed_for(cx)
    }

    /// Asks the parts what to do about a silence. Ready with bytes to write into it.
    fn poll_wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Bytes> {
        let this = self.project();
        let over =
            this.facts.trailers || this.inner.as_ref().get_ref().as_ref().is_none_or(Body::is_end_stream);
        if over {
            return Poll::Pending;
        }
        let mut now = timer::now();
        let waiting = match this.waiting {
            Some(waiting) => waiting,
            None => {
                let Some(memory) = this.parts.first_wait(this.facts, now) else {
                    return Poll::Pending;
                };
                this.facts.take_written();
                this.waiting.insert(Box::pin(Waiting { timer: Timer::new(now), memory }))
            }
        };
        let mut waiting = waiting.as_mut().project();
        loop {
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
            now = timer::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::convert::Infallible;
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::StreamBody;

    use crate::testing::timeline_for;
    use crate::{Heartbeat, HeartbeatBody};

    #[test]
    fn a_stream_takes_little_memory_and_waiting_a_little_more() {
        type Inner = axum::body::Body;
        let always = size_of::<HeartbeatBody<Inner>>() - size_of::<Inner>();
        let waiting = size_of::<Waiting>();
        assert!(always <= 64, "{always} bytes inline");
        assert!(waiting <= 192, "{waiting} bytes boxed at the first wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bom_dropped_right_behind_a_beat_does_not_bring_the_next_beat_forward() {
        let mut polls = 0;
        let inner = StreamBody::new(stream::poll_fn(move |_| {
            polls += 1;
            // The first two polls are the wait and its beat.
            match polls {
                3 => Poll::Ready(Some(Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"\xEF\xBB\xBF"))))),
                _ => Poll::Pending,
            }
        }));
        let body = HeartbeatBody::new(inner, Heartbeat::every(Duration::from_secs(15)));
        assert_eq!(timeline_for(body, Duration::from_secs(40)).await, "15s=: 30s=: 40s=open");
    }
}
