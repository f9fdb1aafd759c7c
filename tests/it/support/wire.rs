//! A client of hyper-util and a server of hyper with a wire of memory between them, so that the clock can be paused.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri, Version};
use http_body::Body;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tower::{Service, service_fn};
use tower_lifeline::BoxError;

/// The client's end of a wire.
#[derive(Debug)]
pub(crate) struct Wire(DuplexStream);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Connects at once, each time to a new server with this service.
pub(crate) fn connector<S, B>(
    version: Version,
    service: S,
) -> impl Service<
    Uri,
    Response = TokioIo<Wire>,
    Error = Infallible,
    Future = Ready<Result<TokioIo<Wire>, Infallible>>,
> + Clone
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    service_fn(move |_| {
        let (client, server) = duplex(64 * 1024);
        let server = TokioIo::new(server);
        let service = TowerToHyperService::new(service.clone());
        // How a connection ends is seen at the client.
        if version == Version::HTTP_2 {
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(server, service));
        } else {
            tokio::spawn(http1::Builder::new().serve_connection(server, service));
        }
        ready(Ok(TokioIo::new(Wire(client))))
    })
}

pub(crate) fn client<C: Connect + Clone>(version: Version, connector: C) -> Client<C, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build(connector)
}
