//! The upstream by HTTP/2, which it is known beforehand to speak.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::uri::Authority;
use http::{Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Mutex;
use tower::ServiceExt;
use tower_lifeline::BoxError;

use crate::upstream::{Connector, Head};

/// What is held for a client that reads slowly.
const STREAM_WINDOW: u32 = 256 * 1024;
/// As much as there can be (RFC 9113, section 6.9.1): clients that do not read may not use up what is everybody's.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// How soon a dead peer is noticed on a connection that is in use.
const PING: Duration = Duration::from_secs(30);

/// One connection by HTTP/2, that all requests share. hyper-util's client would tell it from others by the requests' hosts,
/// and have as many as clients make up.
#[derive(Debug)]
pub(crate) struct Shared<B> {
    connector: Connector,
    authority: Authority,
    connection: Mutex<Connection<B>>,
    /// How many attempts have failed.
    failures: AtomicU64,
}

/// What came of the last attempt.
#[derive(Debug)]
enum Connection<B> {
    None,
    There(SendRequest<B>),
    Failed(Failed),
}

/// Why there is no connection, for all who have waited for it.
#[derive(Clone, Debug)]
struct Failed(Arc<BoxError>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.0)
    }
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(connector: Connector, authority: Authority) -> Self {
        Self { connector, authority, connection: Mutex::new(Connection::None), failures: AtomicU64::new(0) }
    }

    pub(crate) async fn send(&self, mut head: Head, body: B) -> Result<Response<Incoming>, BoxError> {
        // There the host is the request's authority (RFC 9113, section 8.3.1), and no header goes with the connection.
        let host = head.headers.remove(HOST);
        let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        head.headers.remove(CONNECTION);
        let authority = host.unwrap_or_else(|| self.authority.clone());
        let mut request = head.request(authority, Version::HTTP_2, body)?;
        let mut tries = 2;
        loop {
            let mut sender = self.sender().await?;
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

    /// Whoever comes first connects, and the others wait for what comes of it: one attempt each, one behind the other,
    /// could take as long as there are many.
    async fn sender(&self) -> Result<SendRequest<B>, BoxError> {
        let failures = self.failures.load(Ordering::SeqCst);
        let mut connection = self.connection.lock().await;
        match &*connection {
            Connection::There(sender) if !sender.is_closed() => return Ok(sender.clone()),
            Connection::Failed(failed) if self.failures.load(Ordering::SeqCst) != failures => {
                return Err(failed.clone().into());
            }
            _ => {}
        }
        let (made, sender) = match self.connect().await {
            Ok(sender) => (Connection::There(sender.clone()), Ok(sender)),
            Err(error) => {
                self.failures.fetch_add(1, Ordering::SeqCst);
                let failed = Failed(Arc::new(error));
                (Connection::Failed(failed.clone()), Err(failed.into()))
            }
        };
        *connection = made;
        sender
    }

    async fn connect(&self) -> Result<SendRequest<B>, BoxError> {
        let to =
            Uri::builder().scheme("http").authority(self.authority.clone()).path_and_query("/").build()?;
        let io = self.connector.clone().oneshot(to).await?;
        let mut handshake = http2::Builder::new(TokioExecutor::new());
        handshake.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
        handshake.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (sender, driver) = handshake.handshake(io).await?;
        // How it ends is seen in its streams.
        tokio::spawn(driver);
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use futures_util::future::join_all;
    use http::uri::PathAndQuery;
    use http::{HeaderMap, Method};
    use http_body_util::Empty;
    use hyper_util::client::legacy::connect::HttpConnector;
    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, timeout};
    use tower::Layer;
    use tower_lifeline::{ConnectTimeoutLayer, TimeoutError};

    use super::*;

    /// Of a server that lets nobody in, because its queue is full.
    #[tokio::test]
    async fn nobody_waits_for_more_than_one_attempt() {
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        full.listen(0).unwrap();
        let at = full.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        while let Ok(Ok(tcp)) = timeout(Duration::from_millis(200), TcpStream::connect(at)).await {
            queue.push(tcp);
        }
        let limit = Duration::from_millis(300);
        let connector = ConnectTimeoutLayer::new(limit).layer(HttpConnector::new());
        let shared = Shared::<Empty<Bytes>>::new(connector, at.to_string().parse().unwrap());
        let ask = async || {
            let head =
                Head { method: Method::GET, path: PathAndQuery::from_static("/"), headers: HeaderMap::new() };
            shared.send(head, Empty::new()).await.unwrap_err()
        };
        let began = Instant::now();
        let errors = join_all((0..40).map(|_| ask())).await;
        // One behind the other it would be 12 s.
        assert!(began.elapsed() < 20 * limit, "{:?}", began.elapsed());
        for error in errors {
            assert!(error.source().is_some_and(|error| error.is::<TimeoutError>()), "{error}");
        }
        // Who comes later tries again.
        let began = Instant::now();
        ask().await;
        assert!(began.elapsed() >= limit, "{:?}", began.elapsed());
    }
}
