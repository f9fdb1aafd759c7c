//! The one body that every layer's body is: the inner body first, then the parts, then the timer.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::end::{Fault, StreamEnd};
use super::facts::{Facts, Watch};
use super::parts::{Cut, Memory, Parts, Wish};
use super::timer::{self, Timer};
use crate::BoxError;
use crate::dialect::Tracker;
use crate::reject::Said;

pin_project! {
    /// A body with parts.
    pub(crate) struct Shell<B: Body> {
        // Gone at the end, and with it whatever it holds; before the parts, of which one says that all of it has gone.
        #[pin]
        inner: Option<B>,
        parts: Parts,
        facts: Facts,
        // What cannot be said in this turn. Then the inner body is gone.
        next: Option<Box<Next<B::Error>>>,
        // Made when the stream first waits: a body that is always ready never pays for it.
        waiting: Option<Pin<Box<Waiting>>>,
    }

    impl<B: Body> PinnedDrop for Shell<B> {
        fn drop(this: Pin<&mut Self>) {
            if this.parts.has_nobody_to_tell() {
                return;
            }
            // HTTP/2 asks for nothing behind the trailers, and not every body says that they are the end.
            let over = this.facts.over() && this.has_said_all();
            // Whoever asks for the end behind the announced length, too, may meet a panic.
            let delivered = this.parts.has_delivered() && !std::thread::panicking();
            let end = StreamEnd::of_drop(over || this.is_end_stream() || delivered);
            let mut this = this.project();
            this.parts.ended(this.waiting.as_ref().map(|waiting| &waiting.memory), end);
            if let Some(report) = this.parts.take_report() {
                this.inner.set(None);
                report.ended(end, this.facts.take_written());
            }
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

type Item<E> = Option<Result<Frame<Bytes>, E>>;

/// Something to say in a later turn, perhaps not before some time has passed.
struct Next<E> {
    what: What<E>,
    hold: Option<Hold>,
}

/// Until when, and not in the turn that began it.
struct Hold {
    until: Instant,
    timer: Pin<Box<Timer>>,
    rested: bool,
}

#[derive(Debug)]
enum What<E> {
    Item(Item<E>),
    /// An error of our own, for which the inner body's type has no room.
    Fault(Fault),
}

/// hyper throws away what it has not flushed when a body fails: a frame of the same turn and, before the first frame,
/// even the head. A turn that only yields does not flush either, so this is real time.
const FLUSH: Duration = Duration::from_millis(5);

impl Hold {
    fn new(until: Instant) -> Self {
        Self { until, timer: Box::pin(Timer::new(until)), rested: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll_at(self.until, cx).is_ready() {
            if self.rested {
                return Poll::Ready(());
            }
            // This thread stood still meanwhile, so nobody has flushed.
            self.until = timer::now() + FLUSH;
        }
        self.rested = true;
        Poll::Pending
    }
}

impl<E: fmt::Debug> fmt::Debug for Next<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("what", &self.what).finish_non_exhaustive()
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

impl<B: Body> Shell<B> {
    pub(crate) fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream) && self.has_said_all()
    }

    /// Whether nothing is left to say but what the inner body has.
    fn has_said_all(&self) -> bool {
        self.next.is_none() && !self.facts.keeps_bytes()
    }
}

impl<B: Body<Data = Bytes>> Shell<B> {
    pub(crate) fn new(inner: B, mut facts: Facts, parts: Parts) -> Self {
        if parts.is_absolute() {
            facts.look_now_and_then();
        }
        Self { inner: Some(inner), parts, facts, next: None, waiting: None }
    }

    /// A body of our own instead of the inner one. Without bytes it is at its end, so that nothing follows the head.
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        let next = |bytes| Box::new(Next { what: What::Item(Some(Ok(Frame::data(bytes)))), hold: None });
        Self {
            inner: None,
            parts: Parts::default(),
            facts: Facts::new(Tracker::Opaque, Watch::Nothing),
            next: Some(bytes).filter(|bytes| !bytes.is_empty()).map(next),
            waiting: None,
        }
    }

    /// Takes from a body that nobody has polled what is around the inner one. `Err`: a body of our own.
    #[inline]
    pub(crate) fn strip(&mut self) -> Result<(&mut B, Facts, &mut Parts), Bytes> {
        match (&mut self.inner, self.next.take().map(|next| next.what)) {
            (Some(inner), _) => Ok((inner, self.facts, &mut self.parts)),
            (None, Some(What::Item(Some(Ok(frame))))) => Err(frame.into_data().unwrap_or_default()),
            (None, _) => Err(Bytes::new()),
        }
    }

    /// Takes the inner body out of what is dropped next.
    pub(crate) fn take_inner(&mut self) -> Option<B> {
        self.inner.take()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match (&self.inner, self.next.as_deref()) {
            (Some(inner), _) => self.parts.widened(inner.size_hint(), &self.facts),
            (None, Some(Next { what: What::Item(Some(Ok(frame))), .. })) => {
                SizeHint::with_exact(frame.data_ref().map_or(0, |data| data.len() as u64))
            }
            (None, _) => SizeHint::with_exact(0),
        }
    }

    /// An end may be one of our own making: [`take_fault`](Self::take_fault) tells.
    // Inlined all the way: a frame is 96 bytes, and each call between the inner body and the reader moves it once more.
    #[inline(always)]
    pub(crate) fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<B::Error>> {
        // Always the inner body first: data that is ready beats every timer.
        let mut polled = self.as_mut().poll_inner(cx);
        let this = self.as_mut().project();
        match &polled {
            Poll::Ready(Some(Ok(frame))) if !this.facts.drops_bom() => {
                this.facts.passed(frame);
                this.parts.passed(frame, this.facts.tracker_ref());
                if this.facts.runs_long(frame) {
                    self.look_at_the_clock();
                }
            }
            Poll::Pending if self.as_mut().waits_as_arranged(cx) => {}
            _ => {
                self.as_mut().poll_unusual(&mut polled, cx);
                if let Poll::Ready(Some(Ok(frame))) = &polled {
                    self.as_mut().unusual_is_seen(frame);
                    // A BOM may be awaited behind empty frames without an end.
                    if self.as_mut().project().facts.runs_long(frame) {
                        self.look_at_the_clock();
                    }
                }
            }
        }
        polled
    }

    /// [`poll_frame`](Self::poll_frame) for a body whose errors can be ours.
    #[inline(always)]
    pub(crate) fn poll_frame_or_fault(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<BoxError>>
    where
        B::Error: Into<BoxError>,
    {
        // Not `map_err`: a wait then moves the 96 bytes in which a frame would be.
        match self.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(self.take_fault().map(|fault| Err(fault.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The same for an inner body that has the type of error already: in place, so that a frame is not moved for it.
    #[inline(always)]
    pub(crate) fn poll_boxed_or_fault(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<BoxError>>
    where
        B: Body<Error = BoxError>,
    {
        let mut polled = self.as_mut().poll_frame(cx);
        if let Poll::Ready(None) = &polled {
            polled = Poll::Ready(self.take_fault().map(|fault| Err(fault.into())));
        }
        polled
    }

    /// Why the body has just ended, if that was our doing and nothing could be said about it.
    pub(crate) fn take_fault(self: Pin<&mut Self>) -> Option<Fault> {
        let next = self.project().next;
        let fault = match next.as_deref() {
            Some(Next { what: What::Fault(fault), .. }) => *fault,
            _ => return None,
        };
        *next = None;
        Some(fault)
    }

    /// Anything but a frame that passes as it is and a wait that goes on. In place, for the same reason.
    #[inline(never)]
    fn poll_unusual(mut self: Pin<&mut Self>, polled: &mut Poll<Item<B::Error>>, cx: &mut Context<'_>) {
        loop {
            let this = self.as_mut().project();
            if this.next.is_some() {
                *polled = self.poll_next(cx);
                return;
            }
            if this.inner.is_none() {
                *polled = Poll::Ready(None);
                return;
            }
            let frame = match polled {
                Poll::Ready(item) => self.as_mut().turn(item.take()),
                Poll::Pending => match self.as_mut().poll_wait(cx) {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => return,
                },
            };
            if let Some(frame) = frame {
                *polled = Poll::Ready(Some(Ok(frame)));
                return;
            }
            *polled = self.as_mut().poll_inner(cx);
            // Behind a BOM that was dropped this is a wait like any other.
            if polled.is_pending() && self.as_mut().waits_as_arranged(cx) {
                return;
            }
        }
    }

    #[cold]
    fn unusual_is_seen(self: Pin<&mut Self>, frame: &Frame<Bytes>) {
        let this = self.project();
        this.parts.passed(frame, this.facts.tracker_ref());
    }

    #[inline(always)]
    fn poll_inner(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<B::Error>> {
        match self.project().inner.as_pin_mut() {
            Some(inner) => inner.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    /// What was put off.
    #[cold]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<B::Error>> {
        let this = self.project();
        if let Some(Next { hold: Some(hold), .. }) = this.next.as_deref_mut() {
            ready!(hold.poll(cx));
        }
        if matches!(this.next.as_deref(), Some(Next { what: What::Fault(_), .. })) {
            return Poll::Ready(None);
        }
        match this.next.take().map(|next| next.what) {
            Some(What::Item(item)) => {
                if let Some(Ok(frame)) = &item {
                    this.facts.passed(frame);
                }
                Poll::Ready(item)
            }
            Some(What::Fault(_)) | None => Poll::Ready(None),
        }
    }

    /// The end of the inner body, or a frame behind a beat that was the first of all bytes, from which a BOM has to go.
    /// `None` when there is nothing to say in this turn.
    #[cold]
    fn turn(mut self: Pin<&mut Self>, item: Option<Result<Frame<Bytes>, B::Error>>) -> Option<Frame<Bytes>> {
        let mut this = self.as_mut().project();
        let item = match item.map(|result| result.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                // A frame that was empty before passes: a body that gives nothing else would be asked for ever.
                let passes = data.is_empty();
                let frame = Frame::data(this.facts.drop_bom(data));
                this.facts.passed(&frame);
                return frame.data_ref().is_some_and(|data| passes || !data.is_empty()).then_some(frame);
            }
            Some(Ok(Err(trailers))) => Some(Ok(trailers)),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        // What began like a BOM was none.
        let kept = Frame::data(this.facts.give_back_bom());
        let kept = kept.data_ref().is_some_and(|data| !data.is_empty()).then_some(kept);
        if let Some(frame) = &kept {
            this.facts.passed(frame);
        }
        // Before the end is told, or it would not be in the report.
        if let (Some(frame), Some(Err(_)) | None) = (&kept, &item) {
            this.parts.passed(frame, this.facts.tracker_ref());
        }
        match &item {
            Some(Err(_)) => {
                let written = this.facts.take_written();
                this.parts.wait_is_seen(written, timer::now);
                self.fail(What::Item(item), StreamEnd::Failed);
            }
            None => self.end(StreamEnd::Finished),
            Some(Ok(_)) if kept.is_none() => {
                let frame = item.and_then(Result::ok)?;
                this.facts.passed(&frame);
                return Some(frame);
            }
            Some(Ok(_)) => {
                // The last that there is. That it has ended is told when they have been given.
                this.inner.set(None);
                *this.next = Some(Box::new(Next { what: What::Item(item), hold: None }));
            }
        }
        kept
    }

    /// The inner body has nothing now: tells the parts, and whether the timer is armed already.
    #[inline(never)]
    fn waits_as_arranged(self: Pin<&mut Self>, cx: &Context<'_>) -> bool {
        let this = self.project();
        let Some(waiting) = this.waiting else {
            if !this.parts.is_empty() {
                return false;
            }
            if let Some(report) = this.parts.report() {
                let written = this.facts.take_written();
                if written.is_some() || !report.seen.has_waited() {
                    report.waits(written, timer::now());
                }
                if report.seen.has_content() {
                    this.facts.seek_no_more();
                }
            }
            return true;
        };
        let armed = waiting.timer.is_armed_for(cx);
        let frames = this.facts.frames_written();
        let bytes = this.facts.has_bytes();
        if let Some(content) = this.facts.take_written() {
            let now = timer::now();
            let memory = waiting.as_mut().project().memory;
            if !armed {
                memory.asked_again(this.parts, frames, now);
            }
            memory.waits_again(content, this.parts.is_progress(content, bytes), now);
            this.parts.wait_is_seen(Some(content), || now);
        }
        armed && !this.parts.is_told()
    }

    /// Asks the parts what to do about a silence. Ready with something to write into it, or with the end in `next`.
    fn poll_wait(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let this = self.as_mut().project();
        if this.inner.as_ref().get_ref().as_ref().is_none_or(Body::is_end_stream) {
            this.facts.is_over();
        }
        let mut now = timer::now();
        let waiting = match this.waiting {
            Some(waiting) => waiting,
            None => {
                let memory = Memory::new(this.parts, this.facts, now);
                let written = this.facts.take_written();
                this.parts.wait_is_seen(written, || now);
                // The head is, if nothing else.
                this.facts.fresh = true;
                this.waiting.insert(Box::pin(Waiting { timer: Timer::new(now), memory }))
            }
        };
        // Before anybody is asked: what is said from now on wakes this task.
        this.parts.listen(cx.waker());
        let mut waiting = waiting.as_mut().project();
        loop {
            match waiting.memory.wish(this.parts, this.facts, now) {
                Wish::Nothing { until, settled } => {
                    let fired = until.map_or(Poll::Pending, |at| waiting.timer.as_mut().poll_at(at, cx));
                    if until.is_none() || !settled {
                        waiting.timer.as_mut().disarm();
                    }
                    ready!(fired);
                }
                Wish::Beat(beat) => {
                    this.facts.beaten();
                    this.parts.beat_is_given(&beat);
                    return Poll::Ready(Some(Frame::data(beat)));
                }
                Wish::End(cut) => return Poll::Ready(self.cut(cut)),
            }
            now = timer::now();
        }
    }

    /// The inner body is always ready, so no timer is ever looked at.
    #[cold]
    fn look_at_the_clock(mut self: Pin<&mut Self>) {
        let this = self.as_mut().project();
        // What has been said to its end is whole, however late that was.
        if this.facts.over() || this.inner.as_ref().get_ref().as_ref().is_none_or(Body::is_end_stream) {
            return;
        }
        let Some(cut) = this.parts.outrun(this.facts, timer::now()) else {
            return;
        };
        // What is ready next may be its end, or the trailers of a call that has been answered, in whose place nobody wants a
        // failure. If it is one more frame, it goes on.
        if matches!(cut.said, Said::Abort | Said::Trailers(_)) && !this.facts.is_called() {
            return;
        }
        let written = this.facts.take_written();
        this.parts.wait_is_seen(written, timer::now);
        if let Some(frame) = self.as_mut().cut(cut) {
            *self.project().next = Some(Box::new(Next { what: What::Item(Some(Ok(frame))), hold: None }));
        }
    }

    /// Ends the stream before its time. `None` when that cannot be said in this turn.
    #[cold]
    fn cut(mut self: Pin<&mut Self>, cut: Cut) -> Option<Frame<Bytes>> {
        self.as_mut().project().parts.note(&cut);
        let Cut { fault, said } = cut;
        let end = fault.end();
        let frame = match said {
            Said::Bytes(bytes) => Some(Frame::data(bytes)),
            Said::Trailers(trailers) => Some(Frame::trailers(trailers)),
            Said::Nothing => None,
            Said::Abort => {
                self.fail(What::Fault(fault), end);
                return None;
            }
        };
        if let Some(frame) = &frame {
            self.as_mut().project().facts.passed(frame);
            self.as_mut().unusual_is_seen(frame);
        }
        self.end(end);
        frame
    }

    /// An error, but not before what went out in front of it has been flushed.
    fn fail(mut self: Pin<&mut Self>, what: What<B::Error>, end: StreamEnd) {
        let now = timer::now();
        let this = self.as_mut().project();
        let written = match this.waiting {
            Some(waiting) if !this.facts.fresh => waiting.memory.silent_since(),
            _ => now,
        };
        let until = written + FLUSH;
        let hold = (now < until).then(|| Hold::new(until));
        self.as_mut().end(end);
        *self.project().next = Some(Box::new(Next { what, hold }));
    }

    /// Tells the end and gives everything back.
    #[cold]
    fn end(self: Pin<&mut Self>, end: StreamEnd) {
        let mut this = self.project();
        this.parts.ended(this.waiting.as_ref().map(|waiting| &waiting.memory), end);
        *this.waiting = None;
        this.inner.set(None);
        // Last: what the inner body notes when it is dropped is in the report.
        if let Some(report) = this.parts.take_report() {
            report.ended(end, this.facts.take_written());
        }
        // Behind all of that: a server that waits for it may end now.
        this.parts.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::StreamBody;

    use crate::dialect::Dialect;
    use crate::heartbeat::Plan;
    use crate::testing::{script, timeline, timeline_for};
    use crate::timeout::Bounds;
    use crate::{Heartbeat, HeartbeatBody, Rhythm, Timeouts};

    #[test]
    fn a_stream_takes_little_memory_and_waiting_a_little_more() {
        type Inner = axum::body::Body;
        let always = size_of::<HeartbeatBody<Inner>>() - size_of::<Inner>();
        let waiting = size_of::<Waiting>();
        assert!(always <= 80, "{always} bytes inline");
        assert!(waiting <= 216, "{waiting} bytes boxed at the first wait");
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
    pin_project! {
        /// A body with a heartbeat and limits in one shell.
        struct Both<B: Body> {
            #[pin]
            shell: Shell<B>,
        }
    }

    impl<B: Body<Data = Bytes>> Both<B> {
        fn new(inner: B, heartbeat: Heartbeat, limits: Timeouts) -> Self {
            let timeouts = Some(Bounds::of_any_body(limits, timer::now()));
            let heartbeat = Some(Arc::new(Plan::new(heartbeat)));
            let parts = Parts { heartbeat, timeouts, ..Parts::default() };
            let facts = Facts::new(Tracker::new(Dialect::EventStream), Watch::Content);
            Self { shell: Shell::new(inner, facts, parts) }
        }
    }

    impl<B: Body<Data = Bytes>> Body for Both<B> {
        type Data = Bytes;
        type Error = B::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
            self.project().shell.poll_frame(cx)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_that_is_held_is_not_forgotten_over_a_later_deadline() {
        let check = async |heartbeat, stream, line| {
            let limits = Timeouts::new().inter_chunk(Duration::from_secs(600));
            assert_eq!(timeline(Both::new(script(stream), heartbeat, limits)).await, line);
        };
        let every = || Heartbeat::every(Duration::from_secs(15));
        let half = r"0s='data: a' 20s='\n\n' 60s=end";
        check(every(), half, r"0s='data: a' 20s='\n\n' 35s=: 50s=: 60s=end").await;
        check(every().rhythm(Rhythm::Periodic), half, r"0s='data: a' 20s='\n\n' 20s=: 35s=: 50s=: 60s=end")
            .await;
        let padded = every().at_once().pad_first(4);
        check(padded, r"0s='data: a' 9s='\n\n' 30s=end", r"0s='data: a' 9s='\n\n' 9s=':..\n' 24s=: 30s=end")
            .await;
        let capped = every().most_in_a_row(1);
        check(capped, "0s=a 40s=b 60s=end", "0s=a 15s=: 40s=b 55s=: 60s=end").await;
    }
}
