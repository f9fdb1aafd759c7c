//! Official MCP clients, and a tool that blocks for longer than what stands in between has patience.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use real::client::in_time;
use real::mcp::{Client, Sdk};
use real::process::find;
use real::server::Server;
use real::{proxies, tool};
use tower_lifeline::reject::RequestId;
use tower_lifeline::{EarlyLayer, Heartbeat, TimeoutLayer, Timeouts};

use crate::nginx::BUFFERING;

const BOTH: [Sdk; 2] = [Sdk::Python, Sdk::TypeScript];

fn early() -> EarlyLayer {
    let half = Duration::from_millis(500);
    EarlyLayer::after(half).heartbeat(Heartbeat::every(half))
}

/// What a client says of a tool that blocks for 7 s behind an nginx that waits for 2 s.
async fn behind_nginx(sdk: Sdk, app: Router) -> Option<Result<String, String>> {
    let (nginx, client) = (find(&["nginx"])?, Client::find(sdk)?);
    let server = Server::start(app).await;
    let proxy =
        proxies::nginx(&nginx, server.at, &format!("{BUFFERING} proxy_set_header Host $http_host;")).await;
    Some(in_time(client.think(&format!("http://{}/mcp", proxy.at), 7_000)).await)
}

#[tokio::test]
async fn a_tool_that_blocks_is_heard_with_the_layer_and_not_without() {
    for sdk in BOTH {
        let with = behind_nginx(sdk, tool::app().layer(early()));
        let without = behind_nginx(sdk, tool::app());
        let (Some(with), Some(without)) = tokio::join!(with, without) else { continue };
        assert_eq!(with.as_deref(), Ok("forty-two"), "{sdk:?}");
        println!("{sdk:?}, without the layer: {without:?}");
        assert!(without.is_err(), "{sdk:?}");
    }
}

/// Tells the layer the `id` of a request, which somebody has to read for that.
async fn tell_the_id(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = match &json["id"] {
        serde_json::Value::String(text) => Some(RequestId::from(text.as_str())),
        number => number.as_i64().map(RequestId::from),
    };
    parts.extensions.extend(
        id.map(|id| {
            let mut extensions = http::Extensions::new();
            extensions.insert(id);
            extensions
        })
        .unwrap_or_default(),
    );
    next.run(Request::from_parts(parts, Body::from(body))).await
}

#[tokio::test]
async fn a_limit_that_is_reached_behind_the_head_fails_the_call_with_its_reason() {
    for sdk in BOTH {
        let Some(client) = Client::find(sdk) else { continue };
        let limits = TimeoutLayer::new(Timeouts::new().headers(Duration::from_secs(2)));
        let app = tool::app().layer(limits).layer(early()).layer(middleware::from_fn(tell_the_id));
        let server = Server::start(app).await;
        let said = in_time(client.think(&format!("http://{}/mcp", server.at), 60_000)).await;
        let error = said.expect_err("the tool has not ended");
        println!("{sdk:?}: {error}");
        assert!(error.contains("The request timed out: no response head for 2"), "{sdk:?}: {error}");
    }
}
