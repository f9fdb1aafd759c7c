//! Servers that stop while streams are open.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Version};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use real::browser::{AtAnEnd, Page};
use real::client::{Client, End, Reading, in_time};
use real::guest::{Guest, Leaving, Upload};
use real::process::{find, output};
use real::server::Server;
use real::ticks::{self, Ticks};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tonic::Code;
use tonic::transport::server::TcpIncoming;
use tower::Layer;
use tower_lifeline::{Drain, DrainLayer};

/// A process of `src/bin/stopping.rs`.
struct Stopping {
    child: Child,
    at: SocketAddr,
    says: Lines<BufReader<ChildStdout>>,
}

impl Stopping {
    async fn start(arguments: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_stopping");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap()).lines();
        let at = says.next_line().await.unwrap().unwrap().parse().unwrap();
        Self { child, at, says }
    }

    async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        let kill = find(&["kill"]).expect("kill");
        assert_eq!(output(&kill, &["-TERM", &pid]).await.code, Some(0));
    }
}

/// What a server has to cope with.
struct Crowd {
    idle: Vec<Reading>,
    halves: Vec<Reading>,
    /// They have read a little and read no more.
    _stalled: Vec<Guest>,
    _half_a_head: TcpStream,
    /// Each stays with its stream.
    _clients: Vec<Client>,
}

const IDLE: usize = 100;
const HALVES: usize = 80;
const STALLED: usize = 20;

impl Crowd {
    async fn come_to(at: SocketAddr) -> Self {
        let mut clients = Vec::new();
        let mut readings = Vec::new();
        for number in 0..IDLE + HALVES {
            let (path, begins) = if number < IDLE { ("/idle", "hello\n\n") } else { ("/halves", "half\n\n") };
            let version = if number % 2 == 0 { Version::HTTP_11 } else { Version::HTTP_2 };
            let mut client = Client::connect(at, version).await;
            let mut reading = Reading::new(client.get(path).await);
            assert!(reading.until_has(begins).await);
            readings.push(reading);
            clients.push(client);
        }
        let halves = readings.split_off(IDLE);
        let mut stalled = Vec::new();
        for number in 0..STALLED {
            let version = if number == 0 { Version::HTTP_2 } else { Version::HTTP_11 };
            let mut guest = Guest::send(at, version, "/flood", Upload::Nothing, Leaving::Fin).await;
            assert_eq!(guest.read_a_little().await, 200);
            stalled.push(guest);
        }
        let mut half_a_head = TcpStream::connect(at).await.unwrap();
        half_a_head.write_all(b"GET /idle HTTP/1.1\r\nhost: a\r\nx-").await.unwrap();
        Self { idle: readings, halves, _stalled: stalled, _half_a_head: half_a_head, _clients: clients }
    }
}

#[tokio::test]
async fn a_process_ends_within_its_bound_and_everybody_who_reads_gets_a_goodbye() {
    let mut server = Stopping::start(&[]).await;
    let crowd = in_time(Crowd::come_to(server.at)).await;
    server.terminate().await;
    let readings = crowd.idle.into_iter().map(|reading| ("data: hello\n\n", reading));
    for (event, mut reading) in
        readings.chain(crowd.halves.into_iter().map(|reading| ("data: half\n\n", reading)))
    {
        in_time(reading.to_end()).await;
        let text = String::from_utf8(reading.bytes).unwrap();
        assert_eq!(reading.end, Some(End::Finished), "{text:?}");
        let (events, retry) = text.split_once("retry: ").expect("a goodbye");
        assert_eq!(events.replace(event, ""), "", "whole events alone");
        assert!(retry.strip_suffix("\n\n").unwrap().parse::<u64>().is_ok(), "{retry:?}");
    }
    let ended = in_time(server.child.wait()).await.unwrap();
    assert!(ended.success(), "{ended:?}");
    let report = server.says.next_line().await.unwrap().unwrap();
    println!("{report}");
    let count = |what: &str| -> usize {
        let said = report.split(", ").find_map(|said| said.strip_suffix(what)).expect(what);
        said.trim().parse().unwrap()
    };
    // One that reads nothing may still have had room for its goodbye.
    let (here, left) = (count("here"), count("left"));
    assert!(left >= IDLE + HALVES, "{report}");
    assert_eq!(here + left, IDLE + HALVES + STALLED, "{report}");
    assert_eq!(count("refused"), 0, "{report}");
}

