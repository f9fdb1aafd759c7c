//! What has to be remembered of a request to answer it without its handler.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version};

use super::accept;
use super::protocol::{Protocol, Signs, is_connect_stream};

/// Who is refused: the protocol, and what else an answer in it depends on.
#[derive(Clone, Debug)]
pub struct Caller {
    protocol: Protocol,
    http1: bool,
    head: bool,
    /// HTTP: `Accept`. A protocol whose answer has the request's content type: that one.
    media: Option<HeaderValue>,
}

impl Caller {
    /// The caller of this request. It costs a look at each header and no allocation.
    #[must_use]
    pub fn of_request<B>(request: &Request<B>) -> Self {
        let signs = Signs::in_request(request.headers());
        let protocol = signs.protocol();
        let media = match protocol {
            Protocol::Http => signs.accept.once(),
            Protocol::Grpc | Protocol::GrpcWeb => signs.content_type.once(),
            Protocol::Connect => signs.content_type.once().filter(|_| is_connect_stream(signs.media_type())),
            Protocol::JsonRpc => None,
        };
        Self {
            protocol,
            http1: request.version() < Version::HTTP_2,
            head: request.method() == Method::HEAD,
            media: media.cloned(),
        }
    }

    /// The protocol that this caller speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether the connection can be given up with a header.
    pub(super) fn is_http1(&self) -> bool {
        self.http1
    }

    /// An answer to HEAD ends with its head (RFC 9110, section 9.3.2). hyper sees to that on HTTP/1 alone. What the head
    /// says of the length stays: it is that of the answer to a GET.
    pub(crate) fn fitted(&self, answer: Response<Bytes>) -> Response<Bytes> {
        if self.head { answer.map(|_| Bytes::new()) } else { answer }
    }

    /// Whether it is answered with problem+json.
    pub(super) fn reads_problems(&self) -> bool {
        self.protocol == Protocol::Http && !self.media.as_ref().is_some_and(accept::prefers_plain)
    }

    /// The content type that an answer has to have because the request had it.
    pub(super) fn echo(&self) -> Option<&HeaderValue> {
        self.media.as_ref().filter(|_| self.protocol != Protocol::Http)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered() {
        let check = |fields: &[(&str, &str)], echo: Option<&str>, problems| {
            let request =
                fields.iter().fold(Request::builder(), |request, &(name, value)| request.header(name, value));
            let caller = Caller::of_request(&request.body(()).unwrap());
            assert_eq!(caller.echo().map(|value| value.to_str().unwrap()), echo, "{fields:?}");
            assert_eq!(caller.reads_problems(), problems, "{fields:?}");
        };
        check(&[], None, true);
        check(&[("accept", "text/plain")], None, false);
        check(&[("accept", "text/plain"), ("accept", "application/json")], None, true);
        check(&[("accept", "text/plain"), ("mcp-protocol-version", "2025-11-25")], None, false);
        check(&[("content-type", "application/grpc+json")], Some("application/grpc+json"), false);
        check(&[("content-type", "application/grpc-web-text")], Some("application/grpc-web-text"), false);
        check(&[("content-type", "application/connect+proto")], Some("application/connect+proto"), false);
        check(&[("content-type", "application/proto"), ("connect-protocol-version", "1")], None, false);
    }

    #[test]
    fn only_http_1_gives_a_connection_up_with_a_header() {
        for (version, http1) in [(Version::HTTP_10, true), (Version::HTTP_11, true), (Version::HTTP_2, false)]
        {
            let request = Request::builder().version(version).body(()).unwrap();
            assert_eq!(Caller::of_request(&request).is_http1(), http1, "{version:?}");
        }
    }
}
