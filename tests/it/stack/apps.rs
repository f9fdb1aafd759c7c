//! Where a stack can stand: what does not compile here is no stack for axum or hyper.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::Request;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_lifeline::stack::LifelineRequestBody;
use tower_lifeline::testing::timeline;
use tower_lifeline::{
    BoxError, Deadline, Drain, EarlyLayer, Gate, Heartbeat, Lifeline, Observer, StallLayer, StreamReport,
    Timeouts,
};

fn everything() -> Lifeline {
    let second = Duration::from_secs(1);
    Lifeline::llm()
        .observe(&Observer::new().sink(|_: &StreamReport| {}))
        .stall(StallLayer::new(60 * second))
        .drain(&Drain::new())
        .early(EarlyLayer::after(second))
        .heartbeat(Heartbeat::every(second))
        .gate(Gate::new(8))
        .timeouts(Timeouts::new().headers(30 * second))
        .build()
        .unwrap()
}

async fn events() -> Sse<impl stream::Stream<Item = Result<Event, Infallible>>> {
    let slow = stream::once(async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        Ok(Event::default().data("late"))
    });
    Sse::new(slow)
}

async fn echo(deadline: Option<Deadline>, body: Bytes) -> Bytes {
    assert!(deadline.is_none());
    body
}

fn get_request(uri: &str) -> Request {
    Request::builder().uri(uri).body(axum::body::Body::empty()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_stands_around_a_router_a_method_router_a_nested_one_and_in_a_builder() {
    let lifeline = everything();
    let nested = Router::new().route("/events", get(events)).layer(lifeline.clone());
    let app = Router::new()
        .route("/whole", get(events).post(echo).layer(lifeline.clone()))
        .route("/json", post(|Json(value): Json<u32>| async move { Json(value + 1) }))
        .route_layer(lifeline.clone())
        .nest("/nested", nested)
        .route("/built", get(events).layer(ServiceBuilder::new().layer(lifeline.clone())))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(lifeline);
    for uri in ["/whole", "/nested/events", "/built"] {
        let answer = app.clone().oneshot(get_request(uri)).await.unwrap();
        assert_eq!(timeline(answer.into_body()).await, "1s=: 1.5s=late 1.5s=end", "{uri}");
    }
    let request = http::Request::post("/whole").body(axum::body::Body::from("hello")).unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    let answer = app.oneshot(get_request("/nowhere")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn it_stands_around_a_service_of_hyper() {
    let handler = service_fn(|request: Request<LifelineRequestBody<Incoming>>| async move {
        let bytes = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(http::Response::new(Full::new(bytes)))
    });
    let service = ServiceBuilder::new().layer(everything()).service(handler);
    let (client, server) = tokio::io::duplex(4_096);
    let service = hyper_util::service::TowerToHyperService::new(service);
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    tokio::spawn(async move { builder.serve_connection(TokioIo::new(server), service).await.map_err(drop) });
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("/").body(Full::new(Bytes::from_static(b"hello"))).unwrap();
    let answer = send.send_request(request).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "5");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
}

/// In an `async` block rustc refuses both: see the documentation of the stack.
#[tokio::test(start_paused = true)]
async fn what_is_spawned_as_it_is_may_have_boxed_errors() {
    type Answer = Result<http::Response<BoxBody<Bytes, BoxError>>, BoxError>;
    let hello = || Full::new(Bytes::from_static(b"hello")).map_err(BoxError::from).boxed();
    let handler =
        service_fn(move |_: http::Request<_>| async move { Answer::Ok(http::Response::new(hello())) });
    let service = ServiceBuilder::new().layer(everything()).service(handler);
    let (client, server) = tokio::io::duplex(4_096);
    let hyper = hyper_util::service::TowerToHyperService::new(service);
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    tokio::spawn(builder.serve_connection(TokioIo::new(server), hyper).into_owned());
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    let answer = send.send_request(http::Request::new(Full::<Bytes>::default())).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");

    let handler =
        service_fn(move |_: http::Request<_>| async move { Answer::Ok(http::Response::new(hello())) });
    let called = everything().layer(handler).oneshot(http::Request::new(Full::<Bytes>::default()));
    let answer = tokio::spawn(called).await.unwrap().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
}
