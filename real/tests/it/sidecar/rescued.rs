//! Streams that break behind an nginx that waits for 2 s, and do not with the sidecar in between.

use std::net::SocketAddr;
use std::path::Path;

use real::client::in_time;
use real::mcp::{Client, Sdk};
use real::process::{find, output};
use real::proxies::{self, Proxy};
use real::upstreams::{self, Upstream, module};

use super::sidecar;
use crate::nginx::{BUFFERING, NOT_BUFFERING};

/// Twice, and more, what nginx waits for.
const SILENCE: &str = "5000";
const FLAGS: [&str; 6] = ["--preset", "sse", "--heartbeat", "500ms", "--early", "500ms"];
const MCP: [&str; 6] = ["--preset", "mcp", "--heartbeat", "500ms", "--early", "500ms"];

async fn behind_nginx(nginx: &Path, upstream: SocketAddr, buffering: &str) -> Proxy {
    proxies::nginx(nginx, upstream, &format!("{buffering} proxy_set_header Host $http_host;")).await
}

#[tokio::test]
async fn an_event_stream_of_sse_starlette_survives_with_it_and_not_without() {
    let (Some(nginx), Some(node), Some(package)) =
        (find(&["nginx"]), find(&["node"]), upstreams::installed("mcp-node/node_modules/eventsource"))
    else {
        return;
    };
    let Some(upstream) = upstreams::starlette().await else { return };
    let package = package.join("dist/index.js");
    let heard = async |at: SocketAddr| {
        let url = format!("http://{at}/events?silence={SILENCE}");
        let script =
            module(include_str!("../../../src/upstreams/events.mjs"), &[package.to_str().unwrap(), &url]);
        let arguments: Vec<_> = script.iter().map(String::as_str).collect();
        let said = in_time(output(&node, &arguments)).await;
        serde_json::from_str::<serde_json::Value>(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
    };
    let sidecar = sidecar(upstream.at, &FLAGS).await;
    for buffering in [BUFFERING, NOT_BUFFERING] {
        let with = behind_nginx(&nginx, sidecar.at, buffering).await;
        let without = behind_nginx(&nginx, upstream.at, buffering).await;
        let (with, without) = tokio::join!(heard(with.at), heard(without.at));
        let [first, second] = [["message", "first", "1"], ["more", "second\nline", "2"]];
        assert_eq!(with, serde_json::json!([first, second]), "{buffering}");
        assert_eq!(without, serde_json::json!([first, ["error"]]), "{buffering}");
    }
    assert_eq!(heard(upstream.at).await, heard(sidecar.at).await);
}

/// What the SDK's own client says of its own server's tool, with the sidecar and without.
async fn rescued(sdk: Sdk, upstream: Option<Upstream>) {
    let (Some(nginx), Some(client), Some(upstream)) = (find(&["nginx"]), Client::find(sdk), upstream) else {
        return;
    };
    let sidecar = sidecar(upstream.at, &MCP).await;
    let with = behind_nginx(&nginx, sidecar.at, BUFFERING).await;
    let without = behind_nginx(&nginx, upstream.at, BUFFERING).await;
    let think =
        async |at: SocketAddr, millis| in_time(client.think(&format!("http://{at}/mcp"), millis)).await;
    let (with, without) = tokio::join!(think(with.at, 5_000), think(without.at, 5_000));
    println!("{sdk:?}, without the sidecar: {without:?}");
    assert_eq!(with.as_deref(), Ok("forty-two"), "{sdk:?}");
    assert!(without.is_err(), "{sdk:?}: {without:?}");
    assert_eq!(think(upstream.at, 1).await.as_deref(), Ok("forty-two"), "{sdk:?}");
}

#[tokio::test]
async fn a_tool_of_mcps_python_sdk_is_heard_with_it_and_not_without() {
    rescued(Sdk::Python, upstreams::mcp_python("json").await).await;
}

#[tokio::test]
async fn a_tool_of_mcps_python_sdk_that_answers_with_events_is_too() {
    rescued(Sdk::Python, upstreams::mcp_python("events").await).await;
}

#[tokio::test]
async fn a_tool_of_mcps_typescript_sdk_is_heard_with_it_and_not_without() {
    rescued(Sdk::TypeScript, upstreams::mcp_node("json").await).await;
}

#[tokio::test]
async fn a_tool_of_mcps_typescript_sdk_that_answers_with_events_is_too() {
    rescued(Sdk::TypeScript, upstreams::mcp_node("events").await).await;
}
