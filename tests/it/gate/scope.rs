//! How long a permit is held, and that it comes back once on every path.

use std::convert::Infallible;
use std::future::ready as at_once;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifeline::gate::{PermitHandle, ReplayBody};
use tower_lifeline::testing::{script, timeline};
use tower_lifeline::{BoxError, Gate, GateLayer, PermitScope, TimeoutLayer, Timeouts};

use super::{ask, assert_whole, open, poll, ready, request, s, state, streams, waiting};
use crate::support::probe::Open;

type Handled = Request<ReplayBody<Empty<Bytes>>>;

/// What is in flight after the head, the first bytes, and the end, and when it has been dropped.
async fn in_flight_along(gate: &Gate, stream: &'static str) -> Vec<usize> {
    let service = streams(gate, s(1), stream);
    let mut seen = Vec::new();
    let mut handled = waiting(&service);
    seen.push(gate.stats().in_flight);
    sleep(s(2)).await;
    let mut body = ready(&mut handled).into_body();
    seen.push(gate.stats().in_flight);
    while let Some(Ok(_)) = body.frame().await {
        seen.push(gate.stats().in_flight);
    }
    seen.push(gate.stats().in_flight);
    drop(body);
    assert_whole(gate);
    seen
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_to_the_end_of_the_body() {
    let gate = Gate::new(1);
    assert_eq!(in_flight_along(&gate, "0s=a 5s=b 5s=end").await, [1, 1, 1, 1, 0]);
    assert_eq!(in_flight_along(&gate, "5s=end").await, [1, 1, 0]);
    assert_eq!(in_flight_along(&gate, "0s=a 5s=trailers(a:b) 5s=end").await, [1, 1, 1, 1, 0]);
    assert_eq!(in_flight_along(&gate, "0s=a 5s=error(broken)").await, [1, 1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_to_the_first_byte_if_so_wanted() {
    let gate = Gate::new(1).scope(PermitScope::FirstByte);
    assert_eq!(in_flight_along(&gate, "3s=a 5s=b 5s=end").await, [1, 1, 0, 0, 0]);
    assert_eq!(in_flight_along(&gate, "5s=end").await, [1, 1, 0]);
    // Neither nothing nor trailers are bytes.
    assert_eq!(in_flight_along(&gate, "0s='' 3s=a 5s=end").await, [1, 1, 1, 0, 0]);
    assert_eq!(in_flight_along(&gate, "3s=trailers(a:b) 5s=end").await, [1, 1, 1, 0]);
    assert_eq!(in_flight_along(&gate, "5s=error(broken)").await, [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_to_the_head_if_so_wanted() {
    let gate = Gate::new(1).scope(PermitScope::Headers);
    assert_eq!(in_flight_along(&gate, "0s=a 5s=b 5s=end").await, [1, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_body_dropped_anywhere_gives_its_permit_back() {
    for taken in 0..5 {
        let gate = Gate::new(1);
        let mut body = ask(&streams(&gate, s(0), "0s=a 5s=b 10s=c 10s=end")).await.into_body();
        for _ in 0..taken {
            // Some are dropped in the middle of a wait.
            let _ = timeout(s(3), body.frame()).await;
        }
        drop(body);
        assert_whole(&gate);
    }
}

/// How many bodies were there when somebody was woken.
struct Seen {
    inner: Open,
    when_woken: Mutex<Vec<usize>>,
}

impl Wake for Seen {
    fn wake(self: Arc<Self>) {
        self.when_woken.lock().unwrap().push(self.inner.count());
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_is_gone_before_its_permit_is() {
    let gate = Gate::new(1);
    let inner = Open::default();
    let probe = Arc::new(Mutex::new(Some(inner.probe(script("0s=a 5s=end")))));
    let service = GateLayer::new(&gate).layer(service_fn(move |_: Handled| {
        at_once(Ok::<_, Infallible>(Response::new(probe.lock().unwrap().take().expect("one request"))))
    }));
    let Ok(first) = service.oneshot(request()).await;
    let mut next = waiting(&open(&gate));
    let seen = Arc::new(Seen { inner, when_woken: Mutex::default() });
    let waker = Waker::from(Arc::clone(&seen));
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(first);
    assert_eq!(*seen.when_woken.lock().unwrap(), [0]);
    assert_eq!(ready(&mut next).status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_knows_its_end_need_not_be_asked_for_it() {
    let gate = Gate::new(1);
    let service = GateLayer::new(&gate).layer(service_fn(|_: Handled| {
        at_once(Ok::<_, Infallible>(Response::new(script("0s=a 0s=end").knows_length())))
    }));
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(9));
    body.frame().await.unwrap().unwrap();
    // So far hyper goes, and drops it.
    assert!(body.is_end_stream());
    drop(body);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_gives_its_permit_back() {
    let gate = Gate::new(1);
    let service = GateLayer::new(&gate).layer(service_fn(|_: Handled| async {
        sleep(s(1)).await;
        Err::<Response<Empty<Bytes>>, BoxError>("no luck".into())
    }));
    let error = service.oneshot(request()).await.map(drop).unwrap_err();
    assert_eq!(error.to_string(), "no luck");
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_handler_works_gives_its_permit_back() {
    let gate = Gate::new(1);
    let service = streams(&gate, s(9), "0s=a");
    let handled = waiting(&service);
    assert_eq!(state(&gate), (1, 0));
    drop(handled);
    assert_whole(&gate);
    // And before it was polled at all, and when it had waited.
    drop(service.clone().ready().await.unwrap().call(request()));
    assert_whole(&gate);
    let handled = waiting(&service);
    let mut queued = waiting(&service);
    drop(handled);
    assert!(poll(&mut queued).is_pending());
    assert_eq!(state(&gate), (1, 0));
    drop(queued);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_limit_inside_or_outside_gives_the_permit_back() {
    let limits = TimeoutLayer::new(Timeouts::new().total(s(5)));
    let slow = |after| {
        service_fn(move |_: Request<_>| async move {
            sleep(after).await;
            Ok::<_, Infallible>(Response::new(script("0s=a")))
        })
    };
    let gate = Gate::new(1);
    for after in [s(0), s(9)] {
        let inside = GateLayer::new(&gate).layer(limits.layer(slow(after)));
        let answer = inside.oneshot(request()).await.unwrap();
        let status = answer.status();
        let line = timeline(answer.into_body()).await;
        assert_eq!(
            (status == 504, line.ends_with("(total limit: 5s))")),
            (after == s(9), after == s(0)),
            "{line}"
        );
        assert_whole(&gate);

        let outside = limits.layer(GateLayer::new(&gate).layer(slow(after)));
        let answer = outside.oneshot(request()).await.unwrap();
        if answer.status() == 200 {
            let line = timeline(answer.into_body()).await;
            assert!(line.ends_with("(total limit: 5s))"), "{line}");
        }
        assert_whole(&gate);
    }
}

/// Panics where the request's path says so.
async fn panics(path: &str, gate: &Gate) {
    let handler = service_fn(|request: Handled| {
        assert!(request.uri().path() != "/call", "in the call");
        async move {
            tokio::task::yield_now().await;
            assert!(request.uri().path() != "/handler", "in the handler");
            let frames = futures_util::stream::poll_fn(
                |_| -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> { panic!("in the body") },
            );
            Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(frames)))
        }
    });
    let service = GateLayer::new(gate).layer(handler);
    let request = Request::builder().uri(path).body(Empty::new()).unwrap();
    let panicked = tokio::spawn(async move {
        let Ok(answer) = service.oneshot(request).await;
        answer.into_body().collect().await.map(drop)
    });
    assert!(panicked.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_the_permit_back() {
    for path in ["/call", "/handler", "/body"] {
        let gate = Gate::new(1);
        panics(path, &gate).await;
        assert_whole(&gate);
        // The same when it had to wait before.
        let held = ask(&open(&gate)).await;
        tokio::join!(panics(path, &gate), async {
            while state(&gate) != (1, 1) {
                tokio::task::yield_now().await;
            }
            drop(held);
        });
        assert_whole(&gate);
        assert_eq!(ask(&open(&gate)).await.status(), 200, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_is_caught_gives_the_permit_back_with_the_future() {
    let gate = Gate::new(1);
    let service = GateLayer::new(&gate).layer(service_fn(|_: Handled| async {
        if true {
            panic!("in the handler");
        }
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let mut future = Box::pin(service.oneshot(request()));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut future).is_pending())).is_err());
    assert_eq!(state(&gate), (1, 0));
    drop(future);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_refused_takes_no_permit() {
    let gate = Gate::new(1).queue(0);
    let service = open(&gate);
    let held = ask(&service).await;
    let refused = ask(&service).await;
    assert_eq!(refused.status(), 503);
    assert_eq!((state(&gate), gate.stats().admitted), ((1, 0), 1));
    drop(refused);
    assert_eq!(state(&gate), (1, 0));
    // A refusal that nobody polls is none the less counted.
    drop(service.clone().ready().await.unwrap().call(request()));
    assert_eq!(gate.stats().queue_full, 2);
    drop(held);
    assert_whole(&gate);
}

/// Answers as it is told to, and lets the test have the permit's handle.
async fn tunnel(
    gate: &Gate,
    method: Method,
    status: StatusCode,
) -> (Response<impl Body<Data = Bytes> + use<>>, Option<PermitHandle>) {
    let handle = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&handle);
    let service = GateLayer::new(gate).layer(service_fn(move |request: Handled| {
        *kept.lock().unwrap() = request.extensions().get::<PermitHandle>().cloned();
        at_once(Ok::<_, Infallible>(Response::builder().status(status).body(script("0s=a")).unwrap()))
    }));
    let request = Request::builder().method(method).body(Empty::new()).unwrap();
    let Ok(answer) = service.oneshot(request).await;
    let handle = handle.lock().unwrap().take();
    (answer, handle)
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_gives_its_permit_back_with_the_head() {
    for (method, status, in_flight) in [
        (Method::GET, 101, 0),
        (Method::GET, 200, 1),
        (Method::CONNECT, 200, 0),
        (Method::CONNECT, 204, 0),
        // Refused: it is a response like all others.
        (Method::CONNECT, 403, 1),
        (Method::CONNECT, 502, 1),
    ] {
        let gate = Gate::new(1);
        let status = StatusCode::from_u16(status).unwrap();
        let (answer, handle) = tunnel(&gate, method.clone(), status).await;
        assert!(handle.is_none(), "nobody asked for it");
        assert_eq!(gate.stats().in_flight, in_flight, "{method} {status}");
        drop(answer);
        assert_whole(&gate);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_keeps_its_permit_for_whoever_holds_it() {
    let gate = Gate::new(1).holdable();
    let held = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&held);
    let service = GateLayer::new(&gate).layer(service_fn(move |request: Handled| {
        *kept.lock().unwrap() = request.extensions().get::<PermitHandle>().and_then(PermitHandle::hold);
        at_once(Ok::<_, Infallible>(Response::builder().status(101).body(script("0s=end")).unwrap()))
    }));
    let Ok(answer) = service.oneshot(request()).await;
    drop(answer);
    assert_eq!(state(&gate), (1, 0));
    drop(held.lock().unwrap().take());
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_held_comes_back_with_the_last_of_its_holders() {
    let gate = Gate::new(1).holdable();
    let (answer, handle) = tunnel(&gate, Method::GET, StatusCode::OK).await;
    let handle = handle.expect("the gate is holdable");
    // The handle alone keeps nothing, wherever its clones have gone.
    let parked = handle.clone();
    let (first, second) = (handle.hold().expect("it is out"), parked.hold().expect("it is out"));
    drop(answer);
    assert_eq!(state(&gate), (1, 0));
    drop(first);
    assert_eq!(state(&gate), (1, 0));
    drop(second);
    assert_whole(&gate);
    assert!(handle.hold().is_none() && parked.hold().is_none(), "it has been given back");

    let (answer, handle) = tunnel(&gate, Method::GET, StatusCode::OK).await;
    let held = handle.expect("the gate is holdable").hold();
    drop(held);
    assert_eq!(state(&gate), (1, 0), "the body has it still");
    drop(answer);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_permit_can_be_held_beyond_a_failure_and_beyond_its_scope() {
    let gate = Gate::new(1).holdable().scope(PermitScope::Headers);
    let (answer, handle) = tunnel(&gate, Method::GET, StatusCode::OK).await;
    assert!(handle.expect("the gate is holdable").hold().is_none(), "it went with the head");
    drop(answer);
    assert_whole(&gate);

    let service = GateLayer::new(&gate).layer(service_fn(|request: Handled| {
        let held = request.extensions().get::<PermitHandle>().and_then(PermitHandle::hold);
        tokio::spawn(async move {
            sleep(s(5)).await;
            drop(held);
        });
        at_once(Err::<Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError>("no luck".into()))
    }));
    service.oneshot(request()).await.map(drop).unwrap_err();
    assert_eq!(state(&gate), (1, 0));
    sleep(s(6)).await;
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn capacity_is_whole_after_a_thousand_clients_of_every_kind() {
    let gate = Gate::new(3).queue(4).max_wait(s(4));
    let service = streams(&gate, s(1), "0s=a 2s=b 3s=end");
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..1_000_u64 {
        let service = service.clone();
        clients.spawn(async move {
            sleep(s(client / 5)).await;
            let patience = std::time::Duration::from_millis(client * 7_919 % 9_000);
            let _ =
                timeout(patience, async { ask(&service).await.into_body().collect().await.map(drop) }).await;
        });
    }
    clients.join_all().await;
    let stats = gate.stats();
    assert!(stats.admitted > 100 && stats.queue_full > 100 && stats.wait.count > 100, "{stats:?}");
    assert!(stats.queue_timeout > 0, "{stats:?}");
    assert_whole(&gate);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(ask(&open(&gate)).await);
    }
    assert!(held.iter().all(|answer| answer.status() == 200));
    assert!(poll(&mut Box::pin(ask(&open(&gate)))).is_pending());
}
