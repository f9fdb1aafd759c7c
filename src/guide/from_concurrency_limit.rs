//! From tower's `ConcurrencyLimit` and `LoadShed`.
//!
//! What you have:
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower::limit::ConcurrencyLimitLayer;
//! use tower::load_shed::LoadShedLayer;
//!
//! let layers = ServiceBuilder::new().layer(LoadShedLayer::new()).layer(ConcurrencyLimitLayer::new(512));
//! # let _ = layers;
//! ```
//!
//! What you write instead:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::time::Duration;
//! use axum::response::sse::{Event, Sse};
//! use axum::{Router, http::StatusCode, routing::get};
//! use futures_util::stream;
//! use tower_lifeline::{Gate, GateLayer};
//!
//! let gate = Gate::new(1).queue(0);
//! let app: Router = Router::new()
//!     .route("/events", get(|| async { Sse::new(stream::pending::<Result<Event, std::fmt::Error>>()) }))
//!     .layer(GateLayer::new(&gate));
//!
//! # use tower::ServiceExt;
//! # let get = || http::Request::get("/events").body(axum::body::Body::empty()).unwrap();
//! let stream = app.clone().oneshot(get()).await.unwrap();
//! let refused = app.clone().oneshot(get()).await.unwrap();
//! assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
//! assert!(refused.headers().contains_key("retry-after"));
//!
//! drop(stream); // only now is there room again
//! assert_eq!(app.oneshot(get()).await.unwrap().status(), StatusCode::OK);
//! # }
//! ```
//!
//! # What changes
//!
//! | | `LoadShed` and `ConcurrencyLimit` | [`GateLayer`](crate::GateLayer) |
//! |---|---|---|
//! | a permit is given back | with the response's head, so streams are not limited | when the body has ended or been dropped; [`PermitScope::Headers`](crate::PermitScope) is the old way |
//! | `Router::layer` in axum | a limit for each route and method | one for all of them |
//! | a clone that is ready and waits | keeps a permit | keeps nothing |
//! | who waits | nobody, or with `ConcurrencyLimit` alone everybody, for ever | [so many](crate::Gate::queue), for [so long](crate::Gate::max_wait) |
//! | who is refused gets | an error for `HandleErrorLayer`, most often a 500 | 503, 429 or what gRPC and JSON-RPC have, with `Retry-After` |
//! | while it runs | nothing | [stats](crate::Gate::stats), [resize](crate::Gate::resize), [close](crate::Gate::close) |
//!
//! `HandleErrorLayer` goes: a gate refuses with a response, and the service's error type stays what it is.
//!
//! A limit that was right for heads is too small for bodies. To begin with, take requests a second times the seconds that
//! a stream lasts; [`Gate::advice`](crate::Gate::advice) tells whether the queue fits it.