#[tokio::test]
async fn without_it_the_same_process_hangs() {
    let mut server = Stopping::start(&["plain"]).await;
    let crowd = in_time(Crowd::come_to(server.at)).await;
    server.terminate().await;
    // Twice as long as the drain needs at the most.
    let ended = timeout(Duration::from_secs(6), server.child.wait()).await;
    assert!(ended.is_err(), "{ended:?}");
    drop(crowd);
}

fn numbered(drain: Option<&Drain>, next: &Arc<AtomicU64>) -> Router {
    let next = Arc::clone(next);
    let events = async move |headers: HeaderMap| {
        let last = headers.get("last-event-id").map_or(0, |id| id.to_str().unwrap().parse().unwrap());
        // The last that the first server has given, and the first that the second has to give.
        let events = stream::iter(last + 1..).then(move |number: u64| {
            let next = Arc::clone(&next);
            async move {
                sleep(Duration::from_millis(20)).await;
                next.fetch_max(number, Ordering::SeqCst);
                let event = Event::default().id(number.to_string()).data(number.to_string());
                Ok::<_, Infallible>(if last > 0 && number > last + 10 { event.event("done") } else { event })
            }
        });
        Sse::new(events)
    };
    let app = Router::new().route("/events", get(events));
    match drain {
        Some(drain) => app.layer(DrainLayer::new(drain)),
        None => app,
    }
}

#[tokio::test]
async fn a_browser_goes_on_at_the_second_server_and_misses_nothing() {
    let Some(chromium) = find(&["chromium", "chromium-browser", "google-chrome"]) else { return };
    let millis = Duration::from_millis;
    let drain = Drain::new().window(millis(100)).retry(millis(300));
    let next = Arc::new(AtomicU64::new(0));
    let (page, app) = Page::new(&["/events".to_owned()], AtAnEnd::Reconnect, numbered(Some(&drain), &next));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let first = tokio::spawn({
        let (drain, app) = (drain.clone(), app.clone());
        async move { drain.bound(axum::serve(listener, app).with_graceful_shutdown(drain.begun())).await }
    });
    let rolling = async {
        while next.load(Ordering::SeqCst) < 20 {
            sleep(millis(20)).await;
        }
        drain.begin();
        // The same port, as a load balancer would have it.
        let listener = loop {
            match TcpListener::bind(at).await {
                Ok(listener) => break listener,
                Err(_) => sleep(millis(5)).await,
            }
        };
        // The page's own routes, and the events without the drain.
        let results = Router::new().fallback_service(app);
        let second = numbered(None, &next).fallback_service(results);
        let _ = axum::serve(listener, second).await;
    };
    let (results, _) = in_time(async {
        tokio::select! {
            read = page.read(&chromium, at) => read,
            () = rolling => unreachable!("it serves for ever"),
        }
    })
    .await;
    assert_eq!(drain.report().left, 1);
    let got = &results["/events"];
    let numbers: Vec<u64> =
        got.iter().filter(|event| event.len() == 3).map(|event| event[1].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(got.iter().filter(|event| event[0] == "error").count(), 1, "it came back once");
    assert!(numbers.len() > 25, "{numbers:?}");
    in_time(first).await.unwrap().unwrap();
}

#[tokio::test]
async fn tonic_stops_and_its_clients_read_that_the_server_is_unavailable() {
    let drain = Drain::new().window(Duration::ZERO);
    let (done, returned) = oneshot::channel();
    let server = tonic::transport::Server::builder().layer(DrainLayer::new(&drain)).add_service(Ticks);
    let serving = Server::serving({
        let drain = drain.clone();
        |listener| async move {
            let serve = server.serve_with_incoming_shutdown(TcpIncoming::from(listener), drain.begun());
            drain.bound(serve).await.unwrap();
            done.send(()).unwrap();
        }
    })
    .await;
    let reading = tokio::spawn(ticks::read(serving.at, ticks::HANG, 3, None));
    in_time(async {
        while drain.report().present == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    sleep(Duration::from_millis(50)).await;
    drain.begin();
    let (numbers, end) = in_time(reading).await.unwrap();
    let status = end.unwrap_err();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "The server is about to stop."));
    in_time(returned).await.unwrap();
}

#[tokio::test]
async fn hyper_utils_graceful_shutdown_returns_when_the_streams_have_left() {
    let drain = Drain::new().window(Duration::ZERO).retry(Duration::ZERO);
    let app = Router::new()
        .route("/events", get(async || Sse::new(stream::pending::<Result<Event, Infallible>>())));
    let service = TowerToHyperService::new(DrainLayer::new(&drain).layer(app));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let drain = drain.clone();
        async move {
            let graceful = GracefulShutdown::new();
            let mut begun = std::pin::pin!(drain.begun());
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let io = TokioIo::new(accepted.unwrap().0);
                        let connection = http1::Builder::new().serve_connection(io, service.clone());
                        tokio::spawn(graceful.watch(connection));
                    }
                    () = &mut begun => break,
                }
            }
            drain
                .bound(async {
                    graceful.shutdown().await;
                    Ok::<_, Infallible>(())
                })
                .await
                .unwrap();
        }
    });
    let mut client = Client::connect(at, Version::HTTP_11).await;
    let mut reading = Reading::new(in_time(client.get("/events")).await);
    drain.begin();
    in_time(reading.to_end()).await;
    assert_eq!((&reading.bytes[..], reading.end), (&b"retry: 0\n\n"[..], Some(End::Finished)));
    in_time(serving).await.unwrap();
    assert_eq!(drain.report().present, 0);
}

