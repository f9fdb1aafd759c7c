//! How long a client that reads slowly, and never stops, lets a body wait between two frames: what the limit of a
//! `StallLayer` has to be above.
//!
//! `cargo run --release -p real --example slow_readers`, or `... slow_readers -- SECONDS KB_A_SECOND [...]`. It uses the
//! loopback interface, with the kernel's own buffers, and hyper's own windows.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::stream;
use http::Version;
use http_body_util::BodyExt;
use real::client::Client;
use real::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tower_lifeline::BoxError;

const FRAME: usize = 8 * 1024;
/// Clients read so often.
const READS: Duration = Duration::from_millis(20);

/// Always has a frame, and notes the longest time for which nobody asked for the next.
fn ready(longest: Arc<Mutex<Duration>>) -> Body {
    let mut taken = None;
    Body::from_stream(stream::poll_fn(move |_| {
        let now = Instant::now();
        if let Some(taken) = taken.replace(now) {
            let mut longest = longest.lock().unwrap_or_else(PoisonError::into_inner);
            *longest = now.duration_since(taken).max(*longest);
        }
        Poll::Ready(Some(Ok::<_, Infallible>(Bytes::from_static(&[b'.'; FRAME]))))
    }))
}

/// The longest that a body waited whose client read so many bytes a second for so long.
async fn longest(version: Version, rate: u64, lasts: Duration) -> Result<Duration, BoxError> {
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let noted = Arc::clone(&longest);
    let app = Router::new().route("/", get(async move || ready(noted)));
    let server = Server::start(app).await;
    tokio::select! {
        read = read(server.at, version, rate) => read?,
        () = sleep(lasts) => {}
    }
    let longest = longest.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(*longest)
}

async fn read(at: SocketAddr, version: Version, rate: u64) -> Result<(), BoxError> {
    let mut ticks = interval(READS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let each = rate * READS.as_millis() as u64 / 1_000;
    if version == Version::HTTP_2 {
        let mut body = Client::connect(at, version).await.get("/").await.into_body();
        let mut due = 0;
        loop {
            ticks.tick().await;
            due += each;
            while due > 0 {
                let frame = body.frame().await.ok_or("it never ends")??;
                due = due.saturating_sub(frame.data_ref().map_or(0, Bytes::len) as u64);
            }
        }
    }
    let mut tcp = TcpStream::connect(at).await?;
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut bytes = vec![0; each as usize];
    loop {
        ticks.tick().await;
        tcp.read_exact(&mut bytes).await?;
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|number| number.parse()).collect::<Result<_, _>>()?;
    let (lasts, rates) = match numbers.split_first() {
        Some((lasts, rates)) => (*lasts, rates),
        None => (60, [].as_slice()),
    };
    let rates = if rates.is_empty() { &[255, 1_000] } else { rates };
    let of_rate = |&rate: &u64| {
        let measure = move |version| longest(version, rate * 1_000, Duration::from_secs(lasts));
        [Version::HTTP_11, Version::HTTP_2].map(|version| (rate, version, tokio::spawn(measure(version))))
    };
    let measured: Vec<_> = rates.iter().flat_map(of_rate).collect();
    println!("{:>12}{:>12}{:>24}", "KB a second", "", "longest between frames");
    for (rate, version, longest) in measured {
        let longest = longest.await??;
        println!("{rate:>12}{:>12}{:>22.1} s", format!("{version:?}"), longest.as_secs_f64());
    }
    Ok(())
}
