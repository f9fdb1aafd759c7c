//! Who ended a stream, and why; and what on the way cuts them.
//!
//! "Disconnected before response completed" is all that anybody sees of a stream that breaks. Who did it, in which phase, how
//! old the stream was and how long it had been silent is known nowhere. [`ObserveLayer`] writes one [`StreamReport`] for each
//! request, whatever happens to it, and names the idle timer or the lifetime cap that cuts streams from when they break.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::convert::Infallible;
//! use std::sync::mpsc;
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_lifeline::observe::{EndCause, ObserveLayer, Observer, StreamReport};
//! use tower_lifeline::testing::script;
//!
//! let (reports, told) = mpsc::channel();
//! let observer = Observer::new().sink(move |report: &StreamReport| reports.send(report.clone()).unwrap());
//! let handler = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(script("2s=a 40s=b"))));
//! let service = ObserveLayer::new(&observer).layer(handler);
//!
//! let mut body = service.oneshot(Request::new(())).await.unwrap().into_body();
//! body.frame().await.unwrap().unwrap();
//! let _ = tokio::time::timeout(std::time::Duration::from_secs(30), body.frame()).await;
//! drop(body); // the client leaves
//!
//! let report = told.recv().unwrap();
//! assert_eq!((report.cause, report.code()), (EndCause::Abandoned, "CS"));
//! assert_eq!((report.age.as_secs(), report.silence.as_secs(), report.frames), (32, 30, 1));
//! # }
//! ```
//!
//! # What happens when
//!
//! | when | then |
//! |---|---|
//! | a request comes in | each [`Sink`] is told: [`Sink::opened`] |
//! | the body ends, or its announced length has gone out, or the response has no body (HEAD, 204, 304) | reported: [`EndCause::Finished`] |
//! | the future or the body is dropped before, and nobody of us has said why | reported: [`EndCause::Abandoned`]; it counts as a disconnect for the inference |
//! | the handler or its body fails | reported: [`EndCause::Failed`], or [`EndCause::UpstreamFailed`] where the response has an [`Upstream`] |
//! | the handler or its body panics | reported: [`EndCause::Panicked`] |
//! | a layer inside of this one ends it: a limit, a gate, a drain | reported as its doing, whether it looks like an end, an error or an answer; of two the first |
//! | it fails behind an early head | reported as a failure, although the stream ends well; both heads are in [`headers`](StreamReport::headers) and [`late_headers`](StreamReport::late_headers) |
//! | a client stops reading until a stall layer takes the body away, or until the server ends behind a drain's deadline | reported when hyper drops the body: [`EndCause::Stalled`], [`EndCause::DrainCut`] |
//! | disconnects of a path class cluster | once: a [`Finding`] to each sink, and in [`Observer::findings`] |
//! | a stream is polled on after its end | nothing more: there is one report a request |
//! | a sink panics | its panic goes to the panic hook and no farther; the other sinks are told |
//!
//! # Codes
//!
//! [`StreamReport::code`] has two letters, as HAProxy's log has them: who ended it, and how far it had got.
//!
//! | first | who | second | when |
//! |---|---|---|---|
//! | `-` | nobody: it came to its own end (`--`) | `Q` | in a gate's queue |
//! | `C` | the client, or something between it and here | `H` | no response head yet |
//! | `S` | the server: an error or a panic | `B` | a head, but no first byte of content |
//! | `U` | the upstream, where it was marked | `S` | streaming |
//! | `T` | a timer: a limit, or a client that did not read | | |
//! | `D` | a drain, or the age of the stream | | |
//! | `G` | a gate | | |
//!
//! # Where reports go
//!
//! To closures, to anything that is a [`Sink`], to `tracing` (feature `tracing`: `TracingSink`, one span a stream and one event at its end)
//! and to the `metrics` facade (feature `metrics`: the module `metrics`, whose constants are the names). `examples/metrics.rs` serves them to
//! Prometheus and has the lines of PromQL that answer "who cuts my streams", which the module `metrics` shows, too.
//!
//! # Who cuts streams
//!
//! An idle timer cuts streams at one silence, a lifetime cap at one age, and people leave at any time. [`Inference`] says how
//! they are told apart, with which doubt, and in how much memory. Give streams that go different ways different
//! [path classes](Observer::path_class).
//!
//! [`StreamReport::is_suspect`] marks streams whose first data came later than 5 s and that were dropped within 60 s. Many of
//! them in one class, and few in others, are what a proxy leaves behind that holds responses back.
//!
//! # Heartbeats that find their interval
//!
//! [`Heartbeat::adaptive`](crate::Heartbeat::adaptive) begins with its shortest interval, and tries longer ones only when an
//! operator says so. Where streams then break, an idle timer is inferred, and new streams beat twice as often as it needs.
//! Simulated (`tests/it/pace.rs`, drawn by `scripts/pace-plot`): a way with an idle timer of 60 s, probed once an hour; after five
//! hours it becomes one of 20 s. A circle is a stream that broke.
//!
#![doc = include_str!("pace.svg")]
//!
//! # Resolution
//!
//! A ready frame reads no clock. Times are taken when somebody waits for the body for the first time, and when somebody
//! waits again behind bytes. hyper does that at once, so they are sharp to the moment as long as the client reads. While it
//! does not, its time counts too: in [`largest_gap`](StreamReport::largest_gap), in the time to the first byte, and not in
//! the silence at the end. The time that a stream's client did not read is known only where somebody watches for it.
//!
//! # What it costs
//!
//! Instructions by callgrind (`scripts/instructions`), as in the README: 75 on a ready frame of a bare body, 93 on one of an
//! event stream, and 339 and 357 on an awaited one, a clock reading among them; within hyper's HTTP/1 95 and 351, which is
//! 1.10 and 1.22 times what hyper takes alone. A plain response of an axum app costs 4,947 more than without any layer. A disconnect
//! costs the inference a look at its 128 predecessors. A stream's report takes 456 bytes until it is sent.
//!
//! # Choosing the numbers
//!
//! - `Heartbeat::adaptive(min, max)`: `min` is half of the shortest idle timer that you have ever met, because it is what streams
//!   begin with; 5 s is safe nearly everywhere. `max` is the longest interval that you would want to save anything by.
//! - Path classes: as few as there are ways. A class has to lose 15 streams before anything is named.
//! - How often something is named that is not there: each disconnect is looked at twice, by its silence and by its age, and
//!   chance makes a finding of at most one look in ten million; see [`Inference`].
//!
//! # With other layers
//!
//! Outside of all of them, so that it sees what the client gets. They note what they decide in the request's extensions,
//! and only when an observer is there. Of two observers both are told the same. Something in between that makes another
//! answer of a refusal, or tries again, does not take back what was noted: the report says that it was refused.
//!
//! # What it does not do
//!
//! - It does not know who of all that is in between has closed a connection. *Client* is whoever did.
//! - A client that hangs up by itself at one age, or after one silence, is a cap or a timer to it; and rightly so.
//! - The status and the trailers of gRPC are not looked at.
//! - An upgraded connection ends with its head.

mod body;
mod cause;
mod draft;
mod inference;
mod layer;
#[cfg(feature = "metrics")]
pub mod metrics;
mod names;
mod observer;
mod report;
mod seen;
mod sink;
mod span;
#[cfg(feature = "tracing")]
mod trace;

pub use body::ObserveBody;
pub use cause::{EndCause, EndedBy, Upstream, When};
pub(crate) use draft::Draft;
pub use inference::{Disconnect, Finding, FindingKind, Inference};
pub use layer::{ObserveFuture, ObserveLayer, ObserveService};
pub use observer::Observer;
pub use report::{Opening, StreamReport};
pub use sink::Sink;
pub(crate) use span::Span;
#[cfg(feature = "tracing")]
pub use trace::TracingSink;
