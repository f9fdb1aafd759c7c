//! `Deadline` as an argument of an axum handler.

use std::fmt;
use std::future::{Future, ready};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::budget::Deadline;

/// As an argument: the request's deadline, which must be there. `Option<Deadline>` takes requests without one.
impl<S: Sync> FromRequestParts<S> for Deadline {
    type Rejection = NoDeadline;

    fn from_request_parts(parts: &mut Parts, _: &S) -> impl Future<Output = Result<Self, NoDeadline>> + Send {
        ready(parts.extensions.get().copied().ok_or(NoDeadline(())))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Deadline {
    type Rejection = std::convert::Infallible;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Option<Self>, Self::Rejection>> + Send {
        ready(Ok(parts.extensions.get().copied()))
    }
}

/// A handler wants a [`Deadline`] and its request has none: a fault of the set-up, so the answer is status 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDeadline(());

impl fmt::Display for NoDeadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request has no deadline: a DeadlineLayer with a default gives one to every request")
    }
}

impl std::error::Error for NoDeadline {}

impl IntoResponse for NoDeadline {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
