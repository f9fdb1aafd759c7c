//! What an adaptive gate tells its limit.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::gate::{Limit, PermitScope, Sample, SampleAt};
use tower_lifeline::testing::{Script, script, timeline};
use tower_lifeline::{BoxError, Gate, GateLayer};

/// Keeps every sample, and lowers the limit to one and those that were not dropped.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Sample>>>);

impl Limit for Told {
    fn current(&self) -> usize {
        9
    }

    fn sample(&mut self, sample: &Sample) -> usize {
        let mut told = self.0.lock().unwrap();
        told.push(*sample);
        1 + told.iter().filter(|sample| !sample.dropped).count()
    }
}

/// The seconds of the one sample that a request leaves, with a `!` when it was dropped. The handler takes 2 s to its head,
/// and the client reads so many frames.
async fn sample(at: SampleAt, status: u16, stream: &str, frames: usize) -> String {
    let told = Told::default();
    let gate = Gate::adaptive(told.clone()).sample_at(at);
    let stream = stream.to_owned();
    let service = GateLayer::new(&gate).layer(service_fn(move |_: Request<_>| {
        let response = Response::builder().status(status).body(script(&stream)).unwrap();
        async move {
            sleep(Duration::from_secs(2)).await;
            Ok::<Response<Script>, BoxError>(response)
        }
    }));
    assert_eq!(gate.stats().limit, 9);
    let answer = service.oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap();
    let mut body = answer.into_body();
    for _ in 0..frames {
        let _ = body.frame().await;
    }
    drop(body);
    let told = told.0.lock().unwrap();
    let [sample] = told[..] else { panic!("{} samples", told.len()) };
    assert_eq!(sample.in_flight, 1, "the request itself");
    assert_eq!(gate.stats().limit, 1 + usize::from(!sample.dropped));
    format!("{}{}", sample.latency.as_secs(), if sample.dropped { "!" } else { "" })
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_are_what_counts_and_never_the_end() {
    let at = SampleAt::FirstByte;
    assert_eq!(sample(at, 200, "3s=a 900s=b 900s=end", 3).await, "5");
    assert_eq!(sample(at, 200, "3s='' 4s=a 900s=end", 3).await, "6");
    assert_eq!(sample(at, 200, "3s=end", 1).await, "5");
    assert_eq!(sample(at, 200, "3s=error(broken)", 1).await, "5!");
    // A client that leaves before the first byte.
    assert_eq!(sample(at, 200, "3s=a", 0).await, "2");
}

#[tokio::test(start_paused = true)]
async fn or_the_head() {
    assert_eq!(sample(SampleAt::Headers, 200, "3s=a 3s=end", 2).await, "2");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_too_much_is_a_drop() {
    for status in [429, 503, 504] {
        assert_eq!(sample(SampleAt::FirstByte, status, "0s=a 0s=end", 2).await, "2!");
    }
    assert_eq!(sample(SampleAt::FirstByte, 404, "0s=a 0s=end", 2).await, "2");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_or_is_left_gives_one_sample_too() {
    let told = Told::default();
    let gate = Gate::adaptive(told.clone());
    let layer = GateLayer::new(&gate);
    let failing =
        layer.layer(service_fn(|_: Request<_>| async { Err::<Response<Script>, BoxError>("no".into()) }));
    assert!(failing.oneshot(Request::new(Empty::<Bytes>::new())).await.is_err());
    let hanging =
        layer.layer(service_fn(|_: Request<_>| std::future::pending::<Result<Response<Script>, BoxError>>()));
    let left =
        tokio::time::timeout(Duration::from_secs(7), hanging.oneshot(Request::new(Empty::<Bytes>::new())));
    assert!(left.await.is_err());
    let told: Vec<_> = told.0.lock().unwrap().iter().map(|s| (s.latency.as_secs(), s.dropped)).collect();
    assert_eq!(told, [(0, true), (7, false)]);
    assert_eq!(gate.stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_sample_counts_its_own_permit_whatever_the_scope() {
    for scope in [PermitScope::BodyEnd, PermitScope::FirstByte, PermitScope::Headers] {
        let told = Told::default();
        let gate = Gate::adaptive(told.clone()).scope(scope);
        let service = GateLayer::new(&gate).layer(service_fn(async |_: Request<_>| {
            Ok::<Response<Script>, BoxError>(Response::new(script("3s=a 4s=end")))
        }));
        let body = service.oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap().into_body();
        timeline(body).await;
        let in_flight: Vec<_> = told.0.lock().unwrap().iter().map(|sample| sample.in_flight).collect();
        assert_eq!(in_flight, [1], "{scope:?}");
    }
}
