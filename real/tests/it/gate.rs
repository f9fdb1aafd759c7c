//! The gate on sockets, on an axum router with several routes and methods.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, put};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use real::client::{Client, End, Reading, in_time};
use real::guest::{Guest, Leaving, Upload};
use real::server::Server;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower_lifeline::{Gate, GateLayer};

const HOUR: Duration = Duration::from_secs(3600);
const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// A server behind a gate whose streams end when the test says so, and no queue ever moves by itself.
struct Stage {
    server: Server,
    gate: Gate,
    handler: Handler,
}

#[derive(Clone)]
struct Handler {
    /// Queries of the requests that it was called with, in order.
    called: Arc<Mutex<Vec<String>>>,
    /// How many streams may end.
    ends: Arc<Semaphore>,
}

/// Says `begun` and what it was sent, then nothing until it may end.
async fn talk(State(handler): State<Handler>, uri: Uri, upload: Body) -> Response<Body> {
    handler.called.lock().unwrap().push(uri.query().unwrap_or_default().to_owned());
    let Ok(upload) = axum::body::to_bytes(upload, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let end = stream::once(async move {
        handler.ends.acquire().await.unwrap().forget();
        Ok::<_, Infallible>(Bytes::from_static(b" ended"))
    });
    let begin = stream::once(async move { Ok([b"begun ", &upload[..]].concat().into()) });
    Body::from_stream(begin.chain(end)).into_response()
}

/// Never pending, and never over.
async fn endless() -> Body {
    let chunk = Bytes::from_static(&[b'e'; 8192]);
    Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone())))
}

impl Stage {
    async fn new(gate: Gate) -> Self {
        let handler = Handler { called: Arc::default(), ends: Arc::new(Semaphore::new(0)) };
        let gate = gate.max_wait(HOUR);
        let app = Router::new()
            .route("/talk", get(talk).post(talk))
            .route("/other", put(talk).delete(talk))
            .route("/endless", get(endless))
            .layer(GateLayer::new(&gate))
            .with_state(handler.clone());
        Self { server: Server::start(app).await, gate, handler }
    }

    async fn client(&self, version: Version) -> Client {
        Client::connect(self.server.at, version).await
    }

    async fn guest(&self, version: Version, upload: Upload, leaving: Leaving) -> Guest {
        Guest::send(self.server.at, version, "/talk?guest", upload, leaving).await
    }

    /// A stream that runs.
    async fn running(&self) -> Reading {
        let mut reading = Reading::new(self.client(Version::HTTP_11).await.get("/talk?runs").await);
        assert!(reading.until_has("begun").await);
        reading
    }

    /// Waits until it is so.
    async fn until(&self, in_flight: usize, queued: usize) {
        let there = async {
            let is = || (self.gate.stats().in_flight, self.gate.stats().queued);
            while is() != (in_flight, queued) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let hang = Duration::from_secs(30);
        if tokio::time::timeout(hang, there).await.is_err() {
            panic!("{in_flight} in flight and {queued} queued is never so: {:?}", self.gate.stats());
        }
    }

    fn called(&self) -> Vec<String> {
        self.handler.called.lock().unwrap().clone()
    }
}

async fn answer(
    client: &mut Client,
    method: Method,
    path: &str,
    body: impl Into<Body>,
) -> Response<Incoming> {
    let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    client.send(request).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let mut reading = Reading::new(response);
    reading.to_end().await;
    assert_eq!(reading.end, Some(End::Finished));
    String::from_utf8(reading.bytes).unwrap()
}

#[tokio::test]
async fn so_many_run_so_many_wait_and_the_rest_are_refused_at_once_whatever_their_routes_and_methods() {
    const ROUTES: [(Method, &str); 4] = [
        (Method::GET, "/talk"),
        (Method::POST, "/talk"),
        (Method::PUT, "/other"),
        (Method::DELETE, "/other"),
    ];
    for version in BOTH {
        in_time(async {
            let stage = Stage::new(Gate::new(3).queue(5)).await;
            let mut routes = ROUTES.into_iter().cycle();
            let mut served = JoinSet::new();
            for (in_flight, queued) in [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5)] {
                let mut client = stage.client(version).await;
                let (method, path) = routes.next().unwrap();
                served.spawn(async move { text(answer(&mut client, method, path, "").await).await });
                stage.until(in_flight, queued).await;
            }

            // Nobody has ended by now, and nobody will before these have their answers.
            let mut client = stage.client(version).await;
            for (method, path) in routes.take(12) {
                let response = answer(&mut client, method, path, "up").await;
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                let seconds: u64 = response.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
                assert!((1..=72).contains(&seconds), "{seconds}");
                assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
                let problem: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
                assert_eq!(problem["type"], "urn:tower-lifeline:queue-full");
                assert_eq!(problem["status"], 503);
            }
            assert_eq!(stage.called().len(), 3, "no handler saw them");
            stage.until(3, 5).await;

            stage.handler.ends.add_permits(8);
            assert_eq!(served.join_all().await, ["begun  ended"; 8]);
            stage.until(0, 0).await;
            let stats = stage.gate.stats();
            assert_eq!((stats.admitted, stats.queue_full, stats.wait.count), (8, 12, 5));
        })
        .await;
    }
}

