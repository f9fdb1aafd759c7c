//! Decides: what becomes of an answer for which it is too late to be the response?

use http::header::{CONTENT_RANGE, HeaderMap};
use http::{Response, StatusCode};
use http_body::Body;

use super::failure::FailureKind;
use crate::dialect::{Dialect, content_type, essence, is_encoded};

/// What the client gets of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Splice {
    /// The body as it is.
    Stream,
    /// The body as one event.
    Event,
    /// The end.
    End,
    /// An in-stream error. `reads`: with the body's text.
    Failure { kind: FailureKind, reads: bool },
}

impl Splice {
    pub(super) fn of<B: Body>(response: &Response<B>) -> Self {
        let body = response.body();
        let empty = body.is_end_stream() || body.size_hint().exact() == Some(0);
        Self::by_head(response.status(), response.headers(), empty)
    }

    fn by_head(status: StatusCode, headers: &HeaderMap, empty: bool) -> Self {
        let failure = |kind, reads| Self::Failure { kind, reads };
        let encoded = is_encoded(headers);
        if status.is_redirection() {
            return failure(FailureKind::Redirect, false);
        }
        if !status.is_success() {
            return failure(FailureKind::Status, !empty && !encoded && is_text(headers));
        }
        if empty || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            return Self::End;
        }
        if encoded {
            return failure(FailureKind::Encoded, false);
        }
        let media_type = essence(content_type(headers).unwrap_or_default());
        if status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE) {
            failure(FailureKind::MediaType, false)
        } else if Dialect::of_media_type(media_type) == Some(Dialect::EventStream) {
            Self::Stream
        } else if is_json(media_type) || media_type.eq_ignore_ascii_case("text/plain") {
            Self::Event
        } else {
            failure(FailureKind::MediaType, false)
        }
    }
}

/// `application/json`, and all that is written in it (RFC 6839, section 3.1).
pub(super) fn is_json(media_type: &str) -> bool {
    let suffix = media_type.get(media_type.len().saturating_sub(5)..);
    ["application/json", "text/json"].iter().any(|name| media_type.eq_ignore_ascii_case(name))
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

/// Whether an error's body is worth telling. An event stream is not: it may never end.
fn is_text(headers: &HeaderMap) -> bool {
    let media_type = essence(content_type(headers).unwrap_or_default());
    let text = media_type.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("text/"));
    is_json(media_type) || text && Dialect::of_media_type(media_type).is_none()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http::HeaderValue;
    use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION};
    use http_body::{Frame, SizeHint};

    use super::*;

    /// What a body says of itself.
    struct Says {
        ended: bool,
        length: Option<u64>,
    }

    impl Body for Says {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            unreachable!("it is only asked what it is")
        }

        fn is_end_stream(&self) -> bool {
            self.ended
        }

        fn size_hint(&self) -> SizeHint {
            self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    #[test]
    fn a_body_is_empty_that_is_at_its_end_or_has_no_length() {
        let check = |ended, length, expected| {
            let response = Response::builder().header(CONTENT_TYPE, "application/json");
            assert_eq!(
                Splice::of(&response.body(Says { ended, length }).unwrap()),
                expected,
                "{ended} {length:?}"
            );
        };
        check(true, None, Splice::End);
        check(false, Some(0), Splice::End);
        check(false, Some(1), Splice::Event);
        check(false, None, Splice::Event);
    }

    #[test]
    fn every_answer_has_a_place_or_a_reason_why_not() {
        let check = |status: u16, fields: &[(HeaderName, &'static str)], empty, expected| {
            let headers: HeaderMap =
                fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Splice::by_head(status, &headers, empty), expected, "{status} {fields:?} {empty}");
        };
        let of_type = |media_type: &'static str| [(CONTENT_TYPE, media_type)];
        let failure = |kind, reads| Splice::Failure { kind, reads };
        let media_type = failure(FailureKind::MediaType, false);

        for status in [200, 201, 203] {
            check(status, &of_type("text/event-stream"), false, Splice::Stream);
            check(status, &of_type("application/json"), false, Splice::Event);
        }
        check(200, &of_type("Text/Event-Stream; charset=utf-8"), false, Splice::Stream);
        check(202, &of_type("application/json"), false, Splice::Event);
        check(200, &of_type("application/vnd.api+JSON; a=b"), false, Splice::Event);
        check(200, &of_type("text/plain; charset=utf-8"), false, Splice::Event);

        check(200, &[], true, Splice::End);
        check(202, &[], true, Splice::End);
        check(202, &of_type("application/json"), true, Splice::End);
        check(204, &[], true, Splice::End);
        check(204, &of_type("text/event-stream"), false, Splice::End);
        check(205, &[], false, Splice::End);

        check(200, &[], false, media_type);
        check(200, &of_type("text/html"), false, media_type);
        check(200, &of_type("image/png"), false, media_type);
        check(200, &of_type("application/x-ndjson"), false, media_type);
        check(200, &of_type("+jso"), false, media_type);
        check(206, &of_type("text/event-stream"), false, media_type);
        let two = [(CONTENT_TYPE, "application/json"), (CONTENT_RANGE, "bytes 0-1/2")];
        check(200, &two, false, media_type);

        for media_type in ["text/event-stream", "application/json"] {
            let gzip = [(CONTENT_TYPE, media_type), (CONTENT_ENCODING, "gzip")];
            check(200, &gzip, false, failure(FailureKind::Encoded, false));
            check(500, &gzip, false, failure(FailureKind::Status, false));
            let plain = [(CONTENT_TYPE, media_type), (CONTENT_ENCODING, "identity")];
            check(200, &plain, false, Splice::by_head(StatusCode::OK, &plain_type(media_type), false));
        }

        for status in [301, 302, 303, 304, 307, 308] {
            check(status, &[(LOCATION, "/")], true, failure(FailureKind::Redirect, false));
        }
        for status in [101, 400, 404, 429, 500, 503, 504, 999] {
            check(status, &[], true, failure(FailureKind::Status, false));
            check(status, &of_type("application/problem+json"), false, failure(FailureKind::Status, true));
            check(status, &of_type("text/html"), false, failure(FailureKind::Status, true));
            check(status, &of_type("text/plain"), true, failure(FailureKind::Status, false));
            check(status, &of_type("text/event-stream"), false, failure(FailureKind::Status, false));
            check(status, &of_type("image/png"), false, failure(FailureKind::Status, false));
        }
    }

    fn plain_type(media_type: &'static str) -> HeaderMap {
        [(CONTENT_TYPE, HeaderValue::from_static(media_type))].into_iter().collect()
    }
}
