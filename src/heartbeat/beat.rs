//! What is written into a silence; checked when it is made.

use bytes::{BufMut, Bytes, BytesMut};

use crate::ConfigError;
use crate::dialect::sse::encode;
use crate::dialect::{Dialect, Place};
use crate::error::valid;

/// One heartbeat: what is written when a stream has been silent for an interval.
///
/// No form suits every client that ships, so it can be chosen for each request: with
/// [`HeartbeatLayer::per_request`](super::HeartbeatLayer::per_request) or by the handler with a
/// [`HeartbeatOverride`](super::HeartbeatOverride).
///
/// | form | bytes | known to trip over it |
/// |---|---|---|
/// | [`comment_line`](Self::comment_line), the default | `:⏎` | google-genai for JavaScript and Python |
/// | [`comment_block`](Self::comment_block) | `:⏎⏎` | httpx-sse (MCP Python SDK), openai-go before 3.43, google-genai for Python |
/// | [`event`](Self::event) | `event: ping⏎data: …⏎⏎` | google-genai for Python; clients that deliver every event type, OpenAI's for one (fine for Anthropic's) |
/// | [`json_rpc`](Self::json_rpc) | `data: {"jsonrpc":…}⏎⏎` | anything but JSON-RPC clients |
/// | [`bytes`](Self::bytes) | yours | |
/// | [`none`](Self::none) | nothing | |
///
/// An *event* is delivered by client libraries and restarts their own idle clocks, so it says "the producer is alive",
/// which a layer cannot know. A *comment* says "the path is alive". Prefer comments.
///
/// In newline-delimited JSON ([`HeartbeatLayer::nd_json`](super::HeartbeatLayer::nd_json)) every form but `none` is an
/// empty line.
///
/// ```
/// use tower_lifeline::Beat;
///
/// let beat = Beat::event("ping", r#"{"type":"ping"}"#);
/// assert_eq!(beat.as_bytes(), b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    form: Form,
    bytes: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    None,
    /// One comment line and no blank one: fits between any two lines.
    Line,
    /// A comment and a blank line.
    Block,
    /// Whole lines that fit between two events.
    Whole,
}

/// The longest beat that is accepted, and the largest padding.
pub(crate) const MOST_BYTES: usize = 64 * 1024;

impl Default for Beat {
    /// `:` and a line feed, the shortest comment line.
    fn default() -> Self {
        Self { form: Form::Line, bytes: Bytes::from_static(b":\n") }
    }
}

