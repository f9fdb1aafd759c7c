//! Any headers of a request, one a line, to a server that refuses it: it is answered, and the answer is what it says it is.
//! And any text as the name of a preset.

#![no_main]

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::{Corpus, fuzz_target};
use tower::{Layer, Service, service_fn};
use tower_lifeline::{DeadlineHeader, DeadlineLayer, Gate, GateLayer, Hop};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if let Some(hop) = std::str::from_utf8(bytes).ok().and_then(Hop::named_preset) {
        assert!(Hop::PRESETS.contains(&hop));
    }
    let Some((choice, head)) = bytes.split_first() else {
        return Corpus::Reject;
    };
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = [Method::GET, Method::POST, Method::HEAD][usize::from(choice % 3)].clone();
    for line in head.split(|byte| *byte == b'\n') {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            request.headers_mut().append(name, value);
        }
    }
    let is_head = request.method() == Method::HEAD;
    let response = refused(request);
    let (parts, body) = response.into_parts();
    let body = ready(body.collect()).expect("no error");
    let (trailers, body) = (body.trailers().cloned(), body.to_bytes());
    let media =
        parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default().to_ascii_lowercase();
    if is_head {
        assert!(body.is_empty(), "{parts:?} {body:?}");
    } else if media.starts_with(b"application/problem+json") || media == b"application/json" {
        serde_json::from_slice::<serde_json::Value>(&body).expect("JSON");
    } else if media.starts_with(b"application/grpc") && !media.starts_with(b"application/grpc-web") {
        assert!(body.is_empty());
        assert!(parts.headers.contains_key("grpc-status") || trailers.is_some(), "{parts:?}");
    }
    Corpus::Keep
});

fn refused(
    request: Request<Full<Bytes>>,
) -> Response<impl http_body::Body<Data = Bytes, Error: std::fmt::Debug>> {
    let gate = Gate::new(1);
    gate.close();
    let deadlines = DeadlineLayer::new()
        .trust(DeadlineHeader::GrpcTimeout)
        .trust(DeadlineHeader::ConnectTimeoutMs)
        .trust(DeadlineHeader::RequestTimeout)
        .trust_prefer_wait()
        .trust_read_timeout();
    let handler = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))) });
    let mut service = deadlines.layer(GateLayer::new(&gate).layer(handler));
    ready(service.call(request)).expect("no error")
}

/// Nobody waits here, so nothing needs a runtime.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nobody waits"),
    }
}
