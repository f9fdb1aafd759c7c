//! A server with the whole stack on two ports, that goes in a drain.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tower::{Layer, ServiceBuilder};
use tower_lifeline::observe::{Observer, StreamReport};
use tower_lifeline::stall::AbortableIo;
use tower_lifeline::{
    Drain, DrainLayer, EarlyLayer, Gate, Heartbeat, Lifeline, RequestBodyTimeoutLayer, StallLayer, Timeouts,
};

use crate::handler::{self, Wrong};
use crate::judge::Told;
use crate::script;
use crate::world::{self, World};

/// What is known of the streams of a round.
#[derive(Debug)]
pub struct Ledger {
    pub seed: u64,
    first: u64,
    arrived: Vec<AtomicU32>,
    told: Vec<Mutex<Vec<Told>>>,
    pub wrong: Wrong,
}

/// Of a report's labels there may be 256 and 64.
const ROUTES: u64 = 200;

impl Ledger {
    pub fn new(seed: u64, first: u64, count: u64) -> Self {
        Self {
            seed,
            first,
            arrived: (0..count).map(|_| AtomicU32::new(0)).collect(),
            told: (0..count).map(|_| Mutex::default()).collect(),
            wrong: Wrong::default(),
        }
    }

    fn place(&self, index: u64) -> usize {
        (index - self.first) as usize
    }

    pub fn arrived(&self, index: u64) -> u32 {
        self.arrived[self.place(index)].load(SeqCst)
    }

    pub fn told(&self, index: u64) -> Vec<Told> {
        self.told[self.place(index)].lock().unwrap().clone()
    }

    fn tells(&self, report: &StreamReport, drains: bool) {
        let number = |label: &str| label.parse::<u64>().expect("a number");
        let place = number(&report.opening.class) * ROUTES + number(&report.opening.route);
        self.told[place as usize].lock().unwrap().push(Told::of(report, drains));
    }

    fn observer(self: &Arc<Self>, drain: &Drain) -> Observer {
        let (ledger, drain, first) = (Arc::clone(self), drain.clone(), self.first);
        Observer::new()
            .route(move |request| ((index(request.uri.path()) - first) % ROUTES).to_string().into())
            .path_class(move |request| ((index(request.uri.path()) - first) / ROUTES).to_string().into())
            .sink(move |report: &StreamReport| ledger.tells(report, drain.is_begun()))
    }
}

fn index(path: &str) -> u64 {
    path.trim_start_matches('/').parse().expect("a stream's path is its index")
}

fn stack(world: &World, gate: &Gate, drain: &Drain, observer: &Observer) -> Lifeline {
    let timeouts = Timeouts::new()
        .headers(world::HEADERS)
        .first_byte(world::FIRST_BYTE)
        .inter_chunk(world::INTER_CHUNK)
        .total(world::TOTAL);
    let upload = RequestBodyTimeoutLayer::new().gap(world::REQUEST_GAP).total(world::REQUEST_TOTAL);
    let mut layer = DrainLayer::new(drain);
    if world.ages {
        layer = layer.max_age(world::AGE);
    }
    let builder = if world.llm { Lifeline::llm() } else { Lifeline::sse() };
    let builder = builder
        .observe(observer)
        .stall(StallLayer::new(world::STALL))
        .drain(layer)
        .heartbeat(Heartbeat::every(world.every).beat(world.beat.clone()))
        .request_body(upload)
        .gate(gate.clone())
        .timeouts(timeouts);
    let builder = if world.early { builder.early(EarlyLayer::after(world::EARLY)) } else { builder };
    builder.build().expect("nothing contradicts")
}

#[derive(Debug)]
pub struct Serving {
    /// That of a server that ends with a client's half, and of one that does not.
    pub at: [SocketAddr; 2],
    pub drain: Drain,
    /// Connections were left when its time was over.
    pub aborted: Arc<AtomicBool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Serving {
    pub async fn start(world: &World, gate: &Gate, ledger: &Arc<Ledger>) -> Self {
        let drain = Drain::new()
            .deadline(Duration::from_millis(400))
            .window(Duration::from_millis(150))
            .grace(Duration::from_millis(100))
            .retry(Duration::from_millis(500));
        let stack = stack(world, gate, &drain, &ledger.observer(&drain));
        let aborted = Arc::<AtomicBool>::default();
        let (mut at, mut tasks) = (vec![], vec![]);
        for half_close in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            at.push(listener.local_addr().expect("an address"));
            let server = Server {
                stack: stack.clone(),
                ledger: Arc::clone(ledger),
                drain: drain.clone(),
                half_close,
                aborted: Arc::clone(&aborted),
            };
            tasks.push(tokio::spawn(server.serve(listener)));
        }
        Self { at: [at[0], at[1]], drain, aborted, tasks: Mutex::new(tasks) }
    }

    /// Drains, until nothing is left.
    pub async fn stop(&self) {
        self.drain.begin();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        for task in tasks {
            task.await.expect("no panic");
        }
    }
}

#[derive(Clone)]
struct Server {
    stack: Lifeline,
    ledger: Arc<Ledger>,
    drain: Drain,
    half_close: bool,
    aborted: Arc<AtomicBool>,
}

impl Server {
    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut finished = std::pin::pin!(self.drain.finished());
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((tcp, _)) => drop(connections.spawn(self.clone().connection(tcp))),
                    // It was gone before.
                    Err(_) => continue,
                },
                Some(over) = connections.join_next() => over.expect("no panic"),
                _ = &mut finished => break,
            }
        }
        drop(listener);
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(Duration::from_millis(300), all).await.is_err() {
            self.aborted.store(true, SeqCst);
        }
        connections.shutdown().await;
    }

    async fn connection(self, tcp: TcpStream) {
        let _ = tcp.set_nodelay(true);
        // Small, so that a client that does not read is felt soon.
        let _ = SockRef::from(&tcp).set_send_buffer_size(8 * 1024);
        let reset = |tcp: &TcpStream| SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap_or_default();
        let io = AbortableIo::new(tcp).on_abort(reset);
        let handle = io.handle();
        let ledger = Arc::clone(&self.ledger);
        let lifeline = self.stack.layer(tower::service_fn(move |request: Request<_>| {
            let script = script::script(ledger.seed, index(request.uri().path()));
            Box::pin(handler::answer(script, request, ledger.wrong.clone()))
        }));
        let ledger = Arc::clone(&self.ledger);
        // Counted in the call: hyper may drop a request before.
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                ledger.arrived[ledger.place(index(request.uri().path()))].fetch_add(1, SeqCst);
                request.extensions_mut().insert(handle.clone());
                request
            })
            .service(lifeline);
        let service = TowerToHyperService::new(service);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .half_close(self.half_close)
            .max_buf_size(16 * 1024)
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(1));
        builder.http2().max_send_buf_size(16 * 1024).timer(TokioTimer::new());
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
        tokio::select! {
            _however = connection.as_mut() => return,
            () = self.drain.begun() => connection.as_mut().graceful_shutdown(),
        }
        let _however = connection.await;
    }
}
