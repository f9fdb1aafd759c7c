//! What bytes mean: where something may be inserted, and what counts as content.
//!
//! Everything here is pure: bytes in, an answer out; no body, no clock, no runtime.

pub(crate) mod grpc;
pub(crate) mod lines;
pub(crate) mod sse;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, TRANSFER_ENCODING};

/// The wire format of a body into which something can be inserted between two messages.
///
/// ```
/// use tower_lifeline::Dialect;
///
/// assert_eq!(Dialect::of_media_type("Text/Event-Stream; charset=utf-8"), Some(Dialect::EventStream));
/// assert_eq!(Dialect::of_media_type("application/json"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// `text/event-stream`, as defined in the WHATWG HTML standard, section 9.2.
    EventStream,
    /// Newline-delimited JSON, one value a line. No standard promises that readers skip empty lines, although most
    /// do, so nothing is written into one unless asked for.
    NdJson,
}

impl Dialect {
    /// The dialect of a media type; case and parameters do not matter (RFC 9110, section 8.3.1).
    #[must_use]
    pub fn of_media_type(value: &str) -> Option<Self> {
        const ND_JSON: [&str; 5] = [
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonlines",
            "application/jsonlines",
        ];
        let essence = essence(value);
        let is = |name: &&str| essence.eq_ignore_ascii_case(name);
        if is(&"text/event-stream") {
            Some(Self::EventStream)
        } else if ND_JSON.iter().any(is) {
            Some(Self::NdJson)
        } else {
            None
        }
    }

    /// The dialect that `Content-Type` names, if exactly one such field is there and can be read.
    #[must_use]
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        Self::of_media_type(content_type(headers)?)
    }
}

/// A media type without its parameters.
pub(crate) fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// What `Content-Type` says, if exactly one such field is there and can be read.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let field = fields.next()?;
    if fields.next().is_some() {
        return None;
    }
    field.to_str().ok()
}

/// Plain text between compressed bytes destroys all that follows (RFC 9110, section 8.4; RFC 9112, section 6.1).
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    let any_but = |name, plain: &[u8]| {
        headers.get_all(name).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(plain))
    };
    any_but(CONTENT_ENCODING, b"identity") || any_but(TRANSFER_ENCODING, b"chunked")
}

/// Where the wire stands after the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Between two messages: anything that is whole in itself may be written.
    Between,
    /// At the start of a line inside a message: one line may be written, but no blank one.
    LineStart,
    /// Anywhere else: nothing may be written.
    Inside,
}

/// Follows the bytes of one body in its dialect.
// With a tag of its own: one byte more, and one comparison tells what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tracker {
    /// A dialect into which nothing is ever written.
    Opaque,
    EventStream(sse::Boundary),
    NdJson(lines::Boundary),
    /// No bytes are ever inserted here either, but trailers may follow a whole message.
    Grpc(grpc::Boundary),
}

impl Tracker {
    /// The tracker of a response's body. What is compressed is opaque, whatever it is under that.
    pub(crate) fn of_response(headers: &HeaderMap) -> Self {
        match content_type(headers) {
            Some(_) if is_encoded(headers) => Self::Opaque,
            Some(value) if grpc::is_media_type(essence(value)) => Self::Grpc(grpc::Boundary::Between),
            Some(value) => Dialect::of_media_type(value).map_or(Self::Opaque, Self::new),
            None => Self::Opaque,
        }
    }

