//! What is reported when streams end on sockets, and what is named behind real proxies.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Version};
use real::client::{Client, Reading, in_time};
use real::guest::{Guest, Leaving, Upload};
use real::process::find;
use real::proxies::{patient_haproxy, patient_nginx};
use real::server::Server;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower_lifeline::observe::{EndCause, FindingKind, ObserveLayer, Observer, StreamReport, Upstream};
use tower_lifeline::{
    Drain, DrainLayer, Gate, GateLayer, HeartbeatLayer, RequestBodyTimeoutLayer, StallLayer, TimeoutLayer,
    Timeouts,
};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const LIMIT: Duration = Duration::from_millis(200);

type Reports = UnboundedReceiver<StreamReport>;

fn observed() -> (Observer, Reports) {
    let (sender, reports) = unbounded_channel();
    let observer = Observer::new()
        .route(|request| request.uri.path().into())
        .sink(move |report: &StreamReport| sender.send(report.clone()).unwrap_or_default());
    (observer, reports)
}

fn events(
    frames: impl futures_util::Stream<Item = Result<&'static str, std::io::Error>> + Send + 'static,
) -> Response {
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}

/// Says one thing, and then nothing for ever.
async fn silent() -> Response {
    events(stream::once(async { Ok("data: a\n\n") }).chain(stream::pending()))
}

async fn mute() -> Response {
    events(stream::pending())
}

async fn failing() -> Response {
    events(stream::iter([Ok("data: a\n\n"), Err(std::io::Error::other("broken"))]))
}

async fn relayed() -> Response {
    (Extension(Upstream::Relayed), failing().await).into_response()
}

async fn whole() -> Response {
    events(stream::iter([Ok("data: a\n\n"), Ok("data: b\n\n")]))
}

/// hyper stops when as many bytes have gone out as were announced, and never asks for the end.
async fn announced() -> Response {
    let mut response = whole().await;
    response.headers_mut().insert(CONTENT_LENGTH, 18.into());
    response
}

fn app(observer: &Observer) -> Router {
    let limits = Timeouts::new().headers(LIMIT).first_byte(LIMIT).inter_chunk(LIMIT);
    let limited = Router::new()
        .route("/limited/never", get(async || pending::<()>().await))
        .route("/limited/mute", get(mute))
        .route("/limited/silent", get(silent))
        .layer(TimeoutLayer::new(limits));
    let upload = async |request: Request| {
        let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
    };
    let upload = Router::new()
        .route("/upload", axum::routing::post(upload))
        .layer(RequestBodyTimeoutLayer::new().gap(LIMIT));
    let gate = Gate::new(1).queue(0);
    gate.close();
    let shut = Router::new().route("/shut", get(silent)).layer(GateLayer::new(&gate));
    Router::new()
        .route("/never", get(async || pending::<()>().await))
        .route("/mute", get(mute))
        .route("/silent", get(silent))
        .route("/failing", get(failing))
        .route("/relayed", get(relayed))
        .route("/whole", get(whole))
        .route("/announced", get(announced))
        .route(
            "/panic",
            get(async || {
                if true {
                    panic!("on purpose")
                }
            }),
        )
        .merge(limited)
        .merge(upload)
        .merge(shut)
        .layer(ObserveLayer::new(observer))
}

/// What the client does: reads to the end, or leaves when it has seen this.
#[derive(Clone, Copy)]
enum Acts {
    Reads,
    Leaves(&'static str),
    LeavesBeforeTheHead,
}

async fn exchange(at: SocketAddr, version: Version, method: Method, path: &str, acts: Acts) {
    // A connection for each, for to leave over HTTP/1 is to close it.
    let mut connection = Client::connect(at, version).await;
    let upload =
        stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"half")) }).chain(stream::pending());
    let body = if method == Method::POST { Body::from_stream(upload) } else { Body::empty() };
    let request = Request::builder().method(method).uri(path).body(body).expect("a request");
    match acts {
        Acts::LeavesBeforeTheHead => {
            let answer = tokio::time::timeout(LIMIT, connection.send(request)).await;
            assert!(answer.is_err(), "there is no head");
        }
        Acts::Leaves(text) => {
            let mut reading = Reading::new(connection.send(request).await.expect("a head"));
            if text.is_empty() {
                let _ = tokio::time::timeout(LIMIT, reading.to_end()).await;
            } else {
                assert!(reading.until_has(text).await);
            }
        }
        Acts::Reads => {
            if let Ok(response) = connection.send(request).await {
                Reading::new(response).to_end().await;
            }
        }
    }
}

#[tokio::test]
async fn each_cause_is_produced_and_reported_right() {
    let (observer, mut reports) = observed();
    let server = Server::start(app(&observer)).await;
    use Acts::*;
    for version in VERSIONS {
        for (path, client, code, cause) in [
            ("/whole", Reads, "--", "finished"),
            ("/announced", Reads, "--", "finished"),
            ("/never", LeavesBeforeTheHead, "CH", "abandoned"),
            ("/mute", Leaves(""), "CB", "abandoned"),
            ("/silent", Leaves("data: a"), "CS", "abandoned"),
            ("/failing", Reads, "SS", "failed"),
            ("/relayed", Reads, "US", "upstream failed"),
            ("/panic", Reads, "SH", "panicked"),
            ("/limited/never", Reads, "TH", "timed out (headers)"),
            ("/limited/mute", Reads, "TB", "timed out (first byte)"),
            ("/limited/silent", Reads, "TS", "timed out (inter-chunk)"),
            ("/upload", Reads, "TH", "timed out (request gap)"),
            ("/shut", Reads, "GQ", "shed (closed)"),
        ] {
            let method = if path == "/upload" { Method::POST } else { Method::GET };
            in_time(exchange(server.at, version, method, path, client)).await;
            let report = in_time(reports.recv()).await.expect("a report");
            let seen = (&*report.opening.route, report.code(), report.cause.to_string());
            assert_eq!(seen, (path, code, cause.to_owned()), "{version:?}");
        }
        // HEAD is finished with its head, whatever the handler had to say.
        in_time(exchange(server.at, version, Method::HEAD, "/silent", Reads)).await;
        assert_eq!(in_time(reports.recv()).await.expect("a report").code(), "--", "{version:?}");
    }
    assert!(reports.try_recv().is_err(), "one report a stream");
}

