//! Stops a server with open streams: each leaves between two events, spread over a window, and at a deadline all is over.
//!
//! One open event stream keeps a server's own graceful shutdown waiting for ever. Whoever ends it anyway cuts streams in the
//! middle of an event, and all clients come back in the same second. A [`Drain`] asks each stream to leave at a moment of its
//! own, lets it finish its event and say goodbye in its protocol, and bounds all of that.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::time::Duration;
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_lifeline::testing::{script, timeline};
//! use tower_lifeline::{BoxError, Drain, DrainLayer};
//!
//! let drain = Drain::new().window(Duration::ZERO).retry(Duration::ZERO);
//! let service = DrainLayer::new(&drain).layer(service_fn(|_: Request<()>| async {
//!     let stream = Response::builder().header("content-type", "text/event-stream");
//!     Ok::<_, BoxError>(stream.body(script(r"0s=a 1s='data: half' 5s='\n\n' 90s=b"))?)
//! }));
//!
//! let response = service.oneshot(Request::new(())).await.unwrap();
//! tokio::spawn(async move { drain.announce(Duration::from_secs(3)).await });
//! let line = r"0s=a 1s='data: half' 5s='\n\n' 5s='retry: 0\n\n' 5s=end";
//! assert_eq!(timeline(response.into_body()).await, line);
//! # }
//! ```
//!
//! In a server it is three lines more than before (with the feature `signal`):
//!
//! ```no_run
//! # #[cfg(feature = "signal")]
//! # async fn serve(app: axum::Router, listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! use tower_lifeline::{Drain, DrainLayer};
//!
//! let drain = Drain::new();
//! let app = app.layer(DrainLayer::new(&drain));
//! let serve = axum::serve(listener, app).with_graceful_shutdown(drain.on_signal());
//! drain.bound(serve).await
//! # }
//! ```
//!
//! # What happens when
//!
//! ```text
//!  SIGTERM          begin                                window            deadline      grace
//!     │   announced   │ streams leave, each at its moment   │ the last events   │ the rest   │
//!     ├───────────────┼─────────────────────────────────────┼───────────────────┼────────────┤
//!     readiness red   new requests: 503                                          cut          bound() returns
//! ```
//!
//! | when | then |
//! |---|---|
//! | [`announce`](Drain::announce) is called | [`is_announced`](Drain::is_announced) turns true, requests are served as ever |
//! | the drain [begins](Drain::begin) | every stream is told, once, and draws a moment in the [`window`](Drain::window) |
//! | a request comes after that | it is refused, or let in: [`Arrivals`] |
//! | a stream's moment has come, and it stands between two events | it says its goodbye and ends |
//! | the same inside an event | the event is finished first |
//! | an event is not finished at the deadline | the body fails with a [`DrainError`] |
//! | a stream is always ready | it leaves within 64 frames or 256 KiB; where that is a failure, or a gRPC status, a frame later, for what is ready behind the first one may be its own end |
//! | its last frame comes when it is to leave | it has finished, and says no goodbye |
//! | it is dropped when the announced length has gone out, as servers do | it has finished, however late that was |
//! | a stream would rather finish ([`OnDrain::Finish`]), or is in no format with known boundaries, or has said its length | it goes on to its own end, at the latest to the deadline |
//! | a gRPC call is at its end | its own trailers are passed on |
//! | a handler has not answered at the deadline | 503 in the caller's protocol, and the handler is dropped |
//! | an answer and the deadline come in the same turn | the answer |
//! | a client does not read | its body is not asked for anything, so nothing can be said: it counts as [`Stood::Unread`], and [`bound`](Drain::bound) does not wait for it. A [`StallLayer`](crate::StallLayer) frees what it holds before that |
//! | all have gone | [`finished`](Drain::finished) gives its report; so it does when the deadline and the [`grace`](Drain::grace) have passed |
//! | a stream is as old as [`max_age`](DrainLayer::max_age) | it leaves in the same way, but is never cut |
//! | the connection is upgraded | it is nobody's guest any more; the handler has to see to its end |
//! | a body is dropped | its request has gone, when all that the body held has been dropped |
//!
//! # Goodbyes
//!
//! | the stream | says | told by |
//! |---|---|---|
//! | `text/event-stream` | `retry:` with jitter, so that an `EventSource` comes back when it should, and no event | the response |
//! | the same of an LLM | an event `error` of type `overloaded_error` | [`Ending::Llm`](crate::Ending::Llm) |
//! | the same to an MCP client | nothing; with the request's `id` a JSON-RPC error; or its own result, see [`Farewell`] | the request, [`Ending::Mcp`](crate::Ending::Mcp) |
//! | newline-delimited JSON | a line with `error` | the response |
//! | gRPC | trailers: `UNAVAILABLE` | the response |
//! | any with a [`Farewell`] | that | the response's extensions |
//!
//! The handler finds the [`Drain`] in the request's extensions, and can wait for [`begun`](Drain::begun) to say goodbye in
//! its own way: mark the response with [`OnDrain::Finish`], and it has until the deadline.
//!
//! # What can hang without it
//!
//! `axum::serve` and hyper-util's `GracefulShutdown` wait for every connection, without end. No layer sees half a request head,
//! a client that reads nothing, or an upgraded connection. That is what [`bound`](Drain::bound) is for: it gives a server up
//! at the deadline and the [`grace`](Drain::grace), 31 s with the defaults. tonic's `serve_with_shutdown` waits without end, too.
//!
//! # Choosing the numbers
//!
//! The [`window`](Drain::window) spreads the clients that come back: a thousand streams over 5 s are two hundred connections a
//! second. The [`deadline`](Drain::deadline) with the [`grace`](Drain::grace) and the [`notice`](Drain::notice) has to be
//! shorter than what the platform gives a process between SIGTERM and SIGKILL: Kubernetes 30 s, Docker 10 s, Heroku 30 s.
//! The defaults, 31 s, are longer than any of these: set a deadline of 25 s for Kubernetes and Heroku and of 8 s for Docker,
//! or give the process more time (`terminationGracePeriodSeconds`, `docker stop --time`).
//!
//! # What it costs
//!
//! An idle stream takes about 550 bytes more than a bare one and no time at all; ten thousand of them were told, woken, and
//! said goodbye over 5 s in 0.23 s of CPU (`scripts/bench loads`, 2 x AMD EPYC, rustc 1.95, 2026-11-26).
//! A request takes one lock when it comes and one when it has gone.
//!
//! # With other layers
//!
//! Inside of an observer and of a stall layer, outside of all others that end or delay a stream: an early head, heartbeats,
//! the gate, timeouts. What they refuse or end is counted as finished. Of one drain, one layer around a request: two count it
//! twice, and tell it twice to leave.
//!
//! # What it does not do
//!
//! - It does not end connections: the server's graceful shutdown does, and in HTTP/1 a `Connection: close`.
//! - It does not wait for upgraded connections.
//! - Nothing is spawned: a stream draws its moment when it is woken, and its own timer ends it.

