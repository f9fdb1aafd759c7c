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
