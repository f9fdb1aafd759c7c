//! Bytes on the wire whenever it has been silent for an interval, and never a changed event.
//!
//! Every hop between a server and its client has an idle timer, 10 to 350 s long, and cuts a response that says nothing
//! for that long. Most streams of events are silent for most of their life. So they break, in production only.
//! [`HeartbeatLayer`] writes a comment into such silences, which clients skip ([all but Google's](#what-clients-make-of-a-beat)),
//! and only where one may stand.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::time::Duration;
//! use tower_lifeline::testing::{script, timeline};
//! use tower_lifeline::{Heartbeat, HeartbeatBody};
//!
//! let slow = script("0s=a 31s=b 32s=end");
//! let body = HeartbeatBody::new(slow, Heartbeat::every(Duration::from_secs(15)));
//!
//! assert_eq!(timeline(body).await, "0s=a 15s=: 30s=: 31s=b 32s=end");
//! # }
//! ```
//!
//! It works on the bytes of any `text/event-stream`, those of a proxied upstream included, however they are cut into
//! frames.
//!
//! # What happens when
//!
//! | when | then |
//! |---|---|
//! | the inner body has something | it is passed on first and unchanged, even when a beat is due |
//! | the wire has been silent for an interval, between two events | a beat |
//! | the same, inside an event | the beat is held until the event ends: [`MidEvent`], [`HeartbeatEvent::Held`] |
//! | the same, inside a line, a BOM, or after a CR whose LF may come | the beat is held, whatever the settings |
//! | the inner body writes comments of its own | no beats, as long as it does: the wire is not silent |
//! | the inner body writes *empty* frames | the wire stays silent, so a beat |
//! | the client does not read | no beats: hyper does not poll the body. Told when it reads on: [`HeartbeatEvent::Unread`] |
//! | the task is woken in time and asks late | one beat, late: [`HeartbeatEvent::Late`] |
//! | a BOM comes after a beat that went out first | the BOM is dropped, for it would spoil the first line |
//! | there were [`most_in_a_row`](Heartbeat::most_in_a_row) beats without content | no more until there is content |
//! | trailers have been passed on, or the inner body says it is at its end | no more beats |
//! | the inner body ends | so does this one, at once |
//! | the inner body fails | so does this one, with the same error; 5 ms after a frame at the earliest, because hyper throws away what it has not flushed when a body fails |
//! | the body is dropped | so is all of it: nothing is spawned, no timer is left |
//!
//! The clock of a silence starts when somebody waits for the inner body, so the time that a slow client takes is not a
//! silence of the producer.
//!
//! # Which responses
//!
//! Those with status 200 whose `Content-Type` is `text/event-stream` ([`HeartbeatLayer::select`] changes that, and
//! [`HeartbeatLayer::nd_json`] adds newline-delimited JSON). Whatever was selected, a response is left alone
//!
//! - when it has no body: to HEAD, to CONNECT, 1xx, 204, 205, 304 (RFC 9110, sections 6.4.1 and 9.3.6);
//! - when its length is known, from `Content-Length` or from its body: added bytes would be taken for the next response;
//! - when it has a `Content-Encoding` other than `identity`, or a `Transfer-Encoding` other than `chunked`. Put this
//!   layer *inside* compression, and let the compressor flush each frame;
//! - when somebody vouches for its bytes: status 206, `Content-Range`, a digest field (also one that is announced for the
//!   trailers), a strong `ETag`.
//!
//! Without `select`, content types that have no comments (gRPC, multipart, JSON) never get any.
//!
//! # Headers
//!
//! A response that gets a heartbeat also gets `X-Accel-Buffering: no`, `Cache-Control: no-cache, no-transform` and
//! `Incremental: ?1` (RFC 10036), each only where the handler has not set it. [`HeartbeatLayer::keep_headers`] leaves
//! them alone.
//!
//! # Clients that take silence for death
//!
//! A connection can be dead without anybody being told. With [`HeartbeatLayer::declare_interval`] a response says how long
//! its wire is ever silent, in the header `Heartbeat-Interval` (seconds, a decimal of RFC 9651), and a client can give up on
//! a stream that is silent for longer. Twice as long is a good limit: a beat can be held by an event that is half
//! written. Count raw bytes, below any parser of events: beats are comments, which parsers swallow.
//!
//! JavaScript, with `fetch` (an `EventSource` shows neither headers nor comments; from another origin the server has to
//! list the header in `Access-Control-Expose-Headers`):
//!
//! ```js
//! const abort = new AbortController();
//! const response = await fetch("/events", { signal: abort.signal });
//! const limit = 2000 * Number(response.headers.get("heartbeat-interval") ?? 30);
//! const reader = response.body.getReader();
//! for (;;) {
//!     const timer = setTimeout(() => abort.abort(new Error("the stream is dead")), limit);
//!     const { done, value } = await reader.read();
//!     clearTimeout(timer);
//!     if (done) break;
//!     parse(value);
//! }
//! ```
//!
//! Python 3.11, with `httpx`:
//!
//! ```py
//! async with client.stream("GET", "/events", timeout=httpx.Timeout(10, read=None)) as response:
//!     limit = 2 * float(response.headers.get("heartbeat-interval", 30))
//!     clock = asyncio.get_running_loop().time
//!     async with asyncio.timeout(limit) as timer:
//!         async for chunk in response.aiter_raw():
//!             timer.reschedule(clock() + limit)
//!             parse(chunk)
//! ```
//!
//! Rust, with a limit of this crate around a client's body, for which every byte counts:
//!
//! ```
//! # fn read<B: http_body::Body<Data = bytes::Bytes>>(response: http::Response<B>) -> tower_lifeline::TimeoutBody<B> {
//! use std::time::Duration;
//! use tower_lifeline::{TimeoutBody, Timeouts};
//!
//! let interval = response.headers().get("heartbeat-interval").and_then(|value| value.to_str().ok()?.parse().ok());
//! let limit = Duration::try_from_secs_f64(2.0 * interval.unwrap_or(30.0)).unwrap_or(Duration::MAX);
//! let limits = Timeouts::new().first_byte(limit).inter_chunk(limit);
//! let body = TimeoutBody::new(response.into_body(), limits);
//! # body }
//! ```
//!
//! # Choosing the numbers
//!
//! At most half of the shortest idle limit on the way. The default of 15 s serves limits of 30 s and more (nginx, ALB, Fly:
//! 60 s). Heartbeats do not help against a limit on the *first byte* before the handler has answered, or on the *age* of
//! a response.
//!
//! # With other layers
//!
//! Inside compression, outside of everything that gives the response its content type. It may be stacked on itself or on
//! axum's `KeepAlive`: the outer one is silent as long as the inner one beats often enough. The inner one does not see the
//! outer's beats, so give the inner one the shorter interval.
//!
//! In axum, for one route only:
//!
//! ```
//! use std::time::Duration;
//! use axum::{Extension, Router, middleware, response::Response, routing::get};
//! use tower_lifeline::{Beat, HeartbeatLayer, HeartbeatOverride};
//!
//! async fn one_block_a_beat(mut response: Response) -> Response {
//!     response.extensions_mut().insert(HeartbeatOverride::new().beat(Beat::comment_block("")));
//!     response
//! }
//!
//! let app: Router = Router::new()
//!     .route("/events", get(|| async { "with the layer's heartbeat" }))
//!     .route("/quiet", get(|| async { (Extension(HeartbeatOverride::off()), "without") }))
//!     .route("/mcp", get(|| async { "another" }).layer(middleware::map_response(one_block_a_beat)))
//!     .layer(HeartbeatLayer::every(Duration::from_secs(15)));
//! ```
//!
//! # Other bodies
//!
//! A body's `Data` must be [`Bytes`](bytes::Bytes), as it is in axum, hyper, tonic and reqwest. With
//! [`http_body_util::BodyExt::map_frame`](https://docs.rs/http-body-util/latest/http_body_util/trait.BodyExt.html#method.map_frame)
//! any other becomes one:
//!
//! ```
//! # use std::{collections::VecDeque, convert::Infallible};
//! use bytes::Buf;
//! use http_body_util::{BodyExt, Full};
//! use tower_lifeline::{Heartbeat, HeartbeatBody};
//!
//! # let other = Full::new(VecDeque::from(*b"data: a\n\n"));
//! let other = other.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
//! let body = HeartbeatBody::new(other, Heartbeat::default());
//! ```
//!
//! # What clients make of a beat
//!
#![doc = include_str!("clients.md")]
//!
//! So the comment line is the default, and no form suits everybody: give another to the routes of a client that needs it, or
//! by its request with a [`HeartbeatOverride`]. Readers of Google's API need [`Beat::none`] (Python), or a comment block
//! (JavaScript).
//!
//! # What it does not do
//!
//! - It does not notice a client that stopped reading: beats are small, and the kernel takes thousands of them.
//! - It does not beat before the handler has answered. [`EarlyLayer`](crate::EarlyLayer) can.
//! - It does not tell the *client* that the producer is alive; only an event can, and a layer does not know. See
//!   [`Beat`].
//! - A comment that begins in the middle of a chunk and is cut by its end is taken for a field until the next blank line.
//!   That can hold a beat; it cannot change an event.

mod beat;
mod body;
mod event;
mod headers;
mod layer;
mod missed;
mod news;
mod pace;
mod plan;
mod pulse;
mod select;
mod settings;

pub use beat::Beat;
pub use body::HeartbeatBody;
pub use event::{Beats, HeartbeatEvent};
pub(crate) use headers::ask_not_to_buffer;
pub use layer::{HeartbeatFuture, HeartbeatLayer, HeartbeatService};
pub(crate) use news::News;
pub use pace::Pace;
pub(crate) use plan::Plan;
pub(crate) use pulse::{Due, Pulse};
pub use settings::{Heartbeat, HeartbeatOverride, MidEvent, Rhythm};
