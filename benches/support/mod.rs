//! What is measured: the variants, and the load they carry. One code for the clock and for the instruction count.

pub(crate) mod hyper_null;
pub(crate) mod response;

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{self, Context, Poll};
use std::time::Duration;

use axum::body::Body as AxumBody;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use bytes::Bytes;
use futures_core::Stream;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Empty;
use tokio::runtime::Runtime;
use tower::{Layer, Service};
use tower_http::timeout::{DeadlineBody, TimeoutBody};
use tower_lifeline::observe::{ObserveBody, ObserveLayer, Observer, StreamReport};
use tower_lifeline::stack::LifelineBody;
use tower_lifeline::{
    BoxError, Drain, Gate, Heartbeat, HeartbeatBody, Lifeline, StallBody, StallLayer, TimeoutLayer, Timeouts,
};

/// A name with a dash is compared with what stands before the dash, a name without one with `bare`.
pub(crate) const VARIANTS: [&str; 32] = [
    "bare",
    "heartbeat",
    "timeouts",
    "timeouts_events",
    "both",
    "both_events",
    "stall",
    "report",
    "report_events",
    "lifeline",
    "lifeline_all",
    "tower_http_timeout",
    "tower_http_deadline",
    "tower_http_stacked",
    "axum",
    "axum-heartbeat",
    "axum-timeouts",
    "axum-stall",
    "sse",
    "sse-heartbeat",
    "sse-heartbeat-boxed",
    "sse-lifeline",
    "sse-lifeline-boxed",
    "sse-keep-alive",
    "hyper",
    "hyper-heartbeat",
    "hyper-timeouts",
    "hyper-both_events",
    "hyper-stall",
    "hyper-report_events",
    "hyper-lifeline",
    "hyper-lifeline_all",
];

/// What a body has to carry.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) frames: usize,
    /// Each frame is preceded by a `Pending` that wakes its task at once.
    pub(crate) awaited: bool,
    pub(crate) chunk: Bytes,
}

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

/// One event of 64 bytes.
pub(crate) const EVENT: Bytes =
    Bytes::from_static(b"data: 01234567890123456789012345678901234567890123456789012345\n\n");
const EVENT_DATA: &str = "01234567890123456789012345678901234567890123456789012345";

impl Load {
    pub(crate) fn events(frames: usize, awaited: bool) -> Self {
        Self { frames, awaited, chunk: EVENT }
    }

    pub(crate) fn moved(&self) -> Moved {
        Moved { frames: self.frames, bytes: self.frames * self.chunk.len() }
    }
}

/// With the I/O driver, as servers have it: a timer that becomes the earliest then costs a syscall.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Carries the load once through a variant, in a task of its own.
pub(crate) fn carry(runtime: &Runtime, variant: &str, load: &Load) -> Moved {
    // Some bodies make their timer when they are made.
    let _entered = runtime.enter();
    let frames = || Frames { source: Source::new(load), chunk: black_box(load.chunk.clone()) };
    let heartbeat = Heartbeat::default;
    match variant {
        "bare" => drained(runtime, frames()),
        "heartbeat" => drained(runtime, HeartbeatBody::new(frames(), heartbeat())),
        "timeouts" => drained(runtime, limited(frames())),
        "timeouts_events" => drained(runtime, limited_events(runtime, frames())),
        "both" => drained(runtime, HeartbeatBody::new(limited(frames()), heartbeat())),
        "both_events" => drained(runtime, HeartbeatBody::new(limited_events(runtime, frames()), heartbeat())),
        "stall" => drained(runtime, StallBody::new(frames(), &stall())),
        "report" => drained(runtime, reported(runtime, "text/plain", frames())),
        "report_events" => drained(runtime, reported(runtime, "text/event-stream", frames())),
        "lifeline" => drained(runtime, stacked(runtime, &lifeline(), frames())),
        "lifeline_all" => drained(runtime, stacked(runtime, &lifeline_all(), frames())),
        "tower_http_timeout" => drained(runtime, TimeoutBody::new(LIMIT, frames())),
        "tower_http_deadline" => drained(runtime, DeadlineBody::new(LIMIT, frames())),
        // First byte, inter-chunk and total, as far as two of them come near the first two.
        "tower_http_stacked" => {
            let inner = DeadlineBody::new(LIMIT, TimeoutBody::new(LIMIT, frames()));
            drained(runtime, TimeoutBody::new(LIMIT, inner))
        }
        "axum" => drained(runtime, AxumBody::new(frames())),
        "axum-heartbeat" => drained(runtime, HeartbeatBody::new(AxumBody::new(frames()), heartbeat())),
        "axum-timeouts" => drained(runtime, limited(AxumBody::new(frames()))),
        "axum-stall" => drained(runtime, StallBody::new(AxumBody::new(frames()), &stall())),
        "sse" => drained(runtime, sse(load)),
        "sse-heartbeat" => drained(runtime, HeartbeatBody::new(sse(load), heartbeat())),
        // As `Router::layer` does it.
        "sse-heartbeat-boxed" => drained(runtime, AxumBody::new(HeartbeatBody::new(sse(load), heartbeat()))),
        "sse-lifeline" => drained(runtime, stacked(runtime, &lifeline(), sse(load))),
        "sse-lifeline-boxed" => drained(runtime, AxumBody::new(stacked(runtime, &lifeline(), sse(load)))),
        "sse-keep-alive" => {
            let events = Events(Source::new(load));
            drained(runtime, Sse::new(events).keep_alive(KeepAlive::default()).into_response().into_body())
        }
        "hyper" => hyper_null::served(runtime, frames(), load),
        "hyper-heartbeat" => hyper_null::served(runtime, HeartbeatBody::new(frames(), heartbeat()), load),
        "hyper-timeouts" => hyper_null::served(runtime, limited(frames()), load),
        "hyper-both_events" => {
            let body = HeartbeatBody::new(limited_events(runtime, frames()), heartbeat());
            hyper_null::served(runtime, body, load)
        }
        "hyper-stall" => hyper_null::served(runtime, StallBody::new(frames(), &stall()), load),
        "hyper-report_events" => {
            hyper_null::served(runtime, reported(runtime, "text/event-stream", frames()), load)
        }
        "hyper-lifeline" => hyper_null::served(runtime, stacked(runtime, &lifeline(), frames()), load),
        "hyper-lifeline_all" => {
            hyper_null::served(runtime, stacked(runtime, &lifeline_all(), frames()), load)
        }
        unknown => panic!("a variant is one of {VARIANTS:?}, got {unknown:?}"),
    }
}

