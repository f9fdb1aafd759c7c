//! Official MCP clients, and a tool that blocks for longer than what stands in between has patience.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use futures_util::stream;
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

/// A request whose body was read, and what it says.
async fn read(request: Request) -> (Request, serde_json::Value) {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    (Request::from_parts(parts, Body::from(body)), json)
}

/// Tells the layer the `id` of a request, which somebody has to read for that.
async fn tell_the_id(request: Request, next: Next) -> Response {
    let (mut request, json) = read(request).await;
    let id = match &json["id"] {
        serde_json::Value::String(text) => Some(RequestId::from(text.as_str())),
        number => number.as_i64().map(RequestId::from),
    };
    if let Some(id) = id {
        request.extensions_mut().insert(id);
    }
    next.run(request).await
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

/// What a handler can answer to a call, and what a client then says.
const ANSWERS: [(&str, Result<&str, &str>); 9] = [
    ("an event stream", Ok("forty-two")),
    ("json", Ok("forty-two")),
    ("json in lines", Ok("forty-two")),
    ("json that is long", Ok("forty-two")),
    ("json that breaks off", Err("The answer broke off.")),
    ("an error", Err("The answer is an error (500 Internal Server Error).")),
    ("a redirect", Err("The answer is a redirect to /elsewhere (307 Temporary Redirect).")),
    ("compressed", Err("The answer has an encoding (gzip) and cannot become events.")),
    ("a picture", Err("The answer (image/png) cannot become events.")),
];

/// Answers calls so, after the head has gone out, and passes everything else on.
async fn answered(how: &'static str, request: Request, next: Next) -> Response {
    let (request, json) = read(request).await;
    if json["method"] != "tools/call" {
        return next.run(request).await;
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let padding = " ".repeat(if how.ends_with("long") { 300_000 } else { 0 });
    let content = serde_json::json!([{ "type": "text", "text": "forty-two" }]);
    let result = serde_json::json!({ "resultType": "complete", "content": content });
    let result = serde_json::json!({ "jsonrpc": "2.0", "id": json["id"], "result": result });
    let text = if how.ends_with("lines") { format!("{result:#}") } else { format!("{result}{padding}") };
    let head = Response::builder();
    let json =
        |text: String| Response::builder().header("content-type", "application/json").body(text.into());
    match how {
        "an event stream" => {
            head.header("content-type", "text/event-stream").body(format!("data: {text}\n\n").into())
        }
        "json that breaks off" => {
            let pieces = [Ok(text[..9].to_owned()), Err(std::io::Error::other("gone"))];
            head.header("content-type", "application/json").body(Body::from_stream(stream::iter(pieces)))
        }
        "an error" => head.status(500).body("no more today".into()),
        "a redirect" => head.status(307).header("location", "/elsewhere").body(Body::empty()),
        "compressed" => json(text).map(|mut answer: Response| {
            answer.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
            answer
        }),
        "a picture" => head.header("content-type", "image/png").body("not one".into()),
        _ => json(text),
    }
    .unwrap()
}

#[tokio::test]
async fn every_answer_behind_an_early_head_is_a_result_or_an_error_that_says_why() {
    for sdk in BOTH {
        let Some(client) = Client::find(sdk) else { continue };
        for (how, expected) in ANSWERS {
            let app = tool::app()
                .layer(middleware::from_fn(move |request, next| answered(how, request, next)))
                .layer(early())
                .layer(middleware::from_fn(tell_the_id));
            let server = Server::start(app).await;
            let said = in_time(client.think(&format!("http://{}/mcp", server.at), 1)).await;
            println!("{sdk:?}, {how}: {said:?}");
            match expected {
                Ok(text) => assert_eq!(said.as_deref(), Ok(text), "{sdk:?}, {how}"),
                Err(word) => assert!(said.is_err_and(|error| error.contains(word)), "{sdk:?}, {how}"),
            }
        }
    }
}
