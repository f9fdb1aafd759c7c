//! Clients that stop reading, on sockets: what is dropped, what is ended, and who is left alone.
//!
//! A cell of the table in `tower_lifeline::stall` is a line in one of these tests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use h2::RecvStream;
use http::{Request, Version};
use real::client::{Client, End, Reading, in_time};
use real::server::Server;
use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower_lifeline::stall::{AbortableListener, Connections, Disconnect, set_user_timeout};
use tower_lifeline::{Gate, GateLayer, StallError, StallLayer};

const LIMIT: Duration = Duration::from_secs(1);
const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const FRAME: usize = 4096;

/// What is done about a stall beside the layer, or instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    Nothing,
    Layer,
    LayerAndHandle(Disconnect),
    WriteLimit,
    UserTimeout,
}

async fn serve(means: Means, layer: StallLayer, app: Router) -> Server {
    Server::serving(async move |listener: TcpListener| {
        match means {
            Means::Nothing => axum::serve(listener, app).await,
            Means::Layer => axum::serve(listener, app.layer(layer)).await,
            Means::LayerAndHandle(disconnect) => {
                let app = app.layer(layer.disconnect(disconnect));
                axum::serve(AbortableListener::new(listener), Connections::of(app)).await
            }
            Means::WriteLimit => {
                let listener = AbortableListener::new(listener).write_limit(LIMIT);
                axum::serve(listener, Connections::of(app)).await
            }
            Means::UserTimeout => {
                let listener = listener.tap_io(|tcp| set_user_timeout(tcp, LIMIT).unwrap());
                axum::serve(listener, app).await
            }
        }
        .expect("served");
    })
    .await
}

/// A server with a gate whose streams tell how they fare.
struct Stage {
    server: Server,
    gate: Gate,
    told: Arc<Mutex<Vec<StallError>>>,
    /// When the stream last gave a frame, in microseconds since it began.
    last: Arc<AtomicU64>,
    began: Instant,
    dropped: oneshot::Receiver<Instant>,
    /// The stream says nothing before it is told to.
    go: Arc<Notify>,
}

/// Tells when it is dropped.
struct Guard(Option<oneshot::Sender<Instant>>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.take().expect("once").send(Instant::now());
    }
}

impl Stage {
    async fn new(means: Means) -> Self {
        let stage = Self::with(means, StallLayer::new(LIMIT)).await;
        stage.go.notify_one();
        stage
    }

    async fn with(means: Means, layer: StallLayer) -> Self {
        let (sender, dropped) = oneshot::channel();
        let guard = Arc::new(Mutex::new(Some(Guard(Some(sender)))));
        let (last, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let (gave, go) = (last.clone(), Arc::new(Notify::new()));
        let told_to = go.clone();
        // Never pending, and never over.
        let fast = async move || {
            let (gave, told_to) = (gave.clone(), told_to.clone());
            let guard = guard.lock().unwrap().take().expect("one request");
            let frames = stream::poll_fn(move |_| {
                let _held = &guard;
                gave.store(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok::<_, Infallible>(Bytes::from_static(&[b'f'; FRAME]))))
            });
            let wait = stream::once(async move { told_to.notified().await }).filter_map(async |()| None);
            Body::from_stream(wait.chain(frames))
        };
        let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
        let gate = Gate::new(1).queue(0).exempt(|request| ["/peer", "/hello"].contains(&request.uri.path()));
        let app = Router::new().route("/fast", get(fast)).route("/peer", get(peer));
        let app = app
            .route("/hello", get(async || "hello"))
            .route("/plain", get(async || "plain"))
            .layer(GateLayer::new(&gate));
        let told = Arc::<Mutex<Vec<_>>>::default();
        let tell = told.clone();
        let layer = layer.on_stall(move |error| tell.lock().unwrap().push(*error));
        let server = serve(means, layer, app).await;
        Self { server, gate, told, last, began, dropped, go }
    }

    /// Waits for the inner body to be dropped, and says how long nobody had asked it by then.
    async fn dropped(&mut self) -> Duration {
        let at = in_time(&mut self.dropped).await.expect("told");
        at - self.began - Duration::from_micros(self.last.load(Ordering::Relaxed))
    }