    pub(crate) fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::EventStream => Self::EventStream(sse::Boundary::Start),
            Dialect::NdJson => Self::NdJson(lines::Boundary::LineStart),
        }
    }

    /// The dialect, if it is one that has a name.
    pub(crate) fn dialect(self) -> Option<Dialect> {
        match self {
            Self::EventStream(_) => Some(Dialect::EventStream),
            Self::NdJson(_) => Some(Dialect::NdJson),
            Self::Opaque | Self::Grpc(_) => None,
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self, chunk: &[u8]) {
        // The most frequent first, in one comparison each, which a match does not promise.
        if let Self::EventStream(boundary) = self {
            *boundary = boundary.advance(chunk);
        } else if *self != Self::Opaque {
            self.advance_others(chunk);
        }
    }

    // Out of line, so that event streams, of which there are most, do not carry them along.
    #[inline(never)]
    fn advance_others(&mut self, chunk: &[u8]) {
        match self {
            Self::NdJson(boundary) => *boundary = boundary.advance(chunk),
            Self::Grpc(boundary) => *boundary = boundary.advance(chunk),
            Self::Opaque | Self::EventStream(_) => {}
        }
    }

    /// Between two messages: the one before it is whole.
    #[inline]
    pub(crate) fn is_between(&self) -> bool {
        // By reference, and the most frequent first: one comparison of two bytes.
        *self == Self::EventStream(sse::Boundary::Between) || self.others_are_between()
    }

    #[inline]
    fn others_are_between(&self) -> bool {
        match self {
            Self::Opaque | Self::EventStream(_) => false,
            Self::NdJson(boundary) => *boundary == lines::Boundary::LineStart,
            Self::Grpc(boundary) => boundary.is_between(),
        }
    }

    /// Where bytes may be inserted.
    pub(crate) fn place(self) -> Place {
        match self {
            Self::Opaque | Self::Grpc(_) => Place::Inside,
            Self::EventStream(boundary) => boundary.place(),
            Self::NdJson(boundary) => boundary.place(),
        }
    }

    #[inline]
    pub(crate) fn progress(self) -> Progress {
        match self {
            Self::Opaque | Self::Grpc(_) => Progress::AnyByte,
            Self::EventStream(_) => Progress::EventStream(sse::Content::default()),
            Self::NdJson(_) => Progress::NdJson,
        }
    }
}

/// Tells what the producer says from what only keeps the wire warm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    AnyByte,
    EventStream(sse::Content),
    NdJson,
}

impl Progress {
    /// Whether this chunk carries content. `before` is where the wire stood when the chunk came.
    pub(crate) fn advance(&mut self, before: Tracker, chunk: &[u8]) -> bool {
        match (self, before) {
            (Self::EventStream(content), Tracker::EventStream(boundary)) => content.advance(boundary, chunk),
            (Self::NdJson, _) => chunk.iter().any(|byte| !byte.is_ascii_whitespace()),
            (Self::AnyByte | Self::EventStream(_), _) => !chunk.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn trackers_of_responses() {
        let check = |fields: &[(_, &'static str)], expected| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, HeaderValue::from_static(value));
            }
            assert_eq!(Tracker::of_response(&headers), expected, "{headers:?}");
        };
        let grpc = Tracker::Grpc(grpc::Boundary::Between);
        check(&[], Tracker::Opaque);
        check(&[(CONTENT_TYPE, "text/html")], Tracker::Opaque);
        check(&[(CONTENT_TYPE, "text/event-stream")], Tracker::new(Dialect::EventStream));
        check(&[(CONTENT_TYPE, "application/jsonl")], Tracker::new(Dialect::NdJson));
        check(&[(CONTENT_TYPE, "Application/gRPC; a=b")], grpc);
        check(&[(CONTENT_TYPE, "application/grpc+proto")], grpc);
        check(&[(CONTENT_TYPE, "application/grpc-web+proto")], Tracker::Opaque);
        check(&[(CONTENT_TYPE, "application/connect+json")], Tracker::Opaque);
        check(&[(CONTENT_TYPE, "text/event-stream"), (CONTENT_TYPE, "application/grpc")], Tracker::Opaque);
        check(&[(CONTENT_TYPE, "text/event-stream"), (CONTENT_ENCODING, "gzip")], Tracker::Opaque);
        check(
            &[(CONTENT_TYPE, "text/event-stream"), (CONTENT_ENCODING, "Identity")],
            Tracker::new(Dialect::EventStream),
        );
        check(&[(CONTENT_TYPE, "application/grpc"), (CONTENT_ENCODING, "br")], Tracker::Opaque);
        check(&[(CONTENT_TYPE, "text/event-stream"), (TRANSFER_ENCODING, "gzip, chunked")], Tracker::Opaque);
        check(
            &[(CONTENT_TYPE, "text/event-stream"), (TRANSFER_ENCODING, "Chunked")],
            Tracker::new(Dialect::EventStream),
        );
    }

    #[test]
    fn nothing_is_ever_inserted_into_grpc() {
        let mut tracker = Tracker::Grpc(grpc::Boundary::Between);
        for &byte in b"\0\0\0\0\x01a\0\0\0\0\0" {
            assert_eq!(tracker.place(), Place::Inside);
            tracker.advance(&[byte]);
        }
        assert_eq!(tracker.place(), Place::Inside);
    }

    #[test]
    fn a_tracker_stays_small() {
        assert!(size_of::<Tracker>() <= 6, "{}", size_of::<Tracker>());
    }
}