#[tokio::test]
async fn those_who_wait_are_served_in_the_order_of_their_arrival_and_nobody_takes_the_place_of_who_leaves() {
    in_time(async {
        let stage = Stage::new(Gate::new(1).queue(20)).await;
        let _first = stage.running().await;
        let mut served = JoinSet::new();
        let mut leavers = Vec::new();
        for place in 0..12 {
            if place % 3 == 1 {
                leavers.push(stage.guest(BOTH[place % 2], Upload::Known(20), Leaving::Rst).await);
            } else {
                let mut client = stage.client(BOTH[place % 2]).await;
                let method = [Method::GET, Method::POST][place / 2 % 2].clone();
                let path = format!("/talk?{place}");
                served.spawn(async move { answer(&mut client, method, &path, "").await.status() });
            }
            stage.until(1, place + 1).await;
        }
        for leaver in leavers {
            leaver.leave().await;
        }
        stage.until(1, 8).await;

        stage.handler.ends.add_permits(9);
        assert_eq!(served.join_all().await, [StatusCode::OK; 8]);
        assert_eq!(stage.called(), ["runs", "0", "2", "3", "5", "6", "8", "9", "11"]);
    })
    .await;
}

#[tokio::test]
async fn what_a_waiting_request_sent_reaches_its_handler() {
    for version in BOTH {
        in_time(async {
            let stage = Stage::new(Gate::new(1)).await;
            // The last two are more than the buffer holds.
            for size in [20, 9_000, 65_536, 65_537, 1_000_000] {
                let first = stage.running().await;
                let upload: Bytes = (0..size).map(|place| b"abcdefghijklmnopqrstuvwxy"[place % 25]).collect();
                let mut client = stage.client(version).await;
                let sent = upload.clone();
                let answered =
                    tokio::spawn(async move { answer(&mut client, Method::POST, "/talk", sent).await });
                stage.until(1, 1).await;
                drop(first);
                let mut reading = Reading::new(answered.await.unwrap());
                stage.handler.ends.add_permits(1);
                reading.to_end().await;
                let expected = [b"begun ", &upload[..], b" ended"].concat();
                assert!(reading.bytes == expected, "{size} bytes over {version:?}");
            }
        })
        .await;
    }
}

/// Each of them waits for its turn, leaves, and is gone although nothing else has happened.
async fn leave_the_queue(version: Version, leaving: Leaving, uploads: &[Upload]) {
    let stage = Stage::new(Gate::new(1)).await;
    let mut first = stage.running().await;
    for &upload in uploads {
        let guest = stage.guest(version, upload, leaving).await;
        stage.until(1, 1).await;
        guest.leave().await;
        stage.until(1, 0).await;
    }
    // One among others.
    let stays = stage.guest(version, Upload::Nothing, leaving).await;
    stage.until(1, 1).await;
    let leaves = stage.guest(version, uploads[0], leaving).await;
    stage.until(1, 2).await;
    leaves.leave().await;
    stage.until(1, 1).await;
    stays.leave().await;
    stage.until(1, 0).await;

    assert_eq!(stage.called(), ["runs"]);
    assert_eq!(stage.gate.stats().admitted, 1);
    stage.handler.ends.add_permits(1);
    first.to_end().await;
    stage.until(0, 0).await;
}

const UPLOADS: [Upload; 7] = [
    Upload::Nothing,
    Upload::Known(20),
    Upload::Known(9_000),
    Upload::Known(64_000),
    Upload::Known(65_536),
    Upload::Chunked(9_000),
    Upload::Chunked(64_000),
];
const MORE_THAN_THE_BUFFER: Upload = Upload::Known(256 * 1024);

#[tokio::test]
async fn over_http_1_a_client_that_closes_its_connection_leaves_the_queue_at_once() {
    in_time(leave_the_queue(Version::HTTP_11, Leaving::Fin, &UPLOADS)).await;
}

#[tokio::test]
async fn over_http_1_a_client_that_kills_its_connection_leaves_the_queue_at_once() {
    in_time(leave_the_queue(Version::HTTP_11, Leaving::Rst, &UPLOADS)).await;
}

#[tokio::test]
async fn over_http_2_a_client_that_resets_its_stream_leaves_the_queue_at_once_whatever_it_sends() {
    in_time(async {
        leave_the_queue(Version::HTTP_2, Leaving::StreamReset, &UPLOADS).await;
        leave_the_queue(Version::HTTP_2, Leaving::StreamReset, &[MORE_THAN_THE_BUFFER]).await;
    })
    .await;
}

#[tokio::test]
async fn over_http_2_a_client_that_ends_its_connection_leaves_the_queue_at_once() {
    in_time(async {
        for leaving in [Leaving::Fin, Leaving::Rst] {
            leave_the_queue(Version::HTTP_2, leaving, &UPLOADS).await;
            leave_the_queue(Version::HTTP_2, leaving, &[MORE_THAN_THE_BUFFER]).await;
        }
    })
    .await;
}

