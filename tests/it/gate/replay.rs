//! The body of a request that waits: read ahead, within bounds, and given to the handler as it came.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::gate::ReplayBody;
use tower_lifeline::testing::{Script, script, timeline};
use tower_lifeline::{Gate, GateLayer};

use super::{ask, open, poll, s, state};

/// The request body as the handler gets it, after a wait of ten seconds in the queue of this gate.
async fn after_a_wait<B>(gate: &Gate, request: Request<B>) -> ReplayBody<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    let held = ask(&open(gate)).await;
    let got = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&got);
    let service = GateLayer::new(gate).layer(service_fn(move |request: Request<ReplayBody<B>>| {
        *kept.lock().unwrap() = Some(request.into_body());
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    }));
    let mut waits = Box::pin(service.oneshot(request));
    let waited = tokio::time::timeout(s(10), &mut waits).await;
    assert!(waited.is_err() && state(gate) == (1, 1), "it has to wait");
    drop(held);
    assert!(poll(&mut waits).is_ready());
    let body = got.lock().unwrap().take();
    body.expect("the handler was called")
}

fn patient() -> Gate {
    Gate::new(1).max_wait(s(60))
}

async fn replayed(body: Script) -> String {
    timeline(after_a_wait(&patient(), Request::new(body)).await).await
}

#[tokio::test(start_paused = true)]
async fn what_came_during_the_wait_comes_at_once_and_the_rest_as_it_comes() {
    let line = replayed(script("0s=a 5s=b 15s=c 15s=trailers(x:y) 15s=end")).await;
    assert_eq!(line, "0s=a 0s=b 5s=c 5s=trailers(x:y) 5s=end");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_there_whole_is_replayed_whole() {
    assert_eq!(replayed(script("0s=a 5s=b 6s=end")).await, "0s=a 0s=b 0s=end");
    assert_eq!(replayed(script("0s=a 5s=trailers(x:y) 6s=end")).await, "0s=a 0s=trailers(x:y) 0s=end");
    assert_eq!(replayed(script("0s=end")).await, "0s=end");
    assert_eq!(replayed(script("0s='' 0s=a 0s='' 0s=end")).await, "0s='' 0s=a 0s='' 0s=end");
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_where_it_was() {
    assert_eq!(replayed(script("0s=a 5s=error(broken)")).await, "0s=a 0s=error(broken)");
    assert_eq!(replayed(script("0s=a 15s=error(broken)")).await, "0s=a 5s=error(broken)");
    assert_eq!(replayed(script("5s=error(broken)")).await, "0s=error(broken)");
}

#[tokio::test(start_paused = true)]
async fn hints_are_true_while_the_beginning_is_replayed() {
    let body = script("0s=a 5s=b 15s=c 15s=end").knows_length();
    let mut body = after_a_wait(&patient(), Request::new(body)).await;
    for left in [27, 18, 9] {
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(left), false));
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));

    // The length of a stream is not known; what was kept of it is.
    let body = after_a_wait(&patient(), Request::new(script("0s=a 5s=b 15s=end"))).await;
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (18, None));

    // Nothing is left of the inner body, and something of what was kept.
    let body = script("0s=a 0s=trailers(x:y) 0s=end").reports_end();
    let mut body = after_a_wait(&patient(), Request::new(body)).await;
    for left in [9, 0] {
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(left), false));
        body.frame().await.unwrap().unwrap();
    }
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_need_not_wait_is_not_touched() {
    let (mut body, given) = endless(1_000, usize::MAX);
    let gate = Gate::new(1);
    let service = GateLayer::new(&gate).layer(service_fn(async |request: Request<ReplayBody<Endless>>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    }));
    body.left = 2;
    let Ok(answer) = service.oneshot(Request::new(body)).await;
    assert_eq!(given.load(Ordering::SeqCst), 0);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), 2_000);
}

/// Has always a chunk more, and counts those it has given.
#[derive(Debug)]
struct Endless {
    chunk: Bytes,
    left: usize,
    given: Arc<AtomicUsize>,
}

fn endless(chunk: usize, left: usize) -> (Endless, Arc<AtomicUsize>) {
    let given = Arc::default();
    (Endless { chunk: vec![b'-'; chunk].into(), left, given: Arc::clone(&given) }, given)
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.left = left;
        self.given.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(self.chunk.clone()))))
    }
}

/// How many chunks of this size are read ahead by this gate; all of them arrive in the end.
async fn read_ahead(gate: Gate, chunk: usize) -> usize {
    let chunks = 5_000;
    let (body, given) = endless(chunk, chunks);
    let body = after_a_wait(&gate, Request::new(body)).await;
    let ahead = given.load(Ordering::SeqCst);
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), chunk * chunks);
    ahead
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_ahead_than_fits() {
    let of = |bytes| patient().buffer(bytes);
    assert_eq!(read_ahead(of(10_000), 1_000).await, 10);
    // One chunk may go over.
    assert_eq!(read_ahead(of(10_000), 8_000).await, 2);
    assert_eq!(read_ahead(of(10_000), 1 << 16).await, 1);
    assert_eq!(read_ahead(of(0), 1_000).await, 0);
    assert_eq!(read_ahead(patient(), 1_024).await, 64);
}

#[tokio::test(start_paused = true)]
async fn nor_more_of_tiny_chunks_than_would_fit_of_large_ones() {
    let of = |bytes| patient().buffer(bytes);
    assert_eq!(read_ahead(of(6_400), 1).await, 100);
    assert_eq!(read_ahead(of(6_400), 0).await, 100);
    assert_eq!(read_ahead(patient(), 1).await, 1_024);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_to_be_asked_is_not_asked_before_its_turn() {
    let (body, given) = endless(10, 5);
    let request = Request::builder().header("expect", "100-continue").body(body).unwrap();
    let body = after_a_wait(&patient(), request).await;
    assert_eq!(given.load(Ordering::SeqCst), 0);
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 50);
}

/// hyper's body fails when an HTTP/1 client has gone, and hyper then drops what waits; all that the gate has to do is ask.
#[tokio::test(start_paused = true)]
async fn a_waiting_request_is_woken_by_its_body() {
    let gate = patient();
    let held = ask(&open(&gate)).await;
    let service = GateLayer::new(&gate).layer(service_fn(async |request: Request<ReplayBody<Script>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(timeline(request.into_body()).await)))
    }));
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let waits = tokio::spawn(async move {
        let mut future = Box::pin(service.oneshot(Request::new(script("1s=a 2s=b 3s=error(gone)"))));
        std::future::poll_fn(move |cx| {
            counted.fetch_add(1, Ordering::SeqCst);
            future.as_mut().poll(cx)
        })
        .await
    });
    sleep(s(5)).await;
    assert_eq!(polls.load(Ordering::SeqCst), 4);
    drop(held);
    let Ok(answer) = waits.await.unwrap();
    let line = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(line, "0s=a 0s=b 0s=error(gone)");
}

#[tokio::test(start_paused = true)]
async fn a_body_with_nothing_left_is_let_go_of() {
    let probes = crate::support::probe::Open::default();
    let mut body = after_a_wait(&patient(), Request::new(probes.probe(script("0s=a 5s=b 5s=end")))).await;
    // Its end was read ahead.
    assert_eq!(probes.count(), 0);
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
    assert!(body.frame().await.is_none() && body.frame().await.is_none());
}
