//! How a stream that is open says that it ends too early.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::protocol::Protocol;
use crate::dialect::Tracker;

/// What a stream says when a limit ends it after the response head. The [module](super) has the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// For `EventSource`: how long to wait before it connects again, and an event `timeout`.
    EventSource,
    /// For the clients of LLM APIs: an event `error` that those of OpenAI and Anthropic raise as an error.
    Llm,
    /// For MCP clients: a JSON-RPC error.
    Mcp {
        /// The request that fails. A layer does not read requests, so the handler has to tell; without it the stream
        /// is aborted, because a client drops an error that belongs to no request.
        id: Option<RequestId>,
    },
    /// For newline-delimited JSON: one more line.
    NdJson,
    /// For gRPC: trailers.
    Grpc,
    /// The body fails, so that the connection or the HTTP/2 stream breaks off.
    Abort,
}

impl Ending {
    /// What a response's format is, and how it ends: as the handler has chosen, or the operator, or what fits it.
    ///
    /// `exact`: the body knows how long it is.
    pub(crate) fn of_response(
        headers: &HeaderMap,
        chosen: Option<&Self>,
        exact: bool,
        caller: Protocol,
    ) -> (Tracker, Self) {
        // Nothing can be added to a body whose length the client knows. Most are all there, and cost no further look.
        if exact {
            return (Tracker::Opaque, Self::Abort);
        }
        let tracker = Tracker::of_response(headers);
        let ending = match chosen {
            _ if headers.contains_key(CONTENT_LENGTH) => Self::Abort,
            // A status belongs into a call's trailers, whatever is chosen for other responses.
            Some(chosen) if matches!(tracker, Tracker::Grpc(_)) && *chosen != Self::Abort => Self::Grpc,
            Some(chosen) => chosen.clone(),
            None => Self::for_response(tracker, caller),
        };
        (tracker, ending)
    }

    /// What fits a response to this caller where nobody has chosen.
    fn for_response(tracker: Tracker, caller: Protocol) -> Self {
        match (tracker, caller) {
            (Tracker::EventStream(_), Protocol::JsonRpc) => Self::Mcp { id: None },
            _ => Self::for_stream(tracker),
        }
    }

    /// What fits a stream of this format, whoever reads it.
    pub(crate) fn for_stream(tracker: Tracker) -> Self {
        match tracker {
            Tracker::EventStream(_) => Self::EventSource,
            Tracker::NdJson(_) => Self::NdJson,
            Tracker::Grpc(_) => Self::Grpc,
            Tracker::Opaque => Self::Abort,
        }
    }
}

/// The `id` of a JSON-RPC request.
///
/// ```
/// use tower_lifeline::reject::{Ending, RequestId};
///
/// let ending = Ending::Mcp { id: Some(RequestId::from(7)) };
/// # let _ = ending;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestId {
    /// `"id": 7`
    Number(i64),
    /// `"id": "seven"`
    Text(Box<str>),
}

impl From<i64> for RequestId {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for RequestId {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, grpc};

    #[test]
    fn what_fits_a_response() {
        let check = |tracker, caller, ending| assert_eq!(Ending::for_response(tracker, caller), ending);
        let events = Tracker::new(Dialect::EventStream);
        let grpc = Tracker::Grpc(grpc::Boundary::Between);
        check(events, Protocol::Http, Ending::EventSource);
        check(events, Protocol::JsonRpc, Ending::Mcp { id: None });
        check(Tracker::new(Dialect::NdJson), Protocol::Http, Ending::NdJson);
        check(Tracker::new(Dialect::NdJson), Protocol::JsonRpc, Ending::NdJson);
        check(grpc, Protocol::Grpc, Ending::Grpc);
        check(grpc, Protocol::Http, Ending::Grpc);
        for caller in
            [Protocol::Http, Protocol::Grpc, Protocol::GrpcWeb, Protocol::Connect, Protocol::JsonRpc]
        {
            check(Tracker::Opaque, caller, Ending::Abort);
        }
    }
}
