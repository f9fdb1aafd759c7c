//! Idle streams that beat now and then: memory a stream, CPU a beat, and how late timers go off. `scripts/bench` runs it.
//!
//! Each run is a process of its own: what one leaves behind would be the next one's memory.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{env, fs, mem};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::stream;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};
use tower_lifeline::observe::{ObserveBody, Observer, StreamReport};
use tower_lifeline::stack::LifelineBody;
use tower_lifeline::{
    BoxError, Drain, Gate, Heartbeat, HeartbeatBody, HeartbeatLayer, Lifeline, StallBody, StallLayer,
    TimeoutBody, TimeoutLayer, Timeouts,
};

const KINDS: [&str; 7] =
    ["bare", "keep-alive", "heartbeat", "nested", "lifeline", "lifeline_all", "lifeline_stall"];

/// In milliseconds, by what went off as late as that.
static LATE: [AtomicU64; 10_000] = [const { AtomicU64::new(0) }; 10_000];
static BEATS: AtomicU64 = AtomicU64::new(0);
static ASKED: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["streams", kind, number, interval, intervals] => run(kind, number, interval, intervals, streams),
        ["connections", kind, number, interval, intervals] => {
            run(kind, number, interval, intervals, connections)
        }
        ["clients", at, number] => clients(at, number),
        ["sizes"] => sizes(),
        ["inline"] => {
            inline();
            Ok(())
        }
        // `cargo bench`: that all of it runs.
        ["--bench"] => KINDS.iter().try_for_each(|kind| {
            run(kind, "1000", "200", "2", streams)?;
            run(kind, "20", "200", "2", connections)
        }),
        _ => Err("usage: idle_scale (streams | connections) KIND NUMBER INTERVAL-IN-MILLIS INTERVALS".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\nkinds: {KINDS:?}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy)]
struct Load<'a> {
    kind: &'a str,
    number: u32,
    interval: Duration,
    intervals: u32,
}

