//! Answers in the caller's protocol, or as the operator wants it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use super::error::TimeoutError;
use super::phase::Phase;
use crate::reject::{Caller, Refusal};

/// How refusals become responses.
#[derive(Clone, Default)]
pub(super) struct Renderer(Option<Arc<Render>>);

type Render = dyn Fn(Refusal, &Caller) -> Response<Bytes> + Send + Sync;

impl Renderer {
    pub(super) fn of(render: impl Fn(Refusal, &Caller) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(render)))
    }

    pub(super) fn answer(&self, error: &TimeoutError, caller: &Caller) -> Response<Bytes> {
        let limit = error.limit();
        let refusal = match error.phase() {
            Phase::RequestGap => Refusal::request_body_gap_timeout(limit),
            Phase::RequestTotal => Refusal::request_body_timeout(limit),
            Phase::Connect | Phase::Headers | Phase::FirstByte | Phase::InterChunk => {
                Refusal::headers_timeout(limit)
            }
            Phase::Total => Refusal::total_timeout(limit),
            Phase::Deadline => Refusal::deadline_exceeded(limit),
        };
        let mut response = match &self.0 {
            Some(render) => render(refusal, caller),
            None => refusal.into_response(caller),
        };
        // Around a client this is how it differs from an answer that the server gave.
        response.extensions_mut().insert(*error);
        response
    }
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Renderer(custom)" } else { "Renderer(default)" })
    }
}
