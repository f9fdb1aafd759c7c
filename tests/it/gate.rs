//! What happens when, line by line: the table in the module's documentation.

mod load;
mod queue;
mod refusals;
mod replay;
mod scope;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifeline::gate::{GateBody, ReplayBody};
use tower_lifeline::testing::{Script, script};
use tower_lifeline::{Gate, GateLayer};

type Asked = Request<Empty<Bytes>>;
type Answered = Response<GateBody<Script>>;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn request() -> Asked {
    Request::new(Empty::new())
}

/// A gate in front of a handler that answers so late with such a stream.
fn streams(
    gate: &Gate,
    after: Duration,
    stream: &'static str,
) -> impl Service<Asked, Response = Answered, Error = Infallible, Future: Send + Unpin> + Clone + Send + use<>
{
    let handler = service_fn(move |_: Request<ReplayBody<Empty<Bytes>>>| {
        Box::pin(async move {
            sleep(after).await;
            Ok(Response::new(script(stream)))
        })
    });
    GateLayer::new(gate).layer(handler)
}

/// One whose answers are there at once, and open until they are dropped.
fn open(
    gate: &Gate,
) -> impl Service<Asked, Response = Answered, Error = Infallible, Future: Send + Unpin> + Clone + Send + use<>
{
    streams(gate, Duration::ZERO, "0s=a")
}

/// The answer to one request, whatever it is.
async fn ask<S: Service<Asked, Response = Answered, Error = Infallible> + Clone>(service: &S) -> Answered {
    let Ok(answer) = service.clone().oneshot(request()).await;
    answer
}

/// A request that has been asked once what it has to say.
fn waiting<S>(service: &S) -> Pin<Box<impl Future<Output = Answered> + use<S>>>
where
    S: Service<Asked, Response = Answered, Error = Infallible> + Clone,
{
    let service = service.clone();
    let mut future = Box::pin(async move { ask(&service).await });
    assert!(poll(&mut future).is_pending(), "it has to wait");
    future
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<F: Future>(future: &mut Pin<Box<F>>) -> F::Output {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("its turn has come"),
    }
}

/// In flight and in the queue.
fn state(gate: &Gate) -> (usize, usize) {
    let stats = gate.stats();
    (stats.in_flight, stats.queued)
}