fn run(
    kind: &str,
    number: &str,
    interval: &str,
    intervals: &str,
    measure: fn(&Runtime, Load<'_>) -> Result<Measured, BoxError>,
) -> Result<(), BoxError> {
    let interval = Duration::from_millis(interval.parse()?);
    let load = Load { kind, number: number.parse()?, interval, intervals: intervals.parse()? };
    for count in LATE.iter().chain([&BEATS, &ASKED]) {
        count.store(0, Ordering::Relaxed);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Measured { memory, cpu, took, beats } = measure(&runtime, load)?;
    // Nothing here would be worth anything if it did not beat.
    let due = u64::from(load.number) * u64::from(load.intervals);
    if kind != "bare" && beats < due * 9 / 10 {
        return Err(format!("{kind}: {beats} beats, and {due} were due").into());
    }
    println!(
        r#"{{"kind": "{kind}", "number": {number}, "bytes": {}, "ns_a_beat": {}, "cores": {:.4}, "beats": {beats}, "late_p50": {}, "late_p99": {}, "late_max": {}}}"#,
        memory / u64::from(load.number),
        cpu.as_nanos() as u64 / beats.max(1),
        cpu.as_secs_f64() / took.as_secs_f64(),
        late(0.5),
        late(0.99),
        late(1.0),
    );
    Ok(())
}

struct Measured {
    /// Of all, beyond what was there before the first one.
    memory: u64,
    cpu: Duration,
    took: Duration,
    beats: u64,
}

/// In process: a task for each stream that polls its body, as hyper would.
fn streams(runtime: &Runtime, load: Load<'_>) -> Result<Measured, BoxError> {
    runtime.block_on(async {
        let layers = Layers::new(load.kind, load.interval, load.number);
        let before = resident()?;
        // Evenly over an interval, so that beats are spread as those of real clients.
        let began = Instant::now();
        for nth in 0..load.number {
            let body = layers.body().await;
            tokio::spawn(drained(body, load.interval));
            if nth % 64 == 0 {
                tokio::task::yield_now().await;
                let due = load.interval.mul_f64(f64::from(nth) / f64::from(load.number));
                sleep(due.saturating_sub(began.elapsed())).await;
            }
        }
        sleep(load.interval).await;
        let memory = resident()?.saturating_sub(before);
        LATE.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        let (beats, cpu, began) = (BEATS.load(Ordering::Relaxed), worked()?, Instant::now());
        sleep(load.interval * load.intervals).await;
        let beats = BEATS.load(Ordering::Relaxed) - beats;
        Ok(Measured { memory, cpu: worked()? - cpu, took: began.elapsed(), beats })
    })
}

async fn drained(body: AxumBody, interval: Duration) {
    let mut body = pin!(body);
    let mut last = Instant::now();
    while let Some(Ok(frame)) = body.frame().await {
        if frame.is_data() {
            let late = last.elapsed().saturating_sub(interval).as_millis();
            LATE[(late as usize).min(LATE.len() - 1)].fetch_add(1, Ordering::Relaxed);
            BEATS.fetch_add(1, Ordering::Relaxed);
            last = Instant::now();
        }
    }
}

/// On loopback: this process is the server, another one all clients.
fn connections(runtime: &Runtime, load: Load<'_>) -> Result<Measured, BoxError> {
    runtime.block_on(async {
        let layers = Layers::new(load.kind, load.interval, load.number);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at = listener.local_addr()?;
        let listener = listener.tap_io(|io| io.set_nodelay(true).expect("a socket"));
        let app = layers.app();
        tokio::spawn(async move { axum::serve(listener, app).await });
        // What the first request costs everybody.
        let mut first = TcpStream::connect(at).await?;
        first.write_all(REQUEST).await?;
        first.read_u8().await?;
        let before = resident()?;

        let number = load.number.to_string();
        let mut clients = Clients(
            Command::new(env::current_exe()?)
                .args(["clients", &at.to_string(), &number])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?,
        );
        while ASKED.load(Ordering::Relaxed) <= u64::from(load.number) {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(load.interval).await;
        let memory = resident()?.saturating_sub(before);
        let seen = clients.seen()?;
        let (cpu, began) = (worked()?, Instant::now());
        sleep(load.interval * load.intervals).await;
        let (cpu, took) = (worked()? - cpu, began.elapsed());
        Ok(Measured { memory, cpu, took, beats: clients.seen()? - seen })
    })
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

struct Clients(Child);

impl Clients {
    /// How many frames all of them have seen.
    fn seen(&mut self) -> Result<u64, BoxError> {
        self.0.stdin.as_mut().ok_or("piped")?.write_all(b"?\n")?;
        let mut line = String::new();
        // One line, one read: nothing is left in the buffer.
        BufReader::new(self.0.stdout.as_mut().ok_or("piped")?).read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Opens so many connections, reads whatever comes, and says how much that was whenever it is asked.
fn clients(at: &str, number: &str) -> Result<(), BoxError> {
    let (at, number): (SocketAddr, u32) = (at.parse()?, number.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        let mut byte = [0];
        let mut input = std::io::stdin();
        while let Ok(1..) = input.read(&mut byte) {
            if byte == *b"\n" {
                println!("{}", BEATS.load(Ordering::Relaxed));
            }
        }
        std::process::exit(0);
    });
    runtime.block_on(async {
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..number {
            let mut connection = TcpStream::connect(at).await?;
            connection.write_all(REQUEST).await?;
            streams.spawn(async move {
                let mut buffer = [0; 1024];
                // A beat is a chunk of a few bytes, which is read at once; the head is none, or comes with it.
                while let Ok(1..) = connection.read(&mut buffer).await {
                    BEATS.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        streams.join_all().await;
        Ok(())
    })
}

/// What is around a stream that never says anything.
struct Layers<'a> {
    kind: &'a str,
    interval: Duration,
    heartbeat: HeartbeatLayer,
    timeouts: TimeoutLayer,
    lifeline: Lifeline,
}

impl<'a> Layers<'a> {
    fn new(kind: &'a str, interval: Duration, number: u32) -> Self {
        let lifeline = Lifeline::sse().heartbeat(Heartbeat::every(interval)).timeouts(limits());
        let lifeline = match kind {
            "lifeline_all" | "lifeline_stall" => {
                let observer = Observer::new().sink(|_: &StreamReport| {});
                // One more, for the request that goes ahead.
                let gate = Gate::new(number as usize + 1);
                lifeline.gate(gate).drain(&Drain::new()).observe(&observer)
            }
            _ => lifeline.without_request_body(),
        };
        let lifeline =
            if kind == "lifeline_stall" { lifeline.stall(StallLayer::new(HOUR)) } else { lifeline };
        Self {
            kind,
            interval,
            heartbeat: HeartbeatLayer::every(interval),
            timeouts: TimeoutLayer::new(limits()),
            lifeline: lifeline.build().expect("no contradiction"),
        }
    }

    fn app(&self) -> Router {
        let (keep_alive, interval) = (self.kind == "keep-alive", self.interval);
        let app = Router::new().route(
            "/",
            get(move || async move {
                ASKED.fetch_add(1, Ordering::Relaxed);
                silent(keep_alive.then_some(interval))
            }),
        );
        match self.kind {
            "bare" | "keep-alive" => app,
            "heartbeat" => app.layer(self.heartbeat.clone()),
            "nested" => app.layer(self.timeouts.clone()).layer(self.heartbeat.clone()),
            _ => app.layer(self.lifeline.clone()),
        }
    }

    /// As axum has it: each layer's body in a box.
    async fn body(&self) -> AxumBody {
        match self.kind {
            "bare" => silent(None).into_body(),
            "keep-alive" => silent(Some(self.interval)).into_body(),
            "heartbeat" => through(&self.heartbeat, silent(None)).await.into_body(),
            "nested" => {
                let limited = through(&self.timeouts, silent(None)).await;
                through(&self.heartbeat, limited).await.into_body()
            }
            _ => through(&self.lifeline, silent(None)).await.into_body(),
        }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

fn limits() -> Timeouts {
    Timeouts::new().headers(HOUR).first_byte(HOUR).inter_chunk(HOUR).total(24 * HOUR)
}

fn silent(keep_alive: Option<Duration>) -> Response {
    let events = Sse::new(stream::pending::<Result<Event, Infallible>>());
    match keep_alive {
        None => events.into_response(),
        Some(interval) => events.keep_alive(KeepAlive::new().interval(interval)).into_response(),
    }
}

async fn through<L, B>(layer: &L, response: Response) -> Response
where
    L: Layer<Once>,
    L::Service: tower::Service<http::Request<AxumBody>, Response = http::Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let Ok(response) = layer
        .layer(Once(Arc::new(Mutex::new(Some(response)))))
        .oneshot(http::Request::new(AxumBody::empty()))
        .await;
    response.map(AxumBody::new)
}

/// Answers once, whoever of its clones is asked.
#[derive(Clone)]
struct Once(Arc<Mutex<Option<Response>>>);

impl<R> tower::Service<R> for Once {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        ready(Ok(self.0.lock().expect("no panic").take().expect("one request")))
    }
}

/// How large bodies are where they lie, around axum's own of 16 bytes.
fn inline() {
    let sizes = [
        ("HeartbeatBody", size_of::<HeartbeatBody<AxumBody>>()),
        ("TimeoutBody", size_of::<TimeoutBody<AxumBody>>()),
        ("StallBody", size_of::<StallBody<AxumBody>>()),
        ("ObserveBody", size_of::<ObserveBody<AxumBody>>()),
        ("LifelineBody", size_of::<LifelineBody<AxumBody>>()),
        ("tower-http's TimeoutBody", size_of::<tower_http::timeout::TimeoutBody<AxumBody>>()),
        ("tower-http's DeadlineBody", size_of::<tower_http::timeout::DeadlineBody<AxumBody>>()),
    ];
    for (body, bytes) in sizes {
        println!(r#"{{"body": "{body}", "inline": {}}}"#, bytes - size_of::<AxumBody>());
    }
}

/// How much memory one stream is, to the byte: its task, its bodies, its timer.
fn sizes() -> Result<(), BoxError> {
    const STREAMS: u32 = 1_000;
    for kind in KINDS {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let layers = Layers::new(kind, HOUR, STREAMS);
        // Whatever is made once.
        runtime.block_on(async {
            tokio::spawn(drained(layers.body().await, HOUR));
        });
        let used = allocation_counter::measure(|| {
            runtime.block_on(async {
                for _ in 0..STREAMS {
                    tokio::spawn(drained(layers.body().await, HOUR));
                    tokio::task::yield_now().await;
                }
            });
        });
        let (bytes, blocks) =
            (used.bytes_current / i64::from(STREAMS), used.count_current as f64 / f64::from(STREAMS));
        println!(r#"{{"kind": "{kind}", "heap": {bytes}, "blocks": {blocks:.1}}}"#);
        mem::forget(runtime);
    }
    Ok(())
}

/// Of what went off, this part was no later than so many milliseconds.
fn late(part: f64) -> usize {
    let counts: Vec<u64> = LATE.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    let wanted = (counts.iter().sum::<u64>() as f64 * part).ceil() as u64;
    let mut seen = 0;
    counts
        .iter()
        .position(|count| {
            seen += count;
            seen >= wanted
        })
        .unwrap_or_default()
}

/// Of this process now, in bytes.
fn resident() -> Result<u64, BoxError> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    Ok(pages.split(' ').nth(1).ok_or("no such format")?.parse::<u64>()? * 4096)
}

/// The CPU time of the one thread that all of it runs on.
fn worked() -> Result<Duration, BoxError> {
    let times = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(times.split(' ').next().ok_or("no such format")?.parse()?))
}