/// A client that leaves, is not noticed, and gets a permit that is given back at once.
async fn left_and_had_its_turn(gate: Gate, upload: Upload, leaving: Leaving) {
    let stage = Stage::new(gate.queue(2)).await;
    let first = stage.running().await;
    let guest = stage.guest(Version::HTTP_11, upload, leaving).await;
    stage.until(1, 1).await;
    guest.leave().await;
    // Another one comes and leaves, and that is seen.
    let other = stage.guest(Version::HTTP_11, Upload::Nothing, leaving).await;
    stage.until(1, 2).await;
    other.leave().await;
    stage.until(1, 1).await;

    drop(first);
    stage.until(0, 0).await;
    assert_eq!(stage.called(), ["runs", "guest"], "{upload:?} {leaving:?}");
    assert_eq!(stage.gate.stats().admitted, 2, "{upload:?} {leaving:?}");
}

#[tokio::test]
async fn over_http_1_a_client_whose_upload_is_not_read_to_its_end_is_found_out_at_its_turn() {
    in_time(async {
        for leaving in [Leaving::Fin, Leaving::Rst] {
            left_and_had_its_turn(Gate::new(1), MORE_THAN_THE_BUFFER, leaving).await;
            left_and_had_its_turn(Gate::new(1), Upload::Chunked(256 * 1024), leaving).await;
            left_and_had_its_turn(Gate::new(1), Upload::Expecting(20), leaving).await;
            // So it is the buffer that makes the difference.
            left_and_had_its_turn(Gate::new(1).buffer(0), Upload::Chunked(20), leaving).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_permit_is_held_until_the_body_ends() {
    for version in BOTH {
        in_time(async {
            let stage = Stage::new(Gate::new(1).queue(0)).await;
            // Over HTTP/2 all of them share a connection.
            let mut client = stage.client(version).await;
            let mut first = Reading::new(client.get("/talk").await);
            assert!(first.until_has("begun").await);
            let mut second = if version == Version::HTTP_2 { client } else { stage.client(version).await };
            for _ in 0..3 {
                assert_eq!(second.get("/talk").await.status(), StatusCode::SERVICE_UNAVAILABLE);
            }
            assert_eq!(stage.gate.stats().in_flight, 1);

            stage.handler.ends.add_permits(1);
            first.to_end().await;
            assert_eq!((first.bytes.as_slice(), first.end), (&b"begun  ended"[..], Some(End::Finished)));
            stage.until(0, 0).await;
            assert_eq!(second.get("/talk").await.status(), StatusCode::OK);
            assert_eq!(stage.gate.stats().in_flight, 1);
        })
        .await;
    }
}

/// Streams that are cut by their clients, several at a time: some never pending, some silent, some before their answer or
/// while they wait. Then there are as many permits as before.
async fn cut_and_count(loops: usize, version: Version, leaving: Leaving) {
    const PERMITS: usize = 4;
    const CLIENTS: usize = 8;
    let stage = Arc::new(Stage::new(Gate::new(PERMITS).queue(1_000)).await);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let stage = stage.clone();
        clients.spawn(async move {
            for turn in 0..loops / CLIENTS {
                let path = if turn % 2 == 0 { "/endless" } else { "/talk" };
                let upload = if turn % 3 == 0 { Upload::Known(20) } else { Upload::Nothing };
                let upload = if path == "/talk" { upload } else { Upload::Nothing };
                let mut guest = Guest::send(stage.server.at, version, path, upload, leaving).await;
                if (turn + client) % 5 > 0 {
                    assert_eq!(guest.read_a_little().await, 200);
                }
                guest.leave().await;
            }
        });
    }
    clients.join_all().await;
    stage.until(0, 0).await;
    let stats = stage.gate.stats();
    assert!(stats.admitted as usize >= loops * 4 / 5, "{stats:?}");
    println!(
        "{version:?} {leaving:?}: {} of {loops} had a permit, {} of them had waited",
        stats.admitted, stats.wait.count
    );

    stage.gate.resize_queue(0);
    let mut streams = Vec::new();
    for _ in 0..PERMITS {
        let response = stage.client(version).await.get("/talk").await;
        assert_eq!(response.status(), StatusCode::OK);
        streams.push(response);
    }
    assert_eq!(stage.client(version).await.get("/talk").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    stage.until(PERMITS, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_killed_connections_leave_exactly_the_permits_that_there_were() {
    in_time(cut_and_count(2_000, Version::HTTP_11, Leaving::Rst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_cut_in_other_ways_leave_exactly_the_permits_that_there_were() {
    in_time(async {
        cut_and_count(400, Version::HTTP_11, Leaving::Fin).await;
        cut_and_count(400, Version::HTTP_2, Leaving::StreamReset).await;
        cut_and_count(400, Version::HTTP_2, Leaving::Rst).await;
    })
    .await;
}
