//! Limits on sockets: what a client gets when one is reached.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use h2::Reason;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRAILER};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use real::client::{Client, End, Reading, in_time};
use real::process::{find, output};
use real::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tower_lifeline::reject::RequestId;
use tower_lifeline::{Ending, HeartbeatLayer, RequestBodyTimeoutLayer, TimeoutLayer, Timeouts};

const LIMIT: Duration = Duration::from_millis(200);
const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const SUM: HeaderName = HeaderName::from_static("x-sum");

/// Tells that it is dropped.
struct Guard(Arc<Notify>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn limited(app: Router) -> Router {
    let limits = Timeouts::new().headers(LIMIT).first_byte(LIMIT).inter_chunk(LIMIT);
    app.route("/text", get(async || "hello")).layer(TimeoutLayer::new(limits))
}

/// Says this, and then nothing for ever.
fn hung(content_type: &'static str, said: &'static str) -> Response {
    let frames = stream::once(async move { Ok::<_, Infallible>(said) }).chain(stream::pending());
    ([(CONTENT_TYPE, content_type)], Body::from_stream(frames)).into_response()
}

async fn assert_still_good(client: &mut Client) {
    let mut reading = Reading::new(client.get("/text").await);
    reading.to_end().await;
    assert_eq!((&reading.bytes[..], reading.end), (&b"hello"[..], Some(End::Finished)));
}

const PROBLEM: &str = r#"{"type":"urn:tower-lifeline:headers-timeout","title":"The response did not begin in time","status":504,"detail":"No response was ready within 200ms."}"#;
const JSON_RPC: &str =
    r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"No response was ready within 200ms."}}"#;

/// A handler that never answers.
fn never(dropped: &Arc<Notify>) -> Router {
    let dropped = dropped.clone();
    let never = async move || {
        let _guard = Guard(dropped.clone());
        pending::<()>().await;
    };
    limited(Router::new().route("/never", get(never)))
}

#[tokio::test]
async fn before_the_head_the_answer_is_a_504_that_the_caller_understands() {
    let dropped = Arc::new(Notify::new());
    let server = Server::start(never(&dropped)).await;
    for version in VERSIONS {
        let mut client = Client::connect(server.at, version).await;
        for (name, value, content_type, said) in [
            ("accept", "*/*", "application/problem+json", PROBLEM),
            ("accept", "text/plain", "text/plain; charset=utf-8", "No response was ready within 200ms.\n"),
            ("mcp-protocol-version", "2025-11-25", "application/json", JSON_RPC),
        ] {
            let request = Request::get("/never").header(name, value).body(Body::empty()).unwrap();
            let response = in_time(client.send(request)).await.unwrap();
            assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT, "{version:?}");
            assert_eq!(response.headers()[CONTENT_TYPE], content_type, "{version:?}");
            assert_eq!(response.headers()[CONTENT_LENGTH], said.len().to_string(), "{version:?}");
            let mut reading = Reading::new(response);
            in_time(reading.to_end()).await;
            assert_eq!(reading.bytes, said.as_bytes(), "{version:?}");
            assert_eq!(reading.end, Some(End::Finished), "{version:?}");
            in_time(dropped.notified()).await;
        }
        in_time(assert_still_good(&mut client)).await;
    }
}

const SLOW_UPLOAD: &str = r#"{"type":"urn:tower-lifeline:request-body-gap-timeout","title":"The request body stopped coming","status":408,"detail":"Nothing of the request body came for 200ms."}"#;

/// A handler that wants the whole body, and does not give up when it fails.
fn upload(dropped: &Arc<Notify>) -> Router {
    let dropped = dropped.clone();
    let read = async move |request: Request| {
        let _guard = Guard(dropped.clone());
        if request.into_body().collect().await.is_err() {
            pending::<()>().await;
        }
    };
    let app = Router::new().route("/upload", post(read)).route("/text", get(async || "hello"));
    app.layer(RequestBodyTimeoutLayer::new().gap(LIMIT))
}

