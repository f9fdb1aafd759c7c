//! What the preset for MCP does by the version of the protocol.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::stack::LifelineRequestBody;
use tower_lifeline::testing::{script, timeline};
use tower_lifeline::{
    Drain, EarlyLayer, Heartbeat, HeartbeatLayer, HeartbeatOverride, Lifeline, LifelineBuilder,
};

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";
const LISTEN: &str = "subscriptions/listen";
const CALL: &str = "tools/call";

/// When the head came, and the stream.
async fn drawn(
    asked: LifelineBuilder,
    version: &str,
    method: &str,
    thinks: u64,
    line: &'static str,
) -> String {
    let began = tokio::time::Instant::now();
    let handler = service_fn(move |_: Request<LifelineRequestBody<Full<Bytes>>>| async move {
        sleep(Duration::from_secs(thinks)).await;
        let head = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, Infallible>(head.body(script(line)).unwrap())
    });
    let request = Request::post("/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", version)
        .header("mcp-method", method)
        .body(Full::default())
        .unwrap();
    let answer = asked.build().unwrap().layer(handler).oneshot(request).await.unwrap();
    let head = began.elapsed().as_secs();
    format!("{head}s {}", timeline(answer.into_body()).await)
}

fn beating() -> LifelineBuilder {
    Lifeline::mcp().heartbeat(Heartbeat::every(Duration::from_secs(2)))
}

#[tokio::test(start_paused = true)]
async fn no_beat_comes_before_the_acknowledgement_of_a_listen() {
    let line = "5s=ack 8s=end";
    assert_eq!(drawn(beating(), NEW, LISTEN, 0, line).await, "0s 5s=ack 7s=: 8s=end");
    // Everywhere else beats are welcome from the beginning.
    assert_eq!(drawn(beating(), NEW, CALL, 0, line).await, "0s 2s=: 4s=: 5s=ack 7s=: 8s=end");
    assert_eq!(drawn(beating(), OLD, LISTEN, 0, line).await, "0s 2s=: 4s=: 5s=ack 7s=: 8s=end");
    // Unless somebody asks for them.
    let layer = HeartbeatLayer::every(Duration::from_secs(2)).per_request(|_| Some(HeartbeatOverride::new()));
    let asked = Lifeline::mcp().heartbeat(layer);
    assert_eq!(drawn(asked, NEW, LISTEN, 0, line).await, "0s 2s=: 4s=: 5s=ack 7s=: 8s=end");
}

#[tokio::test(start_paused = true)]
async fn a_listen_has_no_early_head_either() {
    let asked = || beating().early(EarlyLayer::after(Duration::from_secs(1)));
    assert_eq!(drawn(asked(), NEW, LISTEN, 3, "0s=ack 1s=end").await, "3s 0s=ack 1s=end");
    assert_eq!(drawn(asked(), NEW, CALL, 4, "0s=answer 1s=end").await, "1s 0s=: 2s=: 3s=answer 4s=end");
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_end_would_cancel_it_finishes_while_the_server_drains() {
    let drained = async |version, method| {
        let drain = Drain::new().window(Duration::ZERO);
        let asked = Lifeline::mcp().drain(&drain);
        tokio::spawn(async move {
            sleep(Duration::from_secs(2)).await;
            drain.begin();
        });
        drawn(asked, version, method, 0, "0s=progress 9s=answer 9s=end").await
    };
    assert_eq!(drained(NEW, CALL).await, "0s 0s=progress 9s=answer 9s=end");
    // A stream of the older version is picked up where it ended, and a listen is opened again.
    assert_eq!(drained(OLD, CALL).await, "0s 0s=progress 2s=end");
    assert_eq!(drained(NEW, LISTEN).await, "0s 0s=progress 2s=end");
}
