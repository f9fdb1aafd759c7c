//! How an in-stream error is written.

use bytes::{BufMut, Bytes, BytesMut};

use super::failure::Failure;
use super::members::{has_member, member};
use crate::ConfigError;
use crate::dialect::sse::encode::{DataLines, event_name};
use crate::error::valid;
use crate::reject::json::{self, Value};
use crate::reject::{Code, RequestId};

/// How clients expect to be told of an error in the middle of a stream.
///
/// An answer that is such an error already is passed on as it is: a JSON-RPC error with its `id`, an object `error` as
/// OpenAI and Anthropic have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorFormat {
    /// `event: error`, and data with the status, a message, and the type and text of the body. Where the answer has
    /// `Retry-After` in seconds, a `retry:` line tells an `EventSource` too.
    EventSource,
    /// A JSON-RPC error with the request's `id`: a [`RequestId`] in the extensions of the answer or of the request. When
    /// nobody has told the `id`, the error has none, and MCP clients pass over it.
    JsonRpc,
    /// `data: {"error":…}`, which OpenAI's clients raise.
    OpenAi,
    /// `event: error` and `{"type":"error","error":…}`, which Anthropic's clients raise.
    Anthropic,
}

/// An event that tells of an error, whole and rightly written; or none at all.
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::EarlyLayer;
/// use tower_lifeline::early::ErrorEvent;
///
/// let layer = EarlyLayer::after(Duration::from_secs(10))
///     .render(|failure| ErrorEvent::named("failed", format!("{}\n{}", failure.status(), failure.message())));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorEvent {
    bytes: Bytes,
}

impl ErrorEvent {
    /// An event of the default type. Its data may have line breaks of any form; without data there is no event.
    #[must_use]
    pub fn new(data: impl AsRef<[u8]>) -> Self {
        Self::written("", data.as_ref())
    }

    /// An event of this type.
    ///
    /// # Panics
    ///
    /// When the name is empty or has a CR, LF or NUL. [`try_named`](Self::try_named) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn named(name: &str, data: impl AsRef<[u8]>) -> Self {
        valid(Self::try_named(name, data))
    }

    /// [`named`](Self::named) that returns what is wrong with the name.
    ///
    /// # Errors
    ///
    /// When it is empty or has a CR, LF or NUL.
    pub fn try_named(name: &str, data: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Ok(Self::written(&event_name(name)?, data.as_ref()))
    }

    /// Nothing: the stream just ends.
    #[must_use]
    pub fn none() -> Self {
        Self { bytes: Bytes::new() }
    }

    /// What is written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    fn written(before: &str, data: &[u8]) -> Self {
        let mut out = BytesMut::with_capacity(before.len() + data.len() + 16);
        if !data.is_empty() {
            out.put_slice(before.as_bytes());
            let mut lines = DataLines::default();
            lines.push(data, &mut out);
            lines.finish(&mut out);
        }
        Self { bytes: out.freeze() }
    }
}

impl ErrorFormat {
    /// The event that tells of this failure.
    #[must_use]
    pub fn render(self, failure: &Failure) -> ErrorEvent {
        match self {
            Self::EventSource => event_source(failure),
            Self::JsonRpc => json_rpc(failure),
            Self::OpenAi => open_ai(failure),
            Self::Anthropic => anthropic(failure),
        }
    }
}

fn event_source(failure: &Failure) -> ErrorEvent {
    let (message, text) = (failure.message(), text(failure));
    let mut members = vec![status(failure), ("message", Value::Text(&message))];
    members.extend(body(failure, &text));
    let retry = failure.retry_after().map(|after| format!("retry: {}\n", after.as_millis()));
    let retry = retry.unwrap_or_default();
    ErrorEvent::written(&format!("{retry}event: error\n"), json::object(&members).as_bytes())
}

