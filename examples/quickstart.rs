//! A slow event stream behind a proxy that hangs up after 3 s of silence, read twice: without and with `HeartbeatLayer`.
//! `cargo run --example quickstart` draws what both clients see; `... quickstart -- --serve` is for clients of your own.
//! The line that makes the difference is in `app`; all else is the stage.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::iter;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::serve::ListenerExt;
use axum::{Router, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tower_lifeline::{BoxError, HeartbeatLayer};

fn app() -> Router {
    Router::new()
        .route("/without", get(answer))
        .route("/with", get(answer).layer(HeartbeatLayer::every(Duration::from_secs(1))))
}

/// How long each piece of the answer takes, in milliseconds: the third one needs a slow tool.
const PIECES: [(u64, &str); 4] = [(0, "hello"), (500, "one moment"), (6500, "here it is"), (1500, "bye")];

async fn answer() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::iter(PIECES).then(async |(pause, piece)| {
        sleep(Duration::from_millis(pause)).await;
        Ok(Event::default().data(piece))
    }))
}

/// Real proxies have 30 s to 60 s of it.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = listener.local_addr()?;
    // Nagle's algorithm would hold small events back.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    tokio::spawn(async { axum::serve(listener, app()).await });

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = listener.local_addr()?;
    let proxying = tokio::spawn(run_proxy(listener, upstream));

    if std::env::args().any(|arg| arg == "--serve") {
        println!("A proxy that hangs up after {PATIENCE:?} of silence listens on {proxy}. Try:\n");
        println!("  curl -N http://{proxy}/without\n  curl -N http://{proxy}/with\n");
        println!("Ctrl-C ends it.");
        proxying.await??;
        return Ok(ExitCode::SUCCESS);
    }

    println!("One slow stream, read twice through a proxy that hangs up after {PATIENCE:?} of silence.\n");
    let (tell, told) = mpsc::unbounded_channel();
    tokio::try_join!(
        async { Ok(draw(told).await) },
        watch(proxy, "/without", 0, tell.clone()),
        watch(proxy, "/with", 1, tell),
    )
    .map(|(verdict, (), ())| verdict)
}

/// Copies bytes both ways until the server has been silent for too long.
async fn run_proxy(listener: TcpListener, upstream: SocketAddr) -> std::io::Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        let mut server = TcpStream::connect(upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let answer = async {
                let mut buffer = [0; 4096];
                while let Ok(Ok(count @ 1..)) = timeout(PATIENCE, from_server.read(&mut buffer)).await {
                    if to_client.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = answer => {}
                _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
            }
        });
    }
}

/// What a client sees.
enum Seen {
    Piece(String),
    Beat,
    End,
    Cut,
}

type Column = usize;

/// Reads one stream and tells what comes.
async fn watch(
    proxy: SocketAddr,
    path: &str,
    column: Column,
    tell: mpsc::UnboundedSender<(Column, Seen)>,
) -> Result<(), BoxError> {
    let stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = http::Request::get(path).header("host", proxy.to_string()).body(Empty::<Bytes>::new())?;
    let mut body = client.send_request(request).await?.into_body();

    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            tell.send((column, Seen::Cut))?;
            return Ok(());
        };
        let data = frame.into_data().unwrap_or_default();
        for line in String::from_utf8_lossy(&data).lines() {
            if line.starts_with(':') {
                tell.send((column, Seen::Beat))?;
            } else if let Some(piece) = line.strip_prefix("data: ") {
                tell.send((column, Seen::Piece(piece.to_owned())))?;
            }
        }
    }
    tell.send((column, Seen::End))?;
    Ok(())
}

/// Draws both time lines as they happen, and judges them.
async fn draw(mut told: mpsc::UnboundedReceiver<(Column, Seen)>) -> ExitCode {
    let began = Instant::now();
    let mut pieces = [0; 2];
    let mut beats = [0; 2];
    let mut endings = [None; 2];
    draw_row("time", ["without", "with"].map(|name| (name.to_owned(), BOLD)));
    while let Some(first) = told.recv().await {
        let at = began.elapsed().as_secs_f64();
        // What comes at the same time belongs into the same row.
        sleep(Duration::from_millis(100)).await;
        let mut cells = endings.map(|ending| (if ending.is_none() { "|" } else { "" }.to_owned(), DIM));
        for (column, seen) in iter::once(first).chain(iter::from_fn(|| told.try_recv().ok())) {
            let cell = &mut cells[column];
            match seen {
                Seen::Piece(piece) => {
                    pieces[column] += 1;
                    *cell = (piece, PLAIN);
                }
                Seen::Beat => {
                    beats[column] += 1;
                    *cell = (": beat".to_owned(), DIM);
                }
                Seen::End => {
                    endings[column] = Some("complete");
                    *cell = (format!("{}, end", cell.0), GREEN);
                }
                Seen::Cut => {
                    endings[column] = Some("cut");
                    *cell = ("cut by the proxy".to_owned(), RED);
                }
            }
        }
        draw_row(&format!("{at:.1} s"), cells);
    }

    let all = PIECES.len();
    let [without, with] = endings.map(|ending| ending.unwrap_or("lost"));
    println!(
        "\nWithout: {without} after {} of {all} events. With: {with}, {} of {all} events and {} beats.",
        pieces[0], pieces[1], beats[1],
    );
    let as_promised = [without, with] == ["cut", "complete"] && pieces[0] < all && pieces[1] == all;
    if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const PLAIN: &str = "";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";

fn draw_row(time: &str, cells: [(String, &str); 2]) {
    let [without, with] = cells.map(|(text, colour)| {
        let reset = if colour.is_empty() { "" } else { "\x1b[0m" };
        match std::io::stdout().is_terminal() {
            true => format!("{colour}{text:<18}{reset}"),
            false => format!("{text:<18}"),
        }
    });
    println!("{}", format!("{time:>7}   {without}   {with}").trim_end());
}