impl Beat {
    /// A comment line: `: text` and a line feed, or `:` and a line feed when the text is empty.
    ///
    /// # Panics
    ///
    /// When the text has a CR, LF or NUL, or is longer than 64 KiB. [`try_comment_line`](Self::try_comment_line)
    /// returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn comment_line(text: &str) -> Self {
        valid(Self::try_comment_line(text))
    }

    /// [`comment_line`](Self::comment_line) that returns what is wrong with the text.
    ///
    /// # Errors
    ///
    /// When the text has a CR, LF or NUL, or is longer than 64 KiB.
    pub fn try_comment_line(text: &str) -> Result<Self, ConfigError> {
        Self::made(Form::Line, encode::comment_line(text)?)
    }

    /// A comment and a blank line, for clients that read by blocks.
    ///
    /// # Panics
    ///
    /// Like [`comment_line`](Self::comment_line).
    #[must_use]
    #[track_caller]
    pub fn comment_block(text: &str) -> Self {
        valid(Self::try_comment_block(text))
    }

    /// [`comment_block`](Self::comment_block) that returns what is wrong with the text.
    ///
    /// # Errors
    ///
    /// Like [`try_comment_line`](Self::try_comment_line).
    pub fn try_comment_block(text: &str) -> Result<Self, ConfigError> {
        Self::made(Form::Block, encode::comment_block(text)?)
    }

    /// An event with a type of its own.
    ///
    /// # Panics
    ///
    /// When the name or the data is empty, has a CR, LF or NUL, or the event is longer than 64 KiB.
    /// [`try_event`](Self::try_event) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn event(name: &str, data: &str) -> Self {
        valid(Self::try_event(name, data))
    }

    /// [`event`](Self::event) that returns what is wrong with its arguments.
    ///
    /// # Errors
    ///
    /// When the name or the data is empty, has a CR, LF or NUL, or the event is longer than 64 KiB.
    pub fn try_event(name: &str, data: &str) -> Result<Self, ConfigError> {
        Self::made(Form::Whole, encode::event(Some(name), data)?)
    }

    /// A JSON-RPC 2.0 notification without parameters, in an event of the default type. MCP clients take
    /// `"$/keepalive"`, as every unknown method that begins with `$/`, for something that may be ignored.
    ///
    /// # Panics
    ///
    /// When the method is empty or has a control character, a quote or a backslash, or is longer than 64 KiB.
    /// [`try_json_rpc`](Self::try_json_rpc) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn json_rpc(method: &str) -> Self {
        valid(Self::try_json_rpc(method))
    }

    /// [`json_rpc`](Self::json_rpc) that returns what is wrong with the method.
    ///
    /// # Errors
    ///
    /// When the method is empty or has a control character, a quote or a backslash, or is longer than 64 KiB.
    pub fn try_json_rpc(method: &str) -> Result<Self, ConfigError> {
        if method.is_empty() {
            return Err(ConfigError::new("a JSON-RPC method is at least one character, got none"));
        }
        if let Some(found) = method.chars().find(|c| c.is_control() || matches!(c, '"' | '\\')) {
            return Err(ConfigError::new(format!(
                "a JSON-RPC method has no control character, quote or backslash, got {found:?} in {method:?}"
            )));
        }
        let notification = format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#);
        Self::made(Form::Whole, encode::event(None, &notification)?)
    }

    /// Your own bytes: comments and whole events, each line ended by a line feed.
    ///
    /// # Panics
    ///
    /// Where [`try_bytes`](Self::try_bytes) returns an error.
    #[must_use]
    #[track_caller]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        valid(Self::try_bytes(bytes))
    }

    /// [`bytes`](Self::bytes) that returns what is wrong with them.
    ///
    /// # Errors
    ///
    /// When they are empty, longer than 64 KiB, not UTF-8, have a CR, a NUL or a BOM in front, end inside a line or an
    /// event, or carry what a heartbeat must not: an `id` (it would move the client's place), a `retry` (it would stay
    /// for the life of the client), data that is empty, or a type without data.
    pub fn try_bytes(bytes: impl Into<Bytes>) -> Result<Self, ConfigError> {
        let bytes = bytes.into();
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| ConfigError::new(format!("a heartbeat is UTF-8, got {error}")))?;
        let form = check_own(text)?;
        Self::made(form, bytes.clone())
    }

    /// No heartbeat. The response is still treated as a stream: it gets the headers that keep proxies from buffering.
    #[must_use]
    pub fn none() -> Self {
        Self { form: Form::None, bytes: Bytes::new() }
    }

    /// What is written into an event stream.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn made(form: Form, bytes: impl Into<Bytes>) -> Result<Self, ConfigError> {
        let bytes = bytes.into();
        if bytes.len() > MOST_BYTES {
            return Err(ConfigError::new(format!(
                "a heartbeat is at most {MOST_BYTES} bytes long, got {}",
                bytes.len()
            )));
        }
        Ok(Self { form, bytes })
    }

    pub(crate) fn is_none(&self) -> bool {
        self.form == Form::None
    }

    /// Whether this beat may be written where the wire stands. `mid_event`: whether the operator lets it into an event.
    pub(crate) fn fits(&self, place: Place, mid_event: super::MidEvent) -> bool {
        match place {
            Place::Between => true,
            Place::LineStart => mid_event == super::MidEvent::CommentLine && self.form == Form::Line,
            Place::Inside => false,
        }
    }

    pub(crate) fn in_dialect(&self, dialect: Dialect) -> Bytes {
        match dialect {
            Dialect::EventStream => self.bytes.clone(),
            Dialect::NdJson => Bytes::from_static(b"\n"),
        }
    }

    /// The same beat with its comment filled up with dots, for proxies that pass nothing on before so many bytes. Only
    /// comments can be padded without changing what they say.
    pub(crate) fn padded(&self, to: usize, dialect: Dialect) -> Bytes {
        let line_ends = match self.form {
            Form::Line => 1,
            Form::Block => 2,
            Form::None | Form::Whole => 0,
        };
        if line_ends == 0 || dialect != Dialect::EventStream || self.bytes.len() >= to {
            return self.in_dialect(dialect);
        }
        let (comment, ends) = self.bytes.split_at(self.bytes.len() - line_ends);
        let mut padded = BytesMut::with_capacity(to);
        padded.put_slice(comment);
        padded.put_bytes(b'.', to - self.bytes.len());
        padded.put_slice(ends);
        padded.freeze()
    }
}

