//! A server that runs 4 streams at a time, lets 8 requests wait and refuses the rest; 40 clients come to it.
//! `cargo run --example shed` draws who runs, who waits and who is told to come back later.
//! The two lines that make the difference are in `app`; all else is the stage.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::iter;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::serve::ListenerExt;
use axum::{Router, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::header::{HOST, RETRY_AFTER};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tower_lifeline::{BoxError, Gate, GateLayer};

const PERMITS: usize = 4;
const PLACES: usize = 8;

fn app() -> (Router, Gate) {
    let gate = Gate::new(PERMITS).queue(PLACES).max_wait(Duration::from_secs(5));
    let app = Router::new().route("/", get(answer)).layer(GateLayer::new(&gate));
    (app, gate)
}

/// Takes a second and a half. Its head is out at once, so a limit on heads would not notice it.
async fn answer() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::iter(["one", "moment", "please"]).then(async |word| {
        sleep(Duration::from_millis(500)).await;
        Ok(Event::default().data(word))
    }))
}

/// These come at once. The others come when the first streams have ended, and the gate knows how long one takes.
const EARLY: usize = 30;
const CLIENTS: usize = 40;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    // Nagle's algorithm would hold small events back.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    let (app, gate) = app();
    tokio::spawn(async { axum::serve(listener, app).await });

    println!("{CLIENTS} clients, {PERMITS} permits, {PLACES} places in the queue. A stream takes 1.5 s.\n");
    let (tell, told) = mpsc::unbounded_channel();
    let drawing = tokio::spawn(draw(told, gate));
    let mut visits = Vec::new();
    for client in 1..=CLIENTS {
        if client == EARLY + 1 {
            for visit in visits.drain(..PERMITS) {
                visit.await??;
            }
        }
        visits.push(tokio::spawn(visit(server, client, tell.clone())));
        sleep(Duration::from_millis(10)).await;
    }
    drop(tell);
    for visit in visits {
        visit.await??;
    }
    Ok(drawing.await?)
}

/// What a client sees, and how long after it asked.
enum Seen {
    Runs(Duration),
    Ends,
    Refused { after: Duration, status: StatusCode, retry_after: u64 },
}

/// Sends one request and tells what becomes of it.
async fn visit(
    server: SocketAddr,
    client: usize,
    tell: mpsc::UnboundedSender<(usize, Seen)>,
) -> Result<(), BoxError> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/").header(HOST, server.to_string()).body(Empty::<Bytes>::new())?;
    let sent = Instant::now();
    let response = sender.send_request(request).await?;
    let after = sent.elapsed();

    if response.status() == StatusCode::OK {
        tell.send((client, Seen::Runs(after)))?;
        response.into_body().collect().await?;
        tell.send((client, Seen::Ends))?;
    } else {
        let retry_after = response.headers().get(RETRY_AFTER).ok_or("it does not say when to come back")?;
        let retry_after = retry_after.to_str()?.parse()?;
        tell.send((client, Seen::Refused { after, status: response.status(), retry_after }))?;
    }
    Ok(())
}

/// What was seen, sorted.
#[derive(Default)]
struct Story {
    ended: Vec<usize>,
    ran: Vec<usize>,
    longest_wait: Duration,
    refused: Vec<usize>,
    latest_refusal: Duration,
    refusals: BTreeSet<(StatusCode, u64)>,
}

impl Story {
    fn of(all: &[(usize, Seen)]) -> Self {
        let mut story = Self::default();
        for &(client, ref seen) in all {
            match *seen {
                Seen::Ends => story.ended.push(client),
                Seen::Runs(after) => {
                    story.ran.push(client);
                    story.longest_wait = story.longest_wait.max(after);
                }
                Seen::Refused { after, status, retry_after } => {
                    story.refused.push(client);
                    story.latest_refusal = story.latest_refusal.max(after);
                    story.refusals.insert((status, retry_after));
                }
            }
        }
        story
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.ended.is_empty() {
            lines.push(format!("{} end", numbers(&self.ended)));
        }
        if !self.ran.is_empty() {
            let wait = match self.longest_wait.as_secs_f64() {
                short if short < 0.5 => String::new(),
                wait => format!(", after {wait:.1} s in the queue"),
            };
            lines.push(format!("{} run{wait}", numbers(&self.ran)));
        }
        if let (Some((status, least)), Some((_, most))) = (self.refusals.first(), self.refusals.last()) {
            let seconds = if least == most { format!("{least}") } else { format!("{least} to {most}") };
            lines.push(format!("{} refused: {status}, Retry-After: {seconds}", numbers(&self.refused)));
        }
        lines
    }
}

/// Draws what happens beside how the gate stands, and judges it.
async fn draw(mut told: mpsc::UnboundedReceiver<(usize, Seen)>, gate: Gate) -> ExitCode {
    let live = std::io::stdout().is_terminal();
    let began = Instant::now();
    let mut seen = Vec::new();
    println!("   time   in flight   queued     shed");
    while !(told.is_closed() && told.is_empty()) {
        // What comes at about the same time belongs into the same row.
        sleep(Duration::from_millis(200)).await;
        let before = seen.len();
        seen.extend(iter::from_fn(|| told.try_recv().ok()));

        let stats = gate.stats();
        let time = format!("{:.1} s", began.elapsed().as_secs_f64());
        let [running, waiting] = [(stats.in_flight, PERMITS), (stats.queued, PLACES)].map(bar);
        let mut gauge = format!("{time:>7}   {running:<9}   {waiting:<8}   {:>4}", stats.queue_full);
        if live {
            print!("\r");
        }
        for line in Story::of(&seen[before..]).lines() {
            println!("{gauge:<37}   {line}");
            gauge.clear();
        }
        if live {
            print!("{gauge}");
            std::io::stdout().flush().unwrap_or_default();
        }
    }

    let stats = gate.stats();
    let Story { ended, ran, longest_wait, refused, latest_refusal, refusals } = Story::of(&seen);
    println!(
        "\n{} streams ran to their end, {} of them after a wait, the longest of {:.1} s. {} were refused, each within {} ms.",
        ended.len(),
        stats.wait.count,
        longest_wait.as_secs_f64(),
        refused.len(),
        latest_refusal.as_millis() + 1,
    );
    // As many places in the queue are free again when the late clients come as there are permits.
    let served = PERMITS + PLACES + PERMITS;
    let as_promised = ran.len() == served
        && ended.len() == served
        && stats.wait.count == (PLACES + PERMITS) as u64
        && refused.len() == CLIENTS - served
        && refusals.iter().all(|&(status, _)| status == StatusCode::SERVICE_UNAVAILABLE)
        && (stats.in_flight, stats.queued) == (0, 0);
    if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bar((count, most): (usize, usize)) -> String {
    "#".repeat(count) + &".".repeat(most.saturating_sub(count))
}

/// `1-4 6`
fn numbers(clients: &[usize]) -> String {
    let mut clients = clients.to_vec();
    clients.sort_unstable();
    let ranges = clients.chunk_by(|one, next| one + 1 == *next).map(|range| match range {
        [first, .., last] => format!("{first}-{last}"),
        _ => format!("{}", range[0]),
    });
    ranges.collect::<Vec<_>>().join(" ")
}
