//! A refusal as each protocol has it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};

use super::caller::Caller;
use super::grpc;
use super::json::{self, Value};
use super::protocol::Protocol;
use super::refusal::Refusal;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The flag of the last message of a stream in Connect.
const END_OF_STREAM: u8 = 0b10;

/// In whole seconds, of which the last may have begun only.
pub(super) fn write_retry_after(headers: &mut HeaderMap, after: Duration) {
    let begun = u64::from(after.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().saturating_add(begun).max(1)));
}

impl Refusal {
    /// The whole answer, as the caller's protocol has it. The [module](super) has the table.
    #[must_use]
    pub fn into_response(self, caller: &Caller) -> Response<Bytes> {
        let mut response = match (caller.protocol(), caller.echo()) {
            (Protocol::Http, _) if caller.reads_problems() => {
                self.answer(self.status(), PROBLEM, self.problem())
            }
            (Protocol::Http, _) => self.answer(self.status(), PLAIN, format!("{}\n", self.detail())),
            (Protocol::Grpc | Protocol::GrpcWeb, echo) => self.trailers_only(echo.cloned().unwrap_or(GRPC)),
            (Protocol::Connect, Some(echo)) => {
                self.answer(StatusCode::OK, echo.clone(), self.connect_end_of_stream())
            }
            (Protocol::Connect, None) => {
                self.answer(self.code().connect_status(), JSON, json::object(&self.connect_error()))
            }
            (Protocol::JsonRpc, _) => self.answer(self.status(), JSON, self.json_rpc()),
        };
        if self.closes_connection() && caller.is_http1() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn answer(
        &self,
        status: StatusCode,
        content_type: HeaderValue,
        body: impl Into<Bytes>,
    ) -> Response<Bytes> {
        let body = body.into();
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after() {
            write_retry_after(headers, after);
        }
        response
    }

    /// RFC 9457.
    fn problem(&self) -> String {
        json::object(&[
            ("type", Value::Text(self.problem_type())),
            ("title", Value::Text(self.title())),
            ("status", Value::Number(self.status().as_u16().into())),
            ("detail", Value::Text(self.detail())),
        ])
    }

    /// No length: an HTTP/2 server then ends the stream with the head, which is what makes it trailers-only.
    fn trailers_only(&self, content_type: HeaderValue) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        grpc::write(headers, self.code(), self.detail());
        if let Some(after) = self.retry_after() {
            grpc::write_pushback(headers, after);
        }
        response
    }

    fn connect_error(&self) -> [(&'static str, Value<'_>); 2] {
        [("code", Value::Text(self.code().connect())), ("message", Value::Text(self.detail()))]
    }

    fn connect_end_of_stream(&self) -> Bytes {
        let message = json::object(&[("error", Value::Object(&self.connect_error()))]);
        let mut envelope = BytesMut::with_capacity(5 + message.len());
        envelope.put_u8(END_OF_STREAM);
        // A few hundred bytes.
        envelope.put_u32(message.len() as u32);
        envelope.put_slice(message.as_bytes());
        envelope.freeze()
    }

    /// Without `id`: the request may not have been read, and MCP allows that next to an HTTP error.
    fn json_rpc(&self) -> String {
        json::object(&[
            ("jsonrpc", Value::Text("2.0")),
            (
                "error",
                Value::Object(&[
                    ("code", Value::Number(self.code().json_rpc().into())),
                    ("message", Value::Text(self.detail())),
                ]),
            ),
        ])
    }
}

#[cfg(test)]
mod tests;
