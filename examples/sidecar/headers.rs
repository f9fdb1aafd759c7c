//! Decides which header fields go on and which are for one connection alone (RFC 9110, section 7.6; RFC 9112).

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, Entry, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

/// By which name it is known to those behind it.
const PSEUDONYM: &str = "lifeline";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// For one connection, whether or not `Connection` says so. `Trailer` and `Proxy-Status` are not among them.
const ALWAYS_HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What the upstream has to be told about where a request came from.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) peer: Option<IpAddr>,
    pub(crate) version: Version,
    pub(crate) host: Option<&'a HeaderValue>,
}

/// Whether a message is framed in a way that this program can undo. What it has not decoded it must not pass on under a
/// header that does not say so (RFC 9112, section 6.1).
pub(crate) fn can_be_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    // Nobody may chunk a message twice, and only the outer chunks would be undone.
    codings.next().is_none_or(chunked) && codings.next().is_none()
}

/// The protocol that a client wants to change to, where it may.
pub(crate) fn upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = version == Version::HTTP_11 && tokens(headers, &CONNECTION).any(|token| token == "upgrade");
    // With h2c the rest of the connection would be HTTP/2, out of sight of everything here.
    let allowed: Vec<_> = tokens(headers, &UPGRADE).filter(|protocol| !is_http(protocol)).collect();
    if !asked || allowed.is_empty() {
        return None;
    }
    HeaderValue::try_from(allowed.join(", ")).ok()
}

fn is_http(protocol: &str) -> bool {
    ["h2c", "h2", "h3", "http", "tls"].contains(&protocol.split('/').next().unwrap_or_default())
}

/// Makes the header of a client's request that of a request to the upstream. `upgrade` is what [`upgrade`] said.
pub(crate) fn to_upstream(headers: &mut HeaderMap, origin: &Origin<'_>, upgrade: Option<HeaderValue>) {
    let reads_trailers = tokens(headers, &TE).any(|coding| coding == "trailers");
    strip(headers);
    let mut connection = Vec::new();
    if reads_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        connection.push("te");
    }
    if let Some(upgrade) = upgrade {
        headers.insert(UPGRADE, upgrade);
        connection.push("upgrade");
    }
    if !connection.is_empty() {
        headers.extend(HeaderValue::try_from(connection.join(", ")).ok().map(|value| (CONNECTION, value)));
    }
    // RFC 9110, section 10.1.1: a client of HTTP/1.0 knows no such thing.
    if origin.version < Version::HTTP_11 {
        headers.remove(EXPECT);
    }
    // RFC 9113, section 8.2.3: there each cookie may have a line of its own, and nowhere else.
    join(headers, &COOKIE, b"; ");

    headers.remove(HOST);
    if let Some(host) = origin.host {
        headers.insert(HOST, host.clone());
        or_insert(headers, FORWARDED_HOST, host.clone());
    }
    // What is in front of this program may have ended TLS, and says so.
    or_insert(headers, FORWARDED_PROTO, HeaderValue::from_static("http"));
    let peer = origin.peer.and_then(|peer| HeaderValue::try_from(peer.to_string()).ok());
    headers.extend(peer.map(|peer| (FORWARDED_FOR, peer)));
    let via = HeaderValue::try_from(format!("{} {PSEUDONYM}", number(origin.version)));
    headers.extend(via.ok().map(|via| (VIA, via)));
    join(headers, &FORWARDED_FOR, b", ");
    join(headers, &VIA, b", ");
}

/// The same for a response to the client. A gateway may leave `Via` out there.
pub(crate) fn to_client(headers: &mut HeaderMap, switched_to: Option<HeaderValue>) {
    strip(headers);
    if let Some(protocol) = switched_to {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<_> =
        tokens(headers, &CONNECTION).filter_map(|token| token.parse::<HeaderName>().ok()).collect();
    // RFC 9112, section 6.3: where both are, the length is a lie.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in ALWAYS_HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// The members of a list, in lower case. What is no text is no token.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> + use<'a> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|token| {
        let token = token.split(';').next().unwrap_or_default().trim();
        (!token.is_empty()).then(|| token.to_ascii_lowercase())
    })
}

/// Makes one line of many.
fn join(headers: &mut HeaderMap, name: &HeaderName, separator: &[u8]) {
    let lines: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1 {
        let joined = HeaderValue::from_bytes(&lines.join(separator));
        headers.extend(joined.ok().map(|joined| (Some(name.clone()), joined)));
    }
}

fn or_insert(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if let Entry::Vacant(place) = headers.entry(name) {
        place.insert(value);
    }
}

