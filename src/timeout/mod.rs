//! One limit for each phase of an exchange, and an end that the caller understands.
//!
//! One timeout cannot serve a queue, an upload, a thinking model, a token stream and a whole request. [`TimeoutLayer`]
//! limits the phases of the response, [`RequestBodyTimeoutLayer`] those of the upload, and around a client
//! [`ConnectTimeoutLayer`] the time to a connection.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_lifeline::BoxError> {
//! use std::time::Duration;
//! use http::{Request, Response};
//! use tower::{ServiceExt, ServiceBuilder, service_fn};
//! use tower_lifeline::testing::{script, timeline};
//! use tower_lifeline::{BoxError, TimeoutLayer, Timeouts};
//!
//! let hung = service_fn(|_: Request<()>| async {
//!     let stream = Response::builder().header("content-type", "application/octet-stream");
//!     Ok::<_, BoxError>(stream.body(script("0s=a 10s=b"))?)
//! });
//! let limits = Timeouts::new().inter_chunk(Duration::from_secs(30));
//! let service = ServiceBuilder::new().layer(TimeoutLayer::new(limits)).service(hung);
//!
//! let response = service.oneshot(Request::new(())).await?;
//! assert_eq!(
//!     timeline(response.into_body()).await,
//!     "0s=a 10s=b 40s=error(no further content of the response body for 30s (inter-chunk limit: 30s))"
//! );
//! # Ok(()) }
//! ```
//!
//! # The phases
//!
//! ```text
//!  call          request body     response head    first content       content         end
//!   │                 read             │                 │                │             │
//!   ├─ request total ─┤                │                 │                │             │
//!   ├────────────── headers ───────────┤                 │                │             │
//!   │                                  ├── first byte ───┤                │             │
//!   │                                  │                 ├─ inter-chunk ──┼─ inter-chunk┤
//!   ├──────────────────────────────── total ────────────────────────────────────────────┤
//! ```
//!
//! The request gap runs within the request total, each time that the handler waits for bytes. [`Phase`] says from which event
//! to which event each runs. No limit is set by default, and a phase without one costs
//! nothing.
//!
//! **Two clocks.** The first-byte and inter-chunk limits are fed by *content* alone ([`Progress::Content`]). Comments, `id`,
//! `retry`, empty data and events of type `ping` keep the wire warm but are no content, so a producer that has died is found
//! behind heartbeats, whichever side of this layer they are written on.
//!
//! **Whose time it is.** The inter-chunk clock runs only while somebody waits for the inner body. What is ready always
//! beats a limit that is due. When nobody asked in time (a client that did not read, a runtime that stood still), the
//! producer gets as long again, once.
//!
//! # What happens when
//!
//! | when | then |
//! |---|---|
//! | the handler's answer or a frame is ready and a limit is due | the answer or the frame is passed on |
//! | the headers or the total limit is reached before the head | 504 (RFC 9110, section 15.6.5), the handler is dropped |
//! | a limit of the request body is reached before the head | 408 with `Connection: close`, the handler is dropped |
//! | the same behind the head | the handler gets a [`TimeoutError`] from the body |
//! | the first-byte, inter-chunk or total limit is reached behind the head | the body ends as the table below says |
//! | the body is always ready | the total limit is looked at each 64 frames or 256 KiB; where the body would fail, or end with a gRPC status, one more frame goes out, for what is ready behind it may be its own end |
//! | the body's last frame comes behind the total | it is whole, and ends as it would |
//! | the inner body fails right behind a frame | the error comes 5 ms after the frame, or hyper would throw the frame away |
//! | two limits are reached at the same instant | the narrower phase is named |
//! | the body is dropped | nothing is left: nothing is spawned |
//!
//! # Endings
//!
//! Before the head a refusal is a response, in the caller's protocol: see [`Refusal`](crate::Refusal). Its extensions hold the
//! [`TimeoutError`], for a log outside of this layer or for a client. Behind the head a stream ends as its protocol allows:
//! see [`Ending`](crate::Ending). A partial event or message is never completed, and where nothing can be said the body
//! fails with a [`TimeoutError`], which cuts an HTTP/1 connection and resets an HTTP/2 stream: with `INTERNAL_ERROR`, or
//! with `CANCEL` when the feature `h2` is on.
//!
//! # Per request
//!
//! [`Timeouts`] in the request's extensions change the limits of that exchange, and in the response's extensions those of
//! its body; the response's win. [`TimeoutLayer::ceiling`] is above both. A [`Deadline`](crate::Deadline) in the request's extensions
//! is an earlier end for the total.
//!
//! # Around a client
//!
//! The same layer limits the phases of a call to somebody else, around any client that is a `Service<http::Request<_>>`, and
//! [`ConnectTimeoutLayer`] stands around the client's connector:
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Empty};
//! use hyper_util::client::legacy::{Client, connect::HttpConnector};
//! use hyper_util::rt::TokioExecutor;
//! use tower::{Layer, ServiceExt};
//! use tower_lifeline::{BoxError, ConnectTimeoutLayer, Ending, TimeoutError, TimeoutLayer, Timeouts};
//!
//! let connector = ConnectTimeoutLayer::new(Duration::from_secs(5)).layer(HttpConnector::new());
//! let client = Client::builder(TokioExecutor::new()).build(connector);
//!
//! let limits = Timeouts::new().headers(Duration::from_secs(30)).inter_chunk(Duration::from_secs(90));
//! let client = TimeoutLayer::new(limits).ending(Ending::Abort).layer(client);
//!
//! # let _ = async move {
//! let request = Request::get("http://upstream/").body(Empty::<Bytes>::new())?;
//! let answer = client.oneshot(request).await?; // no connection: an error of the client
//! if let Some(late) = answer.extensions().get::<TimeoutError>() {
//!     return Err((*late).into()); // no head
//! }
//! let body = answer.into_body().collect().await?; // no further content: an error of the body
//! # drop(body);
//! # Ok::<_, BoxError>(()) };
//! ```
//!
//! A client's error type has no room for ours, so a call that gets no head in time is answered with a 504 of our own. The
//! [`TimeoutError`] in its extensions tells it from a 504 of the server's: extensions do not travel. The headers limit counts
//! from the call, so it covers the wait for a connection.
//!
//! Who reads a stream wants an error at its end, which is [`Ending::Abort`](crate::Ending::Abort). Who passes it on leaves the
//! ending to the layer, and the stream says itself how it ended.
//!
//! A call that reaches a limit is dropped: that closes its HTTP/1 connection, or resets its HTTP/2 stream. Give each call the
//! [`Deadline`](crate::Deadline) of the request that it is made for, as an extension: it ends the call here, and
//! [`PropagateDeadlineLayer`](crate::PropagateDeadlineLayer) tells the server. `examples/upstream.rs` has all of it.
//!
//! # With other layers
//!
//! Inside heartbeats and outside of handlers; its `size_hint` is the inner one as long as it cannot add bytes, so plain
//! responses keep their `Content-Length`. Inside of a [gate](crate::gate), too: the total then counts from when the request
//! came to its queue, and the other limits from when it was let in.
//!
//! # What it does not do
//!
//! An abort is held back for 5 ms, so that hyper can flush what went before. What it cannot flush in that time, because the client
//! is slow or there is much of it, is lost with the connection or the stream.
//!
//! A client that stops reading stops hyper from polling the body, and no timer inside the body can help then: not even the
//! total is noticed before the client reads on.

mod body;
mod bounds;
mod connect;
mod error;
mod layer;
mod limits;
mod phase;
mod plan;
mod refuse;
mod request;
mod schedule;
mod upload;

pub use body::TimeoutBody;
pub(crate) use bounds::Bounds;
pub use connect::{ConnectTimeoutFuture, ConnectTimeoutLayer, ConnectTimeoutService};
pub use error::TimeoutError;
pub use layer::{HeadersFrom, Progress, TimeoutFuture, TimeoutLayer, TimeoutService};
pub use limits::Timeouts;
pub use phase::Phase;
pub(crate) use plan::Arrived;
pub use request::{
    RequestBodyTimeoutFuture, RequestBodyTimeoutLayer, RequestBodyTimeoutService, RequestTimeoutBody,
};
pub(crate) use schedule::{Due, Schedule};
pub(crate) use upload::Asked;
