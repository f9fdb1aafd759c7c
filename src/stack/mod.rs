//! All layers in the one right order, as one service with one body.
//!
//! Nine layers in the wrong order are a trap: a gate outside of a deadline lets requests wait that are lost already, a
//! permit outside of a stall layer is never given back. And each layer that maps a body costs a frame another call.
//! [`Lifeline`] nests them in the order that the [guide](crate::guide#in-which-order) gives reasons for, and takes their
//! bodies apart again: what they all wanted of a stream, one body does, with one timer.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), tower_lifeline::BoxError> {
//! use std::time::Duration;
//! use axum::{Router, routing::post};
//! use tower_lifeline::{Drain, Gate, Hop, HopPath, Lifeline};
//!
//! let drain = Drain::new();
//! let lifeline = Lifeline::llm()
//!     .path(HopPath::through([Hop::NGINX, Hop::AWS_ALB]))
//!     .gate(Gate::new(512).queue(128).max_wait(Duration::from_secs(5)))
//!     .drain(&drain)
//!     .build()?;
//!
//! let app: Router = Router::new().route("/chat", post(|| async { "an answer" })).layer(lifeline.clone());
//! # let _ = app;
//! assert_eq!(lifeline.gate().unwrap().stats().limit, 512);
//! # Ok(())
//! # }
//! ```
//!
//! # The presets
//!
//! Where to start from. The limits suit healthy streams of their kind; replace them where yours are others. Nothing else
//! is on: no gate, no stall limit, no early head, no drain and no reports, until one of them is given.
//!
//! | | [`sse`](Lifeline::sse) | [`llm`](Lifeline::llm) | [`mcp`](Lifeline::mcp) | [`grpc`](Lifeline::grpc) | [`plain`](Lifeline::plain) |
//! |---|---|---|---|---|---|
//! | heartbeat | 15 s | 15 s | 15 s | none | none |
//! | headers | 30 s | 30 s | 60 s | none | 30 s |
//! | first byte | none | 60 s | none | none | 30 s |
//! | inter-chunk | none | 90 s | none | none | 30 s |
//! | total | none | 600 s | none | none | none |
//! | request body, gap | 30 s | 30 s | 30 s | none | 30 s |
//! | a stream that ends too early says so as | its content type | [`Ending::Llm`](crate::Ending::Llm) | [`Ending::Mcp`](crate::Ending::Mcp) | its content type | its content type |
//! | deadlines that are believed | none | none | none | `grpc-timeout` | none |
//!
//! With a [path](LifelineBuilder::path), the heartbeat of a preset comes as often as that needs, and streams make room
//! before a hop ends them: a hop with a lifetime (Envoy 15 s, Google's ALB 30 s, Cloud Run 300 s) sets
//! [`max_age`](LifelineBuilder::max_age) to nine tenths of it. In `llm` that end is an event `error`, which clients raise; where
//! your hop is set otherwise, say so with [`Hop::lifetime`](crate::Hop::lifetime), or ask for
//! [`any_age`](LifelineBuilder::any_age). The headers limit also ends a handler behind an [early head](LifelineBuilder::early).
//! Clients of Google's API need another beat than the presets have: see
//! [what clients make of it](crate::heartbeat#what-clients-make-of-a-beat).
//!
//! # MCP
//!
//! The version that a request names in `MCP-Protocol-Version` decides:
//!
//! | | 2025-11-25 | 2026-07-28 and later |
//! |---|---|---|
//! | while the server drains, the stream of an answer | leaves: its client picks it up by `Last-Event-ID` | goes on to its end, because to end it is to cancel it |
//! | `subscriptions/listen` | is unknown | is silent up to the acknowledgement, has no early head, and leaves when the server drains |
//!
//! In both, a client that leaves takes its handler with it, as it does in any hyper server. What has to go on without its
//! client, as 2025-11-25 wants it, is a task of the handler's own.
//!
//! # gRPC
//!
//! Nothing is added to a stream but its end: trailers with a status. `grpc-timeout` is believed, and kept a little earlier
//! than tonic's own timer would.
//!
//! # hyper by hand
//!
//! `examples/hyper_server.rs` serves a stack with hyper alone. Spawn the connection as it is, not inside of an `async` block:
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full, combinators::BoxBody};
//! # use tower::{ServiceBuilder, service_fn};
//! # use tower_lifeline::{BoxError, Lifeline};
//! # type Answer = Result<Response<BoxBody<Bytes, BoxError>>, BoxError>;
//! use hyper_util::rt::{TokioExecutor, TokioIo};
//! use hyper_util::server::conn::auto::Builder;
//! use hyper_util::service::TowerToHyperService;
//!
//! # async fn serve(listener: tokio::net::TcpListener, lifeline: Lifeline) -> Result<(), BoxError> {
//! let service = ServiceBuilder::new().layer(lifeline).service(service_fn(|_: Request<_>| async {
//!     Answer::Ok(Response::new(Full::new(Bytes::from("hello")).map_err(BoxError::from).boxed()))
//! }));
//! let (socket, _) = listener.accept().await?;
//! let service = TowerToHyperService::new(service);
//! let connection = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).into_owned();
//! tokio::spawn(connection);
//! # Ok(()) }
//! ```
//!
//! Within `tokio::spawn(async move { … connection.await … })` rustc may say "implementation of `From` is not general enough",
//! where errors are [`BoxError`](crate::BoxError)s and the service is a closure or boxed. In an `async` block it forgets that the
//! error in the box is `'static`, and then cannot prove that the box converts into itself
//! ([rust-lang/rust#110338](https://github.com/rust-lang/rust/issues/110338)). hyper asks for that conversion of services'
//! errors without this crate, too; the stack asks for it of the bodies' as well, because it tells them in the stream. The
//! same goes for a stack that is called in such a block: spawn `service.oneshot(request)` as it is. Where that cannot be,
//! handlers that are `async fn`s, or errors of a type of their own, do.
//!
//! # Nested by hand
//!
//! The same layers nested in the same order draw the same; a test compares thousands of random ones. Three things differ.
//! When something ends a stream in the moment in which something else is due, one body says the end, and a layer outside
//! of the one that ends it may beat before that. And an error that has to wait until what went before it is flushed waits
//! once for 5 ms, not in each layer. And where [`HeartbeatLayer::select`](crate::HeartbeatLayer::select) calls a response an
//! event stream that does not say so itself, the limits take it for one, too.
//!
//! A handler's response can still change its own limits, heartbeat, ending and drain by its extensions, as with the layers
//! alone.
//!
//! # What it does not do
//!
//! A client that has stopped reading loses the handler's body and the permit by the stall limit; its place in a drain it
//! has until its connection ends, which [`Disconnect`](crate::stall::Disconnect) is for.
//!
//! The request's body has the type [`LifelineRequestBody`], whatever is on. Handlers of axum don't notice.

mod answering;
mod body;
mod build;
mod builder;
mod checks;
#[cfg(feature = "config")]
mod configured;
mod kit;
mod layer;
mod maybe;
mod origin;
mod presets;
mod service;

pub use body::LifelineBody;
pub use builder::LifelineBuilder;
pub use layer::Lifeline;
#[cfg(feature = "config")]
pub(crate) use presets::Preset;
pub use service::{LifelineFuture, LifelineRequestBody, LifelineService};
