//! What is reported of streams, whatever becomes of them.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_lifeline::observe::{
    EndCause, EndedBy, Finding, FindingKind, ObserveBody, ObserveLayer, Observer, Opening, Sink,
    StreamReport, Upstream, When,
};
use tower_lifeline::testing::{Script, ScriptError, script, timeline, timeline_for};
use tower_lifeline::{
    Drain, DrainLayer, EarlyLayer, Gate, GateLayer, HeartbeatLayer, Phase, Protocol, RequestBodyTimeoutLayer,
    Shed, StallLayer, TimeoutLayer, Timeouts,
};

use crate::support::streams::{EVENTS, secs};

/// Everything that was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    opened: usize,
    ended: Vec<StreamReport>,
    found: Vec<Finding>,
}

impl Sink for Told {
    fn opened(&self, _: &Opening) {
        self.0.lock().unwrap().opened += 1;
    }

    fn ended(&self, report: &StreamReport) {
        self.0.lock().unwrap().ended.push(report.clone());
    }

    fn found(&self, finding: &Finding) {
        self.0.lock().unwrap().found.push(finding.clone());
    }
}

impl Told {
    fn observer(&self) -> Observer {
        Observer::new().sink(self.clone()).route(|request| request.uri.path().into())
    }

    fn layer(&self) -> ObserveLayer {
        ObserveLayer::new(&self.observer())
    }

    /// The one report there is.
    #[track_caller]
    fn report(&self) -> StreamReport {
        let log = self.0.lock().unwrap();
        assert_eq!((log.opened, log.ended.len()), (1, 1), "one report a stream");
        log.ended[0].clone()
    }
}

type Request1 = Request<Full<Bytes>>;

fn request() -> Request1 {
    Request::new(Full::default())
}

fn events(stream: &str) -> Response<Script> {
    Response::builder().header(EVENTS.0, EVENTS.1).body(script(stream)).unwrap()
}

/// A service behind a layer that answers like this.
fn answering<L, B, A>(layer: L, answer: A) -> L::Service
where
    L: Layer<tower::util::ServiceFn<A>>,
    A: Fn(Request<B>) -> std::future::Ready<Result<Response<Script>, Infallible>>,
{
    layer.layer(service_fn(answer))
}