/// Nobody is there, and every permit that was given out came back once.
#[track_caller]
fn assert_whole(gate: &Gate) {
    let stats = gate.stats();
    assert_eq!((stats.in_flight, stats.queued), (0, 0), "{stats:?}");
    assert_eq!(stats.hold.count, stats.admitted, "{stats:?}");
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_permit_calls_the_handler_at_once() {
    let gate = Gate::new(2);
    let service = open(&gate);
    let first = ask(&service).await;
    let second = ask(&service).await;
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    assert_eq!(state(&gate), (2, 0));
    drop((first, second));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn an_exempt_request_passes_and_is_not_counted() {
    let gate = Gate::new(1).queue(0).exempt(|request| request.uri.path() == "/health");
    let health = || Request::builder().uri("/health").body(Empty::<Bytes>::new()).unwrap();
    let service = open(&gate);
    let busy = ask(&service).await;
    let Ok(healthy) = service.clone().oneshot(health()).await;
    assert_eq!(healthy.status(), 200);
    assert_eq!(ask(&service).await.status(), 503);
    gate.close();
    let Ok(healthy) = service.clone().oneshot(health()).await;
    assert_eq!(healthy.status(), 200);
    assert_eq!((gate.stats().admitted, state(&gate)), (1, (1, 0)));
    drop((busy, healthy));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_key_has_its_cap_in_flight_and_in_the_queue_together() {
    let gate = Gate::new(3)
        .queue(9)
        .per_key(2, |request| request.headers.get("key").map(|key| key.as_bytes().to_vec()));
    let service = open(&gate);
    let of = |key: &'static str| {
        let request = Request::builder().header("key", key).body(Empty::<Bytes>::new()).unwrap();
        Box::pin(service.clone().oneshot(request))
    };
    let (Ok(first), Ok(second)) = (of("a").await, of("a").await);
    let Ok(refused) = of("a").await;
    assert_eq!((refused.status().as_u16(), gate.stats().key_over_cap), (429, 1));
    assert!(refused.headers().contains_key("retry-after"));
    let Ok(other) = of("b").await;
    let mut waits = of("b");
    assert!(poll(&mut waits).is_pending());
    let Ok(refused) = of("b").await;
    assert_eq!((refused.status().as_u16(), state(&gate)), (429, (3, 1)));
    // Those without a key have no cap, and wait like all others.
    let keyless = waiting(&service);
    assert_eq!(state(&gate), (3, 2));
    drop(keyless);

    drop(waits);
    let mut waits = of("b");
    assert!(poll(&mut waits).is_pending(), "the place in the queue did not count any more");
    drop(first);
    let Ok(last) = ready(&mut waits);
    let Ok(refused) = of("b").await;
    assert_eq!(refused.status(), 429);
    drop((second, other, last));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_cap_of_zero_is_a_cap_of_one() {
    let gate = Gate::new(3).per_key(0, |_| Some("all"));
    let service = open(&gate);
    let come = || service.clone().oneshot(Request::new(Empty::<Bytes>::new()));
    let (Ok(first), Ok(second)) = (come().await, come().await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 429));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_refused_for_another_reason_does_not_count_for_their_key() {
    let gate = Gate::new(1).queue(0).per_key(1, |request| request.headers.get("key").cloned());
    let service = open(&gate);
    let of = |key: &'static str| {
        let request = Request::builder().header("key", key).body(Empty::<Bytes>::new()).unwrap();
        service.clone().oneshot(request)
    };
    let Ok(busy) = of("a").await;
    for _ in 0..3 {
        let Ok(refused) = of("b").await;
        assert_eq!(refused.status(), 503);
    }
    gate.close();
    let Ok(refused) = of("b").await;
    assert_eq!(refused.status(), 503);
    gate.reopen();
    drop(busy);
    let Ok(served) = of("b").await;
    assert_eq!(served.status(), 200);
    let stats = gate.stats();
    assert_eq!((stats.queue_full, stats.closed, stats.key_over_cap), (3, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_free_before_anybody_learns_that_the_permit_is() {
    struct Comes<F>(Gate, F);
    impl<F: Fn() -> u16 + Send + Sync + 'static> Wake for Comes<F> {
        fn wake(self: Arc<Self>) {
            assert_eq!(
                ((self.1)(), self.0.stats().key_over_cap),
                (503, 0),
                "its own key is free, the queue is not"
            );
        }
    }
    let gate = Gate::new(1).queue(1).per_key(1, |request| request.headers.get("key").cloned());
    let service = open(&gate);
    let of = |service: &_, key: &'static str| {
        let request = Request::builder().header("key", key).body(Empty::<Bytes>::new()).unwrap();
        Box::pin(ServiceExt::oneshot(Clone::clone(service), request))
    };
    let Ok(first) = of(&service, "a").await;
    let mut second = of(&service, "b");
    let again = std::sync::Mutex::new(service.clone());
    let shut = gate.clone();
    let waker = Waker::from(Arc::new(Comes(gate.clone(), move || {
        shut.resize_queue(0);
        let Ok(answer) = ready(&mut of(&*again.lock().unwrap(), "a"));
        answer.status().as_u16()
    })));
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(first);
    let Ok(second) = ready(&mut second);
    assert_eq!(second.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_parked_clone_that_was_asked_for_its_readiness_keeps_nothing() {
    let gate = Gate::new(1).queue(0);
    let service = open(&gate);
    let mut parked = Vec::new();
    for _ in 0..5 {
        let mut clone = service.clone();
        clone.ready().await.unwrap();
        parked.push(clone);
    }
    assert_eq!(state(&gate), (0, 0));
    let served = ask(&service).await;
    assert_eq!((served.status().as_u16(), state(&gate)), (200, (1, 0)));
    drop(served);
    let Ok(served) = parked.swap_remove(3).call(request()).await;
    assert_eq!(served.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn clones_services_and_layers_of_one_gate_share_its_permits() {
    let gate = Gate::new(3).queue(0);
    let (layer, same) = (GateLayer::new(&gate), GateLayer::new(&gate.clone()));
    let service = || service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(script("0s=a"))));
    let one = layer.clone().layer(service());
    let other = same.layer(service());
    let mut open = Vec::new();
    for service in [&one, &one.clone(), &other] {
        open.push(ask(service).await);
    }
    assert_eq!(state(&gate), (3, 0));
    assert_eq!(ask(&layer.layer(service())).await.status(), 503);
    // Settings make a gate of their own.
    let apart = gate.clone().queue(0);
    assert_eq!(ask(&GateLayer::new(&apart).layer(service())).await.status(), 200);
    drop(open);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn the_routes_and_methods_of_a_router_share_the_permits() {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;

    let endless = || async { Body::new(script("0s=a")) };
    let gate = Gate::new(2).queue(0);
    let app: Router = Router::new()
        .route("/one", get(endless).post(endless))
        .route("/two", get(endless))
        .layer(GateLayer::new(&gate));
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap()
    };
    let (first, second) = (ask("GET", "/one").await, ask("POST", "/one").await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    for (method, path) in [("GET", "/one"), ("POST", "/one"), ("GET", "/two"), ("GET", "/nowhere")] {
        assert_eq!(ask(method, path).await.status(), 503, "{method} {path}");
    }
    drop(first);
    assert_eq!(ask("GET", "/two").await.status(), 200);
    drop(second);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn the_handle_tells_how_long_people_waited_and_held() {
    let gate = Gate::new(1);
    let service = open(&gate);
    let first = ask(&service).await;
    let mut second = waiting(&service);
    let third = waiting(&service);
    tokio::time::advance(s(3)).await;
    drop(third);
    drop(first);
    let second = ready(&mut second);
    tokio::time::advance(s(5)).await;
    drop(second);
    let stats = gate.stats();
    // Who has left is in neither.
    assert_eq!((stats.wait.count, stats.wait.mean, stats.wait.longest), (1, s(3), s(3)));
    assert_eq!((stats.hold.count, stats.hold.mean, stats.hold.longest), (2, s(4), s(5)));
    assert_eq!(stats.admitted, 2);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn an_untimed_gate_counts_and_knows_no_times() {
    let gate = Gate::new(1).untimed();
    let service = open(&gate);
    let first = ask(&service).await;
    tokio::time::advance(s(9)).await;
    assert_eq!(state(&gate), (1, 0));
    drop(first);
    let stats = gate.stats();
    assert_eq!((stats.in_flight, stats.admitted, stats.hold.count), (0, 1, 0));
}