fn json_rpc(failure: &Failure) -> ErrorEvent {
    const MESSAGE: &str = "event: message\n";
    if let Some(json) = failure.json() {
        // An error without its id is one that nobody waits for.
        let known = || failure.request_id().is_some();
        let named = member(json, "id").is_some_and(|id| !(id.starts_with(b"null") && known()));
        if named && ["jsonrpc", "error"].iter().all(|name| has_member(json, name)) {
            return ErrorEvent::written(MESSAGE, json);
        }
    }
    let (message, text) = (failure.message(), text(failure));
    let mut data = vec![status(failure)];
    data.extend(body(failure, &text));
    let error = [
        ("code", Value::Number(json_rpc_code(failure).into())),
        ("message", Value::Text(&message)),
        ("data", Value::Object(&data)),
    ];
    let mut members = vec![("jsonrpc", Value::Text("2.0"))];
    members.extend(failure.request_id().map(|id| ("id", id_value(id))));
    members.push(("error", Value::Object(&error)));
    ErrorEvent::written(MESSAGE, json::object(&members).as_bytes())
}

fn id_value(id: &RequestId) -> Value<'_> {
    match id {
        RequestId::Number(number) => Value::Number(*number),
        RequestId::Text(text) => Value::Text(text),
    }
}

/// JSON-RPC 2.0, section 5.1: invalid request, internal error.
fn json_rpc_code(failure: &Failure) -> i32 {
    match failure.code() {
        Some(code) => code.json_rpc(),
        None if failure.status().is_client_error() => -32600,
        None => -32603,
    }
}

fn open_ai(failure: &Failure) -> ErrorEvent {
    if let Some(json) = failure.json().filter(|json| has_member(json, "error")) {
        return ErrorEvent::new(json);
    }
    let kind = match failure.code() {
        Some(Code::ResourceExhausted) => "rate_limit_error",
        None if failure.status().is_client_error() => "invalid_request_error",
        _ => "server_error",
    };
    let (message, text) = (failure.message(), text(failure));
    let mut error = vec![
        ("message", Value::Text(&message)),
        ("type", Value::Text(kind)),
        ("param", Value::Null),
        ("code", Value::Null),
        status(failure),
    ];
    error.extend(body(failure, &text));
    ErrorEvent::new(json::object(&[("error", Value::Object(&error))]))
}

fn anthropic(failure: &Failure) -> ErrorEvent {
    const ERROR: &str = "event: error\n";
    if let Some(json) = failure.json() {
        if ["type", "error"].iter().all(|name| has_member(json, name)) {
            return ErrorEvent::written(ERROR, json);
        }
    }
    let kind = match (failure.code(), failure.status().as_u16()) {
        (Some(code), _) => code.llm(),
        (None, 401) => "authentication_error",
        (None, 403) => "permission_error",
        (None, 404) => "not_found_error",
        (None, 413) => "request_too_large",
        (None, 529) => "overloaded_error",
        (None, 400..500) => "invalid_request_error",
        _ => "api_error",
    };
    let (message, text) = (failure.message(), text(failure));
    let mut error = vec![("type", Value::Text(kind)), ("message", Value::Text(&message)), status(failure)];
    error.extend(body(failure, &text));
    let data = json::object(&[("type", Value::Text("error")), ("error", Value::Object(&error))]);
    ErrorEvent::written(ERROR, data.as_bytes())
}

fn status(failure: &Failure) -> (&'static str, Value<'static>) {
    ("status", Value::Number(failure.status().as_u16().into()))
}

/// What the body says, as text: it may be cut anywhere, and be no UTF-8.
fn text(failure: &Failure) -> String {
    String::from_utf8_lossy(failure.body()).into_owned()
}

fn body<'a>(failure: &'a Failure, text: &'a str) -> Vec<(&'static str, Value<'a>)> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut members = Vec::with_capacity(3);
    members.extend(failure.content_type().map(|value| ("content_type", Value::Text(value))));
    members.push(("body", Value::Text(text)));
    members.extend(failure.is_truncated().then_some(("truncated", Value::True)));
    members
}

#[cfg(test)]
mod tests;
