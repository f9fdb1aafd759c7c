//! From tower-http's timeouts.
//!
//! | tower-http | here | what changes |
//! |---|---|---|
//! | `TimeoutLayer` | [`Timeouts::headers`](crate::Timeouts::headers) | the answer is one that the caller understands; the upload can be left out, see [`HeadersFrom`](crate::timeout::HeadersFrom) |
//! | `ResponseBodyTimeoutLayer`, `TimeoutBody` | [`Timeouts::first_byte`](crate::Timeouts::first_byte) and [`Timeouts::inter_chunk`](crate::Timeouts::inter_chunk), which begins behind the first content | heartbeats are no progress; a frame that is ready is never late; `Content-Length` stays |
//! | `ResponseBodyDeadlineLayer`, `DeadlineBody` | [`Timeouts::total`](crate::Timeouts::total) | it counts from the request, over queue and handler, and is noticed on a body that is always ready |
//! | `RequestBodyTimeoutLayer` | [`RequestBodyTimeoutLayer::gap`](crate::RequestBodyTimeoutLayer::gap) | the client gets a 408, and the handler is dropped |
//! | `RequestBodyDeadlineLayer` | [`RequestBodyTimeoutLayer::total`](crate::RequestBodyTimeoutLayer::total) | the same |
//!
//! Three layers become one:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::time::Duration;
//! use axum::response::sse::{Event, Sse};
//! use axum::{Router, http::StatusCode, routing::get};
//! use futures_util::stream;
//! use tower_lifeline::{TimeoutLayer, Timeouts};
//!
//! let limits = Timeouts::new()
//!     .headers(Duration::from_secs(10))
//!     .first_byte(Duration::from_secs(60))
//!     .inter_chunk(Duration::from_secs(60))
//!     .total(Duration::from_secs(600));
//! let app: Router = Router::new()
//!     .route("/hangs", get(|| std::future::pending::<()>()))
//!     .route("/stops", get(|| async { Sse::new(stream::pending::<Result<Event, std::fmt::Error>>()) }))
//!     .layer(TimeoutLayer::new(limits));
//!
//! # use tower::ServiceExt;
//! # let get = |uri| http::Request::get(uri).body(axum::body::Body::empty()).unwrap();
//! let answer = app.clone().oneshot(get("/hangs")).await.unwrap();
//! assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
//!
//! // An event stream says why it ends, and when its client may come back.
//! let stream = app.oneshot(get("/stops")).await.unwrap().into_body();
//! let line = tower_lifeline::testing::timeline(stream).await;
//! assert!(line.contains("event: timeout") && line.ends_with("60s=end"), "{line}");
//! # }
//! ```
//!
//! # What to look at when you change over
//!
//! - The status: tower-http's `TimeoutLayer` answers 408, or what it is told, without a body. Here it is 504 with a problem
//!   document, and 408 only when the *client* was too slow. [`TimeoutLayer::render`](crate::TimeoutLayer::render) makes any
//!   answer you like.
//! - The end of a stream: tower-http fails the body. Here event streams, NDJSON and gRPC get an end that their clients
//!   understand, and everything else fails as before, with a [`TimeoutError`](crate::TimeoutError).
//!   [`Ending::Abort`](crate::Ending::Abort) fails them all.
//! - The inter-chunk clock of an event stream asks for content. A producer that only ever sends comments has been silent
//!   all the time. [`Progress::AnyByte`](crate::timeout::Progress::AnyByte) asks for less.
