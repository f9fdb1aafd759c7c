//! How long a client that reads slowly, and never stops, lets a body wait between two frames: what the limit of a
//! `StallLayer` has to be above.
//!
//! `cargo run --release -p real --example slow_readers`, or `... slow_readers -- SECONDS KB_A_SECOND [...]`. It uses the
//! loopback interface, with the kernel's own buffers, and hyper's own windows.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::{Router, body, routing::get};
use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use real::client::Client;
use real::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tower_lifeline::BoxError;

const FRAME: usize = 8 * 1024;
/// Clients read so often.
const READS: Duration = Duration::from_millis(20);

/// Always has a frame, and notes how long nobody asked for one.
struct Ready {
    taken: Option<Instant>,
    longest: Arc<Mutex<Duration>>,
}

impl Body for Ready {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let now = Instant::now();
        if let Some(taken) = self.taken.replace(now) {
            let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
            *longest = now.duration_since(taken).max(*longest);
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'.'; FRAME])))))
    }
}

/// The longest that a body waited whose client read so many bytes a second for so long.
async fn longest(version: Version, rate: u64, lasts: Duration) -> Result<Duration, BoxError> {
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let noted = Arc::clone(&longest);
    let app =
        Router::new().route("/", get(async move || body::Body::new(Ready { taken: None, longest: noted })));
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
    let mut measured = JoinSet::new();
    for &rate in rates {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            measured.spawn(async move {
                let longest = longest(version, rate * 1_000, Duration::from_secs(lasts)).await?;
                Ok::<_, BoxError>((rate, version, longest))
            });
        }
    }
    let mut rows = measured.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|(rate, version, _)| (*rate, *version == Version::HTTP_2));
    println!("{:>12}{:>12}{:>24}", "KB a second", "", "longest between frames");
    for (rate, version, longest) in rows {
        println!("{rate:>12}{:>12}{:>22.1} s", format!("{version:?}"), longest.as_secs_f64());
    }
    Ok(())
}