    /// Nothing happens to the body for much longer than any limit.
    async fn is_kept(&mut self) {
        assert!(timeout(4 * LIMIT, &mut self.dropped).await.is_err());
        assert_eq!(self.gate.stats().in_flight, 1);
    }

    fn told(&self) -> usize {
        self.told.lock().unwrap().len()
    }
}

/// A client that has asked for the fast stream and reads nothing of it by itself.
enum Stuck {
    Http1(TcpStream),
    Http2 {
        stream: RecvStream,
        connection: JoinHandle<Result<(), h2::Error>>,
        more: h2::client::SendRequest<Bytes>,
    },
}

impl Stuck {
    async fn connect(at: SocketAddr, version: Version) -> Self {
        let tcp = TcpStream::connect(at).await.expect("connected");
        Self::over(tcp, at, version).await
    }

    async fn over(mut tcp: TcpStream, at: SocketAddr, version: Version) -> Self {
        if version == Version::HTTP_11 {
            let request = format!("GET /fast HTTP/1.1\r\nhost: {at}\r\n\r\n");
            tcp.write_all(request.as_bytes()).await.expect("sent");
            return Self::Http1(tcp);
        }
        let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("a stream is free");
        let request = Request::get(format!("http://{at}/fast")).body(()).expect("a request");
        let (answer, _) = sender.send_request(request, true).expect("sent");
        let stream = answer.await.expect("an answer").into_body();
        Self::Http2 { stream, connection, more: sender }
    }

    /// Reads all that there is. How it ended: not by itself, for it has no end.
    async fn reads_on(&mut self) -> Ended {
        match self {
            Self::Http1(tcp) => {
                let mut all = Vec::new();
                match tcp.read_to_end(&mut all).await {
                    // A whole body would end in an empty chunk.
                    Ok(_) => Ended::Closed { whole: all.ends_with(b"\r\n0\r\n\r\n") },
                    Err(_) => Ended::Reset(None),
                }
            }
            Self::Http2 { stream, .. } => loop {
                match stream.data().await {
                    Some(Ok(data)) => stream.flow_control().release_capacity(data.len()).expect("taken"),
                    Some(Err(error)) if error.is_io() => break Ended::Closed { whole: false },
                    Some(Err(error)) => break Ended::Reset(error.reason()),
                    None => break Ended::Closed { whole: true },
                }
            },
        }
    }

