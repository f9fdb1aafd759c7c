//! Decides: how much of a body will the client wait for?

use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode, Version};
use http_body::Body;

/// RFC 9110, sections 9.3.6 and 15.2.2: what follows this head is no message. `connect`: the method of the request was that.
#[inline]
pub(crate) fn is_tunnel(connect: bool, status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || (connect && status.is_success())
}

/// RFC 9110, section 6.4.1: these have no body. Nor has a tunnel.
pub(crate) fn has_no_body(request: &Method, status: StatusCode) -> bool {
    request == Method::HEAD
        || is_tunnel(request == Method::CONNECT, status)
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// How much of a body a server takes before it drops it without asking for its end (RFC 9112, section 6.3). In HTTP/2 it is
/// the end that it waits for: trailers may follow.
pub(crate) fn length<B: Body>(request: &Method, version: Version, response: &Response<B>) -> Option<u64> {
    if has_no_body(request, response.status()) {
        return Some(0);
    }
    if version > Version::HTTP_11 {
        return None;
    }
    let announced =
        response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    announced.or_else(|| response.body().size_hint().exact())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::testing::script;

    #[track_caller]
    fn check(request: &Method, status: u16, header: &[&str], expected: Option<u64>) {
        let mut response = Response::builder().status(status);
        for value in header {
            response = response.header(CONTENT_LENGTH, *value);
        }
        let response = response.body(script("0s=a 0s=b 9s=end")).unwrap();
        assert_eq!(length(request, Version::HTTP_11, &response), expected, "{request} {status} {header:?}");
    }

    #[test]
    fn a_length_is_the_head_s_word_and_then_the_body_s() {
        check(&Method::GET, 200, &[], None);
        check(&Method::GET, 200, &["18"], Some(18));
        check(&Method::GET, 200, &["many"], None);
        check(&Method::GET, 404, &["18"], Some(18));
        let known = Response::new(script("0s=a 0s=b").knows_length());
        assert_eq!(length(&Method::GET, Version::HTTP_11, &known), Some(18));
        assert_eq!(length(&Method::GET, Version::HTTP_10, &known), Some(18));
        assert_eq!(length(&Method::GET, Version::HTTP_2, &known), None);
        assert_eq!(length(&Method::HEAD, Version::HTTP_2, &known), Some(0));
    }

    #[test]
    fn what_has_no_body_has_no_length() {
        check(&Method::HEAD, 200, &["18"], Some(0));
        for status in [101, 204, 205, 304] {
            check(&Method::GET, status, &["18"], Some(0));
        }
    }

    #[test]
    fn tunnels() {
        check(&Method::CONNECT, 200, &["18"], Some(0));
        check(&Method::CONNECT, 404, &["18"], Some(18));
        assert!(is_tunnel(false, StatusCode::SWITCHING_PROTOCOLS));
        assert!(!is_tunnel(false, StatusCode::OK));
    }
}
