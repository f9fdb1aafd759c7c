//! A whole response of an axum app through hyper: what do layers cost that have nothing to do there, and what does a
//! stream of a few events cost from its head to its end?

use axum::Router;
use axum::http::StatusCode;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;
use tower::util::MapResponseLayer;
use tower_http::timeout;
use tower_lifeline::observe::{ObserveLayer, Observer, StreamReport};
use tower_lifeline::{EarlyLayer, HeartbeatLayer, TimeoutLayer};

use super::hyper_null::{LAST_HEAD, serve};
use super::{EVENT, Events, LIMIT, Load, Source, lifeline, lifeline_all, limits, stall};

/// What is answered, and by what: all are compared with `app`.
pub(crate) const RESPONSES: [(&str, &[&str]); 3] = [
    (
        "plain",
        &[
            "app",
            "app-mapped",
            "app-heartbeat",
            "app-timeouts",
            "app-both",
            "app-stall",
            "app-early",
            "app-early_asked",
            "app-report",
            "app-lifeline",
            "app-lifeline_all",
            "app-tower_http",
        ],
    ),
    ("burst", &STREAMED),
    ("paced", &STREAMED),
];
const STREAMED: [&str; 11] = [
    "app",
    "app-mapped",
    "app-heartbeat",
    "app-timeouts",
    "app-both",
    "app-report",
    "app-lifeline",
    "app-lifeline_all",
    "app-keep_alive",
    "app-tower_http",
    "app-tower_http_keep_alive",
];

/// Of a response that is a stream.
pub(crate) const EVENTS: usize = 64;

const TEXT: &str = match std::str::from_utf8(&[b'x'; 1024]) {
    Ok(text) => text,
    Err(_) => panic!("ASCII"),
};

/// hyper adds the date, whose length never changes.
const DATE: &str = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n";
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n";
const LENGTH: &str = "content-length: 1024\r\n";
const CHUNKED: [&str; 3] = ["transfer-encoding: chunked\r\n", "400\r\n", "\r\n0\r\n\r\n"];
/// What a heartbeat asks proxies for, beyond axum's own `cache-control`.
const UNBUFFERED: &str = "x-accel-buffering: no\r\nincremental: ?1\r\n";

/// Serves so many requests. How many bytes came out?
pub(crate) fn answer(runtime: &Runtime, situation: &str, variant: &str, requests: usize) -> usize {
    let _entered = runtime.enter();
    // As `axum::serve` does it: otherwise every request makes the handler and its layers anew.
    serve(runtime, requests, TowerToHyperService::new(app(situation, variant).with_state(())))
}

/// Within a runtime.
pub(crate) fn app(situation: &str, variant: &str) -> Router {
    let app = Router::new().route("/", get(|| async { TEXT }));
    let app = match situation {
        "plain" => app,
        "burst" | "paced" => {
            let (awaited, kept_alive) = (situation == "paced", variant.ends_with("keep_alive"));
            Router::new().route("/", get(move || async move { stream(awaited, kept_alive) }))
        }
        unknown => panic!("a situation is one of {RESPONSES:?}, got {unknown:?}"),
    };
    match variant {
        "app" | "app-keep_alive" => app,
        // The least that any layer costs which has a body of its own.
        "app-mapped" => app.layer(MapResponseLayer::new(|response: Response| {
            response.map(|body| body.map_err(|error| error))
        })),
        "app-heartbeat" => app.layer(HeartbeatLayer::default()),
        "app-timeouts" => app.layer(TimeoutLayer::new(limits().headers(LIMIT))),
        "app-both" => app.layer(TimeoutLayer::new(limits().headers(LIMIT))).layer(HeartbeatLayer::default()),
        "app-stall" => app.layer(stall()),
        "app-early" => app.layer(EarlyLayer::after(LIMIT)),
        // One whose head could come early, and need not.
        "app-early_asked" => app.layer(EarlyLayer::after(LIMIT).when(|_| true)),
        "app-report" => app.layer(ObserveLayer::new(&Observer::new().sink(|report: &StreamReport| {
            std::hint::black_box(report);
        }))),
        "app-lifeline" => app.layer(lifeline()),
        "app-lifeline_all" => app.layer(lifeline_all()),
        "app-tower_http" | "app-tower_http_keep_alive" => app
            .layer(timeout::ResponseBodyTimeoutLayer::new(LIMIT))
            .layer(timeout::TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT)),
        unknown => panic!("a variant is one of {RESPONSES:?}, got {unknown:?}"),
    }
}

fn stream(awaited: bool, kept_alive: bool) -> Response {
    let events = Sse::new(Events(Source::new(&Load::events(EVENTS, awaited))));
    if kept_alive { events.keep_alive(KeepAlive::default()).into_response() } else { events.into_response() }
}

/// How many should have come out? Layers that leave a plain response what it is keep its `content-length`.
pub(crate) fn answers(situation: &str, variant: &str, requests: usize) -> usize {
    let each = match (situation, variant) {
        ("plain", "app-tower_http") => PLAIN.len() + CHUNKED.concat().len() + TEXT.len(),
        ("plain", _) => PLAIN.len() + LENGTH.len() + TEXT.len(),
        _ => {
            let added =
                if matches!(variant, "app-heartbeat" | "app-both" | "app-lifeline" | "app-lifeline_all") {
                    UNBUFFERED.len()
                } else {
                    0
                };
            STREAM.len() + added + EVENTS * ("40\r\n".len() + EVENT.len() + "\r\n".len()) + "0\r\n\r\n".len()
        }
    };
    requests * (each + DATE.len()) + LAST_HEAD.len()
}
