//! What every layer owes to a body and to a service, whatever else it does.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use tower::{Layer, Service, ServiceExt};
use tower_lifeline::drain::{Arrivals, DrainBody};
use tower_lifeline::early::EarlyBody;
use tower_lifeline::gate::{GateBody, ReplayBody};
use tower_lifeline::observe::{ObserveBody, ObserveLayer, Observer, StreamReport};
use tower_lifeline::testing::{ImpatientProxy, Script, ScriptError, script, timeline, timeline_for};
use tower_lifeline::timeout::RequestTimeoutBody;
use tower_lifeline::{
    BoxError, Drain, DrainLayer, EarlyLayer, Gate, GateLayer, Heartbeat, HeartbeatBody, HeartbeatEvent,
    HeartbeatLayer, Lifeline, MidEvent, PermitScope, RequestBodyTimeoutLayer, Rhythm, StallBody, StallLayer,
    StreamEnd, TimeoutBody, TimeoutLayer, Timeouts,
};

use crate::moves::Moving;
use crate::support::probe::{Open, Probe};

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

fn any<B>(body: B) -> AnyBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A body and what makes it, for every body of the crate. Settings are such that something of ours happens each second.
type Made = (&'static str, fn(Probe) -> AnyBody);

const BODIES: &[Made] = &[
    ("heartbeat", |inner| any(HeartbeatBody::new(inner, Heartbeat::every(SECOND)))),
    ("heartbeat, all settings", |inner| {
        let heartbeat = Heartbeat::every(SECOND)
            .rhythm(Rhythm::Periodic)
            .mid_event(MidEvent::CommentLine)
            .jitter(SECOND / 4)
            .at_once()
            .pad_first(64)
            .most_in_a_row(1_000);
        any(HeartbeatBody::new(inner, heartbeat))
    }),
    ("heartbeat layer, another type", |inner| answered(&HeartbeatLayer::every(SECOND), inner)),
    ("timeouts, none", |inner| answered(&TimeoutLayer::new(Timeouts::new()), inner)),
    ("timeouts, all", |inner| answered(&TimeoutLayer::new(limits()), inner)),
    ("report", |inner| {
        let observer = Observer::new().sink(|_: &StreamReport| {});
        answered(&ObserveLayer::new(&observer), inner)
    }),
    ("gate", |inner| answered(&GateLayer::new(&Gate::new(1).holdable()), inner)),
    ("gate, to the first byte", |inner| {
        answered(&GateLayer::new(&Gate::new(1).untimed().scope(PermitScope::FirstByte)), inner)
    }),
    ("gate, of a request that did not wait", |inner| any(admitted(inner, false))),
    ("gate, of a request that waited", |inner| any(admitted(inner, true))),
    ("stall", |inner| answered(&StallLayer::new(HOUR), inner)),
    ("stall, with a minimum rate", |inner| {
        any(StallBody::new(inner, &StallLayer::new(HOUR).min_rate(1, HOUR)))
    }),
    ("request timeouts", |inner| any(uploaded(&RequestBodyTimeoutLayer::new().gap(HOUR).total(HOUR), inner))),
    ("drain", |inner| answered(&DrainLayer::new(&Drain::new()).max_age(HOUR), inner)),
    ("drain that has begun", |inner| {
        let drain = Drain::new().arrivals(Arrivals::Admit).deadline(HOUR);
        drain.begin();
        answered(&DrainLayer::new(&drain), inner)
    }),
    ("stack, nothing on", |inner| {
        let asked = Lifeline::plain().timeouts(Timeouts::new()).without_request_body();
        answered(&asked.build().expect("a stack"), inner)
    }),
    ("stack, all on", |inner| answered(&everything(), inner)),
    ("early, not needed", |inner| answered(&EarlyLayer::after(HOUR), inner)),
    ("beats outside of timeouts", |inner| {
        let limited = answered(&TimeoutLayer::new(limits()), inner);
        any(HeartbeatBody::new(limited, Heartbeat::every(SECOND)))
    }),
];

/// Bodies that are event streams whatever the inner one is, so that its length says nothing of theirs.
const STREAMING: &[Made] = &[
    ("early, under beats", |inner| any(HeartbeatBody::new(committed(inner), Heartbeat::every(SECOND)))),
    ("early", |inner| any(committed(inner))),
];

fn everything() -> Lifeline {
    Lifeline::llm()
        .observe(&Observer::new().sink(|_: &StreamReport| {}))
        .stall(StallLayer::new(HOUR))
        .drain(&Drain::new())
        .max_age(HOUR)
        .early(EarlyLayer::after(HOUR / 2))
        .heartbeat(Heartbeat::every(SECOND))
        .gate(Gate::new(8).holdable())
        .timeouts(limits())
        .build()
        .expect("a stack")
}

const HOUR: Duration = Duration::from_secs(3_600);

fn limits() -> Timeouts {
    Timeouts::new().headers(HOUR).first_byte(HOUR).inter_chunk(HOUR).total(HOUR)
}

const SECOND: Duration = Duration::from_secs(1);

/// Streams that do everything a body can do.
const STREAMS: &[&str] = &[
    "0s=end",
    "0s=a 0s=end",
    "0s=a 5s=b 5s=c 9s=end",
    "3s='data: a' 6s='\\n\\n' 6s=end",
    "0s=a 3s=trailers(grpc-status:0) 3s=end",
    "0s=a 3s=error(broken)",
    "2s=error(broken)",
    "2s='\\xEF' 4s=end",
    "2s='\\xEF\\xBB' 4s=trailers(a:b) 5s=end",
    "2s='\\xEF' 4s=error(broken)",
];

/// A response without a content type, through a layer.
fn answered<L, B>(layer: &L, body: Probe) -> AnyBody
where
    L: Layer<Answers>,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = layer.layer(Answers(Arc::new(Mutex::new(Some(body)))));
    any(at_once(service.oneshot(Request::new(Full::default()))).expect("an answer").into_body())
}

