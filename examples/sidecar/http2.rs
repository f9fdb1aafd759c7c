//! The upstream by HTTP/2, which it is known beforehand to speak.

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
    connection: Mutex<Option<SendRequest<B>>>,
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(connector: Connector, authority: Authority) -> Self {
        Self { connector, authority, connection: Mutex::default() }
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

    /// Whoever comes first connects, and the others wait for that.
    async fn sender(&self) -> Result<SendRequest<B>, BoxError> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let to =
            Uri::builder().scheme("http").authority(self.authority.clone()).path_and_query("/").build()?;
        let io = self.connector.clone().oneshot(to).await?;
        let mut handshake = http2::Builder::new(TokioExecutor::new());
        handshake.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
        handshake.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (sender, driver) = handshake.handshake(io).await?;
        // How it ends is seen in its streams.
        tokio::spawn(driver);
        Ok(connection.insert(sender).clone())
    }
}
