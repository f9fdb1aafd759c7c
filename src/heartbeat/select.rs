//! Decides: may anything be written into this response?

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue};
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};

use crate::dialect::Dialect;

/// Whether added bytes could break this response, whatever it is made of. No setting overrules this.
pub(crate) fn is_closed(request: &Method, response: &Parts) -> bool {
    has_no_body(request, response.status)
        || is_encoded(&response.headers)
        || response.headers.contains_key(CONTENT_LENGTH)
        || is_sealed(response)
}

/// RFC 9110, sections 6.4.1 and 9.3.6: these have no body, or it is a tunnel.
fn has_no_body(request: &Method, status: StatusCode) -> bool {
    request == Method::HEAD
        || (request == Method::CONNECT && status.is_success())
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Plain text between compressed bytes destroys all that follows (RFC 9110, section 8.4).
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
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
        || DIGESTS.iter().any(|name| headers.contains_key(name))
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
