//! A refusal or an ending, as the caller's protocol says it.
//!
//! Everything here is pure: headers in, a value out; no body, no clock, no runtime.
//!
//! # Before the response head: a refusal
//!
//! [`Refusal`] says what happened, [`Caller`] what the client speaks, and [`Refusal::into_response`] is the answer.
//!
//! | [`Protocol`] | told by the request's | status | content type | says |
//! |---|---|---|---|---|
//! | [`Http`](Protocol::Http) | nothing of the below | the refusal's | `application/problem+json` | RFC 9457: `type`, `title`, `status`, `detail` |
//! | the same, where `Accept` wants plain text more than JSON | `Accept` | the refusal's | `text/plain` | one sentence |
//! | [`Grpc`](Protocol::Grpc) | `application/grpc`, `application/grpc+...` | 200 | the request's | trailers-only: `grpc-status`, `grpc-message` |
//! | [`GrpcWeb`](Protocol::GrpcWeb) | `application/grpc-web...` | 200 | the request's | the same |
//! | [`Connect`](Protocol::Connect), unary | `Connect-Protocol-Version` | that of the code | `application/json` | `code`, `message` |
//! | [`Connect`](Protocol::Connect), streaming | `application/connect+...` | 200 | the request's | one end-of-stream message with the same |
//! | [`JsonRpc`](Protocol::JsonRpc) | `MCP-Protocol-Version`, or JSON and an `Accept` that lists JSON and event streams | the refusal's | `application/json` | a JSON-RPC error without `id`, as MCP has it |
//!
//! An answer with content has `Content-Length` and `Cache-Control: no-store`. When to come back is `Retry-After`, and for
//! gRPC `grpc-retry-pushback-ms`. A refusal that gives the connection up says `Connection: close`, in HTTP/1 only.
//!
//! # After it: an ending
//!
//! Status and headers are gone, so the stream has to say it, each format in its own way. An [`Ending`] is written only
//! into its own format, and only between two messages: one that is half written is never completed, the stream is
//! aborted.
//!
//! | [`Ending`] | by default for | says | otherwise aborts |
//! |---|---|---|---|
//! | [`EventSource`](Ending::EventSource) | `text/event-stream` | `retry:` with jitter, and an event `timeout` with `{"phase":...,"limit_ms":...}` | inside an event |
//! | [`Llm`](Ending::Llm) | | an event `error` that the clients of OpenAI and Anthropic raise | inside an event |
//! | [`Mcp`](Ending::Mcp) | `text/event-stream` to an MCP client | a JSON-RPC error with the request's `id` | inside an event, or when the `id` is not known |
//! | [`NdJson`](Ending::NdJson) | `application/x-ndjson` and its like | a line with `error`, `phase` and `limit_ms` | inside a line |
//! | [`Grpc`](Ending::Grpc) | `application/grpc` | trailers: `grpc-status`, `grpc-message` | inside a message |
//! | [`Abort`](Ending::Abort) | all else, gRPC-Web and Connect among them | nothing | always |
//!
//! A handler chooses the ending of its own response by an [`Ending`] in the response's extensions. For MCP that is
//! [`Ending::Mcp`] with the request's `id`: without it a limit aborts the stream, and a drain ends it without a word. An early
//! head takes the id from there, too; a [`RequestId`] is for early heads alone.
//!
//! A compressed response is always aborted: plain bytes among compressed ones would destroy it.

pub(crate) mod accept;
mod caller;
mod code;
mod ending;
mod goodbye;
mod grpc;
pub(crate) mod json;
mod protocol;
mod refusal;
mod render;
mod renderer;

pub use caller::Caller;
pub use code::Code;
pub use ending::{Ending, RequestId};
pub(crate) use goodbye::{Goodbye, Said};
pub use protocol::Protocol;
pub use refusal::Refusal;
pub(crate) use renderer::{Prepared, Renderer};
