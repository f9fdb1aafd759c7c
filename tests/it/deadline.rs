//! One test a row of the table "what happens when", and what any bytes in a header can do.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_lifeline::testing::{script, timeline, timeline_for};
use tower_lifeline::{
    Deadline, DeadlineHeader, DeadlineLayer, HeadDeadline, HeartbeatLayer, HeartbeatOverride,
    PropagateDeadlineLayer, SilenceHint,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a handler finds in its request, as time from now.
#[derive(Debug, Default, PartialEq)]
struct Found {
    deadline: Option<Duration>,
    head: Option<Duration>,
    silence: Option<Duration>,
}

/// A request through a layer, seen from within.
async fn found(
    layer: impl Layer<Look, Service: Service<Request<()>, Response = Found>>,
    request: Request<()>,
) -> Found {
    let Ok(found) = layer.layer(Look).oneshot(request).await else { panic!("looking cannot fail") };
    found
}

#[derive(Clone)]
struct Look;

impl Service<Request<()>> for Look {
    type Response = Found;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Found, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let extensions = request.extensions();
        std::future::ready(Ok(Found {
            deadline: extensions.get().map(Deadline::remaining),
            head: extensions.get().map(|head: &HeadDeadline| head.deadline().remaining()),
            silence: extensions.get().map(SilenceHint::limit),
        }))
    }
}

