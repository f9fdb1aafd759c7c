//! Documentation only: which layer, in which order, with which numbers, and the words.
//!
//! # Which layer
//!
//! | what you see | what helps |
//! |---|---|
//! | streams end after exactly 60 s, or 120 s, or 350 s of silence | [`HeartbeatLayer`](crate::HeartbeatLayer) |
//! | the client gets nothing at first, then everything at once | a proxy buffers: the headers that `HeartbeatLayer` adds, and [`Heartbeat::pad_first`](crate::Heartbeat::pad_first) |
//! | bursts of small events come 40 ms late | [`TCP_NODELAY`](#nagles-algorithm) |
//! | a hung producer keeps its stream open for ever | [`Timeouts::first_byte`](crate::Timeouts::first_byte), and [`Timeouts::inter_chunk`](crate::Timeouts::inter_chunk) behind the first content |
//! | a request is cut before the handler has answered | [`EarlyLayer`](crate::EarlyLayer), and read first [what it costs](crate::early#what-it-costs) |
//! | a request waits for minutes before its first byte | [`Timeouts::headers`](crate::Timeouts::headers), [`Timeouts::first_byte`](crate::Timeouts::first_byte) |
//! | slow uploads hold handlers | [`RequestBodyTimeoutLayer`](crate::RequestBodyTimeoutLayer) |
//! | work goes on for clients that have given up | [`DeadlineLayer`](crate::DeadlineLayer) |
//! | a deploy hangs on open streams, or cuts them and all clients come back at once | [`DrainLayer`](crate::DrainLayer) |
//! | a hop ends streams at a fixed age | [`DrainLayer::max_age`](crate::DrainLayer::max_age) |
//! | under load everybody waits and nobody is served | [`GateLayer`](crate::GateLayer) |
//! | clients that stop reading hold producers and permits | [`StallLayer`](crate::StallLayer) |
//! | streams break, and nobody can say who ends them | [`ObserveLayer`](crate::ObserveLayer), which names what on the way cuts them |
//!
//! More symptoms, by where they are seen: [`troubleshooting`]. Where you come from: [axum's `KeepAlive`](from_keep_alive),
//! [tower-http's timeouts](from_tower_http), [`ConcurrencyLimit` and `LoadShed`](from_concurrency_limit).
//!
//! # In which order
//!
//! [`Lifeline`](crate::Lifeline) knows. By hand, from the outside in; with tower's `ServiceBuilder`, from the first line to the
//! last:
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_lifeline::{
//!     DeadlineHeader, DeadlineLayer, Drain, DrainLayer, EarlyLayer, Gate, GateLayer, HeartbeatLayer, ObserveLayer,
//!     Observer, RequestBodyTimeoutLayer, StallLayer, TimeoutLayer, Timeouts,
//! };
//!
//! let (observer, drain, gate) = (Observer::new(), Drain::new(), Gate::new(512));
//! let layers = ServiceBuilder::new()
//!     .layer(ObserveLayer::new(&observer))
//!     .layer(StallLayer::new(Duration::from_secs(60)))
//!     .layer(DrainLayer::new(&drain))
//!     .layer(DeadlineLayer::new().trust(DeadlineHeader::RequestTimeout))
//!     .layer(EarlyLayer::after(Duration::from_secs(10)))
//!     .layer(HeartbeatLayer::every(Duration::from_secs(15)))
//!     .layer(RequestBodyTimeoutLayer::new().gap(Duration::from_secs(30)))
//!     .layer(GateLayer::new(&gate))
//!     .layer(TimeoutLayer::new(Timeouts::new().inter_chunk(Duration::from_secs(90))));
//! # let _ = layers;
//! ```
//!
//! - The observer outermost: it hears what all others decide, and counts what the client gets.
//! - The stall layer around all that hold something: it sees what is taken of the stream in the end, a beat too, and drops
//!   all that is inside. A permit that is outside of it is not given back.
//! - Then the drain: whatever waits or is refused further in has somebody to tell it that the server stops.
//! - Deadlines next: an early head beats as often as the caller asks for, the gate does not let a request wait longer than
//!   its deadline, and the timeouts end it in time.
//! - Then an early head, and only if you want it: it turns what all that follows refuses after its threshold into errors in
//!   the stream.
//! - The heartbeat outside of the timeouts: it then also covers the wait for a slow first byte. The other way round works as
//!   well, because beats are no content.
//! - The limits of the upload around the gate, which reads the body of a request that waits.
//! - The gate outside of the timeouts, so that their clocks start when a request has its permit; only the total counts from
//!   when it came.
//! - Compression outside of the heartbeat, and flushing each frame; or not at all for event streams, as tower-http does.
//!
//! `Router::layer` in axum adds to the outside, so there the last line is the outermost.
//!
//! The order is no matter of taste. One permit, a request that waits 4 s for it, a handler that takes 3 s, and a headers
//! limit of 5 s:
//!
//! ```
//! # use std::{convert::Infallible, time::Duration};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
//! # use tower_lifeline::{Gate, GateLayer, TimeoutLayer, Timeouts};
//! # async fn handler<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
//! #     tokio::time::sleep(Duration::from_secs(3)).await;
//! #     Ok(Response::new(Full::default()))
//! # }
//! # async fn taken(gate: &Gate) {
//! #     let busy = service_fn(|_: Request<_>| async {
//! #         tokio::time::sleep(Duration::from_secs(4)).await;
//! #         Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! #     });
//! #     tokio::spawn(GateLayer::new(gate).layer(busy).call(Request::new(Full::<Bytes>::default())));
//! #     tokio::task::yield_now().await;
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! # let request = || Request::new(Full::<Bytes>::default());
//! let timeouts = TimeoutLayer::new(Timeouts::new().headers(Duration::from_secs(5)));
//!
//! let gate = Gate::new(1);
//! # taken(&gate).await;
//! let inside = ServiceBuilder::new().layer(GateLayer::new(&gate)).layer(timeouts.clone()).service_fn(handler);
//! assert_eq!(inside.oneshot(request()).await.unwrap().status(), 200); // after 7 s
//!
//! let gate = Gate::new(1);
//! # taken(&gate).await;
//! let outside = ServiceBuilder::new().layer(timeouts).layer(GateLayer::new(&gate)).service_fn(handler);
//! assert_eq!(outside.oneshot(request()).await.unwrap().status(), 504); // after 5 s
//! # }
//! ```
//!
//! # With which numbers
//!
//! - The heartbeat's interval: at most half of the shortest idle limit on the way. 15 s suits limits of 30 s and more.
//! - Inter-chunk: longer than the longest pause that a healthy producer makes. It has nothing to do with the proxies: the
//!   heartbeat takes care of those.
//! - Headers and first byte: what a client will really wait for.
//! - The stall limit: longer than the slowest client takes for 1.6 MB, see [`stall`](crate::stall#choosing-the-numbers).
//! - The gate: requests in flight are arrivals a second times seconds each. [`Gate::advice`](crate::Gate::advice) tells when a
//!   queue is too long to be of use.
//!
//! # Nagle's algorithm
//!
//! `axum::serve` leaves Nagle's algorithm on. A response that is written in several small pieces can then stall for 40 ms at a
//! time, against the client's delayed acknowledgements. Turn it off:
//!
//! ```no_run
//! use axum::serve::ListenerExt;
//!
//! # async fn serve(app: axum::Router) -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
//! axum::serve(listener, app).await
//! # }
//! ```
//!
//! # What stands in between
//!
//! nginx holds small events back mostly when it talks HTTP/1.0 to the server, its default for a long time: set
//! `proxy_http_version 1.1`, and let `X-Accel-Buffering: no` through. A heartbeat keeps a buffered stream alive without making
//! it any faster.
//!
//! # The words
//!
//! | word | meaning |
//! |---|---|
//! | beat | what is written into a silence |
//! | silence | a time in which nobody has written anything, counted from when somebody waits for it |
//! | boundary | a place between two events or messages, where something may be inserted |
//! | content | what the producer says, unlike comments and other signs of life |
//! | phase | a part of an exchange that can have a limit of its own |
//! | refusal | an answer that the handler did not give, before the response head |
//! | early head | a head that the handler did not give, sent because it takes too long |
//! | splice | to put the handler's answer into a stream that has begun without it |
//! | ending | what a stream says when it ends too early, behind the head |
//! | deadline | the moment by which everything about a request should be over |
//! | permit | the right to be in flight |
//! | shed | to refuse because there is too much to do |
//! | drain | to let everybody leave who is here, because the server stops |
//! | goodbye | what a stream says when it leaves though nothing has failed |
//! | stall | a reader takes nothing while there is something to take |
//! | report | what is known of a stream when it has ended: who ended it, when, and what it had seen |
//! | path class | streams that go the same way through the world, so that what cuts the one cuts the others |
//! | finding | something on the way that was named by when streams break off |

pub mod from_concurrency_limit;
pub mod from_keep_alive;
pub mod from_tower_http;
pub mod troubleshooting;
