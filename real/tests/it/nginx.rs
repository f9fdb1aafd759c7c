//! `proxy_read_timeout 2s`, with and without buffering.

use std::time::Duration;

use real::client::in_time;
use real::process::find;
use real::proxies;
use real::server::Server;
use real::two_events::{Step, TwoEvents};
use tower_lifeline::HeartbeatLayer;

pub(crate) const BUFFERING: &str =
    "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering on;";
pub(crate) const NOT_BUFFERING: &str =
    "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off;";
/// What nginx does when told nothing: before 1.29.7 it speaks HTTP/1.0 to its upstreams, and passes a body of unknown
/// length on by whole buffers.
pub(crate) const BY_WHOLE_BUFFERS: &str = "proxy_http_version 1.0; proxy_buffering on;";

async fn carried(settings: &str, heartbeat: Option<HeartbeatLayer>) -> Option<Vec<Step>> {
    let nginx = find(&["nginx"])?;
    let events = TwoEvents::default();
    let server = Server::start(events.app(heartbeat)).await;
    let proxy = proxies::nginx(&nginx, server.at, settings).await;
    Some(events.read(proxy.at).await)
}

async fn all_carried(heartbeat: Option<&HeartbeatLayer>) -> Option<[Vec<Step>; 3]> {
    let carried = |settings| carried(settings, heartbeat.cloned());
    let all = async { tokio::join!(carried(NOT_BUFFERING), carried(BUFFERING), carried(BY_WHOLE_BUFFERS)) };
    let (first, second, third) = in_time(all).await;
    Some([first?, second?, third?])
}

fn beating() -> HeartbeatLayer {
    HeartbeatLayer::every(Duration::from_millis(500))
}

#[tokio::test]
async fn a_silence_longer_than_the_read_timeout_is_survived_whether_nginx_buffers_or_not() {
    let Some(all) = all_carried(Some(&beating())).await else { return };
    use Step::*;
    for steps in all {
        assert_eq!(steps, [SentFirst, GotFirst, SentSecond, GotSecond, Finished]);
    }
}

#[tokio::test]
async fn without_the_layer_the_same_silence_is_the_end() {
    let Some(all) = all_carried(None).await else { return };
    use Step::*;
    let [not_buffering, buffering, by_whole_buffers] = all;
    assert_eq!(not_buffering, [SentFirst, GotFirst, Cut]);
    assert_eq!(buffering, [SentFirst, GotFirst, Cut]);
    // What was in the buffer is lost as well.
    assert_eq!(by_whole_buffers, [SentFirst, Cut]);
}

#[tokio::test]
async fn without_the_header_of_the_layer_events_stay_in_the_buffer() {
    let carried = carried(BY_WHOLE_BUFFERS, Some(beating().keep_headers()));
    let Some(steps) = in_time(carried).await else { return };
    use Step::*;
    assert_eq!(steps, [SentFirst, SentSecond, GotFirst, GotSecond, Finished]);
}
