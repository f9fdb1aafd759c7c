//! The upstream, by HTTP/1.1 or by HTTP/2, and what is said when it has no answer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use tower::Layer;
use tower_lifeline::timeout::ConnectTimeoutService;
use tower_lifeline::{BoxError, ConnectTimeoutLayer, Refusal, TimeoutError};

use crate::expect::{Answered, Expected};
use crate::http1::Pool;
use crate::http2::Shared;

pub(crate) type Connector = ConnectTimeoutService<HttpConnector>;

/// How soon a dead peer is looked for on a connection on which nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A server, and the connections to it.
pub(crate) enum Upstream<B> {
    Http1(Arc<Pool<B>>),
    Http2(Arc<Shared<Expected<B>>>),
}

/// A request to it, without its body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

impl Head {
    pub(crate) fn request<B>(self, at: Authority, version: Version, body: B) -> http::Result<Request<B>> {
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(at).path_and_query(self.path).build()?;
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.version_mut() = version;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

impl<B> Clone for Upstream<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Http1(pool) => Self::Http1(Arc::clone(pool)),
            Self::Http2(shared) => Self::Http2(Arc::clone(shared)),
        }
    }
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// HTTP/2 is by prior knowledge: nothing tells beforehand what a server speaks without TLS.
    pub(crate) fn new(authority: Authority, http2: bool, connect: ConnectTimeoutLayer) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEP_ALIVE));
        let connector = connect.layer(connector);
        match http2 {
            true => Self::Http2(Arc::new(Shared::new(connector, authority))),
            false => Self::Http1(Arc::new(Pool::new(connector, authority))),
        }
    }

    /// Whether a connection can become one of another protocol.
    pub(crate) fn can_upgrade(&self) -> bool {
        matches!(self, Self::Http1(_))
    }

    pub(crate) async fn send(&self, head: Head, body: B) -> Result<Response<Answered<Incoming>>, BoxError> {
        if !body.is_end_stream() {
            return self.send_once(head, Expected::Going(body)).await;
        }
        // A server may close a connection in the moment in which it is used again. What changes nothing can be asked once
        // more (RFC 9110, section 9.2.2).
        let again = head.method.is_safe().then(|| head.clone());
        match (self.send_once(head, Expected::Nothing).await, again) {
            (Err(error), Some(head)) if ended_too_soon(&*error) => {
                self.send_once(head, Expected::Nothing).await
            }
            (sent, _) => sent,
        }
    }

    async fn send_once(
        &self,
        head: Head,
        body: Expected<B>,
    ) -> Result<Response<Answered<Incoming>>, BoxError> {
        match self {
            Self::Http1(pool) => pool.send(head, body).await,
            Self::Http2(shared) => {
                let response = shared.send(head, body).await?;
                Ok(response.map(|body| Answered { body, said: None }))
            }
        }
    }
}

/// Whether there was a connection, and it ended without an answer. HTTP/2 says it by the socket's error, or its own.
fn ended_too_soon(error: &(dyn Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |error| (*error).source());
    chain.any(|error| {
        error.downcast_ref::<hyper::Error>().is_some_and(|error| !error.is_user() && !error.is_parse())
    })
}

/// Decides what a caller is told of a request that got no answer. `None`: it was the client that failed.
pub(crate) fn refusal(error: &(dyn Error + 'static)) -> Option<Refusal> {
    let chain = || std::iter::successors(Some(error), |error| (*error).source());
    if let Some(late) = chain().find_map(|error| error.downcast_ref::<TimeoutError>()) {
        return Some(Refusal::upstream_timeout(format!(
            "No connection could be made within {:?}.",
            late.limit()
        )));
    }
    let hyper = || chain().filter_map(|error| error.downcast_ref::<hyper::Error>());
    if hyper().any(hyper::Error::is_user) {
        return None;
    }
    let connecting = hyper().next().is_none();
    Some(Refusal::upstream_failed(match connecting {
        true => "No connection could be made.",
        false if hyper().any(hyper::Error::is_parse) => "What came was no HTTP.",
        false => "The connection ended before a response had come.",
    }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::Empty;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::Notify;

    use super::*;

    /// What is said to a request for a server that does this with its connection.
    async fn told(answer: Option<&'static str>) -> (u16, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
        let serving = answer.map(|answer| {
            tokio::spawn(async move {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let _ = tcp.read(&mut [0; 1024]).await;
                tcp.write_all(answer.as_bytes()).await.unwrap();
            })
        });
        let upstream = Upstream::<Empty<Bytes>>::new(
            authority,
            false,
            ConnectTimeoutLayer::new(Duration::from_secs(60)),
        );
        let head =
            Head { method: Method::POST, path: PathAndQuery::from_static("/"), headers: HeaderMap::new() };
        let error = upstream.send(head, Empty::new()).await.unwrap_err();
        drop(serving);
        let refusal = refusal(&*error).unwrap();
        (refusal.status().as_u16(), refusal.detail().to_owned())
    }

    #[tokio::test]
    async fn what_went_wrong_is_said() {
        let ended = "The connection ended before a response had come.";
        assert_eq!(told(None).await, (502, "No connection could be made.".to_owned()));
        assert_eq!(told(Some("")).await, (502, ended.to_owned()));
        assert_eq!(told(Some("HTTP/1.1 200 OK\r\nserver: a")).await, (502, ended.to_owned()));
        for no_http in
            ["SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "HTTP/1.1 1\r\n\r\n"]
        {
            assert_eq!(told(Some(no_http)).await, (502, "What came was no HTTP.".to_owned()), "{no_http:?}");
        }
    }

    /// A server whose first connection ends as soon as a second request comes on it.
    #[tokio::test]
    async fn a_connection_that_ends_as_it_is_used_again_costs_no_safe_request_over_http2() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (requests, ends) = (Arc::clone(&requests), Arc::new(Notify::new()));
                let over = Arc::clone(&ends);
                let service = service_fn(move |_| {
                    let (requests, ends) = (Arc::clone(&requests), Arc::clone(&ends));
                    async move {
                        if requests.fetch_add(1, Ordering::SeqCst) == 1 {
                            ends.notify_one();
                            std::future::pending::<()>().await;
                        }
                        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                    }
                });
                tokio::spawn(async move {
                    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(tcp), service);
                    tokio::select! {
                        _ = serving => {}
                        () = over.notified() => {}
                    }
                });
            }
        });
        let limit = ConnectTimeoutLayer::new(Duration::from_secs(60));
        let upstream = Upstream::new(at.to_string().parse().unwrap(), true, limit);
        for _ in 0..3 {
            let head =
                Head { method: Method::GET, path: PathAndQuery::from_static("/"), headers: HeaderMap::new() };
            let sent = upstream.send(head, Empty::<Bytes>::new()).await;
            assert!(sent.is_ok(), "{sent:?}");
        }
    }
}
