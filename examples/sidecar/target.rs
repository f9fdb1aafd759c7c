//! Decides what a request asks for: the host, and the path at it (RFC 9112, section 3.2; RFC 9113, section 8.3.1).

use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, StatusCode, Version};

/// Wherever it is, it is asked of the one upstream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As the client wrote it. A client of HTTP/1.0 may know none.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) path: PathAndQuery,
}

/// Why that cannot be said.
pub(crate) type Refused = (StatusCode, &'static str);

const BAD: StatusCode = StatusCode::BAD_REQUEST;

impl Target {
    pub(crate) fn of(request: &Parts) -> Result<Self, Refused> {
        if request.method == Method::CONNECT {
            return Err((StatusCode::NOT_IMPLEMENTED, "This is no proxy that makes tunnels."));
        }
        if request.uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
            return Err((BAD, "The request is for a scheme other than http and https."));
        }
        let mut hosts = request.headers.get_all(HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err((BAD, "The request has more than one Host."));
        }
        if host.is_none() && request.version == Version::HTTP_11 {
            return Err((BAD, "The request has no Host."));
        }
        // An authority in the request line counts more than any Host: of a proxy's client, and of all in HTTP/2.
        let host = match request.uri.authority() {
            Some(authority) => {
                Some(HeaderValue::try_from(authority.as_str()).map_err(|_| (BAD, "The host is none."))?)
            }
            None => host.cloned(),
        };
        if !host.as_ref().is_none_or(is_host) {
            return Err((BAD, "The host is none."));
        }
        match request.uri.path_and_query() {
            Some(path) if path.path().starts_with('/') => Ok(Self { host, path: path.clone() }),
            Some(path) if path == "*" && request.method == Method::OPTIONS => {
                Ok(Self { host, path: path.clone() })
            }
            _ => Err((BAD, "The request is for no path.")),
        }
    }
}

/// It may be empty (RFC 9110, section 7.2), and it is never a user's.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    if bytes.is_empty() {
        return true;
    }
    let Ok(authority) = Authority::try_from(bytes) else { return false };
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or("@");
    // What is behind the colon has not been looked at, and it may be nothing.
    port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn target(method: &str, uri: &str, version: Version, hosts: &[&str]) -> Result<(String, String), u16> {
        let request = Request::builder().method(method).uri(uri).version(version);
        let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        match Target::of(&parts) {
            Ok(Target { host, path }) => {
                Ok((host.map_or("-".to_owned(), |host| host.to_str().unwrap().to_owned()), path.to_string()))
            }
            Err((status, _)) => Err(status.as_u16()),
        }
    }

    #[test]
    fn what_is_asked_for() {
        use Version as V;
        let check = |method, uri, version, hosts: &[&str], host: &str, path: &str| {
            assert_eq!(
                target(method, uri, version, hosts),
                Ok((host.to_owned(), path.to_owned())),
                "{method} {uri}"
            );
        };
        check("GET", "/a?b", V::HTTP_11, &["example.com:80"], "example.com:80", "/a?b");
        check("GET", "/", V::HTTP_11, &[""], "", "/");
        check("GET", "/", V::HTTP_11, &["a:"], "a:", "/");
        check("GET", "/", V::HTTP_11, &["[::1]:8080"], "[::1]:8080", "/");
        check("GET", "/", V::HTTP_10, &[], "-", "/");
        check("GET", "//a//../b", V::HTTP_11, &["a"], "a", "//a//../b");
        check("GET", "http://b/c", V::HTTP_11, &["a"], "b", "/c");
        check("GET", "http://b", V::HTTP_2, &[], "b", "/");
        check("GET", "https://b/", V::HTTP_2, &["other"], "b", "/");
        check("GET", "/", V::HTTP_2, &["a"], "a", "/");
        check("OPTIONS", "*", V::HTTP_11, &["a"], "a", "*");
    }

    #[test]
    fn what_cannot_be_asked_for() {
        use Version as V;
        for (status, method, uri, version, hosts) in [
            (501, "CONNECT", "a:443", V::HTTP_11, &["a:443"][..]),
            (501, "CONNECT", "a:443", V::HTTP_2, &[]),
            (400, "GET", "/", V::HTTP_11, &[]),
            (400, "GET", "http://a/", V::HTTP_11, &[]),
            (400, "GET", "/", V::HTTP_11, &["a", "a"]),
            (400, "GET", "/", V::HTTP_11, &["a b"]),
            (400, "GET", "/", V::HTTP_11, &["a/b"]),
            (400, "GET", "/", V::HTTP_11, &["user@a"]),
            (400, "GET", "/", V::HTTP_11, &["a:b:c"]),
            (400, "GET", "/", V::HTTP_11, &["a:b"]),
            (400, "GET", "http://user:secret@a/", V::HTTP_11, &["a"]),
            (400, "GET", "ftp://a/", V::HTTP_11, &["a"]),
            (400, "GET", "a:80", V::HTTP_11, &["a"]),
            (400, "GET", "*", V::HTTP_11, &["a"]),
        ] {
            assert_eq!(target(method, uri, version, hosts), Err(status), "{method} {uri} {hosts:?}");
        }
    }
}
