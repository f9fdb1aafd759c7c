//! A chat whose model takes its time, one question after the other: clients that wait are kept alive, told their place in the
//! queue, and told of an error that comes behind the head. `cargo run --example llm_chat` plays it through with four
//! clients; `... llm_chat -- --serve` has a page for a browser. What makes the difference is in `app`; all else is the stage.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tower::ServiceBuilder;
use tower_lifeline::early::TellPosition;
use tower_lifeline::{BoxError, EarlyLayer, Gate, GateLayer, Heartbeat};

fn app() -> Router {
    let early = EarlyLayer::after(Duration::from_millis(400))
        .heartbeat(Heartbeat::every(Duration::from_millis(400)))
        .queue_position(TellPosition::Event);
    let gate = Gate::new(1).max_wait(Duration::from_secs(60));
    let layers = ServiceBuilder::new().layer(early).layer(GateLayer::new(&gate));
    Router::new()
        .route("/chat", get(answer).post(answer).layer(layers))
        .route("/", get(async || Html(include_str!("llm_chat.html"))))
}

/// How long the model thinks before its first token, and before each of them.
const THINKS: Duration = Duration::from_millis(1500);
const TALKS: Duration = Duration::from_millis(150);
const TOKENS: [&str; 5] = ["Patience", "is", "a", "virtue", "."];

async fn answer(uri: Uri) -> Response {
    let question = uri.query().unwrap_or_default();
    if question == "nobody" {
        // At once, so that it is still a status.
        return (StatusCode::NOT_FOUND, "there is no such model").into_response();
    }
    sleep(THINKS).await;
    if question == "trouble" {
        let error = serde_json::json!({ "error": { "message": "out of memory" } });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response();
    }
    let tokens = stream::iter(TOKENS).then(async |token| {
        sleep(TALKS).await;
        Ok::<_, Infallible>(Event::default().data(token))
    });
    Sse::new(tokens).into_response()
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    // Nagle's algorithm would hold small events back.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    let server = tokio::spawn(async { axum::serve(listener, app()).await });

    if std::env::args().any(|arg| arg == "--serve") {
        println!("Ask the slow model at http://{at}/. Ctrl-C ends it.");
        server.await??;
        return Ok(ExitCode::SUCCESS);
    }

    println!("One slow model, four clients, and a head for each after 0.4 s at the latest.\n");
    println!("   time   client    sees");
    let (tell, told) = mpsc::unbounded_channel();
    // The order of their arrival is that of the queue.
    let clients = [("nobody", 0), ("first", 50), ("second", 100), ("trouble", 150)].map(|(name, millis)| {
        let tell = tell.clone();
        async move {
            sleep(Duration::from_millis(millis)).await;
            ask(at, name, tell).await
        }
    });
    drop(tell);
    let (seen, _) = tokio::try_join!(async { Ok(draw(told).await) }, async {
        futures_util::future::try_join_all(clients).await
    })?;
    Ok(judge(&seen))
}

type Seen = (&'static str, String);

/// Asks a question, and tells what comes back, line by line.
async fn ask(at: SocketAddr, name: &'static str, tell: mpsc::UnboundedSender<Seen>) -> Result<(), BoxError> {
    let stream = TcpStream::connect(at).await?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = http::Request::post(format!("/chat?{name}")).header("host", at.to_string());
    let request =
        request.header("accept", "text/event-stream, application/json").body(Empty::<Bytes>::new())?;

    let response = client.send_request(request).await?;
    tell.send((name, response.status().to_string()))?;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let data = frame?.into_data().unwrap_or_default();
        for line in String::from_utf8_lossy(&data).lines().filter(|line| !line.is_empty()) {
            tell.send((name, line.to_owned()))?;
        }
    }
    tell.send((name, "end".to_owned()))?;
    Ok(())
}

/// Draws what comes as it comes. Beats that repeat are one.
async fn draw(mut told: mpsc::UnboundedReceiver<Seen>) -> Vec<Seen> {
    let began = Instant::now();
    let mut seen: Vec<Seen> = Vec::new();
    while let Some((name, line)) = told.recv().await {
        let last = seen.iter().rev().find(|(other, _)| *other == name);
        if last.is_some_and(|(_, last)| *last == line) {
            continue;
        }
        println!("{:>6.1} s   {name:<8}  {line}", began.elapsed().as_secs_f64());
        seen.push((name, line));
    }
    seen
}

/// Whether each of them saw what the layers promise.
fn judge(seen: &[Seen]) -> ExitCode {
    let of = |client: &str, keep: fn(&str) -> bool| -> Vec<&str> {
        let lines = seen.iter().filter(|(name, _)| *name == client).map(|(_, line)| line.as_str());
        lines.filter(|line| keep(line)).collect()
    };
    let no_beat = |line: &str| line != ":";
    let places = |line: &str| line.starts_with("data: {\"position\"");
    let tokens = |line: &str| line.starts_with("data: ") && !line.starts_with("data: {\"position\"");
    let spoken: Vec<_> = TOKENS.iter().map(|token| format!("data: {token}")).collect();

    let fast_error = of("nobody", |_| true) == ["404 Not Found", "there is no such model", "end"];
    let kept_alive = ["first", "second", "trouble"].iter().all(|name| {
        let lines = of(name, |_| true);
        lines[0] == "200 OK" && lines.contains(&":") && lines.last() == Some(&"end")
    });
    let told_in_order = of("second", places) == [r#"data: {"position":1}"#, r#"data: {"position":0}"#]
        && of("trouble", places)
            == [r#"data: {"position":2}"#, r#"data: {"position":1}"#, r#"data: {"position":0}"#];
    let answered = of("first", tokens) == spoken && of("second", tokens) == spoken;
    let trouble = of("trouble", no_beat);
    let told = trouble.iter().position(|line| *line == "event: error").map(|at| trouble[at + 1]);
    let failed = told.is_some_and(|data| data.contains("503") && data.contains("out of memory"));

    println!(
        "\nA real 404: {fast_error}. Kept alive: {kept_alive}. Told their places: {told_in_order}. Answered: {answered}. \
         Told of the error: {failed}."
    );
    if [fast_error, kept_alive, told_in_order, answered, failed] == [true; 5] {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