#[tokio::test]
async fn a_handler_that_has_not_answered_is_cut_at_the_deadline() {
    let drain = Drain::new().deadline(Duration::from_millis(300)).window(Duration::ZERO);
    let app = Router::new().route("/never", get(pending::<()>)).layer(DrainLayer::new(&drain));
    let server = Server::start(app).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut client = Client::connect(server.at, version).await;
        let asked = tokio::spawn(async move {
            let response = client.get("/never").await;
            (response.status().as_u16(), response.headers().get("connection").is_some())
        });
        if version == Version::HTTP_11 {
            in_time(async {
                while drain.report().present == 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
            drain.begin();
        }
        // The second comes too late, and is told at once.
        assert_eq!(in_time(asked).await.unwrap(), (503, version == Version::HTTP_11), "{version:?}");
    }
    let report = drain.report();
    assert_eq!((report.cut, report.refused), (1, 1));
}

#[tokio::test]
async fn a_client_that_reads_on_after_the_deadline_gets_an_error_and_no_good_end() {
    let drain = Drain::new().deadline(Duration::from_millis(300)).window(Duration::ZERO);
    let flood = async || {
        let chunks = stream::repeat(Bytes::from_static(&[b'.'; 16 * 1024]));
        Body::from_stream(chunks.map(Ok::<_, Infallible>))
    };
    let app = Router::new().route("/flood", get(flood)).layer(DrainLayer::new(&drain));
    let server = Server::start(app).await;
    let mut tcp = TcpStream::connect(server.at).await.unwrap();
    tcp.write_all(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(300)).await;
    drain.begin();
    let report = in_time(drain.finished()).await;
    assert_eq!(report.present, 1, "nobody asks for its body: {report}");
    let mut all = Vec::new();
    // Reset or closed, but never with the last chunk.
    let _ = in_time(tcp.read_to_end(&mut all)).await;
    assert!(!all.ends_with(b"0\r\n\r\n"));
    assert_eq!(drain.report().cut, 1);
}