mod body;
mod error;
mod guest;
mod guests;
mod handle;
mod layer;
mod leave;
mod report;
#[cfg(feature = "signal")]
mod signal;
mod stay;

pub use body::DrainBody;
pub use error::DrainError;
pub use handle::{Arrivals, Drain};
pub use layer::{DrainFuture, DrainLayer, DrainService};
pub use report::{DrainReport, Stood, Unfinished};
pub(crate) use stay::{Due, Stay};

use crate::heartbeat::Beat;

/// What a stream does when the drain begins. In the extensions of a response it is the handler's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDrain {
    /// It leaves at its first boundary, at a moment of its own within the [`window`](Drain::window).
    #[default]
    Leave,
    /// It goes on to its own end, at the latest to the [`deadline`](Drain::deadline): for streams that cannot be resumed.
    Finish,
}

/// In the extensions of a response: what its stream says when it leaves, instead of its [`Ending`](crate::Ending).
///
/// An MCP server ends a `subscriptions/listen` with the result that its client waits for:
///
/// ```
/// use tower_lifeline::Beat;
/// use tower_lifeline::drain::Farewell;
///
/// let result = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}"#;
/// let mut response = http::Response::new(());
/// response.extensions_mut().insert(Farewell(Beat::event("message", result)));
/// ```
///
/// Only what is written in an event stream or in newline-delimited JSON says it, and only where the client does not know
/// the length.
#[derive(Clone, Debug)]
pub struct Farewell(pub Beat);