/// Reads own bytes as a client would, and tells their form.
fn check_own(text: &str) -> Result<Form, ConfigError> {
    let wrong = |what: &str| Err(ConfigError::new(format!("{what}, got {text:?}")));
    if text.is_empty() {
        return wrong("a heartbeat is at least one byte; Beat::none() is the one without");
    }
    if text.contains(['\r', '\0']) || text.starts_with('\u{feff}') {
        return wrong("a heartbeat has no CR, no NUL and no BOM");
    }
    let Some(lines) = text.strip_suffix('\n') else {
        return wrong("a heartbeat ends in a line feed");
    };
    let (mut named, mut data) = (false, false);
    for line in lines.split('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" if line.is_empty() && named && !data => {
                return wrong("an event of a heartbeat has data");
            }
            "" if line.is_empty() => (named, data) = (false, false),
            "" => {}
            "event" => named = true,
            "data" if !value.is_empty() => data = true,
            "data" => return wrong("the data of a heartbeat is not empty"),
            _ => return wrong("a heartbeat has comments, event and data lines only"),
        }
    }
    if named || data {
        return wrong("an event of a heartbeat ends in a blank line");
    }
    let one_line = lines.starts_with(':') && !lines.contains('\n');
    Ok(if one_line { Form::Line } else { Form::Whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_bytes() {
        let check = |text: &'static str, outcome: Result<Form, &str>| {
            let got = Beat::try_bytes(text).map(|beat| beat.form).map_err(|error| error.to_string());
            assert_eq!(got, outcome.map_err(str::to_owned), "{text:?}");
        };
        check(": hb\n", Ok(Form::Line));
        check(":\n\n", Ok(Form::Whole));
        check("data: {}\n\n", Ok(Form::Whole));
        check(": a\nevent: ping\ndata: {}\n\n", Ok(Form::Whole));
        check("", Err("a heartbeat is at least one byte; Beat::none() is the one without, got \"\""));
        check(": hb", Err("a heartbeat ends in a line feed, got \": hb\""));
        check(": hb\r\n", Err("a heartbeat has no CR, no NUL and no BOM, got \": hb\\r\\n\""));
        check("data: {}\n", Err("an event of a heartbeat ends in a blank line, got \"data: {}\\n\""));
        check("data:\n\n", Err("the data of a heartbeat is not empty, got \"data:\\n\\n\""));
        check("event: ping\n\n", Err("an event of a heartbeat has data, got \"event: ping\\n\\n\""));
        for field in ["id: 7\n\n", "id\n\n", "retry: 1\n\n", "junk\n\n"] {
            let sentence = format!("a heartbeat has comments, event and data lines only, got {field:?}");
            check(field, Err(&sentence));
        }
        assert!(Beat::try_bytes(&b": \xff\n"[..]).is_err());
        assert!(Beat::try_bytes(vec![b'\n'; MOST_BYTES + 1]).is_err());
    }

    #[test]
    fn padding_fills_the_comment() {
        let check = |beat: Beat, to, bytes: &str| {
            assert_eq!(beat.padded(to, Dialect::EventStream), bytes.as_bytes());
        };
        check(Beat::default(), 8, ":......\n");
        check(Beat::comment_line("hb"), 8, ": hb...\n");
        check(Beat::comment_block("hb"), 8, ": hb..\n\n");
        check(Beat::comment_line("hb"), 2, ": hb\n");
        check(Beat::event("ping", "1"), 99, "event: ping\ndata: 1\n\n");
        assert_eq!(Beat::default().padded(8, Dialect::NdJson), "\n");
    }

    #[test]
    fn a_json_rpc_notification() {
        assert_eq!(
            Beat::json_rpc("$/keepalive").as_bytes(),
            b"data: {\"jsonrpc\":\"2.0\",\"method\":\"$/keepalive\"}\n\n"
        );
        assert_eq!(
            Beat::try_json_rpc("a\"b").unwrap_err().to_string(),
            "a JSON-RPC method has no control character, quote or backslash, got '\"' in \"a\\\"b\""
        );
        assert!(Beat::try_json_rpc("").is_err());
    }
}