fn number(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let fields = text.lines().map(|line| line.split_once(": ").unwrap());
        fields
            .map(|(name, value)| {
                (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        lines.sort_unstable();
        lines
    }

    /// What becomes of a request's header, less what is always added.
    fn forwarded(text: &str) -> Vec<String> {
        let mut headers = headers(text);
        let upgrade = upgrade(Version::HTTP_11, &headers);
        let origin = Origin { peer: Some([192, 0, 2, 1].into()), version: Version::HTTP_11, host: None };
        to_upstream(&mut headers, &origin, upgrade);
        let added = ["x-forwarded-proto: http", "x-forwarded-for: 192.0.2.1", "via: 1.1 lifeline"];
        let lines = lines(&headers);
        for line in added {
            assert!(lines.iter().any(|there| there == line), "{line} in {lines:?}");
        }
        lines.into_iter().filter(|line| !added.contains(&&**line)).collect()
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn what_is_for_one_connection_ends_here() {
        assert_eq!(forwarded("accept: a\naccept: b\nx-own: c"), ["accept: a", "accept: b", "x-own: c"]);
        for own in [
            "keep-alive: timeout=5",
            "proxy-connection: keep-alive",
            "proxy-authenticate: basic",
            "proxy-authorization: basic YTpi",
            "transfer-encoding: chunked",
            "connection: close",
            "upgrade: websocket",
            "te: gzip",
        ] {
            assert_eq!(forwarded(own), NOTHING, "{own}");
        }
        for end_to_end in ["trailer: x-sum", "proxy-status: a", "authorization: basic YTpi"] {
            assert_eq!(forwarded(end_to_end), [end_to_end]);
        }
    }

    #[test]
    fn what_connection_lists_goes_with_it() {
        assert_eq!(
            forwarded("connection: x-one, close\nconnection: X-Two\nx-one: 1\nx-two: 2\nx: 3"),
            ["x: 3"]
        );
        assert_eq!(forwarded("connection: te,,  ,;,\nte: trailers"), ["connection: te", "te: trailers"]);
        // A list cannot take away what is said of its own request behind it.
        assert_eq!(forwarded("connection: x-forwarded-for, via\nx-forwarded-for: a\nvia: b"), NOTHING);
    }

    #[test]
    fn a_list_that_is_none_harms_nothing() {
        for bad in [
            "connection: \u{e4}",
            "connection: a b",
            "connection: (",
            "connection: ,",
            "connection: x-\u{7f}",
        ] {
            let Ok(value) = HeaderValue::from_bytes(bad.split_once(": ").unwrap().1.as_bytes()) else {
                continue;
            };
            let mut headers = headers("x-own: c");
            headers.insert(CONNECTION, value);
            to_client(&mut headers, None);
            assert_eq!(lines(&headers), ["x-own: c"], "{bad}");
        }
        let many = format!("connection: {}", vec!["x"; 30_000].join(","));
        assert_eq!(forwarded(&many), NOTHING);
    }

    #[test]
    fn trailers_go_on_when_they_are_read() {
        for te in ["trailers", "gzip, Trailers", "deflate;q=0.5,trailers;q=1"] {
            assert_eq!(forwarded(&format!("te: {te}")), ["connection: te", "te: trailers"], "{te}");
        }
        assert_eq!(forwarded("te: trailersx"), NOTHING);
    }

    #[test]
    fn an_upgrade_goes_on_unless_it_is_to_another_http() {
        let upgraded = ["connection: upgrade", "upgrade: websocket"];
        assert_eq!(forwarded("connection: keep-alive, Upgrade\nupgrade: WebSocket"), upgraded);
        assert_eq!(
            forwarded("connection: upgrade, http2-settings\nupgrade: h2c, websocket\nhttp2-settings: A"),
            upgraded
        );
        for refused in ["h2c", "H2C", "HTTP/2.0", "TLS/1.0", ""] {
            assert_eq!(forwarded(&format!("connection: upgrade\nupgrade: {refused}")), NOTHING, "{refused}");
        }
        assert_eq!(forwarded("upgrade: websocket"), NOTHING);
        let asked = headers("connection: upgrade\nupgrade: websocket");
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(upgrade(version, &asked), None, "{version:?}");
        }
    }

    #[test]
    fn where_a_request_came_from_is_appended() {
        let mut headers = headers(
            "x-forwarded-for: a\nx-forwarded-for: b\nvia: 1.0 c\nx-forwarded-proto: https\ncookie: a=1\ncookie: b=2\nhost: lie\nexpect: 100-continue",
        );
        let host = HeaderValue::from_static("example.com");
        let origin = Origin {
            peer: Some([0, 0, 0, 0, 0, 0, 0, 1].into()),
            version: Version::HTTP_10,
            host: Some(&host),
        };
        to_upstream(&mut headers, &origin, None);
        assert_eq!(
            lines(&headers),
            [
                "cookie: a=1; b=2",
                "host: example.com",
                "via: 1.0 c, 1.0 lifeline",
                "x-forwarded-for: a, b, ::1",
                "x-forwarded-host: example.com",
                "x-forwarded-proto: https"
            ]
        );
    }

    #[test]
    fn a_length_beside_chunks_is_dropped() {
        assert_eq!(forwarded("transfer-encoding: chunked\ncontent-length: 3"), NOTHING);
        assert_eq!(forwarded("content-length: 3"), ["content-length: 3"]);
    }

    #[test]
    fn only_chunks_can_be_undone() {
        for (codings, can) in [
            ("x: y", true),
            ("transfer-encoding: Chunked", true),
            ("transfer-encoding: gzip, chunked", false),
            ("transfer-encoding: gzip\ntransfer-encoding: chunked", false),
            ("transfer-encoding: chunked\ntransfer-encoding: chunked", false),
            ("transfer-encoding: identity", false),
            ("transfer-encoding: ", false),
        ] {
            assert_eq!(can_be_framed(&headers(codings)), can, "{codings}");
        }
    }

    #[test]
    fn a_response_says_only_what_is_for_the_client() {
        let mut answer = headers(
            "connection: close, x-own\nx-own: 1\nkeep-alive: 5\nupgrade: h2c\nserver: a\ntransfer-encoding: chunked\nset-cookie: a\nset-cookie: b",
        );
        to_client(&mut answer, None);
        assert_eq!(lines(&answer), ["server: a", "set-cookie: a", "set-cookie: b"]);
        to_client(&mut answer, Some(HeaderValue::from_static("websocket")));
        assert!(lines(&answer).contains(&"connection: upgrade".to_owned()));
    }
}
