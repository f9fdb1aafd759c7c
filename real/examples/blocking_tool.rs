//! An MCP tool that blocks for 5 s, called twice over the wire by a client that hangs up after 2 s of silence: without and
//! with `EarlyLayer`. rmcp's server answers in JSON when the tool is done, so there is nothing before that.
//! `cargo run -p real --example blocking_tool -- --serve` is for an MCP client of your own.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Version};
use http_body_util::BodyExt;
use real::client::Client;
use real::server::Server;
use real::tool;
use tokio::time::timeout;
use tower_lifeline::early::ErrorFormat;
use tower_lifeline::{EarlyLayer, Heartbeat};

fn app() -> Router {
    let early = EarlyLayer::after(Duration::from_secs(1))
        .heartbeat(Heartbeat::every(Duration::from_secs(1)))
        .errors(ErrorFormat::JsonRpc);
    Router::new().nest("/with", tool::app().layer(early)).nest("/without", tool::app())
}

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"think","arguments":{"millis":5000}}}"#;
/// Real ones have 30 s to 60 s of it.
const PATIENCE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let server = Server::start(app()).await;
    if std::env::args().any(|arg| arg == "--serve") {
        println!("Tool `think`: http://{0}/with/mcp and http://{0}/without/mcp. Ctrl-C ends it.", server.at);
        tokio::signal::ctrl_c().await.expect("a signal");
        return ExitCode::SUCCESS;
    }
    let (without, with) = tokio::join!(call(server.at, "/without/mcp"), call(server.at, "/with/mcp"));
    for (name, lines) in [("without", &without), ("with", &with)] {
        println!("{name}:");
        lines.iter().for_each(|line| println!("    {line}"));
    }
    let answered = with.iter().any(|line| line.starts_with("data: ") && line.contains("forty-two"));
    let as_promised = without == ["gave up after 2s of silence"] && with[0] == "200 OK" && answered;
    if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What an impatient client sees, line by line.
async fn call(at: SocketAddr, path: &str) -> Vec<String> {
    let gave_up = || format!("gave up after {PATIENCE:?} of silence");
    let mut client = Client::connect(at, Version::HTTP_11).await;
    let request = Request::post(path)
        .header(ACCEPT, "application/json, text/event-stream")
        .header(CONTENT_TYPE, "application/json")
        .header("mcp-protocol-version", "2025-11-25")
        .body(Body::from(CALL))
        .expect("a request");
    let Ok(response) = timeout(PATIENCE, client.send(request)).await else {
        return vec![gave_up()];
    };
    let response = response.expect("a response");
    let mut lines = vec![response.status().to_string()];
    let mut body = response.into_body();
    loop {
        match timeout(PATIENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                lines.extend(String::from_utf8_lossy(&data).lines().map(str::to_owned));
            }
            Ok(Some(Err(error))) => lines.push(error.to_string()),
            Ok(None) => return lines,
            Err(_) => {
                lines.push(gave_up());
                return lines;
            }
        }
    }
}