#[tokio::test]
async fn a_drain_is_reported() {
    for version in VERSIONS {
        let (observer, mut reports) = observed();
        let drain = Drain::new().window(Duration::ZERO);
        let app = Router::new()
            .route("/silent", get(silent))
            .layer(DrainLayer::new(&drain))
            .layer(ObserveLayer::new(&observer));
        let server = Server::start(app).await;
        let mut client = Client::connect(server.at, version).await;
        let mut reading = Reading::new(client.get("/silent").await);
        assert!(in_time(reading.until_has("data: a")).await);
        drain.begin();
        in_time(reading.to_end()).await;
        assert_eq!(in_time(reports.recv()).await.expect("a report").code(), "DS", "{version:?}");
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_is_reported() {
    for version in VERSIONS {
        let (observer, mut reports) = observed();
        let flood = async || {
            let chunk = Bytes::from_static(&[b'.'; 16 * 1024]);
            Body::from_stream(stream::repeat(chunk).map(Ok::<_, Infallible>))
        };
        let app = Router::new()
            .route("/flood", get(flood))
            .layer(StallLayer::new(Duration::from_millis(300)))
            .layer(ObserveLayer::new(&observer));
        let server = Server::start(app).await;
        let mut guest = Guest::send(server.at, version, "/flood", Upload::Nothing, Leaving::Rst).await;
        assert_eq!(in_time(guest.read_a_little()).await, 200);
        // Longer than the limit, and whatever the kernel takes in the meantime.
        tokio::time::sleep(Duration::from_secs(2)).await;
        guest.leave().await;
        let report = in_time(reports.recv()).await.expect("a report");
        assert_eq!((report.code(), report.cause), ("TS", EndCause::Stalled), "{version:?}");
    }
}

const STREAMS: u64 = 30;

/// Streams that fall silent at different ages, so that nothing else about them is alike.
fn falling_silent(observer: &Observer, heartbeat: Option<HeartbeatLayer>) -> Router {
    let handler = async |OriginalUri(uri): OriginalUri| {
        let number: u64 = uri.query().and_then(|number| number.parse().ok()).unwrap_or(0);
        let talks = stream::iter(0..number).then(|_| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok("data: a\n\n")
        });
        events(stream::once(async { Ok("data: begin\n\n") }).chain(talks).chain(stream::pending()))
    };
    let app = Router::new().route("/events", get(handler));
    let app = match heartbeat {
        Some(heartbeat) => app.layer(heartbeat),
        None => app,
    };
    app.layer(ObserveLayer::new(observer))
}

async fn read_all(at: SocketAddr) {
    let reads = (0..STREAMS).map(|number| async move {
        let mut client = Client::connect(at, Version::HTTP_11).await;
        Reading::new(client.get(&format!("/events?{number}")).await).to_end().await;
    });
    futures_util::future::join_all(reads).await;
}

async fn is_named(observer: &Observer, mut reports: Reports, at: SocketAddr, timer: Duration) {
    in_time(read_all(at)).await;
    for _ in 0..STREAMS {
        in_time(reports.recv()).await.expect("a report");
    }
    let findings = observer.findings();
    for finding in &findings {
        println!("{finding}");
    }
    let [finding] = &findings[..] else { panic!("one finding, got {findings:?}") };
    assert_eq!(finding.kind, FindingKind::IdleTimer);
    assert!(finding.estimate.abs_diff(timer) < Duration::from_millis(500), "{finding}");
    assert!(finding.samples <= STREAMS as usize);
}

const NOT_BUFFERING: &str = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off;";

#[tokio::test]
async fn nginx_that_cuts_after_three_seconds_is_named() {
    let Some(nginx) = find(&["nginx"]) else { return };
    let (observer, reports) = observed();
    let server = Server::start(falling_silent(&observer, None)).await;
    let proxy = patient_nginx(&nginx, server.at, 3, NOT_BUFFERING).await;
    is_named(&observer, reports, proxy.at, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn haproxy_that_cuts_after_four_seconds_is_named() {
    let Some(haproxy) = find(&["haproxy"]) else { return };
    let (observer, reports) = observed();
    let server = Server::start(falling_silent(&observer, None)).await;
    let proxy = patient_haproxy(&haproxy, server.at, 4).await;
    is_named(&observer, reports, proxy.at, Duration::from_secs(4)).await;
}

/// The negative control: people who leave one after the other, and no proxy at all.
#[tokio::test]
async fn without_a_proxy_nothing_is_named() {
    let (observer, mut reports) = observed();
    let server = Server::start(falling_silent(&observer, None)).await;
    let leave = (0..STREAMS).map(|number| {
        let at = server.at;
        async move {
            let mut client = Client::connect(at, Version::HTTP_11).await;
            let mut reading = Reading::new(client.get("/events?5").await);
            let stays = Duration::from_millis(1_000 + 150 * number);
            let _ = tokio::time::timeout(stays, reading.to_end()).await;
        }
    });
    in_time(futures_util::future::join_all(leave)).await;
    for _ in 0..STREAMS {
        assert_eq!(in_time(reports.recv()).await.expect("a report").code(), "CS");
    }
    assert_eq!(observer.findings(), []);
}
