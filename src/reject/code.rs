//! One failure under the names that the protocols have for it.

use http::{HeaderValue, StatusCode};

/// What kind of failure it is, in gRPC's words. The other protocols' names follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// It took too long.
    DeadlineExceeded,
    /// This caller has had its share.
    ResourceExhausted,
    /// The server cannot now; another time or another server may.
    Unavailable,
}

impl Code {
    /// gRPC's number.
    #[must_use]
    pub fn grpc(self) -> u8 {
        match self {
            Self::DeadlineExceeded => 4,
            Self::ResourceExhausted => 8,
            Self::Unavailable => 14,
        }
    }

    /// Connect's name.
    #[must_use]
    pub fn connect(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unavailable => "unavailable",
        }
    }

    /// The status that Connect gives this code.
    #[must_use]
    pub fn connect_status(self) -> StatusCode {
        match self {
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// JSON-RPC's number, of those that MCP leaves to implementations (-32000 to -32019). -32001 is what MCP's
    /// TypeScript SDK calls `RequestTimeout`.
    #[must_use]
    pub fn json_rpc(self) -> i32 {
        match self {
            Self::DeadlineExceeded => -32001,
            Self::ResourceExhausted => -32008,
            Self::Unavailable => -32014,
        }
    }

    /// The type of an error that an LLM's client raises, as Anthropic names them.
    pub(crate) fn llm(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "timeout_error",
            Self::ResourceExhausted => "rate_limit_error",
            Self::Unavailable => "overloaded_error",
        }
    }

    pub(super) fn grpc_status(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::DeadlineExceeded => "4",
            Self::ResourceExhausted => "8",
            Self::Unavailable => "14",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_fits_its_protocols() {
        for code in [Code::DeadlineExceeded, Code::ResourceExhausted, Code::Unavailable] {
            assert_eq!(code.grpc_status(), code.grpc().to_string(), "{code:?}");
            assert!((-32019..=-32000).contains(&code.json_rpc()), "{code:?}");
            assert!(code.connect_status().is_client_error() || code.connect_status().is_server_error());
        }
    }
}
