//! A plain response of an axum app through hyper: what do layers cost that have nothing to do there?

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use http_body_util::BodyExt;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;
use tower::util::MapResponseLayer;
use tower_http::timeout;
use tower_lifeline::observe::{ObserveLayer, Observer, StreamReport};
use tower_lifeline::{EarlyLayer, HeartbeatLayer, TimeoutLayer};

use super::hyper_null::{LAST_HEAD, serve};
use super::{LIMIT, limits, stall};

/// All are compared with `app`.
pub(crate) const PLAIN: [&str; 10] = [
    "app",
    "app-mapped",
    "app-heartbeat",
    "app-timeouts",
    "app-both",
    "app-stall",
    "app-early",
    "app-early_asked",
    "app-report",
    "app-tower_http",
];
const TEXT: &str = match std::str::from_utf8(&[b'x'; 1024]) {
    Ok(text) => text,
    Err(_) => panic!("ASCII"),
};

/// hyper adds the date, whose length never changes.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n\
                    date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
const LENGTH: &str = "content-length: 1024\r\n";
const CHUNKED: [&str; 3] = ["transfer-encoding: chunked\r\n", "400\r\n", "\r\n0\r\n\r\n"];

/// Serves so many requests. How many bytes came out?
pub(crate) fn answer(runtime: &Runtime, variant: &str, requests: usize) -> usize {
    let _entered = runtime.enter();
    let app = Router::new().route("/", get(|| async { TEXT }));
    let app = match variant {
        "app" => app,
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
        "app-tower_http" => app
            .layer(timeout::ResponseBodyTimeoutLayer::new(LIMIT))
            .layer(timeout::TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT)),
        unknown => panic!("a plain variant is one of {PLAIN:?}, got {unknown:?}"),
    };
    // As `axum::serve` does it: otherwise every request makes the handler and its layers anew.
    serve(runtime, requests, TowerToHyperService::new(app.with_state(())))
}

/// How many should have come out? Layers that leave a plain response what it is keep its `content-length`.
pub(crate) fn answers(variant: &str, requests: usize) -> usize {
    let length = match variant {
        "app-tower_http" => CHUNKED.concat().len(),
        _ => LENGTH.len(),
    };
    requests * (HEAD.len() + length + TEXT.len()) + LAST_HEAD.len()
}
