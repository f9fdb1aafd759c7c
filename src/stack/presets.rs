//! Where a builder starts from: the values of each preset.

use std::time::Duration;

use http::{HeaderMap, Request, request};

use crate::deadline::{DeadlineHeader, DeadlineLayer};
use crate::drain::OnDrain;
use crate::heartbeat::Heartbeat;
use crate::reject::Ending;
use crate::timeout::Timeouts;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preset {
    Sse,
    Llm,
    Mcp,
    Grpc,
    Plain,
}

const fn s(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

impl Preset {
    #[cfg(feature = "config")]
    const NAMES: [(&'static str, Self); 5] = [
        ("sse", Self::Sse),
        ("llm", Self::Llm),
        ("mcp", Self::Mcp),
        ("grpc", Self::Grpc),
        ("plain", Self::Plain),
    ];

    #[cfg(feature = "config")]
    pub(crate) fn named(name: &str) -> Option<Self> {
        let same = |other: &str| other.eq_ignore_ascii_case(name);
        Self::NAMES.into_iter().find(|(other, _)| same(other)).map(|(_, preset)| preset)
    }

    #[cfg(feature = "config")]
    pub(crate) fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }

    pub(super) fn timeouts(self) -> Timeouts {
        let none = Timeouts { headers: None, first_byte: None, inter_chunk: None, total: None };
        match self {
            Self::Sse => Timeouts { headers: s(30), ..none },
            Self::Llm => Timeouts { headers: s(30), first_byte: s(60), inter_chunk: s(90), total: s(600) },
            Self::Mcp => Timeouts { headers: s(60), ..none },
            Self::Grpc => none,
            Self::Plain => Timeouts { headers: s(30), first_byte: s(30), inter_chunk: s(30), ..none },
        }
    }

    pub(super) fn heartbeat(self) -> Option<Heartbeat> {
        match self {
            Self::Sse | Self::Llm | Self::Mcp => Some(Heartbeat::default()),
            Self::Grpc | Self::Plain => None,
        }
    }

    /// A client that streams in gRPC may be silent for as long as it likes.
    pub(super) fn request_body(self) -> Option<Duration> {
        if self == Self::Grpc { None } else { s(30) }
    }

    pub(super) fn deadlines(self) -> DeadlineLayer {
        match self {
            Self::Grpc => DeadlineLayer::new().trust(DeadlineHeader::GrpcTimeout),
            Self::Sse | Self::Llm | Self::Mcp | Self::Plain => DeadlineLayer::new(),
        }
    }

    /// How streams end, if not as the response suggests.
    pub(super) fn ending(self) -> Option<Ending> {
        match self {
            Self::Llm => Some(Ending::Llm),
            Self::Mcp => Some(Ending::Mcp { id: None }),
            Self::Sse | Self::Grpc | Self::Plain => None,
        }
    }
}

/// A request of MCP's 2026-07-28 and later that opens a stream whose first message has to be the acknowledgement. In
/// 2025-11-25 there is no such thing, and no header that tells what is called.
pub(super) fn is_listen(request: &request::Parts) -> bool {
    is_stateless(&request.headers) && is_a_listen(&request.headers)
}

fn is_stateless(headers: &HeaderMap) -> bool {
    // Dates as ISO 8601 writes them compare as text.
    header(headers, "mcp-protocol-version").is_some_and(|version| version >= "2026-07-28")
}

fn is_a_listen(headers: &HeaderMap) -> bool {
    header(headers, "mcp-method").is_some_and(|method| method == "subscriptions/listen")
}

/// In MCP's 2026-07-28 and later a stream that ends before its answer is a cancelled request, so answers finish while the
/// server drains. A listen is opened again, and in 2025-11-25 a stream is picked up where it ended.
pub(super) fn says_what_mcp_means_by_leaving<B>(request: &mut Request<B>) {
    let (headers, extensions) = (request.headers(), request.extensions());
    if is_stateless(headers) && !is_a_listen(headers) && extensions.get::<OnDrain>().is_none() {
        request.extensions_mut().insert(OnDrain::Finish);
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table in the module's documentation says, in its order.
    #[test]
    fn every_preset_has_the_values_of_its_table() {
        let check = |preset: Preset, values: [Option<u64>; 6], ending: Option<Ending>, trusts: &str| {
            let Timeouts { headers, first_byte, inter_chunk, total } = preset.timeouts();
            let beat = preset.heartbeat().map(|heartbeat| heartbeat.interval());
            let seconds = [beat, headers, first_byte, inter_chunk, total, preset.request_body()]
                .map(|limit| limit.map(|limit| limit.as_secs()));
            assert_eq!(seconds, values, "{preset:?}");
            assert_eq!(preset.ending(), ending, "{preset:?}");
            assert!(format!("{:?}", preset.deadlines()).contains(trusts), "{preset:?}");
        };
        let none = "deadlines: []";
        check(Preset::Sse, [Some(15), Some(30), None, None, None, Some(30)], None, none);
        let limits = [Some(15), Some(30), Some(60), Some(90), Some(600), Some(30)];
        check(Preset::Llm, limits, Some(Ending::Llm), none);
        let mcp = Some(Ending::Mcp { id: None });
        check(Preset::Mcp, [Some(15), Some(60), None, None, None, Some(30)], mcp, none);
        check(Preset::Grpc, [None; 6], None, "deadlines: [GrpcTimeout]");
        check(Preset::Plain, [None, Some(30), Some(30), Some(30), None, Some(30)], None, none);
    }

    #[test]
    fn a_listen_is_told_by_its_version_and_its_method() {
        let check = |version: &str, method: &str, listens| {
            let request = Request::post("/mcp")
                .header("mcp-protocol-version", version)
                .header("mcp-method", method)
                .body(());
            assert_eq!(is_listen(&request.unwrap().into_parts().0), listens, "{version} {method}");
        };
        check("2026-07-28", "subscriptions/listen", true);
        check("2027-01-01", "subscriptions/listen", true);
        check("2025-11-25", "subscriptions/listen", false);
        check("2026-07-28", "tools/call", false);
        check("", "subscriptions/listen", false);
        assert!(!is_listen(&Request::new(()).into_parts().0));
    }
}