    /// Whether another request on the same connection gets an answer. HTTP/2 only.
    async fn is_served(&mut self, at: SocketAddr) -> bool {
        let Self::Http2 { more, .. } = self else { panic!("HTTP/2 only") };
        let request = Request::get(format!("http://{at}/hello")).body(()).expect("a request");
        match more.send_request(request, true) {
            Ok((answer, _)) => answer.await.is_ok_and(|answer| answer.status() == 200),
            Err(_) => false,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Closed { whole: bool },
    Reset(Option<h2::Reason>),
}

/// Whether the server has a socket whose peer is this one: `/proc/net/tcp` knows of those that nobody has open, too.
fn server_has(peer: SocketAddr) -> bool {
    let SocketAddr::V4(peer) = peer else { panic!("IPv4 only") };
    let remote = format!("{:08X}:{:04X}", u32::from(*peer.ip()).swap_bytes(), peer.port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    sockets.lines().filter_map(|line| line.split_whitespace().nth(2)).any(|address| address == remote)
}

/// Waits until the server has no socket to this peer any more.
async fn is_forgotten(peer: SocketAddr) {
    in_time(async {
        while server_has(peer) {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_the_layer_a_stuck_client_holds_body_and_permit() {
    for version in VERSIONS {
        let mut stage = Stage::new(Means::Nothing).await;
        let _stuck = Stuck::connect(stage.server.at, version).await;
        stage.is_kept().await;
    }
}

#[tokio::test]
async fn the_layer_drops_body_and_permit_and_who_reads_on_gets_an_error() {
    for version in VERSIONS {
        let mut stage = Stage::new(Means::Layer).await;
        let mut stuck = Stuck::connect(stage.server.at, version).await;
        let late = stage.dropped().await;
        println!("{version:?}: dropped {late:?} after the last frame (limit: {LIMIT:?})");
        assert!(late >= LIMIT, "early: {late:?}");
        assert_eq!(stage.gate.stats().in_flight, 0);
        in_time(async {
            while stage.told() == 0 {
                sleep(Duration::from_millis(1)).await
            }
        })
        .await;

        // The connection waits for the client.
        sleep(LIMIT).await;
        if version == Version::HTTP_2 {
            assert!(stuck.is_served(stage.server.at).await);
        }
        let ended = in_time(stuck.reads_on()).await;
        match version {
            Version::HTTP_2 => assert_eq!(ended, Ended::Reset(Some(h2::Reason::CANCEL))),
            _ => assert_ne!(ended, Ended::Closed { whole: true }),
        }
        println!("{version:?}: {ended:?}");
        assert_eq!(stage.told(), 1);
        if version == Version::HTTP_2 {
            assert!(stuck.is_served(stage.server.at).await, "only the stream was reset");
        }
    }
}

#[tokio::test]
async fn a_client_without_a_window_holds_nothing_either() {
    for means in [Means::Nothing, Means::Layer] {
        let mut stage = Stage::new(means).await;
        let tcp = TcpStream::connect(stage.server.at).await.expect("connected");
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(0)
            .handshake::<_, Bytes>(tcp)
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("a stream is free");
        let mut get = async |path: &str| {
            let request =
                Request::get(format!("http://{}{path}", stage.server.at)).body(()).expect("a request");
            let (answer, _) = sender.send_request(request, true).expect("sent");
            in_time(answer).await.expect("the head")
        };
        // All of it has been taken, and still it is held: hyper waits for the client with it.
        let plain = get("/plain").await;
        sleep(LIMIT / 4).await;
        assert_eq!(stage.gate.stats().in_flight, usize::from(means == Means::Nothing));
        drop(plain);
        in_time(async {
            while stage.gate.stats().in_flight > 0 {
                sleep(Duration::from_millis(1)).await
            }
        })
        .await;

        let _fast = get("/fast").await;
        if means == Means::Nothing {
            stage.is_kept().await;
        } else {
            stage.dropped().await;
        }
    }
}

#[tokio::test]
async fn with_the_handle_the_connection_is_ended_and_the_kernel_forgets_it() {
    for (version, disconnect) in [
        (Version::HTTP_11, Disconnect::Http1),
        (Version::HTTP_11, Disconnect::Always),
        (Version::HTTP_2, Disconnect::Always),
    ] {
        let mut stage = Stage::new(Means::LayerAndHandle(disconnect)).await;
        let tcp = TcpStream::connect(stage.server.at).await.expect("connected");
        let peer = tcp.local_addr().expect("an address");
        let mut stuck = Stuck::over(tcp, stage.server.at, version).await;
        let late = stage.dropped().await;
        assert!(late >= LIMIT, "early: {late:?}");
        is_forgotten(peer).await;
        println!(
            "{version:?} {disconnect:?}: dropped after {late:?}, ended {:?} later",
            stage.began.elapsed()
        );
        assert_ne!(in_time(stuck.reads_on()).await, Ended::Closed { whole: true });
        if let Stuck::Http2 { connection, .. } = stuck {
            assert!(in_time(connection).await.expect("no panic").is_err());
        }
        assert_eq!((stage.gate.stats().in_flight, stage.told()), (0, 1));
    }
}

#[tokio::test]
async fn an_http_2_connection_stays_unless_it_is_asked_for() {
    for disconnect in [Disconnect::Never, Disconnect::Http1] {
        let mut stage = Stage::new(Means::LayerAndHandle(disconnect)).await;
        let mut stuck = Stuck::connect(stage.server.at, Version::HTTP_2).await;
        stage.dropped().await;
        sleep(LIMIT / 2).await;
        assert!(stuck.is_served(stage.server.at).await);
    }
}

#[tokio::test]
async fn handlers_still_get_their_peers_address() {
    let stage = Stage::new(Means::LayerAndHandle(Disconnect::Http1)).await;
    for version in VERSIONS {
        let mut client = Client::connect(stage.server.at, version).await;
        let mut reading = Reading::new(client.get("/peer").await);
        reading.to_end().await;
        assert_eq!(reading.end, Some(End::Finished));
        let said: SocketAddr = String::from_utf8(reading.bytes).unwrap().parse().expect("an address");
        assert!(said.ip().is_loopback() && said != stage.server.at);
    }
}

#[tokio::test]
async fn a_write_limit_ends_a_stuck_http_1_connection_and_does_not_see_an_http_2_stream() {
    let mut stage = Stage::new(Means::WriteLimit).await;
    let tcp = TcpStream::connect(stage.server.at).await.expect("connected");
    let peer = tcp.local_addr().expect("an address");
    let mut stuck = Stuck::over(tcp, stage.server.at, Version::HTTP_11).await;
    let late = stage.dropped().await;
    // Its timer wakes hyper, which then asks for another frame or two before it writes.
    println!("write limit: dropped after {:?} in all, {late:?} after the last frame", stage.began.elapsed());
    is_forgotten(peer).await;
    assert_ne!(in_time(stuck.reads_on()).await, Ended::Closed { whole: true });
    assert_eq!(stage.gate.stats().in_flight, 0);

    let mut stage = Stage::new(Means::WriteLimit).await;
    let _stuck = Stuck::connect(stage.server.at, Version::HTTP_2).await;
    stage.is_kept().await;
}

#[tokio::test]
async fn tcp_user_timeout_ends_a_stuck_http_1_connection_and_does_not_see_an_http_2_stream() {
    let mut stage = Stage::new(Means::UserTimeout).await;
    let tcp = TcpStream::connect(stage.server.at).await.expect("connected");
    let peer = tcp.local_addr().expect("an address");
    let mut stuck = Stuck::over(tcp, stage.server.at, Version::HTTP_11).await;
    let late = stage.dropped().await;
    println!("TCP_USER_TIMEOUT: dropped {late:?} after the last frame");
    is_forgotten(peer).await;
    assert_ne!(in_time(stuck.reads_on()).await, Ended::Closed { whole: true });
    assert_eq!(stage.gate.stats().in_flight, 0);

    let mut stage = Stage::new(Means::UserTimeout).await;
    let _stuck = Stuck::connect(stage.server.at, Version::HTTP_2).await;
    stage.is_kept().await;
}

/// The peer's host has gone without a word: nothing that is sent to it is answered.
fn dies(socket: &SockRef<'_>) {
    const RETURN: u16 = 0x06;
    socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)]).expect("a filter that lets nothing in");
}

/// A stream that says a little now and then: a dead peer never fills any buffer, so no body is ever stalled.
#[tokio::test]
async fn a_peer_that_is_dead_is_found_by_the_kernel_alone_when_the_stream_is_slow() {
    for means in
        [Means::Layer, Means::LayerAndHandle(Disconnect::Always), Means::WriteLimit, Means::UserTimeout]
    {
        let (sender, mut dropped) = oneshot::channel();
        let guard = Arc::new(Mutex::new(Some(Guard(Some(sender)))));
        let slow = async move || {
            let guard = guard.lock().unwrap().take().expect("one request");
            let frames = stream::unfold(guard, async |guard| {
                sleep(LIMIT / 10).await;
                Some((Ok::<_, Infallible>("a little"), guard))
            });
            Body::from_stream(frames)
        };
        let app = Router::new().route("/fast", get(slow));
        let server = serve(means, StallLayer::new(LIMIT), app).await;
        let mut tcp = TcpStream::connect(server.at).await.expect("connected");
        tcp.write_all(b"GET /fast HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
        tcp.read_u8().await.expect("an answer");
        dies(&SockRef::from(&tcp));
        let found = timeout(4 * LIMIT, &mut dropped).await.is_ok();
        assert_eq!(found, means == Means::UserTimeout, "{means:?}");
    }
}

/// A stream that says much: its frames pile up, and that is seen.
#[tokio::test]
async fn a_peer_that_is_dead_stalls_a_fast_stream() {
    for version in VERSIONS {
        for means in
            [Means::Layer, Means::LayerAndHandle(Disconnect::Always), Means::UserTimeout, Means::WriteLimit]
        {
            let mut stage = Stage::with(means, StallLayer::new(LIMIT)).await;
            let tcp = TcpStream::connect(stage.server.at).await.expect("connected");
            let socket = SockRef::from(&tcp).try_clone().expect("a handle");
            let peer = tcp.local_addr().expect("an address");
            let mut stuck = Stuck::over(tcp, stage.server.at, version).await;
            if let Stuck::Http1(tcp) = &mut stuck {
                tcp.read_u8().await.expect("a head");
            }
            dies(&SockRef::from(&socket));
            stage.go.notify_one();
            match (means, version) {
                // An HTTP/2 stream's window is smaller than the socket's buffer.
                (Means::WriteLimit, Version::HTTP_2) => stage.is_kept().await,
                _ => drop(stage.dropped().await),
            }
            if matches!(means, Means::LayerAndHandle(_) | Means::UserTimeout) {
                is_forgotten(peer).await;
            }
        }
    }
}

/// A client with little room, so that it does not take long until the server feels it.
async fn narrow(at: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(64 * 1024).expect("SO_RCVBUF");
    socket.connect(at).await.expect("connected")
}

/// Reads so many bytes, a little at a time, for three limits.
async fn crawls(stuck: &mut Stuck) -> usize {
    let began = Instant::now();
    let mut all = 0;
    while began.elapsed() < 3 * LIMIT {
        sleep(Duration::from_millis(20)).await;
        all += match stuck {
            Stuck::Http1(tcp) => tcp.read(&mut [0; 64 * 1024]).await.expect("more"),
            Stuck::Http2 { stream, .. } => {
                let data = stream.data().await.expect("more").expect("more");
                stream.flow_control().release_capacity(data.len()).expect("taken");
                data.len()
            }
        };
    }
    all
}

#[tokio::test]
async fn a_client_that_is_slow_and_moves_is_left_alone() {
    for version in VERSIONS {
        for means in [Means::LayerAndHandle(Disconnect::Always), Means::WriteLimit, Means::UserTimeout] {
            let mut stage = Stage::new(means).await;
            let mut stuck = Stuck::over(narrow(stage.server.at).await, stage.server.at, version).await;
            let bytes = in_time(crawls(&mut stuck)).await;
            println!("{version:?} {means:?}: {bytes} bytes in {:?}", 3 * LIMIT);
            assert!(stage.dropped.try_recv().is_err(), "{version:?} {means:?}");
            assert_eq!((stage.gate.stats().in_flight, stage.told()), (1, 0));
        }
    }
}

#[tokio::test]
async fn the_same_client_is_not_when_it_is_slower_than_the_minimum_rate() {
    for version in VERSIONS {
        let layer = StallLayer::new(LIMIT).min_rate(1 << 40, LIMIT);
        let mut stage = Stage::with(Means::Layer, layer).await;
        stage.go.notify_one();
        let mut stuck = Stuck::over(narrow(stage.server.at).await, stage.server.at, version).await;
        let reads = async {
            loop {
                sleep(Duration::from_millis(20)).await;
                match &mut stuck {
                    Stuck::Http1(tcp) => match tcp.read(&mut [0; 64 * 1024]).await {
                        Ok(1..) => {}
                        _ => break,
                    },
                    Stuck::Http2 { stream, .. } => match stream.data().await {
                        Some(Ok(data)) => stream.flow_control().release_capacity(data.len()).expect("taken"),
                        Some(Err(_)) => break,
                        None => panic!("silence"),
                    },
                }
            }
        };
        in_time(reads).await;
        in_time(&mut stage.dropped).await.expect("told");
        assert!(stage.told.lock().unwrap()[0].is_slow());
        assert_eq!(stage.gate.stats().in_flight, 0);
    }
}