const LIMIT: Duration = Duration::from_secs(15);

/// All limits that a body can have.
fn limits() -> Timeouts {
    Timeouts::new().first_byte(LIMIT).inter_chunk(LIMIT).total(LIMIT)
}

fn stall() -> StallLayer {
    StallLayer::new(LIMIT)
}

/// A heartbeat and all limits, in one body.
pub(crate) fn lifeline() -> Lifeline {
    Lifeline::sse()
        .timeouts(limits().headers(LIMIT))
        .without_request_body()
        .build()
        .expect("no contradiction")
}

/// The same with a permit, a report and a place in a drain. A stall layer has its own variant: it takes a lock.
pub(crate) fn lifeline_all() -> Lifeline {
    let observer = Observer::new().sink(|report: &StreamReport| {
        black_box(report);
    });
    let lifeline =
        Lifeline::sse().timeouts(limits().headers(LIMIT)).gate(Gate::new(100)).drain(&Drain::new());
    lifeline.observe(&observer).build().expect("no contradiction")
}

fn stacked<B>(runtime: &Runtime, lifeline: &Lifeline, body: B) -> LifelineBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    behind(runtime, lifeline, "text/event-stream", body)
}

/// Every byte is content.
fn limited<B: Body<Data = Bytes>>(body: B) -> tower_lifeline::TimeoutBody<B> {
    tower_lifeline::TimeoutBody::new(body, limits())
}

/// Content is told from comments, as behind the layer that has seen an event stream's head.
fn limited_events<B: Body<Data = Bytes>>(runtime: &Runtime, body: B) -> tower_lifeline::TimeoutBody<B> {
    behind(runtime, &TimeoutLayer::new(limits()), "text/event-stream", body)
}

fn reported<B: Body<Data = Bytes>>(runtime: &Runtime, content_type: &str, body: B) -> ObserveBody<B> {
    let observer = Observer::new().sink(|report: &StreamReport| {
        black_box(report);
    });
    behind(runtime, &ObserveLayer::new(&observer), content_type, body)
}

/// The body of an answer that has gone through a layer.
fn behind<L, B, C>(runtime: &Runtime, layer: &L, content_type: &str, body: B) -> C
where
    L: Layer<Answer<B>>,
    L::Service: Service<Request<Empty<Bytes>>, Response = Response<C>, Error = Infallible>,
{
    let answer = Response::builder().header(CONTENT_TYPE, content_type).body(body).expect("a head");
    let answer = layer.layer(Answer(Arc::new(Mutex::new(Some(answer))))).call(Request::new(Empty::new()));
    runtime.block_on(answer).expect("infallible").into_body()
}

/// Answers once, whoever of its clones is asked.
struct Answer<B>(Arc<Mutex<Option<Response<B>>>>);

impl<B> Clone for Answer<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R, B> Service<R> for Answer<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        ready(Ok(self.0.lock().expect("no panic").take().expect("one request")))
    }
}

fn sse(load: &Load) -> AxumBody {
    Sse::new(Events(Source::new(load))).into_response().into_body()
}

fn drained<B>(runtime: &Runtime, body: B) -> Moved
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Debug,
{
    let drain = async move {
        let mut body = pin!(body);
        let mut moved = Moved { frames: 0, bytes: 0 };
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let data = frame.expect("no error").into_data().expect("no trailers");
            moved.frames += 1;
            moved.bytes += black_box(&data).len();
        }
        moved
    };
    runtime.block_on(async { tokio::spawn(drain).await.expect("no panic") })
}

/// Says when there is something.
#[derive(Debug)]
struct Source {
    left: usize,
    awaited: bool,
    waited: bool,
}

impl Source {
    fn new(load: &Load) -> Self {
        Self { left: load.frames, awaited: load.awaited, waited: false }
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<()>> {
        if self.awaited && !self.waited {
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(()))
    }
}

/// The bare body.
struct Frames {
    source: Source,
    chunk: Bytes,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.source.poll_next(cx) {
            Poll::Ready(Some(())) => Poll::Ready(Some(Ok(Frame::data(self.chunk.clone())))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The same as axum's events, each made anew.
struct Events(Source);

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = task::ready!(self.0.poll_next(cx));
        Poll::Ready(next.map(|()| Ok(Event::default().data(black_box(EVENT_DATA)))))
    }
}
