//! hyper throws a frame away that is followed by an error at once. The layers do not let that happen.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{Request, Version};
use real::client::{Client, End, Reading, in_time};
use real::server::Server;
use tokio::time::{Instant, sleep};
use tower_lifeline::{BoxError, Ending, HeartbeatLayer, TimeoutLayer, Timeouts};

const RUNS: usize = 300;
const LAST: &str = "data: last\n\n";

fn events(frames: impl Stream<Item = Result<&'static str, BoxError>> + Send + 'static) -> Response {
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}

fn a_frame_and_an_error() -> impl Stream<Item = Result<&'static str, BoxError>> {
    stream::iter([Ok(LAST), Err("broken".into())])
}

/// Fails right behind its first frame: in the turn of the head, and in a later one.
fn failing() -> Router {
    let later = async || {
        let wait = stream::once(sleep(Duration::from_millis(2))).filter_map(async |()| None);
        events(wait.chain(a_frame_and_an_error()))
    };
    Router::new().route("/at-once", get(async || events(a_frame_and_an_error()))).route("/later", get(later))
}

/// What a client gets of a body that is cut off. Nothing, if even the head is lost.
async fn read(server: &Server, version: Version, path: &str) -> Vec<u8> {
    let mut client = Client::connect(server.at, version).await;
    let request = Request::get(path).body(Body::empty()).unwrap();
    let Ok(response) = client.send(request).await else { return Vec::new() };
    let mut reading = Reading::new(response);
    reading.to_end().await;
    assert_eq!(reading.end, Some(End::Cut));
    reading.bytes
}

/// How often the last frame arrives.
async fn arrived(app: Router, version: Version, path: &str) -> usize {
    let server = Server::start(app).await;
    let runs = stream::iter(0..RUNS).map(|_| read(&server, version, path)).buffer_unordered(8);
    let whole = runs.filter(|bytes| std::future::ready(bytes == LAST.as_bytes()));
    let arrived = in_time(whole.count()).await;
    println!("{path} {version:?}: {arrived} of {RUNS}");
    arrived
}

async fn behind_the_layers(version: Version) {
    for path in ["/at-once", "/later"] {
        let no_limits = failing().layer(TimeoutLayer::new(Timeouts::new()));
        assert_eq!(arrived(no_limits, version, path).await, RUNS, "TimeoutLayer: {path}");
        let limits = Timeouts::new().total(Duration::from_secs(600));
        let with_limits = failing().layer(TimeoutLayer::new(limits));
        assert_eq!(arrived(with_limits, version, path).await, RUNS, "TimeoutLayer with a limit: {path}");
        let beating = failing().layer(HeartbeatLayer::default());
        assert_eq!(arrived(beating, version, path).await, RUNS, "HeartbeatLayer: {path}");
    }
}

#[tokio::test]
async fn over_http_1_an_error_of_the_inner_body_takes_no_frame_along() {
    behind_the_layers(Version::HTTP_11).await;
}

#[tokio::test]
async fn over_http_2_an_error_of_the_inner_body_takes_no_frame_along() {
    behind_the_layers(Version::HTTP_2).await;
}

#[tokio::test]
async fn without_the_layers_it_does() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for path in ["/at-once", "/later"] {
            assert!(arrived(failing(), version, path).await < RUNS, "{path} {version:?}");
        }
    }
}

const LIMIT: Duration = Duration::from_millis(1);

fn aborting(app: Router) -> Router {
    app.layer(TimeoutLayer::new(Timeouts::new().total(LIMIT)).ending(Ending::Abort))
}

/// The limit passes while the body works on its only frame.
fn just_written() -> Router {
    let body = async || {
        let began = Instant::now();
        let frame = stream::once(async move {
            while began.elapsed() < LIMIT {
                std::hint::spin_loop();
            }
            Ok(LAST)
        });
        events(frame.chain(stream::pending()))
    };
    aborting(Router::new().route("/just-written", get(body)))
}

async fn behind_a_frame_just_written(version: Version) {
    assert_eq!(arrived(just_written(), version, "/just-written").await, RUNS);
}

#[tokio::test]
async fn over_http_1_a_limit_takes_no_frame_along_that_was_just_written() {
    behind_a_frame_just_written(Version::HTTP_11).await;
}

#[tokio::test]
async fn over_http_2_a_limit_takes_no_frame_along_that_was_just_written() {
    behind_a_frame_just_written(Version::HTTP_2).await;
}

async fn from_a_body_that_is_always_ready(version: Version) {
    let given: Arc<[AtomicUsize]> = (0..RUNS).map(|_| AtomicUsize::new(0)).collect();
    let count = given.clone();
    let body = async move |Path(run): Path<usize>| {
        let frames = stream::poll_fn(move |_| {
            count[run].fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok::<_, Infallible>(LAST)))
        });
        ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames))
    };
    let server = Server::start(aborting(Router::new().route("/{run}", get(body)))).await;
    let mut all = 0;
    for (run, given) in given.iter().enumerate() {
        let bytes = in_time(read(&server, version, &format!("/{run}"))).await;
        let given = given.load(Ordering::Relaxed);
        assert_eq!(bytes.len(), given * LAST.len(), "{given} frames were given in run {run}");
        all += given;
    }
    println!("{version:?}: {all} frames in {RUNS} runs");
}

#[tokio::test]
async fn over_http_1_a_limit_takes_no_frame_along_from_a_body_that_is_always_ready() {
    from_a_body_that_is_always_ready(Version::HTTP_11).await;
}

#[tokio::test]
async fn over_http_2_a_limit_takes_no_frame_along_from_a_body_that_is_always_ready() {
    from_a_body_that_is_always_ready(Version::HTTP_2).await;
}
