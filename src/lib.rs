//! tower layers that keep long-lived HTTP responses alive, bounded and explainable.
//!
//! An LLM answer, an MCP tool call, a feed of progress: one HTTP response that lives for seconds to hours and is silent
//! for most of it. Every hop in front of it has an idle timer, so it is cut in production only. This crate is a
//! collection of layers that any axum, hyper or tonic service opts into:
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//! use axum::Router;
//! use axum::response::sse::{Event, Sse};
//! use axum::routing::get;
//! use futures_core::Stream;
//! use tower_lifeline::HeartbeatLayer;
//!
//! async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     Sse::new(futures_util::stream::pending()) // says nothing for hours
//! }
//!
//! let app: Router = Router::new()
//!     .route("/events", get(events))
//!     .layer(HeartbeatLayer::every(Duration::from_secs(15)));
//!
//! # let _ = async {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await?;
//! # Ok::<_, std::io::Error>(()) };
//! ```
//!
//! # The layers
//!
//! | layer | what it does |
//! |---|---|
//! | [`HeartbeatLayer`] | bytes on the wire when it falls silent, never inside an event |
//! | [`TimeoutLayer`] | a limit for each phase (headers, first byte, inter-chunk, total), and an end that the caller understands |
//! | [`RequestBodyTimeoutLayer`] | the same for the upload |
//! | [`DeadlineLayer`] | reads how long the caller will wait, where you trust it to say so; [`Deadline`] bounds your own calls |
//! | [`ConnectTimeoutLayer`] | on a client: limits the time to a connection; [`TimeoutLayer`] works there, too |
//! | [`PropagateDeadlineLayer`] | on a client: tells the next server how much of a caller's time is left |
//! | [`GateLayer`] | bounds concurrency up to the end of the *body*; the rest waits for a bounded time, or is refused with an answer |
//! | [`DrainLayer`] | when the server stops, streams leave between two events, spread over a window, with a goodbye; old streams make room |
//! | [`EarlyLayer`] | bytes on the wire while the handler still thinks: an early head, beats, and the answer when it comes |
//! | [`ObserveLayer`] | reports who ended each stream and why, and names what on the way cuts them |
//! | [`StallLayer`] | takes the body away from a client that has stopped reading, and its permit with it |
//! | [`Lifeline`] | all of a server's in the one right order, as one service with one body; presets for SSE, LLM, MCP, gRPC and plain responses |
//!
//! [`guide`] says which of them, in which order and with which numbers.
//!
//! # What all of them keep to
//!
//! - The inner body's bytes, trailers and errors pass unchanged and in order. Four things are excepted, and stand on their
//!   layers' pages: the answer behind an early head, a BOM behind a first beat, an error that waits for 5 ms behind a frame,
//!   and whatever follows an end that a limit, a drain or a stall has made.
//! - What is ready goes first; timers come second.
//! - `size_hint` and `is_end_stream` stay true, so a plain response keeps its `Content-Length`.
//! - A layer that has nothing to do with a response costs a look at its head, and the passing on of its body.
//! - Nothing is spawned, but for one task of a [`StallLayer`]. Dropping a future or a body gives everything back.
//! - A wrong setting is refused when it is made. Every panicking setter has a `try_` twin.
//!
//! Bodies must be polled inside a tokio runtime with its timer enabled, and carry `Data = Bytes`.
//!
//! # Features
//!
//! All layers are always here. Features add what needs a dependency, or is only for tests:
//!
//! - `axum`: [`Deadline`] as an argument of axum handlers, and the path that axum has matched in reports.
//! - `config`: settings from the environment, or from a file by way of serde.
//! - `h2`: an HTTP/2 stream that a limit, a drain or a stall aborts is reset with `CANCEL` instead of `INTERNAL_ERROR`.
//! - `metrics`: reports as metrics of the `metrics` facade.
//! - `serve`: [`stall::AbortableListener`], connections of `axum::serve` that can be ended.
//! - `signal`: [`Drain::on_signal`] listens to SIGINT and SIGTERM.
//! - `socket2`: [`stall::set_user_timeout`], on Linux.
//! - `tracing`: reports as events of `tracing`, and warnings of heartbeats that were missed.
//! - `test-util`: [`testing`], streams as lines of text for tests of your own.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
#[cfg(feature = "config")]
pub mod config;
pub mod deadline;
mod dialect;
pub mod drain;
pub mod early;
mod error;
pub mod gate;
pub mod guide;
pub mod heartbeat;
mod jitter;
pub mod observe;
pub mod path;
pub mod reject;
pub mod stack;
pub mod stall;
mod sync;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
pub mod timeout;
#[cfg(feature = "tracing")]
mod warn;

pub use body::StreamEnd;
#[cfg(feature = "config")]
pub use config::Config;
pub use deadline::{
    Deadline, DeadlineExceeded, DeadlineHeader, DeadlineLayer, HeadDeadline, PropagateDeadlineLayer,
    SilenceHint,
};
pub use dialect::Dialect;
pub use drain::{Drain, DrainError, DrainLayer, OnDrain};
pub use early::EarlyLayer;
pub use error::{BoxError, ConfigError};
pub use gate::{Gate, GateLayer, GateStats, PermitScope, Shed};
pub use heartbeat::{
    Beat, Beats, Heartbeat, HeartbeatBody, HeartbeatEvent, HeartbeatLayer, HeartbeatOverride, MidEvent,
    Rhythm,
};
pub use observe::{ObserveLayer, Observer, StreamReport};
pub use path::{Hop, HopPath};
pub use reject::{Caller, Ending, Protocol, Refusal};
pub use stack::{Lifeline, LifelineBody, LifelineBuilder};
pub use stall::{StallBody, StallError, StallLayer};
pub use timeout::{
    ConnectTimeoutLayer, HeadersFrom, Phase, Progress, RequestBodyTimeoutLayer, TimeoutBody, TimeoutError,
    TimeoutLayer, Timeouts,
};

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
