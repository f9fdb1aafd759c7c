//! Decides: what does the caller speak?

use http::{HeaderMap, HeaderValue};

use super::accept;
use crate::dialect::{essence, grpc};

/// The protocol in which a caller understands a refusal.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
/// use tower_lifeline::reject::Protocol;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(Protocol::of_request(&headers), Protocol::Http);
/// headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
/// assert_eq!(Protocol::of_request(&headers), Protocol::Grpc);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP itself, and nothing on top that has errors of its own.
    Http,
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, in binary or in text.
    GrpcWeb,
    /// Connect, unary or streaming. Its GET requests need no header and are taken for HTTP unless they send
    /// `Connect-Protocol-Version`; Connect's clients understand HTTP's status codes too.
    Connect,
    /// JSON-RPC as MCP's Streamable HTTP carries it.
    JsonRpc,
}

impl Protocol {
    /// What the headers of a request tell. The first that fits decides: the content type of an RPC protocol,
    /// `Connect-Protocol-Version`, `MCP-Protocol-Version`, and JSON with an `Accept` that lists both
    /// `application/json` and `text/event-stream`, as every MCP client has to send it.
    #[must_use]
    pub fn of_request(headers: &HeaderMap) -> Self {
        Signs::in_request(headers).protocol()
    }
}

/// The fields of a request that tell who calls.
// Found in one pass: to look one up costs as much as to pass by ten others.
pub(super) struct Signs<'a> {
    headers: &'a HeaderMap,
    pub(super) content_type: Field<'a>,
    pub(super) accept: Field<'a>,
    connect: bool,
    mcp: bool,
}

/// How often a field is there. Of several that should be one, each would tell half of the truth.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Absent,
    Once(&'a HeaderValue),
    Repeated,
}

impl<'a> Field<'a> {
    fn and(self, value: &'a HeaderValue) -> Self {
        match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        }
    }

    pub(super) fn once(self) -> Option<&'a HeaderValue> {
        match self {
            Self::Once(value) => Some(value),
            Self::Absent | Self::Repeated => None,
        }
    }
}

impl<'a> Signs<'a> {
    pub(super) fn in_request(headers: &'a HeaderMap) -> Self {
        let (content_type, accept) = (Field::Absent, Field::Absent);
        let mut signs = Self { headers, content_type, accept, connect: false, mcp: false };
        for (name, value) in headers {
            match name.as_str() {
                "content-type" => signs.content_type = signs.content_type.and(value),
                "accept" => signs.accept = signs.accept.and(value),
                "connect-protocol-version" => signs.connect = true,
                "mcp-protocol-version" => signs.mcp = true,
                _ => {}
            }
        }
        signs
    }

    pub(super) fn protocol(&self) -> Protocol {
        let media_type = self.media_type();
        if grpc::is_media_type(media_type) {
            Protocol::Grpc
        } else if is_grpc_web(media_type) {
            Protocol::GrpcWeb
        } else if is_connect_stream(media_type) || self.connect {
            Protocol::Connect
        } else if self.mcp || is_mcp(media_type, self.headers) {
            Protocol::JsonRpc
        } else {
            Protocol::Http
        }
    }

    /// That of the request's body, without parameters; empty if there is none that can be read.
    pub(super) fn media_type(&self) -> &'a str {
        self.content_type.once().and_then(|value| value.to_str().ok()).map_or("", essence)
    }
}

fn is_mcp(media_type: &str, headers: &HeaderMap) -> bool {
    media_type.eq_ignore_ascii_case("application/json")
        && accept::lists(headers, "text/event-stream")
        && accept::lists(headers, "application/json")
}

/// `application/grpc-web` and `application/grpc-web-text`, each with a suffix or without.
fn is_grpc_web(media_type: &str) -> bool {
    after("application/grpc-web", media_type).is_some_and(|rest| {
        let rest = after("-text", rest).unwrap_or(rest);
        rest.is_empty() || rest.starts_with('+')
    })
}

/// Unary requests of Connect have an ordinary content type.
pub(super) fn is_connect_stream(media_type: &str) -> bool {
    after("application/connect+", media_type).is_some()
}

/// The rest behind this prefix, whatever its case.
fn after<'a>(prefix: &str, text: &'a str) -> Option<&'a str> {
    let begins = text.get(..prefix.len())?.eq_ignore_ascii_case(prefix);
    begins.then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};

    use super::*;

    const CONNECT_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
    const MCP_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

    #[test]
    fn what_a_request_speaks() {
        let check = |fields: &[(HeaderName, &'static str)], protocol| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, HeaderValue::from_static(value));
            }
            assert_eq!(Protocol::of_request(&headers), protocol, "{headers:?}");
        };
        let both = "application/json, text/event-stream";
        check(&[], Protocol::Http);
        check(&[(CONTENT_TYPE, "text/plain")], Protocol::Http);
        check(&[(CONTENT_TYPE, "application/json"), (ACCEPT, "*/*")], Protocol::Http);
        check(&[(CONTENT_TYPE, "application/grpc")], Protocol::Grpc);
        check(&[(CONTENT_TYPE, "Application/Grpc+JSON; a=b")], Protocol::Grpc);
        check(&[(CONTENT_TYPE, "application/grpcweb")], Protocol::Http);
        check(&[(CONTENT_TYPE, "application/grpc-websocket")], Protocol::Http);
        check(&[(CONTENT_TYPE, "application/grpc-web")], Protocol::GrpcWeb);
        check(&[(CONTENT_TYPE, "application/grpc-web+proto")], Protocol::GrpcWeb);
        check(&[(CONTENT_TYPE, "APPLICATION/GRPC-WEB-TEXT")], Protocol::GrpcWeb);
        check(&[(CONTENT_TYPE, "application/grpc-web-text+proto")], Protocol::GrpcWeb);
        check(&[(CONTENT_TYPE, "application/connect+json")], Protocol::Connect);
        check(&[(CONTENT_TYPE, "application/connection")], Protocol::Http);
        check(&[(CONTENT_TYPE, "application/proto"), (CONNECT_VERSION, "1")], Protocol::Connect);
        check(&[(CONTENT_TYPE, "application/grpc"), (CONNECT_VERSION, "1")], Protocol::Grpc);
        check(&[(MCP_VERSION, "2025-11-25")], Protocol::JsonRpc);
        check(&[(CONTENT_TYPE, "application/json; charset=utf-8"), (ACCEPT, both)], Protocol::JsonRpc);
        check(
            &[
                (CONTENT_TYPE, "application/json"),
                (ACCEPT, "application/json"),
                (ACCEPT, "text/event-stream"),
            ],
            Protocol::JsonRpc,
        );
        check(&[(CONTENT_TYPE, "application/json"), (ACCEPT, "text/event-stream")], Protocol::Http);
        check(
            &[(CONTENT_TYPE, "application/json"), (ACCEPT, "application/json;q=0, text/event-stream")],
            Protocol::Http,
        );
        check(&[(ACCEPT, both)], Protocol::Http);
        check(&[(CONTENT_TYPE, "application/grpc"), (CONTENT_TYPE, "application/grpc")], Protocol::Http);
    }
}
