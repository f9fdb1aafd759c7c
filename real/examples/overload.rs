//! Ten times the load that a server can carry, for ten seconds: behind the gate, and behind tower's `ConcurrencyLimit`,
//! where everybody waits for as long as it takes. Clients have a second of patience; goodput is what they get in that.
//!
//! `cargo run --release -p real --example overload`, or `... overload -- PERMITS WORK_IN_MS TIMES SECONDS`, on Linux. It
//! uses the loopback interface only. Work is a sleep. Each server is a process of its own, so that its memory can be told
//! from that of its clients. More than the two processes can do on the machine's cores measures the machine.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::routing::get;
use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use real::server::Server;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_lifeline::{BoxError, Gate, GateLayer};

const PATIENCE: Duration = Duration::from_secs(1);
/// hyper lets a connection have 200 streams at a time.
const STREAMS: u64 = 200;

#[derive(Clone, Copy)]
struct Load {
    permits: u64,
    work: Duration,
    times: u64,
    lasts: Duration,
}

impl Load {
    /// What the server can do in a second.
    fn capacity(self) -> u64 {
        self.permits * 1_000_000 / self.work.as_micros() as u64
    }

    fn offered(self) -> u64 {
        self.capacity() * self.times
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let number = |place: usize, otherwise| numbers.get(place).copied().unwrap_or(otherwise).max(1);
    let load = Load {
        permits: number(0, 100),
        work: Duration::from_millis(number(1, 100)),
        times: number(2, 10),
        lasts: Duration::from_secs(number(3, 10).min(60)),
    };
    if let Some(limiter) = arguments.last().filter(|last| LIMITERS.contains(&last.as_str())) {
        return serve(limiter, load).await;
    }

    println!(
        "{} permits and {:?} of work are {} requests a second at most. {} a second come, for {:?}, over HTTP/2.\n",
        load.permits,
        load.work,
        load.capacity(),
        load.offered(),
        load.lasts,
    );
    let gate = measure(LIMITERS[0], load, &arguments).await?;
    let limit = measure(LIMITERS[1], load, &arguments).await?;
    println!("{:<32}{:>18}{:>18}", "", LIMITERS[0], LIMITERS[1]);
    for ((name, gate), limit) in ROWS.iter().zip(gate).zip(limit) {
        println!("{name:<32}{gate:>18}{limit:>18}");
    }
    Ok(())
}

const LIMITERS: [&str; 2] = ["Gate", "ConcurrencyLimit"];

/// The server's process. Ends with its parent.
async fn serve(limiter: &str, load: Load) -> Result<(), BoxError> {
    let app = Router::new().route("/", get(async move || sleep(load.work).await));
    let permits = load.permits as usize;
    let app = match limiter {
        "Gate" => app.layer(GateLayer::new(&Gate::new(permits))),
        _ => app.layer(GlobalConcurrencyLimitLayer::new(permits)),
    };
    let server = Server::start(app).await;
    println!("{}", server.at);
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Killed when dropped.
struct Process(Child);

impl Process {
    fn start(limiter: &str, arguments: &[String]) -> Result<(Self, SocketAddr), BoxError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).arg(limiter).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut this = Self(command.spawn()?);
        let mut line = String::new();
        BufReader::new(this.0.stdout.take().ok_or("it has an output")?).read_line(&mut line)?;
        Ok((this, line.trim().parse()?))
    }

    /// A line of Linux' /proc/PID/status, in MiB.
    fn memory(&self, name: &str) -> Result<u64, BoxError> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
        let kib: u64 = line.split_whitespace().next().ok_or("no number")?.parse()?;
        Ok(kib / 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Served,
    Refused,
    /// Its client gave up or lost the connection.
    Unanswered,
}

struct Answer {
    /// Since the beginning.
    due: Duration,
    /// Since it was due, so it counts when its client was late.
    took: Duration,
    outcome: Outcome,
}

const ROWS: [&str; 9] = [
    "sent a second",
    "goodput a second",
    "  in the last quarter",
    "refused a second",
    "  median of the time it took",
    "  99th percentile",
    "without an answer a second",
    "memory of the server before",
    "  at its peak",
];

async fn measure(limiter: &str, load: Load, arguments: &[String]) -> Result<[String; 9], BoxError> {
    let (process, at) = Process::start(limiter, arguments)?;
    let connections = connect(at, load).await?;
    let before = process.memory("VmRSS:")?;
    let answers = offer(at, load, &connections).await?;
    let peak = process.memory("VmHWM:")?;

    let a_second = |count: usize| format!("{:.0}", count as f64 / load.lasts.as_secs_f64());
    let count = |outcome| answers.iter().filter(|answer| answer.outcome == outcome).count();
    let late = |answer: &&Answer| answer.outcome == Outcome::Served && answer.due >= load.lasts * 3 / 4;
    let mut refusals: Vec<Duration> = answers
        .iter()
        .filter(|answer| answer.outcome == Outcome::Refused)
        .map(|answer| answer.took)
        .collect();
    refusals.sort_unstable();
    let percentile = |percent: usize| match refusals.get(refusals.len() * percent / 100) {
        Some(took) => format!("{:.1} ms", took.as_secs_f64() * 1e3),
        None => "-".to_owned(),
    };
    Ok([
        a_second(answers.len()),
        a_second(count(Outcome::Served)),
        a_second(answers.iter().filter(late).count() * 4),
        a_second(refusals.len()),
        percentile(50),
        percentile(99),
        a_second(count(Outcome::Unanswered)),
        format!("{before} MiB"),
        format!("{peak} MiB"),
    ])
}

/// As many connections as it takes for each request to have a stream at once.
async fn connect(at: SocketAddr, load: Load) -> Result<Vec<SendRequest<Body>>, BoxError> {
    let mut connections = Vec::new();
    for _ in 0..(load.offered() * PATIENCE.as_secs()).div_ceil(STREAMS) + 1 {
        let tcp = TcpStream::connect(at).await?;
        tcp.set_nodelay(true)?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await?;
        tokio::spawn(connection);
        connections.push(sender);
    }
    Ok(connections)
}

/// Sends requests at their times, whatever becomes of those before.
async fn offer(
    at: SocketAddr,
    load: Load,
    connections: &[SendRequest<Body>],
) -> Result<Vec<Answer>, BoxError> {
    let began = Instant::now();
    let mut requests = JoinSet::new();
    let mut turn = connections.iter().cycle();
    let mut ticks = interval(Duration::from_millis(1));
    while began.elapsed() < load.lasts {
        let tick = ticks.tick().await;
        let due = tick.saturating_duration_since(began);
        while (requests.len() as u128) < due.as_micros() * u128::from(load.offered()) / 1_000_000 {
            let sender = turn.next().ok_or("no connection")?.clone();
            let request = Request::get(format!("http://{at}/")).body(Body::empty())?;
            requests.spawn(async move {
                let outcome = timeout(PATIENCE, ask(sender, request)).await;
                let outcome = outcome.ok().and_then(Result::ok).unwrap_or(Outcome::Unanswered);
                Answer { due, took: tick.elapsed(), outcome }
            });
        }
    }
    Ok(requests.join_all().await)
}

async fn ask(mut sender: SendRequest<Body>, request: Request<Body>) -> hyper::Result<Outcome> {
    let response = sender.send_request(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(if status == StatusCode::OK { Outcome::Served } else { Outcome::Refused })
}