#[tokio::test]
async fn over_http_1_a_slow_upload_is_a_408_and_the_end_of_the_connection() {
    let dropped = Arc::new(Notify::new());
    let server = Server::start(upload(&dropped)).await;
    let mut socket = TcpStream::connect(server.at).await.unwrap();
    socket.write_all(b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
    let mut answer = String::new();
    in_time(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("\r\ncontent-type: application/problem+json\r\n"), "{answer}");
    assert!(answer.ends_with(&format!("\r\n\r\n{SLOW_UPLOAD}")), "{answer}");
    in_time(dropped.notified()).await;
}

#[tokio::test]
async fn over_http_2_a_slow_upload_is_a_408_and_the_connection_goes_on() {
    let dropped = Arc::new(Notify::new());
    let server = Server::start(upload(&dropped)).await;
    let mut client = Client::connect(server.at, Version::HTTP_2).await;
    let half = stream::once(async { Ok::<_, Infallible>("hello") }).chain(stream::pending());
    let request = Request::post("/upload").header(CONTENT_LENGTH, 10).body(Body::from_stream(half)).unwrap();
    let response = in_time(client.send(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert!(!response.headers().contains_key(CONNECTION));
    let mut reading = Reading::new(response);
    in_time(reading.to_end()).await;
    assert_eq!(reading.bytes, SLOW_UPLOAD.as_bytes());
    assert_eq!(reading.end, Some(End::Finished));
    in_time(dropped.notified()).await;
    in_time(assert_still_good(&mut client)).await;
}

const EVENT: &str = "data: one\n\n";
const HALF: &str = "data: one\n\ndata: tw";
const EVENTS: &str = "text/event-stream";

/// Streams that hang, how they are to end, and a handler that never gets there.
fn streams() -> Router {
    let of = |ending: Ending, content_type, said| {
        get(async move || (Extension(ending.clone()), hung(content_type, said)))
    };
    let mcp = Ending::Mcp { id: Some(RequestId::from(7)) };
    limited(
        Router::new()
            .route("/never", get(pending::<()>))
            .route("/event-source", get(async || hung(EVENTS, EVENT)))
            .route("/first-byte", get(async || hung(EVENTS, ":\n")))
            .route("/llm", of(Ending::Llm, EVENTS, EVENT))
            .route("/mcp", of(mcp, EVENTS, EVENT))
            .route("/nd-json", get(async || hung("application/x-ndjson", "{\"n\":1}\n")))
            .route("/half-event", get(async || hung(EVENTS, HALF)))
            .route("/half-event-llm", of(Ending::Llm, EVENTS, HALF))
            .route("/half-line", get(async || hung("application/x-ndjson", "{\"n\":1}\n{\"n\"")))
            .route("/mcp-without-id", of(Ending::Mcp { id: None }, EVENTS, EVENT))
            .route("/other", get(async || hung("application/octet-stream", "bytes"))),
    )
}

/// The number behind `retry: ` stands out of the text, because it is by chance.
fn without_retry(bytes: &[u8]) -> (String, Option<u64>) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let retry = text.lines().find_map(|line| line.strip_prefix("retry: "));
    let told = retry.map(|number| number.parse().unwrap());
    (text.lines().filter(|line| !line.starts_with("retry: ")).map(|line| format!("{line}\n")).collect(), told)
}

#[tokio::test]
async fn behind_the_head_a_stream_says_why_it_ends() {
    let server = Server::start(streams()).await;
    for version in VERSIONS {
        let mut client = Client::connect(server.at, version).await;
        for (path, said) in [
            (
                "/event-source",
                "data: one\n\nevent: timeout\ndata: {\"phase\":\"inter-chunk\",\"limit_ms\":200}\n\n",
            ),
            ("/first-byte", ":\nevent: timeout\ndata: {\"phase\":\"first byte\",\"limit_ms\":200}\n\n"),
            (
                "/llm",
                "data: one\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":\"The inter-chunk limit of 200ms has passed.\"}}\n\n",
            ),
            (
                "/mcp",
                "data: one\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32001,\"message\":\"The inter-chunk limit of 200ms has passed.\"}}\n\n",
            ),
            (
                "/nd-json",
                "{\"n\":1}\n{\"error\":\"The inter-chunk limit of 200ms has passed.\",\"phase\":\"inter-chunk\",\"limit_ms\":200}\n",
            ),
        ] {
            let mut reading = Reading::new(client.get(path).await);
            in_time(reading.to_end()).await;
            let (text, retry) = without_retry(&reading.bytes);
            assert_eq!(text, said, "{path} {version:?}");
            assert_eq!(reading.end, Some(End::Finished), "{path} {version:?}");
            assert_eq!(retry.is_some(), said.contains("event: timeout"), "{path} {version:?}");
            assert!(
                retry.is_none_or(|told| (1_000..=3_000).contains(&told)),
                "{path} {version:?}: {retry:?}"
            );
        }
        in_time(assert_still_good(&mut client)).await;
    }
}

#[tokio::test]
async fn where_nothing_can_be_said_every_byte_arrives_and_then_an_error() {
    let server = Server::start(streams()).await;
    for version in VERSIONS {
        for (path, said) in [
            ("/half-event", HALF),
            ("/half-event-llm", HALF),
            ("/half-line", "{\"n\":1}\n{\"n\""),
            ("/mcp-without-id", EVENT),
            ("/other", "bytes"),
        ] {
            let mut client = Client::connect(server.at, version).await;
            let mut reading = Reading::new(client.get(path).await);
            in_time(reading.to_end()).await;
            assert_eq!(reading.bytes, said.as_bytes(), "{path} {version:?}");
            assert_eq!(reading.end, Some(End::Cut), "{path} {version:?}");
            let http2 = version == Version::HTTP_2;
            assert_eq!(reading.reset, http2.then_some(Reason::CANCEL), "{path} {version:?}");
            if http2 {
                in_time(assert_still_good(&mut client)).await;
            }
        }
    }
}

#[tokio::test]
async fn heartbeats_on_either_side_do_not_hide_a_dead_producer() {
    const INTERVAL: Duration = Duration::from_millis(20);
    let kept_alive = async || {
        let one = stream::once(async { Ok::<_, Infallible>(Event::default().data("one")) });
        Sse::new(one.chain(stream::pending())).keep_alive(KeepAlive::new().interval(INTERVAL))
    };
    let app = Router::new()
        .route("/inside", get(kept_alive))
        .route("/outside", get(async || hung(EVENTS, EVENT)))
        .layer(TimeoutLayer::new(Timeouts::new().inter_chunk(INTERVAL * 50)))
        .layer(HeartbeatLayer::every(INTERVAL));
    let server = Server::start(app).await;
    for version in VERSIONS {
        let mut client = Client::connect(server.at, version).await;
        for path in ["/inside", "/outside"] {
            let mut reading = Reading::new(client.get(path).await);
            in_time(reading.to_end()).await;
            let (text, _) = without_retry(&reading.bytes);
            let beats = text.lines().filter(|line| *line == ":").count();
            assert!(beats >= 1, "{path} {version:?}: {text}");
            assert!(
                text.ends_with("event: timeout\ndata: {\"phase\":\"inter-chunk\",\"limit_ms\":1000}\n\n"),
                "{path} {version:?}: {text}"
            );
            assert_eq!(reading.end, Some(End::Finished), "{path} {version:?}");
        }
    }
}

fn with_trailers(content_type: &'static str) -> impl IntoResponse {
    let frames =
        stream::once(async { Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"data: one\n\n"))) });
    let trailers = HeaderMap::from_iter([(SUM, HeaderValue::from_static("42"))]);
    let body = StreamBody::new(frames).with_trailers(async { Some(Ok(trailers)) });
    ([(CONTENT_TYPE, content_type), (TRAILER, "x-sum")], Body::new(body))
}

