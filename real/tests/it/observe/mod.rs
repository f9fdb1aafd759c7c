//! What is reported when streams end on sockets, and what is named behind real proxies.

mod causes;
mod drained;
mod named;

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, StatusCode, Version};
use real::client::{Client, Reading, in_time};
use real::guest::{Guest, Leaving, Upload};
use real::process::find;
use real::proxies::{patient_haproxy, patient_nginx};
use real::relay::Relay;
use real::server::Server;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::observe::{Finding, FindingKind, ObserveLayer, Observer, StreamReport, Upstream, When};
use tower_lifeline::{
    Drain, DrainLayer, EarlyLayer, Gate, GateLayer, HeartbeatLayer, OnDrain, RequestBodyTimeoutLayer,
    StallLayer, TimeoutLayer, Timeouts,
};

const LIMIT: Duration = Duration::from_millis(200);

type Reports = UnboundedReceiver<StreamReport>;

fn observed() -> (Observer, Reports) {
    let (sender, reports) = unbounded_channel();
    let observer = Observer::new()
        .route(|request| request.uri.path().into())
        .sink(move |report: &StreamReport| sender.send(report.clone()).unwrap_or_default());
    (observer, reports)
}

type Piece = Result<&'static str, std::io::Error>;

fn events(pieces: impl Stream<Item = Piece> + Send + 'static) -> Response {
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

/// Says this, and then nothing for ever.
fn begins(text: &'static str) -> Response {
    events(stream::once(async move { Ok(text) }).chain(stream::pending()))
}

async fn never() {
    pending().await
}

async fn mute() -> Response {
    events(stream::pending())
}

async fn silent() -> Response {
    begins("data: a\n\n")
}

fn broken() -> Piece {
    Err(std::io::Error::other("broken"))
}

/// The report in short: what its codes and words say, and what can be counted.
fn short(report: &StreamReport) -> String {
    let number =
        |status: Option<StatusCode>| status.map_or("-".to_owned(), |status| status.as_str().to_owned());
    let late = report.late_status.map(|status| format!(" late {}", status.as_str())).unwrap_or_default();
    format!("{} {}{late} {}, {} events", report.code(), number(report.status), report.cause, report.events)
}

/// What holds for each report, however its stream ended. `read`: how many bytes its client has got, if it got all.
fn agrees_with_itself(report: &StreamReport, read: Option<usize>) {
    let StreamReport { headers, first_byte, first_content, age, .. } = *report;
    assert_eq!(headers.is_some(), report.status.is_some(), "{report:?}");
    assert_eq!(first_byte.is_some(), report.bytes > 0, "{report:?}");
    let times: Vec<_> = [headers, first_byte, first_content, Some(age)].into_iter().flatten().collect();
    assert!(times.is_sorted(), "{report:?}");
    assert!(
        [report.silence, report.largest_gap, report.queued].iter().all(|time| *time <= age),
        "{report:?}"
    );
    assert!(report.events <= report.frames && report.frames <= report.bytes, "{report:?}");
    match report.when {
        When::Streaming => assert!(first_content.is_some(), "{report:?}"),
        When::FirstByte => assert!(first_content.is_none(), "{report:?}"),
        _ => {}
    }
    if let Some(read) = read {
        assert_eq!(report.bytes, read as u64, "{report:?}");
    }
}
