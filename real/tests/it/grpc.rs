//! A tonic server behind the layers, and a tonic client that reads why its stream ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Version};
use real::client::{Client, End, Reading, in_time};
use real::server::Server;
use real::ticks::{self, Ticks};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tower_lifeline::{DeadlineHeader, DeadlineLayer, HeartbeatLayer, TimeoutLayer, Timeouts};

const LIMIT: Duration = Duration::from_millis(200);
/// Far shorter than a limit: if beats went into gRPC, every test here would see them.
const BEAT: Duration = Duration::from_millis(10);
/// A whole tick, number 1, and the first half of another one.
const HALF: &str = "/half";
const WHOLE_AND_HALF: &[u8] = b"\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08";

/// tonic's own server, with two more routes.
async fn served(deadlines: DeadlineLayer, limits: Timeouts) -> Server {
    let hung = |content_type, said| {
        let frames = stream::once(async move { Ok::<_, Infallible>(said) }).chain(stream::pending());
        ([(CONTENT_TYPE, content_type)], Body::from_stream(frames)).into_response()
    };
    let more = Router::new()
        .route(HALF, post(async move || hung("application/grpc", WHOLE_AND_HALF)))
        .route("/events", get(async move || hung("text/event-stream", b"data: one\n\n")));
    let server = tonic::transport::Server::builder()
        .layer(HeartbeatLayer::every(BEAT))
        .layer(deadlines)
        .layer(TimeoutLayer::new(limits))
        .add_routes(Routes::from(more).add_service(Ticks));
    Server::serving(|listener| async {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        server.serve_with_incoming(incoming).await.expect("served");
    })
    .await
}

async fn limited(limits: Timeouts) -> Server {
    served(DeadlineLayer::new(), limits).await
}

fn told(end: Result<(), Status>) -> (Code, String) {
    let status = end.expect_err("it does not end well");
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn before_the_head_the_client_reads_the_status_and_the_message() {
    let server = limited(Timeouts::new().headers(LIMIT)).await;
    let (ticks, end) = in_time(ticks::read(server.at, ticks::NEVER, 3, None)).await;
    assert!(ticks.is_empty());
    assert_eq!(told(end), (Code::DeadlineExceeded, "No response was ready within 200ms.".to_owned()));
}

#[tokio::test]
async fn behind_the_head_the_messages_so_far_arrive_and_then_the_status() {
    let server = limited(Timeouts::new().inter_chunk(LIMIT)).await;
    let (ticks, end) = in_time(ticks::read(server.at, ticks::HANG, 3, None)).await;
    assert_eq!(ticks, [1, 2, 3]);
    let message = "The inter-chunk limit of 200ms has passed.".to_owned();
    assert_eq!(told(end), (Code::DeadlineExceeded, message));
}

#[tokio::test]
async fn behind_the_head_the_clients_own_deadline_ends_the_stream_too() {
    let trusting = DeadlineLayer::new().trust(DeadlineHeader::GrpcTimeout);
    let server = served(trusting, Timeouts::new()).await;
    let (ticks, end) = in_time(ticks::read(server.at, ticks::HANG, 3, Some(LIMIT * 2))).await;
    assert_eq!(ticks, [1, 2, 3]);
    // How much was left when the request came is not the same twice.
    let (code, message) = told(end);
    println!("{message}");
    assert_eq!(code, Code::DeadlineExceeded);
    assert!(
        message.starts_with("The deadline limit of ") && message.ends_with("ms has passed."),
        "{message}"
    );
}

#[tokio::test]
async fn inside_a_message_the_stream_is_aborted() {
    let server = limited(Timeouts::new().inter_chunk(LIMIT)).await;
    let (ticks, end) = in_time(ticks::read(server.at, HALF, 0, None)).await;
    assert_eq!(ticks, [1]);
    let (code, message) = told(end);
    println!("{code:?}: {message}");
    assert_eq!(code, Code::Cancelled);
}

#[tokio::test]
async fn what_ends_in_time_ends_well() {
    let limits = Timeouts::new().headers(LIMIT).first_byte(LIMIT).inter_chunk(LIMIT).total(LIMIT * 100);
    let server = limited(limits).await;
    let (ticks, end) = in_time(ticks::read(server.at, ticks::COUNT, 3, None)).await;
    assert_eq!(ticks, [1, 2, 3]);
    end.expect("a good status");
}

#[tokio::test]
async fn no_beat_is_written_into_grpc() {
    let server = limited(Timeouts::new().inter_chunk(LIMIT)).await;
    let mut client = Client::connect(server.at, Version::HTTP_2).await;
    let request = Request::post(ticks::HANG).header(CONTENT_TYPE, "application/grpc");
    let two = Bytes::from_static(b"\0\0\0\0\x02\x08\x02");
    let response = in_time(client.send(request.body(Body::from(two)).unwrap())).await.unwrap();
    let mut grpc = Reading::new(response);
    in_time(grpc.to_end()).await;
    assert_eq!(grpc.bytes, b"\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x02");
    assert_eq!(grpc.end, Some(End::Finished));
    assert_eq!(grpc.trailers.get("grpc-status"), Some(&HeaderValue::from_static("4")));

    let mut events = Reading::new(client.get("/events").await);
    in_time(events.to_end()).await;
    let beaten = events.bytes.starts_with(b"data: one\n\n:\n");
    assert!(beaten, "the same server beats here: {:?}", String::from_utf8_lossy(&events.bytes));
}
