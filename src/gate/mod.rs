//! So many requests at a time, up to the end of their bodies; some wait, and the rest are refused at once.
//!
//! tower's `ConcurrencyLimit` lets go of its permit when the response *head* is there, so it does not limit streams: with one
//! permit a hundred bodies can be open. And who finds no permit waits, for as long as it takes. A [`Gate`] counts a
//! request until its response body has ended, lets a bounded number wait for a bounded time, and tells the others when to
//! come back.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_lifeline::testing::script;
//! use tower_lifeline::{BoxError, Gate, GateLayer};
//!
//! let stream = service_fn(|_: Request<_>| async { Ok::<_, BoxError>(Response::new(script("0s=a"))) });
//! let service = GateLayer::new(&Gate::new(1).queue(0)).layer(stream);
//! let request = || Request::new(Empty::<bytes::Bytes>::new());
//!
//! let first = service.clone().oneshot(request()).await.unwrap();
//! let second = service.clone().oneshot(request()).await.unwrap();
//! assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 503));
//! assert!(second.headers().contains_key("retry-after"));
//!
//! drop(first);
//! assert_eq!(service.oneshot(request()).await.unwrap().status(), 200);
//! # }
//! ```
//!
//! # What happens when
//!
//! ```text
//!            ┌─ a permit is free, nobody waits ──────────────┐
//!  request ──┼─ a place in the queue is free ── waits ── turn ┴─ handler ── head ── body ── end
//!            │                                  │             └──────── holds a permit ────────┘
//!            └─ neither ── refused              └─ too long ── refused
//! ```
//!
//! | when | then |
//! |---|---|
//! | a permit is free and nobody waits | the handler is called at once |
//! | all permits are out, and there is a place in the queue | the request waits, first come, first served |
//! | there is no place in the queue | refused: [`Shed::QueueFull`] |
//! | it has waited for [`max_wait`](Gate::max_wait) | refused: [`Shed::QueueTimeout`] |
//! | its [`Deadline`](crate::Deadline) passes in the queue, has passed, or is nearer than its turn by all that is known | refused: [`Shed::DeadlineTooShort`] |
//! | its key has [as many](Gate::per_key) requests here as it may | refused: [`Shed::KeyOverCap`] |
//! | the gate is [closed](Gate::close) | refused: [`Shed::Closed`]; those who wait too, those in flight stay |
//! | its turn has come and its time has passed | the turn counts |
//! | the client leaves while it waits | its place is free at once, see [`buffer`](Gate::buffer) |
//! | the handler fails or panics, or its future is dropped | the permit is given back |
//! | the response body ends, fails or is dropped | the permit is given back |
//! | it carries a [`QueuePosition`] | that tells its place whenever its future is polled |
//! | the connection is upgraded (101, or 2xx to CONNECT) | the permit is given back with the head, unless it is [held](PermitHandle::hold) |
//! | the handler holds the permit | it is given back with the last of the handler's handles and the body |
//! | the gate is [resized](Gate::resize) | more permits go to those who wait, at once; fewer are not taken from anybody |
//! | the request is [exempt](Gate::exempt) | it passes, and is not counted |
//!
//! # Refusals
//!
//! A refusal never touches the inner service. It is a 503 (429 for a key over its cap; [`Gate::status`] changes it) in the
//! caller's protocol, see [`reject`](crate::reject). Its `Retry-After` is how long the queue takes to drain at the pace of
//! late, between a second and a minute, give or take a fifth by chance. Its extensions hold the [`Shed`], for a log outside
//! of this layer.
//!
//! # Choosing the numbers
//!
//! Requests in flight are arrivals a second times seconds each: 20 streams a second of 45 s each are 900 permits. A queue
//! that cannot drain within [`max_wait`](Gate::max_wait) only delays refusals; [`Gate::advice`] tells.
//!
//! Where the right number is not known or changes, [`Gate::adaptive`] finds it: [`Aimd`] lowers the limit when too many of
//! the last requests waited too long for their first byte, and raises it while they do not. How long a *stream* lasts is never
//! taken for an overload.
//!
//! # Under overload
//!
//! Ten times the load that a server can carry, for ten seconds, from clients that wait for a second: 100 permits, 100 ms of
//! work, 10,000 requests a second over HTTP/2 (`scripts/bench loads`, 2 x AMD EPYC, rustc 1.95, 2026-11-26).
//!
//! | | a gate | tower's `ConcurrencyLimit` |
//! |---|---:|---:|
//! | answered in time, a second, of 1,000 possible | 1,010 | 100 |
//! | the same in the last quarter | 968 | 0 |
//! | refused, a second; the 99th percentile of the time that took | 8,990; 3.8 ms | none |
//! | the server's memory at its peak, of 5 MiB before | 7 MiB | 32 MiB |
//!
//! # With other layers
//!
//! Outside of timeouts: their limits then count from the permit, and only the total from when the request came. The layer
//! changes the type of the request body to [`ReplayBody`], because the body of a request that waits is read ahead.
//!
//! A request that passes two layers of one gate takes two permits, one at each. When the gate is full it then waits for a
//! permit while it holds one, up to [`max_wait`](Gate::max_wait), and so may all others. Put one layer around both
//! routers, or make a gate for each.
//!
//! # What it does not do
//!
//! - It does not notice that an HTTP/1 client has left the queue whose request body is larger than
//!   [`buffer`](Gate::buffer), or who sent `Expect: 100-continue`: hyper does not look before the body has been read.
//! - It takes nothing in `poll_ready`, and is always as ready as the inner service.

mod body;
mod handle;
mod keys;
mod layer;
mod limit;
mod permit;
mod permitted;
mod position;
mod queue;
mod replay;
mod sampling;
mod shared;
mod shed;
mod stats;

pub use body::GateBody;
pub use handle::{Gate, PermitScope};
pub use layer::{GateFuture, GateLayer, GateService};
pub use limit::{Aimd, Limit, Sample};
pub use permit::{HeldPermit, PermitHandle};
pub(crate) use permitted::Permitted;
pub use position::QueuePosition;
pub use replay::ReplayBody;
pub use sampling::SampleAt;
pub use shed::Shed;
pub use stats::{GateStats, Summary};
