//! What bytes mean: where something may be inserted, and what counts as content.
//!
//! Everything here is pure: bytes in, an answer out; no body, no clock, no runtime.

pub(crate) mod lines;
pub(crate) mod sse;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

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
        let essence = value.split(';').next().unwrap_or_default().trim();
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
        let mut fields = headers.get_all(CONTENT_TYPE).iter();
        let field = fields.next()?;
        if fields.next().is_some() {
            return None;
        }
        Self::of_media_type(field.to_str().ok()?)
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracker {
    /// A dialect into which nothing is ever written.
    Opaque,
    EventStream(sse::Boundary),
    NdJson(lines::Boundary),
}

impl Tracker {
    pub(crate) fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::EventStream => Self::EventStream(sse::Boundary::Start),
            Dialect::NdJson => Self::NdJson(lines::Boundary::LineStart),
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self, chunk: &[u8]) {
        match self {
            Self::Opaque => {}
            Self::EventStream(boundary) => *boundary = boundary.advance(chunk),
            Self::NdJson(boundary) => *boundary = boundary.advance(chunk),
        }
    }

    pub(crate) fn place(self) -> Place {
        match self {
            Self::Opaque => Place::Inside,
            Self::EventStream(boundary) => boundary.place(),
            Self::NdJson(boundary) => boundary.place(),
        }
    }

    pub(crate) fn progress(self) -> Progress {
        match self {
            Self::Opaque => Progress::AnyByte,
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
