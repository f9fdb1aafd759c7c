//! An axum app with event streams, as it would go into production: heartbeats, limits, a gate, and a shutdown that lets
//! everybody leave. `cargo run --example axum_sse` serves, reads a stream of its own, stops, and checks what its client saw;
//! `... axum_sse -- --serve` goes on until Ctrl-C. `app` and `serve` are the example.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::serve::ListenerExt;
use axum::{Router, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower_lifeline::{BoxError, Drain, Gate, Heartbeat, Lifeline};

fn app(drain: &Drain) -> Result<Router, BoxError> {
    let lifeline = Lifeline::sse()
        // 15 s where nobody waits for an example.
        .heartbeat(Heartbeat::every(Duration::from_millis(300)))
        .gate(Gate::new(1_000))
        .drain(drain)
        .build()?;
    Ok(Router::new().route("/events", get(events)).layer(lifeline))
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let hello = stream::once(async { Ok(Event::default().data("hello")) });
    Sse::new(hello.chain(stream::pending()))
}

/// Returns when everybody has left, at the latest a second behind the drain's deadline.
async fn serve(
    listener: TcpListener,
    drain: Drain,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BoxError> {
    // Nagle's algorithm would hold small events back.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    let begins = drain.clone();
    let serving = axum::serve(listener, app(&drain)?).with_graceful_shutdown(async move {
        stop.await;
        begins.begin();
    });
    drain.bound(async { serving.await }).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let drain = Drain::new().window(Duration::from_millis(200)).deadline(Duration::from_secs(5));
    if std::env::args().any(|arg| arg == "--serve") {
        println!("curl -N http://{at}/events");
        let signal = drain.on_signal();
        serve(listener, drain, signal).await?;
        return Ok(ExitCode::SUCCESS);
    }

    let server = tokio::spawn(serve(listener, drain, sleep(Duration::from_secs(1))));
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.get(format!("http://{at}/events").parse()?).await?;
    let seen = answer.into_body().collect().await?.to_bytes();
    let seen = String::from_utf8_lossy(&seen);
    println!("{seen}");
    server.await??;
    println!("and the server has stopped.");

    let beats = seen.lines().filter(|line| *line == ":").count();
    let as_promised = seen.starts_with("data: hello\n\n") && beats >= 2 && seen.contains("retry: ");
    Ok(if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
