//! Decides: may anything be said where the stream stands, and if so, what?

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::code::Code;
use super::ending::{Ending, RequestId};
use super::grpc;
use super::json::{self, Value};
use crate::dialect::{Place, Tracker};

/// Why a stream ends, in no protocol yet.
#[derive(Clone, Debug)]
pub(crate) struct Goodbye {
    code: Code,
    /// The limit that was reached, if that is why: its phase, and how long it was.
    limit: Option<(&'static str, Duration)>,
    message: Cow<'static, str>,
    retry: Option<Duration>,
}

/// The last that a body gives.
#[derive(Debug)]
pub(crate) enum Said {
    /// These bytes, and then its end.
    Bytes(Bytes),
    /// These trailers.
    Trailers(HeaderMap),
    /// Its end, and no word.
    Nothing,
    /// An error: nothing can be said here.
    Abort,
}

impl Goodbye {
    /// The limit of this phase has passed.
    pub(crate) fn timeout(phase: &'static str, limit: Duration) -> Self {
        let message = format!("The {phase} limit of {limit:?} has passed.").into();
        Self { code: Code::DeadlineExceeded, limit: Some((phase, limit)), message, retry: None }
    }

    /// Nothing has failed: there is a better time or place to go on.
    pub(crate) fn elsewhere(message: &'static str) -> Self {
        Self { code: Code::Unavailable, limit: None, message: message.into(), retry: None }
    }

    /// How long an `EventSource` is to wait before it connects again. Spread it: streams that end together would come
    /// back together.
    pub(crate) fn with_retry(mut self, after: Duration) -> Self {
        self.retry = Some(after);
        self
    }

    /// The end of a body that stands here. An ending is written only into its own format, and only between two
    /// messages: half a message is never completed.
    pub(crate) fn say(&self, ending: &Ending, tracker: Tracker) -> Said {
        let text = match (ending, tracker) {
            (Ending::Grpc, Tracker::Grpc(at)) if at.is_between() => return Said::Trailers(self.trailers()),
            _ if tracker.place() != Place::Between => return Said::Abort,
            // A listener knows by its own means how to go on, and needs no event for it.
            (Ending::EventSource, Tracker::EventStream(_)) if self.limit.is_none() => self.retry_only(),
            (Ending::EventSource, Tracker::EventStream(_)) => self.event_source(),
            (Ending::Llm, Tracker::EventStream(_)) => self.llm(),
            (Ending::Mcp { id: Some(id) }, Tracker::EventStream(_)) => self.mcp(id),
            (Ending::NdJson, Tracker::NdJson(_)) => self.nd_json(),
            // Between two messages an end is honest where nothing has failed.
            _ if self.limit.is_none() && *ending != Ending::Abort => return Said::Nothing,
            _ => return Said::Abort,
        };
        if text.is_empty() { Said::Nothing } else { Said::Bytes(text.into()) }
    }

    fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        grpc::write(&mut trailers, self.code, &self.message);
        trailers
    }

    fn event_source(&self) -> String {
        let facts = json::object(&self.facts());
        match self.retry {
            Some(after) => format!("retry: {}\nevent: timeout\ndata: {facts}\n\n", after.as_millis()),
            None => format!("event: timeout\ndata: {facts}\n\n"),
        }
    }

    fn retry_only(&self) -> String {
        self.retry.map_or_else(String::new, |after| format!("retry: {}\n\n", after.as_millis()))
    }

    /// OpenAI's clients look for `error` in the data, Anthropic's at the event's name.
    fn llm(&self) -> String {
        let error = [("type", Value::Text(self.code.llm())), ("message", Value::Text(&self.message))];
        let data = json::object(&[("type", Value::Text("error")), ("error", Value::Object(&error))]);
        format!("event: error\ndata: {data}\n\n")
    }

    /// The name is the default one, but there are clients that want to see it.
    fn mcp(&self, id: &RequestId) -> String {
        let id = match id {
            RequestId::Number(number) => Value::Number(*number),
            RequestId::Text(text) => Value::Text(text),
        };
        let error =
            [("code", Value::Number(self.code.json_rpc().into())), ("message", Value::Text(&self.message))];
        let data =
            json::object(&[("jsonrpc", Value::Text("2.0")), ("id", id), ("error", Value::Object(&error))]);
        format!("event: message\ndata: {data}\n\n")
    }

    /// `error` is text, because clients put it into their exception as it is.
    fn nd_json(&self) -> String {
        let mut members = vec![("error", Value::Text(&self.message))];
        members.extend(self.facts());
        let mut line = json::object(&members);
        line.push('\n');
        line
    }

    fn facts(&self) -> Vec<(&'static str, Value<'static>)> {
        let Some((phase, limit)) = self.limit else {
            return Vec::new();
        };
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        vec![("phase", Value::Text(phase)), ("limit_ms", Value::Number(limit))]
    }
}

#[cfg(test)]
mod tests;
