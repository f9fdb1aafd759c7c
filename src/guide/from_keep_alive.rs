//! From axum's `KeepAlive`.
//!
//! What you have, in each handler:
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use axum::response::sse::{Event, KeepAlive, Sse};
//! use futures_util::stream::{self, Stream};
//!
//! async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     Sse::new(stream::pending()).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
//! }
//! # let _ = events;
//! ```
//!
//! What you write instead, once:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::{convert::Infallible, time::Duration};
//! use axum::response::sse::{Event, Sse};
//! use axum::{Router, routing::get};
//! use futures_util::stream::{self, Stream};
//! use tower_lifeline::HeartbeatLayer;
//!
//! async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     Sse::new(stream::pending())
//! }
//!
//! let app: Router = Router::new()
//!     .route("/events", get(events))
//!     .layer(HeartbeatLayer::every(Duration::from_secs(15)));
//!
//! # use tower::ServiceExt;
//! # let request = http::Request::get("/events").body(axum::body::Body::empty()).unwrap();
//! # let body = app.oneshot(request).await.unwrap().into_body();
//! # let line = tower_lifeline::testing::timeline_for(body, Duration::from_secs(40)).await;
//! # assert_eq!(line, "15s=: 30s=: 40s=open");
//! # }
//! ```
//!
//! # What is the same
//!
//! | `KeepAlive` | here |
//! |---|---|
//! | `.interval(d)`, 15 s by default | [`Heartbeat::every`](crate::Heartbeat::every), the same default |
//! | `.text("still here")` | [`Beat::comment_block`](crate::Beat::comment_block)`("still here")`, or [`comment_line`](crate::Beat::comment_line) without the blank line |
//! | `.event(Event::default().event("ping").data("{}"))` | [`Beat::event`](crate::Beat::event)`("ping", "{}")` |
//! | counts from the last event | the same: [`Rhythm::Silence`](crate::Rhythm) |
//!
//! # What is not
//!
//! - The default beat is a comment *line*, `:⏎`. `KeepAlive` writes `:⏎⏎`, and some clients take the blank line for an event.
//!   Who wants that writes `Heartbeat::default().beat(Beat::comment_block(""))`.
//! - Responses that axum's `Sse` has not made get beats as well, a proxied upstream's for one. What must be left alone says
//!   so by a [`HeartbeatOverride`](crate::HeartbeatOverride) in its extensions.
//! - Leave a `KeepAlive` where it is, and nothing breaks: the layer is silent as long as the `KeepAlive` inside of it beats
//!   often enough.
