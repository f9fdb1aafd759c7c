//! Asks every hop not to hold the response back.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, Entry, HeaderName, HeaderValue};

const WISHES: [(HeaderName, HeaderValue); 3] = [
    // nginx and those that follow it.
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    // RFC 9111, section 5.2.2; `no-transform` keeps compressors away that would not flush.
    (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
    // RFC 10036.
    (HeaderName::from_static("incremental"), HeaderValue::from_static("?1")),
];

/// What the handler has set stays.
pub(crate) fn ask_not_to_buffer(headers: &mut HeaderMap) {
    for (name, value) in WISHES {
        if let Entry::Vacant(vacant) = headers.entry(name) {
            vacant.insert(value);
        }
    }
}
