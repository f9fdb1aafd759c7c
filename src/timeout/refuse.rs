//! The answer to an exchange that reached a limit before the head.

use bytes::Bytes;
use http::Response;

use super::error::TimeoutError;
use super::phase::Phase;
use crate::reject::{Caller, Refusal, Renderer};

pub(super) fn refuse(error: TimeoutError, caller: &Caller, renderer: &Renderer) -> Response<Bytes> {
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
    let mut response = renderer.answer(refusal, caller);
    // Around a client this is how it differs from an answer that the server gave.
    response.extensions_mut().insert(error);
    response
}
