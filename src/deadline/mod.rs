//! One moment by which everything about a request should be over, known to all who work for it.
//!
//! A caller knows how long it will wait. A server that knows it too does not start what nobody will read, gives its
//! database a part of the time instead of all of it, and tells the next server how much is left. [`DeadlineLayer`] reads
//! it from the request's headers; [`Deadline`] is what all others work with; [`PropagateDeadlineLayer`] passes it on.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::convert::Infallible;
//! use std::time::Duration;
//! use http::{Request, Response};
//! use tower::{Layer, Service, service_fn};
//! use tower_lifeline::{Deadline, DeadlineHeader, DeadlineLayer};
//!
//! # async fn query() { std::future::pending().await }
//! let handler = service_fn(async |request: Request<()>| {
//!     let deadline = request.extensions().get::<Deadline>().expect("the layer has a default");
//!     let rows = deadline.at_most(Duration::from_secs(15)).bound(query()).await;
//!     let status = if rows.is_ok() { 200 } else { 504 };
//!     Ok::<_, Infallible>(Response::builder().status(status).body(()).unwrap())
//! });
//! let mut service = DeadlineLayer::new()
//!     .trust(DeadlineHeader::GrpcTimeout)
//!     .max(Duration::from_secs(600))
//!     .default(Duration::from_secs(60))
//!     .layer(handler);
//!
//! let request = Request::builder().header("grpc-timeout", "2S").body(()).unwrap();
//! assert_eq!(service.call(request).await.unwrap().status(), 504); // after 2 s
//! # }
//! ```
//!
//! # What happens when
//!
//! | when | then |
//! |---|---|
//! | a header is not trusted | it is not read |
//! | one trusted header says how long | a [`Deadline`] that long from now, between [`min`](DeadlineLayer::min) and [`max`](DeadlineLayer::max) |
//! | several trusted headers do | the shortest |
//! | it says zero | `min`; without one, a deadline that is past |
//! | none does | the [`default`](DeadlineLayer::default()); without one, no deadline |
//! | one is malformed, or comes twice | it is ignored and [counted](DeadlineLayer::malformed); the others still count, then the `default` |
//! | an outer layer has set a deadline | the earlier one, whatever `min` says |
//! | `Prefer: wait=5` is trusted and there | a [`HeadDeadline`], between `min` and `max`, and no [`Deadline`] |
//! | `x-stainless-read-timeout: 600` is trusted and there | a [`SilenceHint`], at least 1 s, between `min` and `max`, and no [`Deadline`] |
//! | a future that is [bound](Deadline::bound) is ready first, at a tie, or at its first poll | its output |
//! | the deadline passes first | the future is dropped, and [`DeadlineExceeded`] says what was left and how long it took |
//! | an outgoing request has a deadline | its header says what is left, less the [`margin`](PropagateDeadlineLayer::margin), rounded down |
//! | its deadline is past | it is sent with the smallest value that the header can say |
//! | it has the header, and for less time | that one stays |
//! | it has the header, malformed or for more time | it is replaced |
//!
//! Time counts from the moment when the request's head reaches [`DeadlineLayer`], on tokio's clock: put it outside of
//! everything that waits. A deadline is at most 30 years away.
//!
//! # What is read
//!
//! Strictly: digits of ASCII, no sign, no white space, one field of a name. Which headers may be trusted is for the operator
//! to say, so nothing is trusted by default. Whoever can set a trusted header can make its own request end early or, up to
//! `max`, run for longer than the `default`; so set a `max` with every trust.
//!
//! | header | value | unit | bounds | specified in |
//! |---|---|---|---|---|
//! | `grpc-timeout` | 1 to 8 digits and a unit | `H M S m u n` | the whole | gRPC over HTTP/2, "Requests" |
//! | `Connect-Timeout-Ms` | 1 to 10 digits | ms | the whole | Connect protocol, "Unary-Request" |
//! | `Request-Timeout`, or your own | 1 to 10 digits, a point and 1 to 3 digits | s | the whole | draft-thomson-hybi-http-timeout, expired; the fraction is ours |
//! | your own | 1 to 10 digits | ms | the whole | |
//! | `Prefer: wait=` | 1 to 10 digits; the first `wait` of all | s | the head | RFC 7240, sections 2 and 4.3 |
//! | `x-stainless-read-timeout` | 1 to 10 digits, a point and 1 to 17 digits; or `NOT_GIVEN` | s | silence | the clients of OpenAI and Anthropic |
//!
//! Zero is read although gRPC and Connect want a positive number, for some clients send it when their time is over. It is
//! never written.
//!
//! # With other layers
//!
//! This layer enforces nothing. It says what is known, in the request's extensions; handlers and the layers inside act on
//! it: a [`TimeoutLayer`](crate::TimeoutLayer) ends the exchange a little before its [`Deadline`] and the head by its
//! [`HeadDeadline`], and takes a [`SilenceHint`] for its headers and first-byte limits. A
//! [`HeartbeatLayer`](crate::HeartbeatLayer) beats at least three times in the silence that the caller bears.
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_lifeline::{DeadlineHeader, DeadlineLayer, HeartbeatLayer, TimeoutLayer, Timeouts};
//!
//! let layers = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new().trust(DeadlineHeader::RequestTimeout).trust_read_timeout())
//!     .layer(HeartbeatLayer::every(Duration::from_secs(15)))
//!     .layer(TimeoutLayer::new(Timeouts::new().total(Duration::from_secs(600))));
//! ```
//!
//! Under tonic: its server reads `grpc-timeout` too, outside of all layers of yours, and answers CANCELLED when the time is
//! over before the head. A [`TimeoutLayer`](crate::TimeoutLayer) ends a little earlier, by a tenth of what is left and at most
//! 50 ms, so that the answer is DEADLINE_EXCEEDED.
//!
//! # In axum
//!
//! With the feature `axum` a deadline is an argument of a handler, and `Option<Deadline>` one that need not be there:
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, http::StatusCode, routing::get};
//! use tower_lifeline::{Deadline, DeadlineHeader, DeadlineLayer};
//!
//! # async fn query() -> String { String::new() }
//! async fn rows(deadline: Deadline) -> Result<String, StatusCode> {
//!     let query = deadline.at_most(Duration::from_secs(15)).bound(query()).await;
//!     query.map_err(|_| StatusCode::GATEWAY_TIMEOUT)
//! }
//!
//! let deadlines = DeadlineLayer::new()
//!     .trust(DeadlineHeader::RequestTimeout)
//!     .max(Duration::from_secs(120))
//!     .default(Duration::from_secs(30));
//! let app: Router = Router::new().route("/rows", get(rows)).layer(deadlines);
//! ```
//!
//! # What it does not do
//!
//! - It ends no response: what nobody bounds runs on.
//! - It does not add `Preference-Applied` (RFC 7240, section 3): whether a preference was applied, only who applies it knows.
//! - It carries no deadline from an incoming request to an outgoing one. A handler does, with one line:
//!   `Request::builder().extension(deadline)`.

mod budget;
#[cfg(feature = "axum")]
mod extract;
mod header;
mod hint;
mod layer;
mod limits;
mod prefer;
mod propagate;
mod trust;

pub use budget::{Deadline, DeadlineExceeded};
#[cfg(feature = "axum")]
pub use extract::NoDeadline;
pub use header::DeadlineHeader;
pub use hint::{HeadDeadline, SilenceHint};
pub use layer::{DeadlineLayer, DeadlineService};
pub use propagate::{PropagateDeadlineLayer, PropagateDeadlineService};
