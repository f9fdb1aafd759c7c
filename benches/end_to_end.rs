//! What a response costs over a real connection on loopback, by the clock: `scripts/bench` reads the ratios.

#[path = "support/clock.rs"]
mod clock;
#[allow(dead_code, reason = "each bench needs its own part")]
mod support;

use axum::serve::ListenerExt;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use clock::{ROUNDS, brief};
use support::hyper_null::{LAST_HEAD, LAST_REQUEST, REQUEST};
use support::response::{answers, app};
use support::runtime;

/// On one connection, one after the other.
const REQUESTS: usize = 50;

const VARIANTS: [&str; 7] = [
    "app",
    "app-heartbeat",
    "app-lifeline",
    "app-lifeline_all",
    "app-keep_alive",
    "app-tower_http",
    "app-tower_http_keep_alive",
];

criterion_group! {
    name = benches;
    config = brief();
    targets = end_to_end
}
criterion_main!(benches);

fn end_to_end(criterion: &mut Criterion) {
    for situation in ["plain", "burst", "paced"] {
        let mut group = criterion.benchmark_group(format!("socket-{situation}"));
        group.throughput(Throughput::Elements(REQUESTS as u64));
        let streams = situation != "plain";
        for round in 1..=ROUNDS {
            for variant in VARIANTS.into_iter().filter(|variant| streams || !variant.ends_with("keep_alive"))
            {
                let (at, _stop) = serve(situation, variant);
                let each = answers(situation, variant, 1) - LAST_HEAD.len();
                group.bench_function(BenchmarkId::new(variant, round), |bencher| {
                    bencher.iter(|| ask(at, each));
                });
            }
        }
    }
}

/// A server on a thread of its own, until what comes with its address is dropped.
fn serve(situation: &'static str, variant: &'static str) -> (SocketAddr, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("bound")).expect("somebody waits");
            // A response in several writes would wait for the client's delayed ACK.
            let listener = listener.tap_io(|io| io.set_nodelay(true).expect("a socket"));
            let served = axum::serve(listener, app(situation, variant));
            let stopped = async { drop(stopped.await) };
            served.with_graceful_shutdown(stopped).await.expect("no error");
        });
    });
    (told.recv().expect("it runs"), stop)
}

/// Asks, and wants exactly so many bytes for each answer and nothing behind the last.
fn ask(at: SocketAddr, each: usize) {
    let mut connection = TcpStream::connect(at).expect("a server");
    connection.set_nodelay(true).expect("a socket");
    let mut answer = vec![0; each];
    for _ in 1..REQUESTS {
        connection.write_all(REQUEST).expect("it reads");
        connection.read_exact(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    connection.write_all(LAST_REQUEST).expect("it reads");
    answer.clear();
    connection.read_to_end(&mut answer).expect("the last answer");
    assert_eq!(answer.len(), each + LAST_HEAD.len());
}
