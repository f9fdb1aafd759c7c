//! Bytes on the wire while the handler still thinks.
//!
//! A request waits for a model, a tool or its turn for longer than something on the way has patience: Heroku cuts at 30 s,
//! AWS ALB and nginx at 60 s, and a client often before. No heartbeat helps, because there is no response yet to beat in.
//! When a handler takes too long, [`EarlyLayer`] answers in its place with the head of an event stream, beats, and puts the
//! real answer into that stream when it comes.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_lifeline::BoxError> {
//! use std::time::Duration;
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_lifeline::testing::{script, timeline};
//! use tower_lifeline::{BoxError, EarlyLayer};
//!
//! let model = service_fn(|_: Request<()>| Box::pin(async {
//!     tokio::time::sleep(Duration::from_secs(50)).await;
//!     let answer = Response::builder().header("content-type", "application/json");
//!     Ok::<_, BoxError>(answer.body(script("0s='{\"answer\":42}' 0s=end"))?)
//! }));
//! let service = EarlyLayer::after(Duration::from_secs(10)).layer(model);
//!
//! let request = Request::post("/chat").header("accept", "text/event-stream").body(())?;
//! let response = service.oneshot(request).await?; // after 10 s
//! assert_eq!(response.headers()["content-type"], "text/event-stream");
//! assert_eq!(
//!     timeline(response.into_body()).await,
//!     r#"0s=: 15s=: 30s=: 40s='data: {"answer":42}\n\n' 40s=end"#
//! );
//! # Ok(()) }
//! ```
//!
//! It is off unless it is asked for, and it does nothing to an answer that comes in time.
//!
//! # What it costs
//!
//! Read this first: an early head is a promise about an answer that nobody knows yet.
//!
//! - **Errors come under a 200.** After the threshold a 404, a 401 or a 503 is an event in a stream that began well. Clients,
//!   proxies and logs that look at the status see success. An `EventSource` that reads such an error connects again when the
//!   stream ends, for ever if the error stays, and so does one that a 204 would have told to stop. Set the threshold so that
//!   whatever is checked first (who asks, what for, whether it exists) is answered before it.
//! - **Late headers are lost.** Cookies, `ETag`, `Location`, and what the layers *inside* of this one add. They are handed to
//!   [`EarlyLayer::on_late`]. A layer whose headers every response needs (CORS, request ids, security) goes *outside*.
//! - **Nobody can try again elsewhere.** A proxy that would send a failed request to another server does so before the first
//!   byte only.
//! - **A client that does not read stops the handler.** From the early head on the response body owns the handler's future,
//!   and hyper polls a body only when the client takes bytes. Work that must go on belongs into a task of its own.
//!
//! [`EarlyLayer::stats`] counts how often it happens.
//!
//! An answer in time costs 1,929 instructions more where a plain request through hyper and axum costs 9,688; a layer that
//! does nothing but change the body's type costs 1,124 of them. It is 2,289 where the head could have come early and a
//! closure chose so (`scripts/instructions`, 2 x AMD EPYC, rustc 1.95, 2026-11-26).
//!
//! # What happens when
//!
//! ```text
//!  call ──────────── threshold ──────────────────────────── answer ─────────── end
//!   │ real status, headers, body, as without the layer │
//!   │                    ├── 200, text/event-stream ── beats ──┤ spliced ───────┤
//! ```
//!
//! | the handler's answer | before the threshold | after it |
//! |---|---|---|
//! | an event stream | as it is | its body as it is; a BOM behind a beat is dropped |
//! | JSON, plain text | as it is | one event; each line of it, whichever way it ends, is a `data:` line |
//! | the same, longer than the [buffer](EarlyLayer::buffer) | as it is | one event, written as it comes |
//! | the same, and its body fails | as it is | an in-stream error; behind the first part of a long one the stream fails |
//! | no body: 202, 204, an empty 200 | as it is | a clean end |
//! | an error status | as it is | an in-stream error, with the first 16 KiB of the body if that is text; it is told when these are there or the body has ended |
//! | a redirect, any 3xx | as it is | an in-stream error that says where to |
//! | compressed, or encoded in another way | as it is | an in-stream error that says so |
//! | of any other type; a part (206) | as it is | an in-stream error that says so |
//! | the service fails | the service's own error | an in-stream error without its words |
//! | trailers | as they are | behind all else where the body has been read, and lost where it has not; HTTP/1.1 drops them, for they were not announced in the head |
//!
//! | when | then |
//! |---|---|
//! | the answer is ready together with the threshold | it is in time |
//! | the handler is ready when it is first polled | no clock and no timer; nothing is allocated, but for [`queue_position`](EarlyLayer::queue_position) |
//! | the head has been sent | the first beat comes at once, because there are proxies that hold a head back without bytes; with [`after_content`](crate::Heartbeat::after_content) none comes before the answer |
//! | the answer is ready and a beat is due | the answer goes first |
//! | the client leaves, before the head or behind it | the handler is dropped at once, or whatever it has answered |
//! | the handler panics | the panic passes on, as without the layer |
//! | the request says `Expect: 100-continue` | no early head before the request's body has been asked for, see below |
//!
//! **Which requests.** GET and POST whose `Accept` names `text/event-stream`, and not with `q=0`; of MCP's only a POST that
//! lists JSON as well, because a GET there waits for a 405. [`EarlyLayer::when`] chooses otherwise. HEAD, CONNECT,
//! upgrades and the RPC protocols (gRPC, gRPC-Web, Connect) are left alone whatever it says.
//!
//! **`Expect: 100-continue`.** Such a client sends its body when it is told to, and a final status instead of that would be
//! its answer. hyper tells it when the body is first polled, which only somebody who wraps the body can see: a
//! [`RequestBodyTimeoutLayer`](crate::RequestBodyTimeoutLayer) anywhere inside of this layer does, with or without limits.
//! Without one, a request with `Expect` is never answered early.
//!
//! **In-stream errors.** MCP clients get a JSON-RPC error, for which somebody has to know the request's `id`: a
//! [`RequestId`](crate::reject::RequestId) in the extensions of the answer or of the request. All others get an event of
//! type `error`. [`EarlyLayer::errors`] has the forms that OpenAI's and Anthropic's clients raise,
//! [`EarlyLayer::render`] is for one of your own:
//!
//! ```text
//! event: error
//! data: {"status":503,"message":"No place has become free in time.","content_type":"application/problem+json","body":"…"}
//! ```
//!
//! Then the stream ends well. The words of a failed service are for [`EarlyLayer::render`] only, never for clients.
//!
//! # Choosing the numbers
//!
//! The threshold: as late as the least patient hop allows, with some room. 10 s suits limits of 15 s and more (Fastly: 15 s,
//! Heroku: 30 s). Everything that should keep its real status has to happen before. The beats: see
//! [heartbeat](crate::heartbeat#choosing-the-numbers).
//!
//! # With other layers
//!
//! Outside of the gate and of the timeouts; inside of drain, of deadlines, whose
//! [`SilenceHint`](crate::deadline::SilenceHint) it heeds, and of everything whose headers must not be lost:
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_lifeline::early::TellPosition;
//! use tower_lifeline::{EarlyLayer, Gate, GateLayer, TimeoutLayer, Timeouts};
//!
//! let gate = Gate::new(64).queue(256).max_wait(Duration::from_secs(60));
//! let layers = ServiceBuilder::new()
//!     .layer(EarlyLayer::after(Duration::from_secs(10)).queue_position(TellPosition::Event))
//!     .layer(GateLayer::new(&gate))
//!     .layer(TimeoutLayer::new(Timeouts::new().headers(Duration::from_secs(120))));
//! # let _ = layers;
//! ```
//!
//! - To wait in a gate's queue is not to have answered, so who waits there is kept alive, and is told the place in the queue if
//!   [asked for](EarlyLayer::queue_position). A refusal of the gate is an error status like any other.
//! - The headers and first-byte limits still hold: before the threshold a 504, after it an in-stream error or the timeout
//!   layer's own [ending](crate::timeout#endings).
//! - What ends streams from the outside sees an event stream that stands between two events, says goodbye there, and drops
//!   the handler with the body.
//! - A [`HeartbeatLayer`](crate::HeartbeatLayer) may stand on either side: whoever is outside is silent as long as somebody
//!   inside writes. This layer beats only where the head was early, and then a handler's
//!   [`HeartbeatOverride`](crate::HeartbeatOverride) comes too late for it.
//! - Compression goes outside, and must leave event streams alone or flush each frame, as for heartbeats.
//!
//! # What it does not do
//!
//! - It does not keep a client alive that asks for JSON only. White space before a JSON value could; errors would then have no
//!   place at all.
//! - It does not read requests: the `id` of a JSON-RPC request has to be told.
//! - It does not restart a client's own timer for the whole call, as MCP clients have one of 60 s. Only progress
//!   notifications do.
//! - It does not know whether the handler is alive. [`Heartbeat::most_in_a_row`](crate::Heartbeat::most_in_a_row), or better a
//!   headers limit inside, bounds how long it beats for one that is not.

mod answer;
mod body;
mod commit;
mod failure;
mod format;
mod late;
mod layer;
mod members;
mod plan;
mod splice;
mod text;

pub use body::{EarlyBody, Handling};
pub(crate) use commit::by_accept;
pub use failure::{Failure, FailureKind};
pub use format::{ErrorEvent, ErrorFormat};
pub use late::{Committed, EarlyStats, Late};
pub use layer::{EarlyFuture, EarlyLayer, EarlyService, TellPosition};
