//! The upstream, by HTTP/1.1 or by HTTP/2, and what is said when it has no answer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::ext::on_informational;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Mutex;
use tower::{Layer, ServiceExt};
use tower_lifeline::timeout::ConnectTimeoutService;
use tower_lifeline::{BoxError, ConnectTimeoutLayer, Refusal, TimeoutError};

use crate::expect::Expected;

type Connector = ConnectTimeoutService<HttpConnector>;

/// Shorter than what servers allow, or a request meets a connection that is being closed. uvicorn and Node have 5 s.
const IDLE: Duration = Duration::from_secs(3);
/// How soon a dead peer is noticed on a connection that is in use.
const PING: Duration = Duration::from_secs(30);

/// A server, and the connections to it.
#[derive(Debug)]
pub(crate) struct Upstream<B> {
    authority: Authority,
    wire: Wire<B>,
}

#[derive(Debug)]
enum Wire<B> {
    Http1(Client<Connector, Expected<B>>),
    Http2(Shared<B>),
}

/// What a request to it consists of, its body aside.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

impl<B> Clone for Upstream<B> {
    fn clone(&self) -> Self {
        let wire = match &self.wire {
            Wire::Http1(client) => Wire::Http1(client.clone()),
            Wire::Http2(shared) => Wire::Http2(shared.clone()),
        };
        Self { authority: self.authority.clone(), wire }
    }
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// `http2` is by prior knowledge: nothing tells beforehand what a server speaks without TLS.
    pub(crate) fn new(authority: Authority, http2: bool, connect: ConnectTimeoutLayer) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_keepalive(Some(PING));
        let connector = connect.layer(connector);
        let wire = if http2 {
            Wire::Http2(Shared { connector, connection: Arc::default() })
        } else {
            let mut client = Client::builder(TokioExecutor::new());
            Wire::Http1(client.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new()).build(connector))
        };
        Self { authority, wire }
    }

    /// Whether a connection can become one of another protocol.
    pub(crate) fn can_upgrade(&self) -> bool {
        matches!(self.wire, Wire::Http1(_))
    }

    pub(crate) async fn send(&self, head: Head, body: B) -> Result<Response<Incoming>, BoxError> {
        let Head { method, path, mut headers } = head;
        match &self.wire {
            Wire::Http1(client) => {
                let expects = headers
                    .get(EXPECT)
                    .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
                let (body, interim) = match expects && !body.is_end_stream() {
                    true => Expected::on_continue(body),
                    false => Expected::at_once(body),
                };
                // hyper gives GET, HEAD and CONNECT no body of unknown length, unless they say so.
                if !body.is_end_stream() && !headers.contains_key(CONTENT_LENGTH) {
                    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                }
                let uri = uri(self.authority.clone(), path)?;
                let mut request = request(method, uri, Version::HTTP_11, headers, body);
                if let Some(interim) = interim {
                    on_informational(&mut request, move |response| {
                        // Nobody waits any more.
                        let _ = interim.send(Some(response.status()));
                    });
                }
                Ok(client.request(request).await?)
            }
            Wire::Http2(shared) => {
                // There the host is the request's authority (RFC 9113, section 8.3.1), and no header goes with the
                // connection.
                let host = headers.remove(HOST);
                let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
                headers.remove(CONNECTION);
                let uri = uri(host.unwrap_or_else(|| self.authority.clone()), path)?;
                let to = uri_of(&self.authority)?;
                shared.send(to, request(method, uri, Version::HTTP_2, headers, body)).await
            }
        }
    }
}

fn request<B>(method: Method, uri: Uri, version: Version, headers: HeaderMap, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    request
}

fn uri(authority: Authority, path: PathAndQuery) -> http::Result<Uri> {
    Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path).build()
}

fn uri_of(authority: &Authority) -> http::Result<Uri> {
    uri(authority.clone(), PathAndQuery::from_static("/"))
}

/// One connection by HTTP/2, that all requests share. hyper-util's client would tell it from others by the requests' hosts,
/// and have as many as clients make up.
#[derive(Debug)]
struct Shared<B> {
    connector: Connector,
    connection: Arc<Mutex<Option<SendRequest<B>>>>,
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Self { connector: self.connector.clone(), connection: Arc::clone(&self.connection) }
    }
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    async fn send(&self, to: Uri, mut request: Request<B>) -> Result<Response<Incoming>, BoxError> {
        let mut tries = 2;
        loop {
            let mut sender = self.sender(to.clone()).await?;
            let sent = match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                // It was closed in the meantime; the next try makes a new one.
                Err(_) if tries > 1 => {
                    tries -= 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            tries -= 1;
            request = match sent {
                Ok(response) => return Ok(response),
                // It has not been sent.
                Err(mut failed) => match failed.take_message().filter(|_| tries > 0) {
                    Some(request) => request,
                    None => return Err(failed.into_error().into()),
                },
            };
        }
    }

    /// Whoever comes first connects, and the others wait for that.
    async fn sender(&self, to: Uri) -> Result<SendRequest<B>, BoxError> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let io = self.connector.clone().oneshot(to).await?;
        let mut handshake = http2::Builder::new(TokioExecutor::new());
        handshake.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
        let (sender, driver) = handshake.handshake(io).await?;
        // How it ends is seen in its streams.
        tokio::spawn(driver);
        Ok(connection.insert(sender).clone())
    }
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
    use std::net::Ipv4Addr;

    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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
            Head { method: Method::GET, path: PathAndQuery::from_static("/"), headers: HeaderMap::new() };
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
}
