//! Slow streams, and what a heartbeat makes of them.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_lifeline::testing::{Script, script, timeline};
use tower_lifeline::{Heartbeat, HeartbeatBody, HeartbeatLayer};

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A stream with a silence, and the same with default heartbeats.
pub(crate) const SLOW: &str = "0s=a 40s=b 41s=end";
pub(crate) const BEATEN: &str = "0s=a 15s=: 30s=: 40s=b 41s=end";

pub(crate) const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

/// What goes out for a script.
pub(crate) async fn drawn(inner: &str, heartbeat: Heartbeat) -> String {
    timeline(HeartbeatBody::new(script(inner), heartbeat)).await
}

/// A slow response with these headers.
pub(crate) fn slow(status: u16, headers: &[(&str, &str)]) -> Response<Script> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(script(SLOW)).unwrap()
}

/// What a layer makes of a response to a request.
pub(crate) async fn answer(
    layer: &HeartbeatLayer,
    request: Request<()>,
    response: Response<Script>,
) -> Response<HeartbeatBody<Script>> {
    let mut response = Some(response);
    let service = service_fn(move |_| ready(Ok::<_, Infallible>(response.take().unwrap())));
    layer.layer(service).oneshot(request).await.unwrap()
}

/// What a body has now, for a reader who looks once and goes away again.
pub(crate) fn look<B: Body<Data = Bytes, Error: Debug>>(mut body: Pin<&mut B>) -> Option<Bytes> {
    body.frame().now_or_never()?.map(|frame| frame.unwrap().into_data().unwrap())
}
