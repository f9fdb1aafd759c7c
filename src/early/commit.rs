//! Decides: may this request be answered before its handler has, and if so, when?

use std::time::{Duration, Instant};

use http::header::UPGRADE;
use http::{HeaderMap, Method};

use crate::reject::{Protocol, accept};

/// Whether an early head could be an answer to this request at all. No setting overrules this: HEAD and CONNECT have no
/// body to beat in (RFC 9110, sections 9.3.2 and 9.3.6), and an upgrade wants another status.
pub(super) fn is_possible(method: &Method, headers: &HeaderMap) -> bool {
    method != Method::HEAD && method != Method::CONNECT && !headers.contains_key(UPGRADE)
}

/// Whether events have a place in what the caller speaks. No setting overrules this either.
pub(super) fn takes_events(protocol: Protocol) -> bool {
    match protocol {
        Protocol::Http | Protocol::JsonRpc => true,
        Protocol::Grpc | Protocol::GrpcWeb | Protocol::Connect => false,
    }
}

/// The choice where the operator has not made another: the client names event streams among what it takes.
pub(crate) fn by_accept(method: &Method, headers: &HeaderMap) -> bool {
    if !(method == Method::GET || method == Method::POST) || !accept::lists(headers, "text/event-stream") {
        return false;
    }
    // A GET opens MCP's stream of notifications, to which 405 is an answer that clients wait for.
    Protocol::of_request(headers) != Protocol::JsonRpc
        || method == Method::POST && accept::lists(headers, "application/json")
}

/// What to do about a handler that has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Now,
    At(Instant),
    Never,
}

/// `may`: nothing forbids it any more. As long as something does, that is looked at `every` so often.
pub(super) fn when(since: Instant, threshold: Duration, may: bool, every: Duration, now: Instant) -> When {
    match since.checked_add(threshold) {
        Some(at) if now < at => When::At(at),
        Some(_) if may => When::Now,
        Some(_) => now.checked_add(every).map_or(When::Never, When::At),
        None => When::Never,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};

    use super::*;

    const MCP_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn which_requests() {
        let check = |method: Method, fields: &[(HeaderName, &'static str)], chosen| {
            let headers = headers(fields);
            let possible = is_possible(&method, &headers) && takes_events(Protocol::of_request(&headers));
            assert_eq!(possible && by_accept(&method, &headers), chosen, "{method} {fields:?}");
        };
        let (events, both) = ((ACCEPT, "text/event-stream"), (ACCEPT, "application/json, text/event-stream"));
        let json = (CONTENT_TYPE, "application/json");
        let mcp = (MCP_VERSION, "2025-11-25");
        check(Method::GET, std::slice::from_ref(&events), true);
        check(Method::POST, std::slice::from_ref(&events), true);
        check(Method::POST, &[(ACCEPT, "*/*, Text/Event-Stream; q=0.1")], true);
        check(Method::POST, &[json.clone(), events.clone()], true);
        check(Method::POST, &[json.clone(), both.clone()], true);
        check(Method::POST, &[mcp.clone(), both.clone()], true);
        check(Method::POST, &[mcp.clone(), events.clone()], false);
        check(Method::GET, &[mcp.clone(), events.clone()], false);
        check(Method::GET, &[mcp, both.clone()], false);
        check(Method::GET, &[json, both], false);
        check(Method::POST, &[], false);
        check(Method::POST, &[(ACCEPT, "*/*")], false);
        check(Method::POST, &[(ACCEPT, "text/*")], false);
        check(Method::POST, &[(ACCEPT, "text/event-stream;q=0")], false);
        check(Method::POST, &[events.clone(), (CONTENT_TYPE, "application/grpc")], false);
        check(Method::GET, &[events.clone(), (UPGRADE, "websocket")], false);
        for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::CONNECT] {
            check(method, std::slice::from_ref(&events), false);
        }
    }

    #[test]
    fn what_no_predicate_can_choose() {
        let check = |method, fields: &[(HeaderName, &'static str)], possible| {
            assert_eq!(is_possible(&method, &headers(fields)), possible, "{method} {fields:?}");
        };
        check(Method::PUT, &[], true);
        check(Method::HEAD, &[], false);
        check(Method::CONNECT, &[], false);
        check(Method::GET, &[(UPGRADE, "websocket")], false);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn when_it_is_time() {
        let since = Instant::now();
        let s = |seconds| Duration::from_secs(seconds);
        let check = |threshold, may, now, expected| {
            assert_eq!(when(since, threshold, may, s(15), since + now), expected);
        };
        check(s(10), true, s(0), When::At(since + s(10)));
        check(s(10), false, s(9), When::At(since + s(10)));
        check(s(10), true, s(10), When::Now);
        check(s(10), true, s(99), When::Now);
        check(s(10), false, s(10), When::At(since + s(25)));
        check(s(0), true, s(0), When::Now);
        check(Duration::MAX, true, s(99), When::Never);
    }
}