fn request(fields: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in fields {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

fn trusting() -> DeadlineLayer {
    DeadlineLayer::new()
        .trust(DeadlineHeader::GrpcTimeout)
        .trust(DeadlineHeader::ConnectTimeoutMs)
        .trust(DeadlineHeader::RequestTimeout)
        .trust(DeadlineHeader::Seconds(HeaderName::from_static("x-own")))
        .trust(DeadlineHeader::Millis(HeaderName::from_static("x-own-ms")))
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_not_trusted_is_not_read() {
    let all = [
        ("grpc-timeout", "9S"),
        ("connect-timeout-ms", "garbage"),
        ("request-timeout", "9"),
        ("prefer", "wait=9"),
        ("x-stainless-read-timeout", "garbage"),
    ];
    let layer = DeadlineLayer::new();
    assert_eq!(found(layer.clone(), request(&all)).await, Found::default());
    assert_eq!(layer.malformed(), 0);

    let layer = layer.trust(DeadlineHeader::GrpcTimeout);
    assert_eq!(found(layer, request(&all)).await, Found { deadline: Some(s(9)), ..Found::default() });
}

#[tokio::test(start_paused = true)]
async fn a_trusted_header_makes_a_deadline_between_min_and_max() {
    let layer = trusting().min(s(2)).max(s(60));
    let check = async |fields: &[(&'static str, &'static str)], wanted| {
        assert_eq!(found(layer.clone(), request(fields)).await.deadline, wanted, "{fields:?}");
    };
    check(&[("grpc-timeout", "5S")], Some(s(5))).await;
    check(&[("connect-timeout-ms", "5500")], Some(Duration::from_millis(5_500))).await;
    check(&[("request-timeout", "5.25")], Some(Duration::from_millis(5_250))).await;
    check(&[("x-own", "7")], Some(s(7))).await;
    check(&[("x-own-ms", "7000")], Some(s(7))).await;
    check(&[("grpc-timeout", "1n")], Some(s(2))).await;
    check(&[("grpc-timeout", "99999999H")], Some(s(60))).await;
    check(&[("grpc-timeout", "0S")], Some(s(2))).await;
    // Several: the shortest, whichever it is.
    check(&[("grpc-timeout", "5S"), ("x-own", "7")], Some(s(5))).await;
    check(&[("grpc-timeout", "9S"), ("x-own", "7")], Some(s(7))).await;
    // `max` is no default.
    check(&[], None).await;
    assert_eq!(layer.malformed(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_limits_a_caller_gets_what_it_asks_for() {
    let layer = trusting();
    let check = async |value, wanted| {
        let found = found(layer.clone(), request(&[("grpc-timeout", value)])).await;
        assert_eq!(found.deadline, Some(wanted), "{value}");
    };
    check("0n", Duration::ZERO).await;
    check("100H", s(360_000)).await;
    // As far as a clock can count.
    check("99999999H", s(30 * 365 * 24 * 3_600)).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_ignored_and_counted_and_the_default_stands() {
    let layer = trusting().trust_prefer_wait().trust_read_timeout().default(s(30));
    let check = async |fields: &[(&'static str, &'static str)], deadline, malformed| {
        let before = layer.malformed();
        let found = found(layer.clone(), request(fields)).await;
        assert_eq!(found, Found { deadline: Some(deadline), ..Found::default() }, "{fields:?}");
        assert_eq!(layer.malformed() - before, malformed, "{fields:?}");
    };
    check(&[], s(30), 0).await;
    check(&[("grpc-timeout", "5S")], s(5), 0).await;
    check(&[("grpc-timeout", "90S")], s(90), 0).await;
    check(&[("grpc-timeout", "soon")], s(30), 1).await;
    check(&[("grpc-timeout", "5S"), ("grpc-timeout", "5S")], s(30), 1).await;
    check(&[("grpc-timeout", "soon"), ("x-own", "7")], s(7), 1).await;
    check(&[("grpc-timeout", "-1S"), ("x-own", " 7"), ("prefer", "wait=-1")], s(30), 3).await;
    check(&[("x-stainless-read-timeout", "NOT_GIVEN")], s(30), 0).await;
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_a_layer_count_together() {
    let layer = trusting();
    let late = layer.clone().max(s(60));
    let service = layer.layer(Look);
    for _ in 0..3 {
        service.clone().oneshot(request(&[("grpc-timeout", "soon")])).await.unwrap();
    }
    found(late, request(&[("x-own", "soon")])).await;
    assert_eq!(layer.malformed(), 4);
    // One header is one header, however often it is trusted.
    found(layer.clone().trust(DeadlineHeader::GrpcTimeout), request(&[("grpc-timeout", "soon")])).await;
    assert_eq!(layer.malformed(), 5);
}

#[tokio::test(start_paused = true)]
async fn of_two_layers_the_stricter_one_counts_in_either_order() {
    let strict = trusting().trust_prefer_wait().trust_read_timeout().max(s(4));
    let lax = trusting().trust_prefer_wait().trust_read_timeout().min(s(9)).default(s(20));
    let asked = [("grpc-timeout", "7S"), ("prefer", "wait=7"), ("x-stainless-read-timeout", "7")];
    let wanted = Found { deadline: Some(s(4)), head: Some(s(4)), silence: Some(s(4)) };
    let outside = ServiceBuilder::new().layer(strict.clone()).layer(lax.clone()).into_inner();
    let inside = ServiceBuilder::new().layer(lax.clone()).layer(strict.clone()).into_inner();
    assert_eq!(found(outside.clone(), request(&asked)).await, wanted);
    assert_eq!(found(inside, request(&asked)).await, wanted);
    // A default is a deadline like any other.
    assert_eq!(found(outside, request(&[])).await.deadline, Some(s(20)));
}

#[tokio::test(start_paused = true)]
async fn a_preference_bounds_the_head_and_a_read_timeout_silence_and_neither_the_whole() {
    let layer = DeadlineLayer::new().trust_prefer_wait().trust_read_timeout().max(s(60));
    let check = async |fields: &[(&'static str, &'static str)], head: Option<u64>, silence: Option<u64>| {
        let wanted = Found { deadline: None, head: head.map(s), silence: silence.map(s) };
        assert_eq!(found(layer.clone(), request(fields)).await, wanted, "{fields:?}");
    };
    check(&[("prefer", "respond-async, wait=5")], Some(5), None).await;
    check(&[("prefer", "respond-async"), ("prefer", "wait=5"), ("prefer", "wait=6")], Some(5), None).await;
    check(&[("prefer", "wait=600")], Some(60), None).await;
    check(&[("x-stainless-read-timeout", "30.0")], None, Some(30)).await;
    check(&[("x-stainless-read-timeout", "600")], None, Some(60)).await;
    // A caller cannot make a server beat all the time.
    check(&[("x-stainless-read-timeout", "0.001")], None, Some(1)).await;
    let with_min = layer.clone().min(s(5));
    let found = found(with_min, request(&[("prefer", "wait=1"), ("x-stainless-read-timeout", "1")])).await;
    assert_eq!(found, Found { deadline: None, head: Some(s(5)), silence: Some(s(5)) });
}

#[tokio::test(start_paused = true)]
async fn a_silence_hint_makes_a_heartbeat_faster_and_never_slower() {
    let heartbeat = HeartbeatLayer::every(s(15)).per_request(|request| {
        let hint = request.extensions.get::<SilenceHint>()?;
        Some(HeartbeatOverride::new().interval(s(15).min(hint.beat())))
    });
    let events = service_fn(async |_: Request<()>| {
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, Infallible>(response.body(script("0s=a")).unwrap())
    });
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new().trust_read_timeout())
        .layer(heartbeat)
        .service(events);
    let check = async |fields: &[(&'static str, &'static str)], wanted: &str| {
        let response = service.clone().oneshot(request(fields)).await.unwrap();
        assert_eq!(timeline_for(response.into_body(), s(16)).await, wanted, "{fields:?}");
    };
    check(&[("x-stainless-read-timeout", "15.0")], "0s=a 5s=: 10s=: 15s=: 16s=open").await;
    check(&[("x-stainless-read-timeout", "600")], "0s=a 15s=: 16s=open").await;
    check(&[], "0s=a 15s=: 16s=open").await;
}

/// What a script is, read under a deadline, and when that was known.
async fn bound(deadline: Deadline, stream: &str) -> String {
    let began = Instant::now();
    let read = match deadline.bound(timeline(script(stream))).await {
        Ok(line) => line,
        Err(late) => late.to_string(),
    };
    format!("{}s: {read}", began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_goes_first_and_the_deadline_second() {
    let check = async |stream, left, wanted: &str| {
        assert_eq!(bound(Deadline::after(left), stream).await, wanted, "{stream} in {left:?}");
    };
    check("0s=a 9s=end", s(10), "9s: 0s=a 9s=end").await;
    check("0s=a 10s=end", s(10), "10s: 0s=a 10s=end").await;
    check("0s=a 11s=end", s(10), "10s: deadline exceeded: 10s were left, 10s have passed").await;
    check("0s=end", s(0), "0s: 0s=end").await;
    check("1s=end", s(0), "0s: deadline exceeded: 0ns were left, 0ns have passed").await;
    check("1s=end", Duration::MAX, "1s: 1s=end").await;

    let past = Deadline::after(s(1));
    tokio::time::advance(s(5)).await;
    assert_eq!(bound(past, "0s=end").await, "0s: 0s=end");
    let late = past.bound(std::future::pending::<()>()).await.unwrap_err();
    assert_eq!((late.allowed(), late.elapsed()), (s(0), s(0)));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_noticed_late_when_the_task_was_busy_and_the_error_says_so() {
    let deadline = Deadline::after(s(1));
    let mut wait = pin!(deadline.bound(std::future::pending::<()>()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(wait.as_mut().poll(&mut cx).is_pending());
    tokio::time::advance(s(4)).await;
    let Poll::Ready(Err(late)) = wait.as_mut().poll(&mut cx) else { panic!("three seconds late") };
    assert_eq!((late.allowed(), late.elapsed()), (s(1), s(4)));
}

#[tokio::test(start_paused = true)]
async fn a_future_is_dropped_before_its_deadline_is_reported() {
    struct Held(Arc<AtomicBool>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let held = Held(Arc::clone(&dropped));
    let late = Deadline::after(s(1))
        .bound(async move {
            let _held = held;
            std::future::pending::<()>().await;
        })
        .await;
    assert!(late.is_err());
    assert!(dropped.load(Ordering::SeqCst));
}

/// A future that uses up tokio's cooperative budget in every turn, beside a timer that is polled inside of the same one.
#[tokio::test(start_paused = true)]
async fn a_busy_future_does_not_outrun_its_deadline() {
    let busy = async {
        loop {
            tokio::task::consume_budget().await;
        }
    };
    let deadline = Deadline::after(s(1));
    let waiting = tokio::spawn(async move { deadline.bound(busy).await.is_err() });
    tokio::task::yield_now().await;
    tokio::time::advance(s(2)).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(waiting.is_finished());
    assert!(waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_database_gets_15_s_of_what_is_left() {
    let deadline = Deadline::after(s(60));
    let query = async |takes| bound(deadline.at_most(s(15)).reserve(s(1)), takes).await;
    assert_eq!(query("13s=end").await, "13s: 13s=end");
    assert_eq!(query("20s=end").await, "14s: deadline exceeded: 14s were left, 14s have passed");
    tokio::time::advance(s(23)).await;
    assert_eq!(query("20s=end").await, "9s: deadline exceeded: 9s were left, 9s have passed");
    assert_eq!(deadline.remaining(), s(1));
}

/// What the next server gets to read.
async fn sent(layer: &PropagateDeadlineLayer, request: Request<()>) -> HeaderMap {
    let next = service_fn(async |request: Request<()>| Ok::<_, Infallible>(request.headers().clone()));
    layer.layer(next).oneshot(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_outgoing_request_says_what_is_left() {
    let check = async |header: DeadlineHeader, left, wanted: Option<&str>| {
        let mut outgoing = request(&[]);
        if let Some(left) = left {
            outgoing.extensions_mut().insert(Deadline::after(left));
        }
        let headers = sent(&PropagateDeadlineLayer::new(header.clone()), outgoing).await;
        let value = headers.get(header.name()).map(|value| value.to_str().unwrap());
        assert_eq!(value, wanted, "{header:?}: {left:?}");
        assert_eq!(headers.len(), usize::from(wanted.is_some()), "{header:?}: {left:?}");
    };
    check(DeadlineHeader::GrpcTimeout, Some(s(20)), Some("20000000u")).await;
    check(DeadlineHeader::ConnectTimeoutMs, Some(s(20)), Some("20000")).await;
    check(DeadlineHeader::RequestTimeout, Some(Duration::from_micros(20_500_999)), Some("20.500")).await;
    check(DeadlineHeader::Seconds(HeaderName::from_static("x-own")), Some(s(20)), Some("20")).await;
    check(DeadlineHeader::Millis(HeaderName::from_static("x-own-ms")), Some(s(20)), Some("20000")).await;
    check(DeadlineHeader::GrpcTimeout, None, None).await;
    // Past: the smallest value.
    check(DeadlineHeader::GrpcTimeout, Some(s(0)), Some("1n")).await;
    check(DeadlineHeader::ConnectTimeoutMs, Some(s(0)), Some("1")).await;
    check(DeadlineHeader::RequestTimeout, Some(s(0)), Some("0.001")).await;
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_there_is_never_lengthened() {
    let layer = PropagateDeadlineLayer::new(DeadlineHeader::RequestTimeout);
    let check = async |fields: &[(&'static str, &'static str)], wanted: &str| {
        let mut outgoing = request(fields);
        outgoing.extensions_mut().insert(Deadline::after(s(20)));
        let headers = sent(&layer, outgoing).await;
        let values: Vec<_> = headers.get_all("request-timeout").iter().collect();
        assert_eq!(values, [wanted], "{fields:?}");
    };
    check(&[("request-timeout", "5")], "5").await;
    check(&[("request-timeout", "020")], "020").await;
    check(&[("request-timeout", "0")], "0").await;
    check(&[("request-timeout", "21")], "20").await;
    check(&[("request-timeout", "soon")], "20").await;
    check(&[("request-timeout", "5"), ("request-timeout", "6")], "20").await;

    let untouched = sent(&layer, request(&[("request-timeout", "soon")])).await;
    assert_eq!(untouched["request-timeout"], "soon", "no deadline, no opinion");
}

#[tokio::test(start_paused = true)]
async fn a_client_has_a_deadline_of_its_own_and_a_margin() {
    let own = Deadline::after(s(20));
    let layer = PropagateDeadlineLayer::new(DeadlineHeader::ConnectTimeoutMs).deadline(own).margin(s(2));
    let check = async |requests: Option<u64>, wanted: &str| {
        let mut outgoing = request(&[]);
        if let Some(left) = requests {
            outgoing.extensions_mut().insert(Deadline::after(s(left)));
        }
        assert_eq!(sent(&layer, outgoing).await["connect-timeout-ms"], wanted, "{requests:?}");
    };
    check(None, "18000").await;
    check(Some(10), "8000").await;
    check(Some(30), "18000").await;
    check(Some(1), "1").await;
    tokio::time::advance(s(15)).await;
    check(None, "3000").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_gives_reaches_the_next_server_less_what_was_used() {
    let next = service_fn(async |request: Request<()>| Ok::<_, Infallible>(request.headers().clone()));
    let client = PropagateDeadlineLayer::new(DeadlineHeader::GrpcTimeout).layer(next);
    let handler = service_fn(move |incoming: Request<()>| {
        let client = client.clone();
        async move {
            let deadline: Deadline = *incoming.extensions().get().unwrap();
            tokio::time::sleep(s(4)).await;
            client.oneshot(Request::builder().extension(deadline).body(()).unwrap()).await
        }
    });
    let server = trusting().layer(handler);
    let headers = server.oneshot(request(&[("connect-timeout-ms", "10000")])).await.unwrap();
    assert_eq!(headers["grpc-timeout"], "6000000u");
}

#[tokio::test(start_paused = true)]
async fn an_axum_handler_has_its_deadline_as_an_argument() {
    let app = Router::new()
        .route("/", get(|deadline: Deadline| async move { format!("{:?}", deadline.remaining()) }))
        .route(
            "/if",
            get(|deadline: Option<Deadline>| async move { format!("{:?}", deadline.map(|d| d.remaining())) }),
        );
    let check = async |app: &Router, path: &str, timeout: Option<&str>, status, text: &str| {
        let mut request = Request::get(path);
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let response = app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{path} {timeout:?}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(String::from_utf8_lossy(&body), text, "{path} {timeout:?}");
    };
    let none = "the request has no deadline: a DeadlineLayer with a default gives one to every request";
    let layer = trusting();
    let layered = app.clone().layer(layer.clone());
    check(&app, "/", Some("5S"), StatusCode::INTERNAL_SERVER_ERROR, none).await;
    check(&app, "/if", Some("5S"), StatusCode::OK, "None").await;
    check(&layered, "/", Some("5S"), StatusCode::OK, "5s").await;
    check(&layered, "/if", Some("5S"), StatusCode::OK, "Some(5s)").await;
    check(&layered, "/if", Some("soon"), StatusCode::OK, "None").await;
    check(&layered, "/", Some("soon"), StatusCode::INTERNAL_SERVER_ERROR, none).await;
    assert_eq!(layer.malformed(), 2, "counted across the services that axum clones");
    check(&app.layer(layer.default(s(30))), "/", Some("soon"), StatusCode::OK, "30s").await;
}

#[test]
fn a_wrong_setting_is_refused_and_its_panic_says_why() {
    let error = DeadlineLayer::new().min(s(5)).try_max(s(1)).unwrap_err();
    let sentence = "the longest deadline is at least the shortest, 5s, got 1s";
    assert_eq!(error.to_string(), sentence);
    let panic = std::panic::catch_unwind(|| DeadlineLayer::new().min(s(5)).max(s(1))).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), sentence);
    assert!(DeadlineLayer::new().max(s(5)).try_min(s(9)).is_err());
    assert!(DeadlineLayer::new().max(s(5)).try_default(s(9)).is_err());
}

#[test]
fn all_of_it_can_be_sent_and_shared() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    check::<Deadline>();
    check::<HeadDeadline>();
    check::<SilenceHint>();
    check::<<DeadlineLayer as Layer<Noted>>::Service>();
    check::<<PropagateDeadlineLayer as Layer<Noted>>::Service>();
    fn sends<T: Send>(_: T) {}
    sends(Deadline::after(s(1)).bound(std::future::pending::<()>()));
}

#[derive(Clone, Debug)]
struct Noted;

/// Any bytes that a header can have, and some that come near to what is meant.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[0-9]{0,12}[HMSmuns.,; =+-]?[0-9]{0,20}".prop_map(String::into_bytes),
        "[ ,;\"\\\\]{0,4}wait[ =\"]{0,3}[0-9]{0,12}[ ,;\"=a]{0,4}".prop_map(String::into_bytes),
        Just(b"NOT_GIVEN".to_vec()),
    ]
}

const NAMES: [&str; 7] = [
    "grpc-timeout",
    "connect-timeout-ms",
    "request-timeout",
    "x-own",
    "x-own-ms",
    "prefer",
    "x-stainless-read-timeout",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_caller_sends_there_is_a_deadline_between_min_and_max(
        fields in proptest::collection::vec((0..NAMES.len(), values()), 0..6),
    ) {
        let (min, max, default) = (s(2), s(60), s(30));
        let layer = trusting().trust_prefer_wait().trust_read_timeout().min(min).max(max).default(default);
        let mut asked = request(&[]);
        for (name, value) in &fields {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                asked.headers_mut().append(NAMES[*name], value);
            }
        }
        let said_nothing = NAMES[..5].iter().all(|name| !asked.headers().contains_key(*name));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let found = runtime.block_on(found(layer.clone(), asked));

        let deadline = found.deadline.expect("there is a default");
        prop_assert!((min..=max).contains(&deadline), "{deadline:?}");
        prop_assert!(!said_nothing || deadline == default);
        for hint in [found.head, found.silence].into_iter().flatten() {
            prop_assert!((min..=max).contains(&hint), "{hint:?}");
        }
        prop_assert!(layer.malformed() <= NAMES.len() as u64);
    }
}
