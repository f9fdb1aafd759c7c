//! A server with twelve open streams that is asked to stop, by Ctrl-C or SIGTERM, and draws how they leave.
//! `cargo run --example drain` waits for your Ctrl-C in a terminal; elsewhere it sends itself a SIGTERM.
//! The lines that make the difference are in `serve`; all else is the stage.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::serve::ListenerExt;
use axum::{Router, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tower_lifeline::{BoxError, Drain, DrainLayer};

async fn serve(listener: TcpListener, drain: Drain) -> Result<(), BoxError> {
    let app = Router::new()
        .route("/idle", get(idle))
        .route("/ticks", get(ticks))
        .route("/download", get(download))
        .layer(DrainLayer::new(&drain));
    // Nagle's algorithm would hold small events back.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    let serve = axum::serve(listener, app).with_graceful_shutdown(drain.on_signal());
    Ok(drain.bound(serve).await?)
}

async fn idle() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let hello = stream::iter([Ok(Event::default().data("hello"))]);
    Sse::new(hello.chain(stream::pending()))
}

async fn ticks() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::iter(1..).then(async |number: u64| {
        sleep(Duration::from_millis(100)).await;
        Ok(Event::default().data(number.to_string()))
    }))
}

/// Not a stream of events: nobody knows where it could end, so it may go on to the deadline.
async fn download() -> axum::body::Body {
    axum::body::Body::from_stream(stream::iter(1..=20).then(async |_: u64| {
        sleep(Duration::from_millis(100)).await;
        Ok::<_, Infallible>(Bytes::from_static(b"bytes "))
    }))
}

const PATHS: [(&str, usize); 3] = [("/idle", 6), ("/ticks", 5), ("/download", 1)];

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let seconds = Duration::from_secs;
    let drain = Drain::new().window(seconds(2)).deadline(seconds(4));
    let server = tokio::spawn(serve(listener, drain.clone()));

    let mut clients = Vec::new();
    for (path, count) in PATHS {
        for number in 1..=count {
            let name = format!("{path} {number}");
            clients.push(tokio::spawn(read(at, path, name, drain.clone())));
        }
    }
    while drain.report().present < clients.len() {
        sleep(Duration::from_millis(10)).await;
    }
    println!("{} streams are open.", clients.len());
    if std::io::stdout().is_terminal() {
        println!("Press Ctrl-C.");
    } else {
        let done = Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status()?;
        assert!(done.success(), "SIGTERM was sent");
    }
    drain.begun().await;
    let began = Instant::now();
    println!("The server stops.");

    server.await??;
    println!("It has stopped after {:.1} s: {}", began.elapsed().as_secs_f64(), drain.report());
    let mut well = true;
    for client in clients {
        well &= client.await??;
    }
    let report = drain.report();
    Ok(if well && (report.left, report.finished) == (11, 1) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a stream to its end, and says when that was. Whether it ended as it should.
async fn read(at: SocketAddr, path: &'static str, name: String, drain: Drain) -> Result<bool, BoxError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(TcpStream::connect(at).await?)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, at.to_string()).body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body();
    let (begun, bytes) = tokio::join!(
        async {
            drain.begun().await;
            Instant::now()
        },
        body.collect()
    );
    let text = String::from_utf8(bytes?.to_bytes().to_vec())?;
    let after = begun.elapsed().as_secs_f64();
    println!("{:>width$} {name} has left after {after:.1} s", "|", width = 1 + (after * 20.0) as usize);
    Ok(match path {
        "/download" => text.matches("bytes").count() == 20,
        // One whose turn came before its first event has nothing before it.
        _ => text.rsplit_once("retry: ").is_some_and(|(events, when)| {
            (events.is_empty() || events.ends_with("\n\n")) && when.ends_with("\n\n")
        }),
    })
}