#[derive(Clone)]
struct Answers(Arc<Mutex<Option<Probe>>>);

impl<B> Service<Request<B>> for Answers {
    type Response = Response<Probe>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Probe>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(self.0.lock().expect("no panic").take().expect("one request"))))
    }
}

/// The body of a handler that is not ready when it is first asked, behind a head that was sent before it was.
fn committed(body: Probe) -> EarlyBody<Late> {
    let heartbeat = Heartbeat::every(SECOND);
    let mut late = Some(Late { body: Some(body), asked: false });
    let service = EarlyLayer::after(Duration::ZERO)
        .heartbeat(heartbeat)
        .when(|_| true)
        .layer(tower::service_fn(move |_: Request<Full<Bytes>>| late.take().expect("one request")));
    at_once(service.oneshot(Request::new(Full::default()))).expect("an answer").into_body()
}

/// Answers when it is asked for the second time.
struct Late {
    body: Option<Probe>,
    asked: bool,
}

impl Future for Late {
    type Output = Result<Response<Probe>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.asked, true) {
            return Poll::Pending;
        }
        let body = self.body.take().expect("it is not asked again");
        Poll::Ready(Ok(Response::builder()
            .header("content-type", "text/event-stream")
            .body(body)
            .expect("a response")))
    }
}

/// The request body that a handler behind a gate gets. While its request waits, what is ready at once is read.
fn admitted(body: Probe, waits: bool) -> ReplayBody<Probe> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let gate = Gate::new(1);
    let held = waits.then(|| answered(&GateLayer::new(&gate), Open::default().probe(script(""))));
    let service = GateLayer::new(&gate).layer(tower::service_fn(move |request: Request<_>| {
        sender.send(request.into_body()).expect("a receiver");
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    }));
    let mut answer = pin!(service.oneshot(Request::new(body)));
    if waits {
        assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(held);
    at_once(answer).map(drop).expect("an answer");
    receiver.try_recv().expect("a request")
}

