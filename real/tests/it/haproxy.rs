//! `timeout server 2s`.

use std::time::Duration;

use real::client::in_time;
use real::process::find;
use real::proxies;
use real::server::Server;
use real::two_events::{Step, TwoEvents};
use tower_lifeline::HeartbeatLayer;

async fn carried(heartbeat: Option<HeartbeatLayer>) -> Option<Vec<Step>> {
    let haproxy = find(&["haproxy"])?;
    let events = TwoEvents::default();
    let server = Server::start(events.app(heartbeat)).await;
    let proxy = proxies::haproxy(&haproxy, server.at).await;
    Some(events.read(proxy.at).await)
}

#[tokio::test]
async fn a_silence_longer_than_the_server_timeout_is_survived() {
    let heartbeat = HeartbeatLayer::every(Duration::from_millis(500));
    let Some(steps) = in_time(carried(Some(heartbeat))).await else { return };
    use Step::*;
    assert_eq!(steps, [SentFirst, GotFirst, SentSecond, GotSecond, Finished]);
}

#[tokio::test]
async fn without_the_layer_the_same_silence_is_the_end() {
    let Some(steps) = in_time(carried(None)).await else { return };
    use Step::*;
    assert_eq!(steps, [SentFirst, GotFirst, Cut]);
}
