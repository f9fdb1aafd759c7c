//! An HTTP client that tells a finished body from a cut one.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::header::{HOST, HeaderValue, TE};
use http::{HeaderMap, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// Fails a test that hangs. Far longer than any of them takes.
pub async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(100), work).await.expect("it does not hang")
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    at: SocketAddr,
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Client {
    /// Connects without TLS; HTTP/2 by prior knowledge.
    pub async fn connect(at: SocketAddr, version: Version) -> Self {
        let io = TokioIo::new(TcpStream::connect(at).await.expect("connected"));
        // How a connection ends is seen in the bodies it carries.
        let sender = if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
            tokio::spawn(connection);
            Sender::Http1(sender)
        };
        Self { at, sender }
    }

    pub async fn get(&mut self, path: &str) -> Response<Incoming> {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        self.send(request).await.expect("a response")
    }

    /// Sends a request that names a path only.
    pub async fn send(&mut self, mut request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        let headers = request.headers_mut();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        match &mut self.sender {
            Sender::Http1(sender) => {
                let host = self.at.to_string().parse().expect("a host");
                headers.insert(HOST, host);
                sender.ready().await.expect("the connection is still good");
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                let whole = format!("http://{}{}", self.at, request.uri());
                *request.uri_mut() = whole.parse().expect("an address");
                sender.send_request(request).await
            }
        }
    }
}

/// A body as it comes in.
#[derive(Debug)]
pub struct Reading {
    body: Incoming,
    pub bytes: Vec<u8>,
    pub trailers: HeaderMap,
    pub end: Option<End>,
    /// Why an HTTP/2 stream was cut.
    pub reset: Option<h2::Reason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Finished,
    /// Before the end that the protocol defines.
    Cut,
}

impl Reading {
    pub fn new(response: Response<Incoming>) -> Self {
        let body = response.into_body();
        Self { body, bytes: Vec::new(), trailers: HeaderMap::new(), end: None, reset: None }
    }

    /// Reads until `enough` is true of all that came. `false` when the body ended before.
    pub async fn until(&mut self, enough: impl Fn(&[u8]) -> bool) -> bool {
        while self.end.is_none() {
            if enough(&self.bytes) {
                return true;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.bytes.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().expect("data or trailers"),
                },
                Some(Err(error)) => {
                    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
                    self.reset = cause.and_then(h2::Error::reason);
                    self.end = Some(End::Cut);
                }
                None => self.end = Some(End::Finished),
            }
        }
        enough(&self.bytes)
    }

    /// Reads until these bytes have come. `false` when the body ended before.
    pub async fn until_has(&mut self, text: &str) -> bool {
        self.until(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())).await
    }

    pub async fn to_end(&mut self) {
        self.until(|_| false).await;
    }
}
