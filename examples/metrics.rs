//! Who cuts my streams? A server with reports as metrics, an impatient hop in front of it, and a scrape that tells.
//!
//! `cargo run --example metrics` runs it once and checks what it says; `cargo run --example metrics -- --serve` goes on, for
//! `curl localhost:PORT/metrics` or a Prometheus of your own.
//!
//! The lines of PromQL that answer the question, and what this run makes of them, are in `QUERIES`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::serve::ListenerExt;
use axum::{Router, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future, stream};
use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tower_lifeline::observe::metrics::{BUCKETS, MetricsSink};
use tower_lifeline::observe::{ObserveLayer, Observer};
use tower_lifeline::{BoxError, Gate, GateLayer, HeartbeatLayer};

const QUERIES: [(&str, &str); 6] = [
    ("who ends them", "sum by (by, when) (rate(lifeline_streams_ended_total[5m]))"),
    (
        "at which silence: a step in one bucket is an idle timer",
        r#"sum by (le) (increase(lifeline_stream_silence_seconds_bucket{by="client"}[1h]))"#,
    ),
    (
        "at which age: a step in one bucket is a lifetime cap",
        r#"sum by (le) (increase(lifeline_stream_age_seconds_bucket{by="client"}[1h]))"#,
    ),
    ("what has been named, and where it cuts", "max by (class, kind) (lifeline_finding_seconds)"),
    (
        "how many come back for more",
        "sum(rate(lifeline_streams_resumed_total[5m])) / sum(rate(lifeline_streams_ended_total[5m]))",
    ),
    (
        "which beats did not get out in time, and why",
        r#"sum by (what) (rate(lifeline_beats_total{what!="sent"}[5m]))"#,
    ),
];

fn app(scrape: PrometheusHandle) -> Router {
    let gate = Gate::new(100);
    let metrics = MetricsSink::new().gate("chat", &gate);
    let observer = Observer::new().sink(metrics.clone());
    Router::new()
        .route("/chat", get(think))
        // From the inside out.
        .layer(GateLayer::new(&gate))
        .layer(HeartbeatLayer::every(Duration::from_secs(15)))
        .layer(ObserveLayer::new(&observer))
        // Not observed itself.
        .route(
            "/metrics",
            get(async move || {
                metrics.update();
                scrape.render()
            }),
        )
}

/// Says something at once, and then nothing for a long while.
async fn think() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let words = stream::once(async { Ok(Event::default().data("let me think")) });
    Sse::new(words.chain(stream::pending()))
}

/// Something on the way gives up on a silence of two seconds and a half. The heartbeat of 15 s is too slow for it.
const PATIENCE: Duration = Duration::from_millis(2_500);
const STREAMS: u64 = 20;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let scrape = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    let serving = tokio::spawn(async { axum::serve(listener, app(scrape)).await });
    if std::env::args().any(|argument| argument == "--serve") {
        println!("http://{server}/chat, http://{server}/metrics");
        serving.await??;
        return Ok(ExitCode::SUCCESS);
    }

    println!("{STREAMS} clients behind a hop that cuts after {PATIENCE:?} of silence.\n");
    let cut = (0..STREAMS).map(async |stream| {
        sleep(Duration::from_millis(20 * stream)).await;
        impatient(server).await
    });
    for cut in future::join_all(cut).await {
        cut?;
    }
    let text = settled(server).await?;
    for line in text.lines().filter(|line| SHOWN.iter().any(|shown| line.starts_with(shown))) {
        println!("{line}");
    }
    println!("\nWhat to ask Prometheus:\n");
    for (question, query) in QUERIES {
        println!("  # {question}\n  {query}\n");
    }
    Ok(if told(&text) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const SHOWN: [&str; 4] = [
    "lifeline_streams_ended_total",
    "lifeline_stream_silence_seconds_bucket",
    "lifeline_finding_seconds{",
    "lifeline_gate",
];

/// What a scrape has to say: who, how often, and what it is.
fn told(text: &str) -> bool {
    let ended = format!(
        r#"lifeline_streams_ended_total{{route="/chat",cause="abandoned",by="client",when="streaming"}} {STREAMS}"#
    );
    let finding = r#"lifeline_finding_seconds{class="all",kind="idle_timer"} 2."#;
    text.contains(&ended)
        && text.contains(finding)
        && text.contains(r#"lifeline_streams_open{route="/chat"} 0"#)
}

/// Reads a stream until it has been silent for too long, and hangs up.
async fn impatient(server: SocketAddr) -> Result<(), BoxError> {
    let io = TokioIo::new(TcpStream::connect(server).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/chat").header(HOST, server.to_string()).body(Empty::<Bytes>::new())?;
    let mut body = sender.send_request(request).await?.into_body();
    while let Ok(Some(frame)) = timeout(PATIENCE, body.frame()).await {
        frame?;
    }
    drop(body);
    connection.abort();
    Ok(())
}

/// A real scrape, again until the server has noticed that its clients have left.
async fn settled(server: SocketAddr) -> Result<String, BoxError> {
    let mut text = String::new();
    for _ in 0..50 {
        text = scrape(server).await?;
        if told(&text) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(text)
}

async fn scrape(server: SocketAddr) -> Result<String, BoxError> {
    let io = TokioIo::new(TcpStream::connect(server).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    let request = Request::get("/metrics").header(HOST, server.to_string()).body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?;
    Ok(String::from_utf8(body.to_bytes().to_vec())?)
}