async fn observed<B>(told: &Told, stream: &'static str) -> ObserveBody<Script>
where
    B: Default,
{
    let service = answering(told.layer(), move |_: Request<B>| ready(Ok(events(stream))));
    service.oneshot(Request::new(B::default())).await.unwrap().into_body()
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_stream_at_its_end() {
    let told = Told::default();
    let body = observed::<()>(&told, "2s=: 5s=a 5s=b+c 30s='data: d' 31s='\\n\\n' 35s=end").await;
    timeline(body).await;
    let report = told.report();
    assert_eq!(report.opening.method, Method::GET);
    assert_eq!(&*report.opening.route, "/");
    assert_eq!(&*report.opening.class, "all");
    assert_eq!(report.opening.protocol, Protocol::Http);
    assert_eq!(report.status, Some(StatusCode::OK));
    assert_eq!((report.cause, report.when), (EndCause::Finished, When::Streaming));
    assert_eq!(report.headers, Some(secs(0)));
    assert_eq!((report.first_byte, report.first_content), (Some(secs(2)), Some(secs(5))));
    assert_eq!((report.largest_gap, report.age, report.silence), (secs(25), secs(35), secs(4)));
    // `b+c` is one frame, and ends one event that was not ended before.
    assert_eq!((report.frames, report.events, report.bytes), (5, 3, 2 + 9 + 18 + 7 + 2));
    assert_eq!(
        report.to_string(),
        "-- GET / 200: finished after 35.0s, 4.0s of them silent; 3 events in 5 frames, 38 bytes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_is_abandoned() {
    for (stream, reads, code, silence) in [
        ("100s=end", 0, "CB", 20),
        ("3s=: 100s=end", 1, "CB", 17),
        ("3s=a 100s=end", 1, "CS", 17),
        ("3s=a 4s=end", 1, "CS", 17),
    ] {
        let told = Told::default();
        let mut body = observed::<()>(&told, stream).await;
        for _ in 0..reads {
            body.frame().await.unwrap().unwrap();
        }
        if reads == 0 || stream.ends_with("100s=end") {
            let _ = timeout(secs(20) - secs(3) * reads, body.frame()).await;
        } else {
            // Nobody asks again, so nobody knows of a silence.
            sleep(secs(17)).await;
        }
        drop(body);
        let report = told.report();
        assert_eq!((report.code(), report.ended_by()), (code, EndedBy::Client), "{stream}");
        let silence = if stream == "3s=a 4s=end" { 0 } else { silence };
        assert_eq!((report.age, report.silence), (secs(20), secs(silence)), "{stream}");
        assert!(report.dropped_early(), "{stream}");
        // What nobody waits behind is first known of at the end.
        let late = reads == 0 || stream.starts_with("3s=:") || stream == "3s=a 4s=end";
        assert_eq!(report.is_suspect(), late, "{stream}");
    }
}

/// hyper drops bodies without asking for their end.
#[tokio::test(start_paused = true)]
async fn what_has_gone_out_whole_is_finished() {
    let check = async |method: Method, response: Response<Script>, reads: usize, code: &str| {
        let told = Told::default();
        let mut response = Some(response);
        let service =
            told.layer().layer(service_fn(move |_| ready(Ok::<_, Infallible>(response.take().unwrap()))));
        let request = Request::builder().method(method.clone()).body(()).unwrap();
        let mut body = service.oneshot(request).await.unwrap().into_body();
        for _ in 0..reads {
            body.frame().await;
        }
        drop(body);
        assert_eq!(told.report().code(), code, "{method}, after {reads}");
    };
    let stream = |status: u16, length: Option<u64>| {
        let mut response = Response::builder().status(status);
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        response.body(script("0s=a 0s=b 9s=end")).unwrap()
    };
    for status in [101, 204, 205, 304] {
        check(Method::GET, stream(status, None), 0, "--").await;
    }
    check(Method::HEAD, stream(200, Some(18)), 0, "--").await;
    check(Method::CONNECT, stream(200, None), 0, "--").await;
    check(Method::GET, stream(200, Some(18)), 2, "--").await;
    check(Method::GET, stream(200, Some(18)), 1, "CS").await;
    check(Method::GET, stream(200, None), 2, "CS").await;
    check(Method::GET, stream(200, None).map(Script::knows_length), 2, "--").await;
    check(Method::GET, stream(200, None).map(Script::reports_end), 2, "--").await;
    check(Method::GET, stream(200, None).map(Script::reports_end), 1, "CS").await;
}

/// A handler as tests want it: after so long, this.
fn handler(
    after: Duration,
    answer: Result<Response<Script>, &'static str>,
) -> BoxCloneSyncService<Request1, Response<Script>, BoxError> {
    let answer = Arc::new(Mutex::new(Some(answer)));
    BoxCloneSyncService::new(service_fn(move |_: Request1| {
        let answer = answer.clone();
        async move {
            sleep(after).await;
            answer.lock().unwrap().take().expect("one request").map_err(BoxError::from)
        }
    }))
}

async fn read<B>(answer: Result<Response<B>, BoxError>) -> String
where
    B: Body<Data = Bytes, Error: std::fmt::Display>,
{
    match answer {
        Ok(response) => timeline_for(response.into_body(), secs(1_000)).await,
        Err(error) => error.to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_the_servers_unless_it_was_marked() {
    let check = async |answer: Result<Response<Script>, &'static str>, code: &str| {
        let told = Told::default();
        read(told.layer().layer(handler(secs(1), answer)).oneshot(request()).await).await;
        assert_eq!(told.report().code(), code);
    };
    let marked = |stream, mark| {
        let mut response = events(stream);
        response.extensions_mut().insert(mark);
        Ok(response)
    };
    check(Err("no database"), "SH").await;
    check(Ok(events("1s=error(broken)")), "SB").await;
    check(Ok(events("1s=a 2s=error(broken)")), "SS").await;
    check(marked("1s=a 2s=error(broken)", Upstream::Relayed), "US").await;
    check(marked("1s=a 2s=end", Upstream::Relayed), "--").await;
    check(marked("1s=a 2s=end", Upstream::Failed), "UH").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_limit_ends_is_reported_with_its_phase() {
    let check = async |limits: Timeouts, slow: Duration, stream: &'static str, phase, code: &str| {
        let told = Told::default();
        let layers = ServiceBuilder::new().layer(told.layer()).layer(TimeoutLayer::new(limits));
        read(layers.service(handler(slow, Ok(events(stream)))).oneshot(request()).await).await;
        let report = told.report();
        assert_eq!((report.cause, report.code()), (EndCause::TimedOut(phase), code), "{stream}");
    };
    let limits = Timeouts::new().headers(secs(5)).first_byte(secs(7)).inter_chunk(secs(9)).total(secs(60));
    check(limits, secs(50), "0s=a", Phase::Headers, "TH").await;
    check(limits, secs(1), "1s=: 50s=a", Phase::FirstByte, "TB").await;
    check(limits, secs(1), "1s=a 50s=a", Phase::InterChunk, "TS").await;
    // Inside an event the body fails, and that is the timer's doing too.
    check(limits, secs(1), "1s=a 2s='data: b' 50s=a", Phase::InterChunk, "TS").await;
    check(Timeouts::new().total(secs(60)), secs(1), "1s=a 99s=b", Phase::Total, "TS").await;
    check(Timeouts::new().total(secs(60)), secs(99), "1s=a", Phase::Total, "TH").await;
}

/// Nobody ever waits for it, so when content came is first known at its end.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_was_streaming_when_a_limit_ended_it() {
    for content_type in ["text/event-stream", "application/octet-stream"] {
        let told = Told::default();
        let frames = futures_util::stream::repeat_with(|| {
            Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"data: a\n\n")))
        });
        let mut body = Some(StreamBody::new(frames));
        let mut service = ServiceBuilder::new()
            .layer(told.layer())
            .layer(TimeoutLayer::new(Timeouts::new().total(secs(5))))
            .service(service_fn(move |_: Request1| {
                let response = Response::builder().header("content-type", content_type);
                ready(Ok::<_, Infallible>(response.body(body.take().unwrap()).unwrap()))
            }));
        let mut body = service.call(request()).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        sleep(secs(6)).await;
        while let Some(Ok(_)) = body.frame().await {}
        let report = told.report();
        assert_eq!((report.cause, report.code()), (EndCause::TimedOut(Phase::Total), "TS"), "{content_type}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_limits_the_one_that_was_reached_first_is_named() {
    let check = async |outer: Timeouts, inner: Timeouts, slow: u64, phase, code: &str| {
        let told = Told::default();
        let layers = ServiceBuilder::new()
            .layer(told.layer())
            .layer(TimeoutLayer::new(outer))
            .layer(TimeoutLayer::new(inner));
        read(layers.service(handler(secs(slow), Ok(events("0s=a 99s=b")))).oneshot(request()).await).await;
        assert_eq!((told.report().cause, told.report().code()), (EndCause::TimedOut(phase), code));
    };
    let (total, gap) = (|| Timeouts::new().total(secs(20)), || Timeouts::new().inter_chunk(secs(30)));
    check(total(), gap(), 0, Phase::Total, "TS").await;
    check(gap(), total(), 0, Phase::Total, "TS").await;
    let (total, gap) = (|| Timeouts::new().total(secs(30)), || Timeouts::new().inter_chunk(secs(20)));
    check(total(), gap(), 0, Phase::InterChunk, "TS").await;
    check(gap(), total(), 0, Phase::InterChunk, "TS").await;
    let headers = || Timeouts::new().headers(secs(5));
    check(headers(), total(), 60, Phase::Headers, "TH").await;
    check(total(), headers(), 60, Phase::Headers, "TH").await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_permit_when_a_limit_or_a_drain_ends_it_was_in_the_queue() {
    let gate = Gate::new(1).queue(1).max_wait(secs(600));
    let check = async |told: &Told, cause, code: &str| {
        let drain = Drain::new().deadline(secs(5)).window(Duration::ZERO);
        let layers = ServiceBuilder::new()
            .layer(told.layer())
            .layer(DrainLayer::new(&drain))
            .layer(TimeoutLayer::new(Timeouts::new().headers(secs(20))))
            .layer(GateLayer::new(&gate));
        let service = layers.service(service_fn(|_| ready(Ok::<_, Infallible>(events("0s=a")))));
        let begin = async {
            if cause == EndCause::DrainCut {
                sleep(secs(3)).await;
                drain.begin();
            }
        };
        drop(tokio::join!(service.oneshot(request()), begin));
        assert_eq!((told.report().cause, told.report().code()), (cause, code));
    };
    let holder = GateLayer::new(&gate).layer(service_fn(|_| ready(Ok::<_, Infallible>(events("0s=a")))));
    let _held = holder.oneshot(request()).await.unwrap();
    check(&Told::default(), EndCause::TimedOut(Phase::Headers), "TQ").await;
    check(&Told::default(), EndCause::DrainCut, "DQ").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_body_would_still_say_behind_its_announced_length_does_not_count() {
    let told = Told::default();
    let service = answering(told.layer(), |_: Request<()>| {
        let mut response = events("0s=a 0s=b 1s=error(broken)");
        response.headers_mut().insert("content-length", 18.into());
        ready(Ok(response))
    });
    let mut body = service.oneshot(Request::new(())).await.unwrap().into_body();
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
    drop(body);
    assert_eq!(told.report().code(), "--");
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_whole_behind_the_deadline_was_not_cut() {
    for (reads, code) in [(2, "--"), (1, "DS")] {
        let told = Told::default();
        let drain = Drain::new().window(Duration::ZERO);
        let layers = ServiceBuilder::new().layer(told.layer()).layer(DrainLayer::new(&drain));
        let service = layers.service(service_fn(|_: Request<()>| {
            let mut response = events("0s=a 0s=b 9s=end");
            response.headers_mut().insert("content-length", 18.into());
            ready(Ok::<_, Infallible>(response))
        }));
        let mut body = service.oneshot(Request::new(())).await.unwrap().into_body();
        drain.begin();
        sleep(secs(40)).await;
        for _ in 0..reads {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        assert_eq!(told.report().code(), code, "after {reads}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_behind_the_end() {
    for stream in ["0s=a 0s=end", "0s=a 1s=error(broken)"] {
        let told = Told::default();
        let mut body = observed::<()>(&told, stream).await;
        while let Some(Ok(_)) = body.frame().await {}
        let first = told.report().code();
        for _ in 0..3 {
            assert!(body.frame().await.is_none(), "{stream}");
        }
        drop(body);
        assert_eq!(told.report().code(), first, "{stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_reported() {
    let told = Told::default();
    let service = ServiceBuilder::new()
        .layer(told.layer())
        .layer(RequestBodyTimeoutLayer::new().gap(secs(5)))
        .service(service_fn(|request: Request<_>| async move {
            let _ = BodyExt::collect(request.into_body()).await;
            Ok::<_, Infallible>(events("0s=end"))
        }));
    let answer = service.oneshot(Request::new(script("0s=a 60s=end"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    drop(answer);
    assert_eq!((told.report().cause, told.report().code()), (EndCause::TimedOut(Phase::RequestGap), "TH"));
}

#[tokio::test(start_paused = true)]
async fn a_gate_refuses_lets_wait_and_is_left() {
    let told = Told::default();
    let gate = Gate::new(1).queue(1).max_wait(secs(10));
    let layers = ServiceBuilder::new().layer(told.layer()).layer(GateLayer::new(&gate));
    let service = layers.service(service_fn(|_| ready(Ok::<_, Infallible>(events("0s=a")))));
    let call = || service.clone().oneshot(request());

    let first = call().await.unwrap();
    let mut second = Box::pin(call());
    assert!(timeout(secs(3), &mut second).await.is_err());
    assert_eq!(call().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(first);
    let second = second.await.unwrap();
    let mut third = Box::pin(call());
    assert!(timeout(secs(3), &mut third).await.is_err());
    drop(third);
    assert_eq!(call().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(second);

    let log = told.0.lock().unwrap();
    let seen: Vec<_> = log.ended.iter().map(|report| (report.code(), report.cause)).collect();
    use EndCause::Abandoned;
    let full = ("GQ", EndCause::Shed(Shed::QueueFull));
    let late = ("GQ", EndCause::Shed(Shed::QueueTimeout));
    assert_eq!(seen, [full, ("CB", Abandoned), ("CQ", Abandoned), late, ("CB", Abandoned)]);
    let queued: Vec<_> = log.ended.iter().map(|report| report.queued.as_secs()).collect();
    assert_eq!(queued, [0, 0, 3, 10, 3], "how long each has waited, with or without a permit in the end");
    assert_eq!(log.opened, 5);
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_reported() {
    let check = async |max_age: Option<u64>, stream: &'static str, cause, code: &str| {
        let told = Told::default();
        let drain = Drain::new();
        let mut layer = DrainLayer::new(&drain);
        if let Some(age) = max_age {
            layer = layer.max_age(secs(age)).jitter(Duration::ZERO);
        }
        let layers = ServiceBuilder::new().layer(told.layer()).layer(layer);
        let body = read(layers.service(handler(secs(0), Ok(events(stream)))).oneshot(request()).await);
        let begin = async {
            sleep(secs(20)).await;
            drain.begin();
        };
        tokio::join!(body, begin);
        assert_eq!((told.report().cause, told.report().code()), (cause, code), "{stream}");
    };
    check(None, "0s=a", EndCause::Drained, "DS").await;
    check(None, "", EndCause::Drained, "DB").await;
    check(None, "0s=a 1s='data: b'", EndCause::DrainCut, "DS").await;
    check(Some(10), "0s=a", EndCause::Aged, "DS").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_is_reported() {
    let told = Told::default();
    let layers = ServiceBuilder::new().layer(told.layer()).layer(StallLayer::new(secs(8)));
    let service = layers.service(handler(secs(0), Ok(events("0s=a 0s=b 0s=c 0s=end"))));
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    sleep(secs(20)).await;
    // hyper drops it when the connection has gone, without having asked again.
    drop(body);
    let report = told.report();
    assert_eq!((report.cause, report.code()), (EndCause::Stalled, "TS"));
    assert!(report.stalled >= secs(8) && report.stalled <= secs(9), "{:?}", report.stalled);
}

#[tokio::test(start_paused = true)]
async fn both_heads_of_an_early_commit_are_reported() {
    let told = Told::default();
    let layers = ServiceBuilder::new()
        .layer(told.layer())
        .layer(EarlyLayer::after(secs(2)).when(|_| true))
        .map_future(Box::pin);
    let service = layers.service(handler(secs(9), Ok(events("0s=a 1s=end"))));
    read(service.oneshot(request()).await).await;
    let report = told.report();
    assert_eq!((report.headers, report.late_headers), (Some(secs(2)), Some(secs(9))));
    assert_eq!((report.first_byte, report.first_content), (Some(secs(2)), Some(secs(9))));
    assert_eq!((report.cause, report.beats.sent), (EndCause::Finished, 1));
}

#[tokio::test(start_paused = true)]
async fn what_failed_behind_an_early_head_has_failed() {
    let check = async |answer: Result<Response<Script>, &'static str>, cause, status: Option<u16>| {
        let told = Told::default();
        let layers = ServiceBuilder::new()
            .layer(told.layer())
            .layer(EarlyLayer::after(secs(2)).when(|_| true))
            .map_future(Box::pin);
        read(layers.service(handler(secs(9), answer)).oneshot(request()).await).await;
        let report = told.report();
        assert_eq!((report.cause, report.late_status.map(|status| status.as_u16())), (cause, status));
        assert_eq!((report.status, report.late_headers), (Some(StatusCode::OK), Some(secs(9))));
    };
    let with = |mut response: Response<Script>, status: u16, mark: Option<Upstream>| {
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(mark) = mark {
            response.extensions_mut().insert(mark);
        }
        Ok(response)
    };
    check(Err("no database"), EndCause::Failed, None).await;
    check(with(events("0s=end"), 500, None), EndCause::Finished, Some(500)).await;
    check(with(events("0s=end"), 502, Some(Upstream::Failed)), EndCause::UpstreamFailed, Some(502)).await;
    let broken = || events("0s=a 1s=error(broken)");
    check(with(broken(), 200, None), EndCause::Failed, Some(200)).await;
    check(with(broken(), 200, Some(Upstream::Relayed)), EndCause::UpstreamFailed, Some(200)).await;
    let json = || Response::builder().header("content-type", "application/json");
    let json = json().body(script("0s='{' 1s=error(broken)")).unwrap();
    check(Ok(json), EndCause::Failed, Some(200)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_servers_end_drops_behind_the_deadline_was_cut_by_the_drain() {
    for (begins, cause, code) in [
        (Some(1), EndCause::DrainCut, "DS"),
        (Some(15), EndCause::Abandoned, "CS"),
        (None, EndCause::Abandoned, "CS"),
    ] {
        let told = Told::default();
        let drain = Drain::new().deadline(secs(10));
        let layers = ServiceBuilder::new().layer(told.layer()).layer(DrainLayer::new(&drain));
        let service = layers.service(handler(secs(0), Ok(events("0s=a 0s=b"))));
        let mut body = service.oneshot(request()).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        // Nobody asks again: the client does not read.
        if let Some(second) = begins {
            sleep(secs(second)).await;
            drain.begin();
        }
        sleep(secs(20 - begins.unwrap_or(0))).await;
        drop(body);
        assert_eq!((told.report().cause, told.report().code()), (cause, code), "{begins:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_in_the_report() {
    let told = Told::default();
    let layers = ServiceBuilder::new().layer(told.layer()).layer(HeartbeatLayer::every(secs(15)));
    let stream = "0s=a 20s='data: b' 61s='\\n\\n' 80s=end";
    read(layers.service(handler(secs(2), Ok(events(stream)))).oneshot(request()).await).await;
    let report = told.report();
    assert_eq!((report.beats.sent, report.beats.held, report.interval), (2, 1, Some(secs(15))));
    assert_eq!((report.headers, report.age), (Some(secs(2)), secs(82)));
    assert_eq!((report.frames, report.events), (5, 2), "beats are frames, but end no event");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_the_servers() {
    let told = Told::default();
    let service = told.layer().layer(service_fn(async |_: Request1| {
        if pending::<bool>().await { Ok::<_, Infallible>(events("")) } else { panic!("never") }
    }));
    let mut future = Box::pin(service.oneshot(request()));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(future);
    assert_eq!(told.report().code(), "CH", "the negative control: it is only dropped");

    let told = Told::default();
    let service = told.layer().layer(service_fn(async |_: Request1| {
        if true { panic!("on purpose") } else { Ok::<_, Infallible>(events("")) }
    }));
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let mut future = pin!(service.oneshot(request()));
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }));
    assert!(polled.is_err());
    assert_eq!((told.report().cause, told.report().code()), (EndCause::Panicked, "SH"));

    let told = Told::default();
    let body = StreamBody::new(futures_util::stream::poll_fn(
        |_| -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> { panic!("on purpose") },
    ));
    let mut body = Some(body);
    let mut service = told
        .layer()
        .layer(service_fn(move |_| ready(Ok::<_, Infallible>(Response::new(body.take().unwrap())))));
    let response = service.call(request()).await.unwrap();
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let mut body = pin!(response.into_body());
        let _ = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
    }));
    assert!(polled.is_err());
    assert_eq!((told.report().cause, told.report().code()), (EndCause::Panicked, "SB"));
}

/// A sink that panics at whatever it is told.
struct Broken;

impl Sink for Broken {
    fn opened(&self, _: &Opening) {
        panic!("a broken sink")
    }

    fn ended(&self, _: &StreamReport) {
        panic!("a broken sink")
    }

    fn found(&self, _: &Finding) {
        panic!("a broken sink")
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_harms_nobody() {
    let told = Told::default();
    let layer = ObserveLayer::new(&Observer::new().sink(Broken).sink(told.clone()));
    let service = answering(layer.clone(), |_: Request<()>| ready(Ok(events("0s=a 1s=end"))));
    let body = service.oneshot(Request::new(())).await.unwrap().into_body();
    assert_eq!(timeline(body).await, "0s=a 1s=end");
    assert_eq!(told.report().code(), "--");

    // A second panic while the first one unwinds would end the process.
    told.0.lock().unwrap().ended.clear();
    let service =
        layer.layer(service_fn(
            async |_: Request1| {
                if true { panic!("on purpose") } else { Ok::<_, Infallible>(events("")) }
            },
        ));
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let mut future = pin!(service.oneshot(request()));
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }));
    assert!(polled.is_err());
    let codes: Vec<_> = told.0.lock().unwrap().ended.iter().map(StreamReport::code).collect();
    assert_eq!(codes, ["SH"]);
}

/// It asks the observer for what a lock of its own would not give.
#[tokio::test(start_paused = true)]
async fn a_sink_is_called_under_no_lock_of_the_observer() {
    let observer = Arc::new(Mutex::new(Observer::new()));
    let (asked, mine) = (Arc::new(Mutex::new(0)), Arc::clone(&observer));
    let count = Arc::clone(&asked);
    let sink = move |_: &StreamReport| {
        let observer = mine.lock().unwrap().clone();
        assert!(observer.findings().is_empty());
        observer.forget();
        // Another exchange of the same observer, from its beginning to its end.
        if *count.lock().unwrap() == 0 {
            *count.lock().unwrap() += 1;
            let service = answering(ObserveLayer::new(&observer), |_: Request<()>| ready(Ok(events(""))));
            drop(Box::pin(service.oneshot(Request::new(()))));
        }
        *count.lock().unwrap() += 1;
    };
    let with_sink = Observer::new().sink(sink).path_class(|_| "a".into()).route(|_| "b".into());
    *observer.lock().unwrap() = with_sink.clone();
    let service = answering(ObserveLayer::new(&with_sink), |_: Request<()>| ready(Ok(events("0s=a"))));
    drop(service.oneshot(Request::new(())).await.unwrap());
    assert!(*asked.lock().unwrap() >= 2);
}

#[tokio::test(start_paused = true)]
async fn classes_that_somebody_makes_up_take_no_name_from_a_route() {
    let told = Told::default();
    let observer = told.observer().path_class(|request| request.uri.query().unwrap_or("").into());
    let service = answering(ObserveLayer::new(&observer), |_: Request<()>| ready(Ok(events("0s=end"))));
    for number in 0..1_000 {
        let request = Request::get(format!("/same?{number}")).body(()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
    }
    drop(service.clone().oneshot(Request::get("/new?new").body(()).unwrap()).await.unwrap());
    let log = told.0.lock().unwrap();
    let last = &log.ended[1_000].opening;
    assert_eq!((&*last.route, &*last.class), ("/new", "others"));
    let classes: std::collections::HashSet<_> =
        log.ended.iter().map(|report| report.opening.class.clone()).collect();
    assert_eq!(classes.len(), 65, "64, and `others`");
}

#[tokio::test(start_paused = true)]
async fn two_observers_are_told_the_same() {
    let (outer, inner) = (Told::default(), Told::default());
    let limits = Timeouts::new().inter_chunk(secs(5));
    let layers =
        ServiceBuilder::new().layer(outer.layer()).layer(inner.layer()).layer(TimeoutLayer::new(limits));
    read(layers.service(handler(secs(0), Ok(events("0s=a 60s=b")))).oneshot(request()).await).await;
    assert_eq!(outer.report().code(), "TS");
    assert_eq!(inner.report().code(), "TS");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_is_counted() {
    for (header, resumed) in [(None, false), (Some("7"), true)] {
        let told = Told::default();
        let service = answering(told.layer(), |_: Request<()>| ready(Ok(events("0s=end"))));
        let request = Request::get("/events");
        let request = header.iter().fold(request, |request, id| request.header("last-event-id", *id));
        drop(service.oneshot(request.body(()).unwrap()).await);
        assert_eq!(told.report().opening.resumed, resumed);
        assert_eq!(&*told.report().opening.route, "/events");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cuts_streams_is_named_once_and_can_be_forgotten() {
    let told = Told::default();
    let observer = told.observer().path_class(|request| {
        request.headers.get("via").and_then(|via| via.to_str().ok()).unwrap_or("direct").into()
    });
    let service = answering(ObserveLayer::new(&observer), |_: Request<()>| ready(Ok(events("0s=a"))));
    for stream in 0..40 {
        let request = Request::get("/").header("via", "nginx").body(()).unwrap();
        let mut body = service.clone().oneshot(request).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        // Each has lived for another time; and a tenth of a second is what it takes to notice.
        let _ = timeout(secs(60) + Duration::from_millis(5 * stream), body.frame()).await;
    }
    let found = told.0.lock().unwrap().found.clone();
    assert_eq!(found.len(), 1, "told once");
    assert_eq!((found[0].kind, &*found[0].class), (FindingKind::IdleTimer, "nginx"));
    assert!(found[0].estimate.abs_diff(secs(60)) < Duration::from_millis(500));
    assert_eq!(observer.findings().len(), 1);
    assert_eq!(observer.findings()[0].samples, 40, "what is read is up to date");
    observer.forget();
    assert!(observer.findings().is_empty());
}

/// What happens to one exchange.
#[derive(Clone, Debug)]
struct Fate {
    stream: String,
    /// The handler takes so long.
    slow: u64,
    fails: bool,
    /// The client leaves then. Until then or the end it reads.
    given_up: Option<u64>,
    /// Having read so many frames, it does nothing for so long.
    rests: (usize, u64),
    drains: Option<u64>,
}

/// One exchange behind all layers.
async fn live(told: &Told, fate: Fate) {
    let Fate { stream, slow, fails, given_up, rests, drains } = fate;
    let gate = Gate::new(1);
    let drain = Drain::new().deadline(secs(10));
    let begin = async {
        if let Some(second) = drains {
            sleep(secs(second)).await;
            drain.begin();
        }
    };
    let limits = Timeouts::new().headers(secs(20)).inter_chunk(secs(30)).total(secs(90));
    let layers = ServiceBuilder::new()
        .layer(told.layer())
        .layer(StallLayer::new(secs(25)))
        .layer(DrainLayer::new(&drain).max_age(secs(80)))
        .layer(EarlyLayer::after(secs(10)).when(|_| true))
        .map_future(Box::pin)
        .layer(HeartbeatLayer::every(secs(5)))
        .layer(GateLayer::new(&gate))
        .layer(TimeoutLayer::new(limits));
    let service = layers.service(service_fn(move |_| {
        let stream = stream.clone();
        async move {
            sleep(secs(slow)).await;
            if fails { Err(BoxError::from("no")) } else { Ok(events(&stream)) }
        }
    }));
    let life = async {
        if let Ok(response) = service.oneshot(request()).await {
            let (mut body, mut frames) = (response.into_body(), 0);
            while let Some(Ok(_)) = body.frame().await {
                frames += 1;
                if frames == rests.0 {
                    sleep(secs(rests.1)).await;
                }
            }
            // Again and again, as nobody should.
            let _ = body.frame().await;
        }
    };
    let life = async {
        match given_up {
            Some(second) => drop(timeout(Duration::from_millis(second * 1_000 + 500), life).await),
            None => life.await,
        }
    };
    tokio::join!(life, begin);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn there_is_one_report_a_stream_whatever_happens(
        items in prop::collection::vec((0_u64..25, 0_usize..4), 0..6),
        end in 0_usize..4,
        slow in 0_u64..30,
        given_up in prop::option::of(0_u64..100),
        fails in prop::bool::weighted(0.1),
        rests in (0_usize..6, 0_u64..60),
        drains in prop::option::weighted(0.3, 0_u64..100),
    ) {
        let mut at = 0;
        let mut stream: Vec<String> = Vec::new();
        for (gap, what) in items {
            at += gap;
            stream.push(format!("{at}s={}", ["a", ":", "'data: b'", "'\\n\\n'"][what]));
        }
        stream.extend(match end {
            0 => Some(format!("{at}s=end")),
            1 => Some(format!("{at}s=error(broken)")),
            2 => Some(format!("{at}s=trailers(a:b) {at}s=end")),
            _ => None,
        });
        let told = Told::default();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let stream = stream.join(" ");
        runtime.block_on(live(&told, Fate { stream, slow, fails, given_up, rests, drains }));
        let log = told.0.lock().unwrap();
        prop_assert_eq!((log.opened, log.ended.len()), (1, 1));
        let report = &log.ended[0];
        prop_assert!(report.silence <= report.age && report.largest_gap <= report.age, "{:?}", report);
        prop_assert!(report.first_byte <= report.first_content || report.first_content.is_none());
        // Nobody left, so it was not the client.
        prop_assert!(given_up.is_some() || report.ended_by() != EndedBy::Client, "{:?}", report);
    }
}

#[test]
fn errors_and_bodies_keep_their_types() {
    fn check<B: Body<Error = ScriptError>>(_: &B) {}
    let told = Told::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    check(&runtime.block_on(observed::<()>(&told, "0s=end")));
}

/// As over HTTP/2, where the end is asked for as well.
#[tokio::test(start_paused = true)]
async fn a_panic_behind_the_announced_length_is_one() {
    let told = Told::default();
    let mut last = Some(Bytes::from_static(b"ab"));
    let body = StreamBody::new(futures_util::stream::poll_fn(move |_| {
        let data = last.take().expect("asked for the end");
        Poll::Ready(Some(Ok::<_, Infallible>(Frame::data(data))))
    }));
    let mut response = Some(Response::builder().header("content-length", 2).body(body).unwrap());
    let service =
        told.layer().layer(service_fn(move |_| ready(Ok::<_, Infallible>(response.take().unwrap()))));
    let body = service.oneshot(Request::new(())).await.unwrap().into_body();
    let panics = catch_unwind(AssertUnwindSafe(move || {
        let (mut body, mut cx) = (pin!(body), Context::from_waker(Waker::noop()));
        while body.as_mut().poll_frame(&mut cx).is_ready() {}
    }));
    assert!(panics.is_err());
    assert_eq!(told.report().code(), "SS");
}