/// The request body that a handler gets.
fn uploaded(layer: &RequestBodyTimeoutLayer, body: Probe) -> RequestTimeoutBody<Probe> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let service = layer.layer(tower::service_fn(move |request: Request<_>| {
        sender.send(request.into_body()).expect("a receiver");
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    }));
    at_once(service.oneshot(Request::new(body))).map(drop).expect("an answer");
    receiver.try_recv().expect("a request")
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    let Poll::Ready(value) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it is ready at once");
    };
    value
}

/// Runs a law over every body, every stream, and both ways of knowing the end.
async fn for_all(law: impl AsyncFn(&str, fn(Probe) -> AnyBody, &str, bool)) {
    for (name, body) in BODIES.iter().chain(STREAMING) {
        for stream in STREAMS {
            for reports_end in [false, true] {
                let label = format!("{name}: {stream:?}, reports its end: {reports_end}");
                law(&label, *body, stream, reports_end).await;
            }
        }
    }
}

fn probe(open: &Open, stream: &str, reports_end: bool) -> Probe {
    let script = script(stream);
    open.probe(if reports_end { script.reports_end() } else { script })
}

#[tokio::test(start_paused = true)]
async fn hints_are_true_before_every_frame() {
    for_all(async |label, body, stream, reports_end| {
        let open = Open::default();
        let mut hinted = Vec::new();
        let mut body = body(probe(&open, stream, reports_end));
        let mut lengths = Vec::new();
        loop {
            hinted.push((body.size_hint(), body.is_end_stream()));
            match body.frame().await {
                Some(Ok(frame)) => lengths.push(frame.data_ref().map_or(0, |data| data.len() as u64)),
                Some(Err(_)) | None => break,
            }
        }
        let failed = stream.contains("error");
        for (at, (hint, ended)) in hinted.iter().enumerate() {
            let left: u64 = lengths[at.min(lengths.len())..].iter().sum();
            assert!(failed || hint.lower() <= left, "{label}: lower at {at}");
            assert!(hint.upper().is_none_or(|upper| left <= upper), "{label}: upper at {at}");
            assert!(!ended || at >= lengths.len(), "{label}: ended at {at} with frames to come");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_exact_length_stays_exact() {
    for (name, body) in BODIES {
        let open = Open::default();
        let body = body(open.probe(script("0s=a 20s=b 20s=end").knows_length()));
        assert_eq!(body.size_hint().exact(), Some(18), "{name}");
        assert_eq!(timeline(body).await, "0s=a 20s=b 20s=end", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_its_end_a_body_says_nothing_and_holds_nothing() {
    for_all(async |label, body, stream, reports_end| {
        let open = Open::default();
        let mut body = body(probe(&open, stream, reports_end));
        while let Some(Ok(_)) = body.frame().await {}
        assert_eq!(open.count(), 0, "{label}: the inner body is still there");
        assert!(body.is_end_stream(), "{label}");
        for _ in 0..3 {
            let again = timeout(100 * SECOND, body.frame()).await;
            assert!(matches!(again, Ok(None)), "{label}: {again:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_inner_body_says_arrives_in_order_and_unchanged() {
    for_all(async |label, body, stream, reports_end| {
        let open = Open::default();
        let mut body = body(probe(&open, stream, reports_end));
        let (mut bytes, mut trailers, mut error) = (Vec::new(), None, None);
        loop {
            match body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.starts_with(b":") => {}
                    Ok(data) => bytes.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
                Some(Err(failed)) => break error = Some(failed),
                None => break,
            }
        }
        let plain = script(stream).collect().await;
        let error = error.map(|error| *error.downcast::<ScriptError>().expect("the script's own error"));
        match plain {
            Err(plain) => assert_eq!(error, Some(plain), "{label}"),
            Ok(plain) => {
                assert_eq!(error, None, "{label}");
                assert_eq!(trailers.as_ref(), plain.trailers(), "{label}");
                assert_eq!(bytes, plain.to_bytes(), "{label}");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_it_gives_everything_back() {
    for_all(async |label, body, stream, reports_end| {
        for taken in 0..8 {
            let open = Open::default();
            let mut body = body(probe(&open, stream, reports_end));
            for _ in 0..taken {
                // Some are dropped in the middle of a wait.
                let _ = timeout(SECOND / 2, body.frame()).await;
            }
            drop(body);
            assert_eq!(open.count(), 0, "{label}: after {taken}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn data_that_is_ready_beats_every_timer() {
    for (name, body) in BODIES.iter().chain(STREAMING) {
        let open = Open::default();
        let mut body = body(open.probe(script("0s=a 1s=b 3s=c 3s=end")));
        let mut next = async || {
            let frame = body.frame().await.expect("a frame").expect("no error");
            frame.into_data().expect("data")
        };
        // Beats at once come first where they are asked for.
        while next().await != "data: a\n\n" {}
        tokio::time::advance(10 * SECOND).await;
        assert_eq!(next().await, "data: b\n\n", "{name}");
        assert_eq!(next().await, "data: c\n\n", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_once_and_rightly() {
    let check = async |stream: &str, reports_end: bool, frames: usize, expected: StreamEnd| {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&ends);
        let heartbeat = Heartbeat::every(SECOND).on_event(move |event| {
            if let HeartbeatEvent::Ended { end, .. } = event {
                told.lock().expect("no panic").push(*end);
            }
        });
        let open = Open::default();
        let mut body = HeartbeatBody::new(probe(&open, stream, reports_end), heartbeat);
        for _ in 0..frames {
            let _ = body.frame().await;
        }
        drop(body);
        let ends = ends.lock().expect("no panic");
        assert_eq!(*ends, [expected], "{stream:?} after {frames} frames, reports its end: {reports_end}");
    };
    check("0s=a 0s=end", false, 0, StreamEnd::Dropped).await;
    check("0s=a 0s=end", false, 1, StreamEnd::Dropped).await;
    // HTTP/2 drops a body with its trailers.
    check("0s=a 0s=trailers(a:b) 0s=end", false, 1, StreamEnd::Dropped).await;
    check("0s=a 0s=trailers(a:b) 0s=end", false, 2, StreamEnd::Finished).await;
    check("0s=a 0s=end", false, 2, StreamEnd::Finished).await;
    check("0s=a 0s=end", false, 3, StreamEnd::Finished).await;
    // hyper drops a body that says it is done without asking for its end.
    check("0s=a 0s=end", true, 0, StreamEnd::Dropped).await;
    check("0s=a 0s=end", true, 1, StreamEnd::Finished).await;
    check("0s=end", true, 0, StreamEnd::Finished).await;
    check("0s=error(broken)", false, 1, StreamEnd::Failed).await;
    check("0s=error(broken)", false, 2, StreamEnd::Failed).await;
    check("0s=a 9s=end", false, 3, StreamEnd::Dropped).await;
    // The end is known while two bytes that began like a BOM are still to be given back.
    check("2s='\\xEF\\xBB' 4s=end", false, 2, StreamEnd::Finished).await;
    check("2s='\\xEF\\xBB' 2s=trailers(a:b) 2s=end", true, 2, StreamEnd::Dropped).await;
    check("2s='\\xEF\\xBB' 2s=trailers(a:b) 2s=end", true, 3, StreamEnd::Finished).await;
}

/// tokio's cooperative budget makes a channel pending after 128 messages, and a timer polled inside of it forgets to
/// register its waker.
#[tokio::test(start_paused = true)]
async fn a_burst_that_uses_up_the_budget_does_not_silence_the_timer() {
    struct Channel(tokio::sync::mpsc::Receiver<Bytes>);
    impl Body for Channel {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
        }
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(500);
    for _ in 0..200 {
        sender.send(Bytes::from_static(b"data: a\n\n")).await.expect("room");
    }
    let mut body = HeartbeatBody::new(Channel(receiver), Heartbeat::every(SECOND));
    let reader = tokio::spawn(async move {
        let (mut events, mut beats) = (0, 0);
        let _ = timeout(12 * SECOND + SECOND / 2, async {
            while let Some(Ok(frame)) = body.frame().await {
                match frame.into_data().expect("data").as_ref() {
                    b":\n" => beats += 1,
                    _ => events += 1,
                }
            }
        })
        .await;
        (events, beats)
    });
    assert_eq!(reader.await.expect("no panic"), (200, 12));
    drop(sender);
}

/// How often a task has been woken.
#[derive(Default)]
struct Count(AtomicUsize);
impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A body may be polled by one task and then by another; only the last waker counts.
#[tokio::test(start_paused = true)]
async fn a_beat_wakes_the_task_that_asked_last() {
    let beating =
        |name: &str| name.contains("beats outside") || name.ends_with("heartbeat") || name == "early";
    for (name, body) in BODIES.iter().chain(STREAMING).filter(|(name, _)| beating(name)) {
        let open = Open::default();
        let mut body = body(open.probe(script("100s=end")));
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut poll = |count: &Arc<Count>| {
            let waker = Waker::from(Arc::clone(count));
            Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker))
        };
        while poll(&first).is_ready() {}
        assert!(poll(&second).is_pending());
        tokio::time::advance(2 * SECOND).await;
        tokio::task::yield_now().await;
        assert_eq!(second.0.load(Ordering::SeqCst), 1, "{name}");
        assert!(poll(&second).is_ready(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_body_waits_for_wakes_the_task_that_asked_last() {
    for_all(async |label, body, stream, reports_end| {
        // Beats with jitter are never the same, and a handler that answers when it is asked again does so at once.
        if ["heartbeat, all settings", "early:", "early, under beats"]
            .iter()
            .any(|name| label.starts_with(name))
        {
            return;
        }
        let open = Open::default();
        let stays = timeline_for(body(probe(&open, stream, reports_end)), 100 * SECOND).await;
        let moves = Moving(body(probe(&open, stream, reports_end)));
        assert_eq!(timeline_for(moves, 100 * SECOND).await, stays, "{label}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_inner_instance_that_falls_silent_does_not_stop_the_outer_one() {
    let inner = HeartbeatBody::new(script("0s=a 100s=end"), Heartbeat::every(2 * SECOND).most_in_a_row(3));
    let outer = HeartbeatBody::new(inner, Heartbeat::every(3 * SECOND));
    assert_eq!(timeline_for(outer, 16 * SECOND).await, "0s=a 2s=: 4s=: 6s=: 9s=: 12s=: 15s=: 16s=open");
}

#[test]
fn everything_that_can_be_sent_and_shared_can_be() {
    fn check<T: Send + Sync + 'static>() {}
    fn copies<T: Clone + std::fmt::Debug>() {}
    check::<HeartbeatBody<Probe>>();
    check::<TimeoutBody<Probe>>();
    check::<RequestTimeoutBody<Probe>>();
    check::<GateBody<Probe>>();
    check::<EarlyBody<Late>>();
    check::<EarlyLayer>();
    check::<ReplayBody<Probe>>();
    check::<DrainBody<Probe>>();
    check::<Drain>();
    check::<DrainLayer>();
    check::<<DrainLayer as Layer<Strict>>::Service>();
    check::<StallBody<Probe>>();
    check::<StallLayer>();
    check::<<StallLayer as Layer<Strict>>::Service>();
    check::<Gate>();
    check::<GateLayer>();
    check::<ObserveBody<Probe>>();
    check::<Observer>();
    check::<ObserveLayer>();
    check::<<ObserveLayer as Layer<Strict>>::Service>();
    check::<HeartbeatLayer>();
    check::<TimeoutLayer>();
    check::<RequestBodyTimeoutLayer>();
    check::<<HeartbeatLayer as Layer<Strict>>::Service>();
    check::<<TimeoutLayer as Layer<Strict>>::Service>();
    check::<<RequestBodyTimeoutLayer as Layer<Strict>>::Service>();
    check::<<GateLayer as Layer<Strict>>::Service>();
    check::<<EarlyLayer as Layer<Strict>>::Service>();
    copies::<HeartbeatLayer>();
    copies::<TimeoutLayer>();
    copies::<RequestBodyTimeoutLayer>();
    copies::<Drain>();
    copies::<DrainLayer>();
    copies::<StallLayer>();
    copies::<EarlyLayer>();
    copies::<Gate>();
    copies::<GateLayer>();
    copies::<Observer>();
    copies::<ObserveLayer>();
}

/// A service that is called only when it has been asked for its readiness, counts what is in flight, and can fail.
#[derive(Clone)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Probe>;
    type Error = ScriptError;
    type Future = Ready<Result<Response<Probe>, ScriptError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ScriptError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being asked");
        self.calls.fetch_add(1, Ordering::SeqCst);
        if request.uri().path() == "/fail" {
            let failed = at_once(script("0s=error(no service)").collect());
            return ready(Err(failed.expect_err("the script's error")));
        }
        ready(Ok(Response::builder().status(201).body(Open::default().probe(script("0s=a 0s=end"))).unwrap()))
    }
}

async fn keeps_its_contract<L, B>(layer: L)
where
    L: Layer<Strict>,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<B>, Error = ScriptError> + Clone,
{
    let calls = Arc::new(AtomicUsize::new(0));
    let service = layer.layer(Strict { ready: false, calls: Arc::clone(&calls) });
    let request = |path: &str| Request::builder().uri(path).body(Full::default()).unwrap();

    let mut clone = service.clone();
    poll_fn(|cx| clone.poll_ready(cx)).await.expect("ready");
    let mut other = clone.clone();
    poll_fn(|cx| other.poll_ready(cx)).await.expect("ready");

    let answer = clone.call(request("/")).await.expect("an answer");
    assert_eq!(answer.status(), 201, "the response's head is the inner one's");
    let error = other.call(request("/fail")).await.map(|_| ()).expect_err("the inner service's error");
    assert_eq!(error.to_string(), "no service");

    poll_fn(|cx| clone.poll_ready(cx)).await.expect("ready");
    drop(clone.call(request("/")));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_service_keeps_its_contract() {
    keeps_its_contract(HeartbeatLayer::every(SECOND)).await;
    keeps_its_contract(TimeoutLayer::new(limits())).await;
    keeps_its_contract(RequestBodyTimeoutLayer::new().gap(HOUR)).await;
    keeps_its_contract(GateLayer::new(&Gate::new(2))).await;
    keeps_its_contract(ObserveLayer::default()).await;
    keeps_its_contract(DrainLayer::new(&Drain::new())).await;
    keeps_its_contract(StallLayer::new(HOUR)).await;
    keeps_its_contract(EarlyLayer::after(Duration::ZERO).when(|_| true)).await;
}

/// tokio panics when it is to wait for the last millisecond of the clock.
#[tokio::test(start_paused = true)]
async fn settings_reach_to_the_end_of_the_clock() {
    let left = left_of_the_clock();
    for far in [left, left - Duration::from_micros(900), left - SECOND, Duration::MAX] {
        let stream = "0s=a 3s=b 5s=end";
        let beating = HeartbeatBody::new(script(stream), Heartbeat::every(far));
        assert_eq!(timeline(beating).await, stream, "{far:?}");
        let limits = Timeouts::new().headers(far).first_byte(far).inter_chunk(far).total(far);
        assert_eq!(timeline(TimeoutBody::new(script(stream), limits)).await, stream, "{far:?}");
        assert_eq!(timeline(StallBody::new(script(stream), &StallLayer::new(far))).await, stream, "{far:?}");
        let slow = tower::service_fn(|_: Request<()>| async {
            tokio::time::sleep(SECOND).await;
            Ok::<_, Infallible>(Response::new(script("0s=end")))
        });
        let answer =
            TimeoutLayer::new(limits).layer(slow).oneshot(Request::new(())).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{far:?}");
    }
    let proxy = ImpatientProxy::new().idle(Duration::MAX).lifetime(Duration::MAX);
    let carried = proxy.carry_body(script("0s=a 3s=end"));
    assert_eq!(timeline_for(carried, Duration::MAX).await, "0s=a 3s=end");
}

/// The longest time that can be added to now.
fn left_of_the_clock() -> Duration {
    let now = tokio::time::Instant::now();
    let mut left = Duration::ZERO;
    let mut step = Duration::MAX;
    while !step.is_zero() {
        match left.checked_add(step).filter(|more| now.checked_add(*more).is_some()) {
            Some(more) => left = more,
            None => step /= 2,
        }
    }
    left
}

/// A body that is pending once and then gives empty frames, for ever.
struct Empties {
    asked: usize,
}

impl Body for Empties {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.asked += 1;
        assert!(self.asked < 10, "asked again and again");
        if self.asked == 1 { Poll::Pending } else { Poll::Ready(Some(Ok(Frame::data(Bytes::new())))) }
    }
}

#[tokio::test(start_paused = true)]
async fn empty_frames_behind_a_first_beat_do_not_keep_a_turn_going() {
    let mut body = HeartbeatBody::new(Empties { asked: 0 }, Heartbeat::default().at_once());
    for expected in [":\n", "", "", ""] {
        let frame = body.frame().await.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), expected);
    }
}

/// A body that knows how many bytes it has at the least.
struct AtLeast {
    script: Script,
    bytes: u64,
}

impl Body for AtLeast {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        let polled = Pin::new(&mut self.script).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.bytes -= frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.bytes);
        hint
    }
}

#[tokio::test(start_paused = true)]
async fn a_lower_bound_stays_true_when_a_beat_takes_the_place_of_a_bom() {
    for stream in [r"2s='\xEF\xBB\xBFdata: a\n\n' 2s=end", r"2s='\xEF\xBB' 3s='\xBFdata: a\n\n' 3s=end"] {
        let inner = AtLeast { script: script(stream), bytes: 12 };
        let mut body = HeartbeatBody::new(inner, Heartbeat::every(2 * SECOND - SECOND / 2));
        let (mut bounds, mut lengths) = (vec![body.size_hint().lower()], Vec::new());
        while let Some(frame) = body.frame().await {
            lengths.push(frame.expect("no error").into_data().expect("data").len() as u64);
            bounds.push(body.size_hint().lower());
        }
        assert_eq!(lengths, [2, 9], "a beat, and the rest of the stream");
        for (at, bound) in bounds.iter().enumerate() {
            assert!(*bound <= lengths[at..].iter().sum(), "{stream}: {bounds:?} for {lengths:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_held_back_wakes_the_task_that_asked_last() {
    // A body that waited goes to a handler, which loses no frame by an error right behind it.
    let bodies = BODIES.iter().chain(STREAMING);
    for (name, body) in bodies.filter(|(name, _)| !name.contains("of a request")) {
        let open = Open::default();
        let mut body = body(open.probe(script("0s=a 0s=error(broken)")));
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut poll = |count: &Arc<Count>| {
            let waker = Waker::from(Arc::clone(count));
            Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker))
        };
        while let Poll::Ready(frame) = poll(&first) {
            assert!(matches!(frame, Some(Ok(_))), "{name}: {frame:?}");
        }
        assert!(poll(&second).is_pending(), "{name}");
        tokio::time::advance(Duration::from_millis(6)).await;
        tokio::task::yield_now().await;
        assert_eq!(second.0.load(Ordering::SeqCst), 1, "{name}");
        assert!(matches!(poll(&second), Poll::Ready(Some(Err(_)))), "{name}");
        assert!(matches!(poll(&second), Poll::Ready(None)), "{name}");
    }
}
