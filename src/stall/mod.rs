//! Takes a response's body away from a client that has stopped reading it.
//!
//! hyper asks a body for its next frame only when there is room for it. A client that stops reading stops the asking,
//! so no timer inside the body is ever looked at again: the producer, its database connection, its permit and its
//! buffers are held for as long as the client likes. [`StallLayer`] notices from outside that a frame was taken and
//! nobody has asked for the next one, and drops the body although nobody polls it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_lifeline::BoxError> {
//! use std::time::Duration;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_lifeline::testing::script;
//! use tower_lifeline::{BoxError, Gate, GateLayer, StallError, StallLayer};
//!
//! let gate = Gate::new(1);
//! let service = ServiceBuilder::new()
//!     .layer(StallLayer::new(Duration::from_secs(30)))
//!     .layer(GateLayer::new(&gate))
//!     .service(service_fn(|_: Request<_>| async {
//!         Ok::<_, BoxError>(Response::new(script("0s=a 0s=b 0s=c 0s=end")))
//!     }));
//!
//! let mut body = service.oneshot(Request::new(Full::<bytes::Bytes>::default())).await?.into_body();
//! assert!(body.frame().await.is_some());
//! tokio::time::sleep(Duration::from_secs(32)).await; // and then nobody reads
//! assert_eq!(gate.stats().in_flight, 0);
//!
//! let error = body.frame().await.unwrap().unwrap_err();
//! assert!(error.is::<StallError>());
//! # Ok(()) }
//! ```
//!
//! # What happens when
//!
//! | when | then |
//! |---|---|
//! | a frame was taken, and nobody has asked for the next one for the limit | the body is dropped, and with it whatever it holds |
//! | the head was taken, and nobody has asked for the first frame | the same |
//! | a reader reads on in time | nothing |
//! | a reader reads on too late | it gets a [`StallError`]: over HTTP/1 the connection is cut, an HTTP/2 stream is reset (with `CANCEL`, when the feature `h2` is on) |
//! | the body was asked and has nothing now | it waits for its producer, and is never stalled |
//! | the body is at work, inside of a poll | the same |
//! | less than the [minimum rate](StallLayer::min_rate) is taken | the body is dropped |
//! | the whole runtime stands still | that does not count |
//! | the body says with a frame that it was the last one | it is dropped at once; hyper would keep it over HTTP/2 until the client has taken that frame |
//! | the inner body fails right behind a frame | the error comes 5 ms after the frame, or hyper would throw the frame away |
//! | all streams wait for their producers, or are gone | nothing runs: the watchdog ends by itself |
//! | the watchdog's runtime is shut down | the next stream starts another watchdog |
//! | a hook panics, or a body while it is dropped | the panic ends there: the others are looked at as ever |
//! | the body is dropped | so is the inner one |
//!
//! A body is dropped a sixteenth of the limit too late at the most, and two milliseconds; never too early. Whose
//! connection is ended, too, is said [below](#the-connection).
//!
//! # The watchdog
//!
//! One task a layer, on the runtime of the stream that started it. It is the only thing that this crate spawns. Sixteen
//! times in a limit it looks at those streams that have given a frame and have not been found waiting since. It never
//! waits for a stream, and drops bodies under no lock.
//!
//! # Choosing the numbers
//!
//! Taken is what hyper has taken, and in front of the client there are still hyper's queue (up to 16 frames or 400 KiB)
//! and the kernel's buffers. A kernel asks for more when it has sent about a third of what it had; over HTTP/1, with Linux's
//! default of 4 MiB (`net.ipv4.tcp_wmem`), that was some 1.4 MB: a client that read 255 KB/s on a fast network let 5.6 s
//! pass between two frames, one with 1 MB/s 1.4 s. Over HTTP/2, with hyper's windows, it was less than 0.1 s
//! (`scripts/bench loads`, 2026-11-26). So the limit is, with some room, at least 1.6 MB divided by the slowest client's
//! rate: 60 s allow 27 KB/s. Smaller send buffers allow shorter limits.
//!
//! The same goes for the time of a [minimum rate](StallLayer::min_rate). Without one, a client can hold a stream open
//! by taking a frame per limit.
//!
//! A token stream rarely stalls: what a client does not read of it fits into the kernel's buffers for a long time. See
//! [`set_user_timeout`] for peers that are dead.
//!
//! # The connection
//!
//! The layer alone ends no connection, for a body cannot. Where that is wanted, too, each of these can be added, or
//! stand alone:
//!
//! - a [`ConnectionHandle`] among the request's extensions: the layer ends the connection when it drops the body. With
//!   the feature `serve`, [`AbortableListener`] and [`Connections`] put it there for `axum::serve`; with hyper by hand,
//!   [`AbortableIo`] has one.
//! - the write limit of an [`AbortableListener`] or [`AbortableIo`];
//! - [`set_user_timeout`] on the sockets (feature `socket2`, Linux).
//!
//! | | `StallLayer` | with a handle | write limit | `TCP_USER_TIMEOUT` |
//! |---|---|---|---|---|
//! | HTTP/1, a client that does not read: the body is dropped | yes | yes | yes | yes |
//! | its connection is ended | when it reads on | yes | yes | yes |
//! | HTTP/2, a client that does not read a stream: the body is dropped | yes | yes | no | no |
//! | its connection is ended | no; the stream is when it reads on | with [`Disconnect::Always`] | no | no |
//! | a dead peer, a fast stream: the body is dropped | yes | yes | HTTP/1 only | yes |
//! | a dead peer, a slow stream | no | no | no | yes |
//! | a client that is slow and moves is left alone | yes, down to the minimum rate | yes | yes | yes |
//!
//! A connection that is ended by [`AbortableListener`] is reset. Closing it would leave up to 4 MiB with the kernel for
//! as long as the client lives. `TCP_USER_TIMEOUT` is looked at when the kernel retransmits, which took up to half a
//! limit longer.
//!
//! # With other layers
//!
//! Outside of everything that has a body: it sees what is taken, and drops what is inside. Outside of the gate, so that
//! the permit is given back. Outside of heartbeats, because a beat is often the last thing that a client makes room
//! for, and from inside the stream then seems to wait for its producer. Outside of timeouts, whose own timers are not
//! looked at while nobody asks. Outside of compression, which asks for more than it gives. For layers inside, a stall
//! is a drop. In axum it is the last `layer`, but for an observer's.
//!
//! # What it costs
//!
//! A ready frame takes one lock that nobody else holds, and 111 instructions more than the bare body's 53; inside
//! hyper's HTTP/1 114 more than 906. An awaited frame takes 199 more than 422. A plain response of an axum app takes
//! 12,243, and 10,812 with a layer that only maps the body. A stream of an axum body takes 96 bytes inline and 184 on
//! the heap, the inner body included. While it waits for its producer it costs nothing: 10,000 of them made no
//! measurable load, and no task was there. Of 10,000 that were all to be looked at, a look took about a millisecond, a
//! sixteenth of the limit apart. (2 x AMD EPYC, rustc 1.95, 2026-11-26; `scripts/instructions`.)
//!
//! # What it does not do
//!
//! - It does not reset a single HTTP/2 stream before its client reads on: that takes an executor of our own under
//!   hyper, which `axum::serve` has no place for. The stream stays open, without its body.
//! - It does not notice a client that stops reading while the producer is silent, until the next frame has been taken
//!   and, behind it, room has run out.
//! - It does not notice that an HTTP/2 client takes back room that it had given, while the stream waits for its
//!   producer.
//! - It has nothing to do with uploads: see [`RequestBodyTimeoutLayer`](crate::RequestBodyTimeoutLayer).

mod body;
mod connection;
mod error;
mod layer;
mod list;
#[cfg(feature = "serve")]
mod serve;
mod slot;
#[cfg(all(feature = "socket2", any(target_os = "android", target_os = "linux")))]
mod socket;
mod watch;
mod watchdog;

pub use body::StallBody;
pub use connection::{AbortableIo, ConnectionHandle};
pub use error::StallError;
pub(crate) use layer::Watching;
pub use layer::{Disconnect, StallFuture, StallLayer, StallService};
#[cfg(feature = "serve")]
pub use serve::{AbortableListener, Connections, Peer};
pub(crate) use slot::{Above, Slot};
#[cfg(all(feature = "socket2", any(target_os = "android", target_os = "linux")))]
pub use socket::set_user_timeout;
