//! Decides: may anything be written into this response?

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, TRAILER};
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};

use crate::body::has_no_body;
use crate::dialect::{Dialect, is_encoded};

/// Whether added bytes could break this response, whatever it is made of. No setting overrules this.
pub(crate) fn is_closed(request: &Method, response: &Parts) -> bool {
    has_no_body(request, response.status)
        || is_encoded(&response.headers)
        || response.headers.contains_key(CONTENT_LENGTH)
        || is_sealed(response)
}

/// Somebody has vouched for the exact bytes: a part of something, a digest (RFC 9530), a strong validator (RFC 9110,
/// section 8.8.1).
fn is_sealed(response: &Parts) -> bool {
    const DIGESTS: [HeaderName; 4] = [
        HeaderName::from_static("repr-digest"),
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("content-md5"),
    ];
    let headers = &response.headers;
    let strong = |tag: &HeaderValue| !tag.as_bytes().starts_with(b"W/");
    response.status == StatusCode::PARTIAL_CONTENT
        || headers.contains_key(CONTENT_RANGE)
        || headers.get(ETAG).is_some_and(strong)
        || DIGESTS.iter().any(|name| headers.contains_key(name) || is_announced(headers, name))
}

/// Whether this field will come behind the body (RFC 9110, section 6.6.2).
fn is_announced(headers: &HeaderMap, name: &HeaderName) -> bool {
    let names = headers.get_all(TRAILER).iter().filter_map(|names| names.to_str().ok());
    names
        .flat_map(|names| names.split(','))
        .any(|announced| announced.trim().eq_ignore_ascii_case(name.as_str()))
}

/// The choice where the operator has not made another: what the *response* says it is. `Accept` says only what the
/// client can take.
pub(crate) fn by_content_type(response: &Parts, nd_json: bool) -> Option<Dialect> {
    if response.status != StatusCode::OK {
        return None;
    }
    match Dialect::of_headers(&response.headers)? {
        Dialect::NdJson if !nd_json => None,
        dialect => Some(dialect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::Response;

    fn head(status: u16, headers: &[(&str, &str)]) -> Parts {
        let response = Response::builder().status(status).header("content-type", "text/event-stream");
        let response =
            headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
        response.body(()).unwrap().into_parts().0
    }

    #[track_caller]
    fn closed(headers: &[(&str, &str)], expected: bool) {
        assert_eq!(is_closed(&Method::GET, &head(200, headers)), expected, "{headers:?}");
    }

    #[test]
    fn a_response_is_closed_when_added_bytes_would_break_it() {
        closed(&[], false);
        closed(&[("content-length", "18")], true);
        closed(&[("content-encoding", "gzip")], true);
        closed(&[("content-range", "bytes 0-17/*")], true);
        for name in ["repr-digest", "content-digest", "digest", "content-md5"] {
            closed(&[(name, "x")], true);
            closed(&[("trailer", name)], true);
        }
    }

    #[test]
    fn a_strong_validator_vouches_for_the_bytes_and_a_weak_one_does_not() {
        closed(&[("etag", "\"a\"")], true);
        closed(&[("etag", "W/\"a\"")], false);
    }

    #[test]
    fn a_digest_may_be_announced_among_other_trailers() {
        closed(&[("trailer", "expires, Repr-Digest")], true);
        closed(&[("trailer", "expires"), ("trailer", "digest")], true);
        closed(&[("trailer", "expires, digestive")], false);
    }

    #[test]
    fn a_response_without_a_body_is_closed() {
        assert!(is_closed(&Method::HEAD, &head(200, &[])));
        assert!(is_closed(&Method::GET, &head(204, &[])));
        assert!(is_closed(&Method::GET, &head(206, &[])), "a part of something");
        assert!(!is_closed(&Method::POST, &head(500, &[])));
    }

    #[test]
    fn the_type_of_a_good_response_decides() {
        let chosen = |status, media_type: &str, nd_json| {
            let head =
                Response::builder().status(status).header("content-type", media_type).body(()).unwrap();
            by_content_type(&head.into_parts().0, nd_json)
        };
        assert_eq!(chosen(200, "text/event-stream", false), Some(Dialect::EventStream));
        assert_eq!(chosen(201, "text/event-stream", false), None);
        assert_eq!(chosen(200, "application/x-ndjson", true), Some(Dialect::NdJson));
        assert_eq!(chosen(200, "application/x-ndjson", false), None);
        assert_eq!(chosen(200, "text/html", true), None);
    }
}
