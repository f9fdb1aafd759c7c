//! Bytes on sockets, through hyper and axum.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRAILER};
use http::{HeaderMap, HeaderValue, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use real::client::{Client, End, Reading, in_time};
use real::server::Server;
use tokio::sync::Notify;
use tower_lifeline::HeartbeatLayer;

const SUM: HeaderName = HeaderName::from_static("x-sum");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const EVENTS: &str = "data: one\n\ndata: two\n\n";
const BEAT: &[u8] = b":\n";

/// Two words, the second one not before the client says so: it waits for beats, not for a time.
fn words(go_on: Arc<Notify>) -> impl Stream<Item = &'static str> {
    let second = stream::once(async move {
        go_on.notified().await;
        "two"
    });
    stream::once(async { "one" }).chain(second)
}

fn with_trailers(go_on: Arc<Notify>, content_type: &'static str) -> impl IntoResponse {
    let frames = words(go_on).map(|word| format!("data: {word}\n\n"));
    let frames = frames.map(|event| Ok::<_, Infallible>(Frame::data(Bytes::from(event))));
    let trailers = HeaderMap::from_iter([(SUM, HeaderValue::from_static("42"))]);
    let body = StreamBody::new(frames).with_trailers(async { Some(Ok(trailers)) });
    ([(CONTENT_TYPE, content_type), (TRAILER, "x-sum")], Body::new(body))
}

fn app(go_on: &Arc<Notify>) -> Router {
    let [first, second, third] = [(); 3].map(|()| go_on.clone());
    let sse = |go_on| Sse::new(words(go_on).map(|word| Ok::<_, Infallible>(Event::default().data(word))));
    Router::new()
        .route("/sse", get(async move || sse(first)))
        .route("/sse-trailers", get(async move || with_trailers(second, "text/event-stream")))
        .route("/text-trailers", get(async move || with_trailers(third, "text/plain")))
        .route("/text", get(async || "hello"))
        .route("/known", get(async || ([(CONTENT_TYPE, "text/event-stream")], EVENTS)))
        .layer(HeartbeatLayer::every(Duration::from_millis(20)))
}

/// A server, and a client on a single connection: what one answer left over would spoil the next.
async fn connected(version: Version) -> (Server, Client, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let server = Server::start(app(&go_on)).await;
    let client = Client::connect(server.at, version).await;
    (server, client, go_on)
}

fn beats(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| *line == BEAT).count()
}

fn without_beats(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| *line != BEAT).collect::<Vec<_>>().concat()
}

async fn an_event_stream_is_beaten_and_its_events_unchanged(version: Version) {
    let (_server, mut client, go_on) = connected(version).await;
    for (path, sum) in [("/sse", None), ("/sse-trailers", Some("42")), ("/sse", None)] {
        let response = client.get(path).await;
        assert_eq!(response.version(), version);
        assert_eq!(response.headers()[BUFFERING], "no");
        assert!(!response.headers().contains_key(CONTENT_LENGTH));

        let mut reading = Reading::new(response);
        assert!(reading.until(|bytes| beats(bytes) >= 3).await, "{path} {version:?} is beaten");
        assert!(reading.bytes.starts_with(b"data: one\n\n:\n:\n:\n"), "{path} {version:?}");
        go_on.notify_one();
        reading.to_end().await;

        assert_eq!(without_beats(&reading.bytes), EVENTS.as_bytes(), "{path} {version:?}");
        assert_eq!(reading.end, Some(End::Finished), "{path} {version:?}");
        assert_eq!(reading.trailers.get(SUM).map(HeaderValue::as_bytes), sum.map(str::as_bytes));
    }
}

async fn other_responses_are_left_alone(version: Version) {
    let (_server, mut client, go_on) = connected(version).await;
    for (path, length, body) in [("/text", "5", "hello"), ("/known", "22", EVENTS), ("/text", "5", "hello")] {
        let response = client.get(path).await;
        assert_eq!(response.headers()[CONTENT_LENGTH], length, "{path} {version:?}");
        assert!(!response.headers().contains_key(BUFFERING), "{path} {version:?}");
        assert!(!response.headers().contains_key(CACHE_CONTROL), "{path} {version:?}");
        let mut reading = Reading::new(response);
        reading.to_end().await;
        assert_eq!(reading.bytes, body.as_bytes(), "{path} {version:?}");
        assert_eq!(reading.end, Some(End::Finished), "{path} {version:?}");
    }

    let mut reading = Reading::new(client.get("/text-trailers").await);
    assert!(reading.until_has("one").await);
    // Room for several beats, if there were any.
    tokio::time::sleep(Duration::from_millis(100)).await;
    go_on.notify_one();
    reading.to_end().await;
    assert_eq!(reading.bytes, EVENTS.as_bytes(), "{version:?}");
    assert_eq!(reading.trailers[SUM], "42", "{version:?}");
}

#[tokio::test]
async fn over_http_1_an_event_stream_is_beaten_and_its_events_unchanged() {
    in_time(an_event_stream_is_beaten_and_its_events_unchanged(Version::HTTP_11)).await;
}

#[tokio::test]
async fn over_http_2_an_event_stream_is_beaten_and_its_events_unchanged() {
    in_time(an_event_stream_is_beaten_and_its_events_unchanged(Version::HTTP_2)).await;
}

#[tokio::test]
async fn over_http_1_other_responses_are_left_alone() {
    in_time(other_responses_are_left_alone(Version::HTTP_11)).await;
}

#[tokio::test]
async fn over_http_2_other_responses_are_left_alone() {
    in_time(other_responses_are_left_alone(Version::HTTP_2)).await;
}