#[tokio::test]
async fn content_length_and_trailers_survive() {
    let app = Router::new()
        .route("/text", get(async || "hello"))
        .route("/trailers", get(async || with_trailers("text/plain")))
        .route("/events-trailers", get(async || with_trailers(EVENTS)));
    let limits = Timeouts::new().headers(LIMIT).first_byte(LIMIT).inter_chunk(LIMIT);
    let server = Server::start(app.layer(TimeoutLayer::new(limits.total(LIMIT * 100)))).await;
    for version in VERSIONS {
        let mut client = Client::connect(server.at, version).await;
        for (path, length, said, sum) in [
            ("/text", Some("5"), "hello", None),
            ("/trailers", None, EVENT, Some("42")),
            ("/events-trailers", None, EVENT, Some("42")),
            ("/text", Some("5"), "hello", None),
        ] {
            let response = client.get(path).await;
            let told = response.headers().get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
            assert_eq!(told, length.map(str::as_bytes), "{path} {version:?}");
            let mut reading = Reading::new(response);
            in_time(reading.to_end()).await;
            assert_eq!(reading.bytes, said.as_bytes(), "{path} {version:?}");
            let sent = reading.trailers.get(SUM).map(HeaderValue::as_bytes);
            assert_eq!(sent, sum.map(str::as_bytes), "{path} {version:?}");
            assert_eq!(reading.end, Some(End::Finished), "{path} {version:?}");
        }
    }
}

#[tokio::test]
async fn curl_tells_an_answer_an_end_and_a_cut_apart() {
    const PARTIAL_FILE: i32 = 18;
    let Some(curl) = find(&["curl"]) else { return };
    let server = Server::start(streams()).await;
    let get = async |path| {
        let url = format!("http://{}{path}", server.at);
        let got =
            in_time(output(&curl, &["--silent", "--show-error", "--include", "--no-buffer", &url])).await;
        println!("$ curl -i {path}\n{}{}", got.out, got.err);
        got
    };

    let answer = get("/never").await;
    assert_eq!(answer.code, Some(0));
    assert!(answer.out.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
    assert!(answer.out.ends_with(PROBLEM));

    let end = get("/event-source").await;
    assert_eq!(end.code, Some(0));
    assert!(end.out.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(end.out.ends_with("event: timeout\ndata: {\"phase\":\"inter-chunk\",\"limit_ms\":200}\n\n"));

    let cut = get("/half-event").await;
    assert_eq!(cut.code, Some(PARTIAL_FILE), "{}", cut.err);
    assert!(cut.out.ends_with(&format!("\r\n\r\n{HALF}")));
}
