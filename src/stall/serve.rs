//! `axum::serve` with connections that can be ended.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::extract::ConnectInfo;
use axum::middleware::AddExtension;
use axum::serve::{IncomingStream, Listener};
use socket2::SockRef;
use tokio::net::TcpStream;
use tower_layer::Layer;
use tower_service::Service;

use super::connection::{AbortableIo, ConnectionHandle};
use crate::ConfigError;
use crate::error::{at_least_a_millisecond, valid};

/// A listener whose connections can be ended: by a [`ConnectionHandle`], which [`Connections`] gives to each request,
/// and by a [`write_limit`](Self::write_limit). An ended connection is reset, and the kernel forgets what is unsent.
///
/// Wrap the innermost listener, the one of TCP itself. TLS and
/// [`tap_io`](axum::serve::ListenerExt::tap_io) go around it, as long as they keep its `Addr`.
///
/// ```no_run
/// use std::net::SocketAddr;
/// use std::time::Duration;
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use tower_lifeline::{StallLayer, stall::{AbortableListener, Connections}};
///
/// # async fn serve() -> std::io::Result<()> {
/// let app = Router::new()
///     .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
///     .layer(StallLayer::new(Duration::from_secs(60)));
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let listener = AbortableListener::new(listener).write_limit(Duration::from_secs(60));
/// axum::serve(listener, Connections::of(app)).await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AbortableListener<L> {
    inner: L,
    limit: Option<Duration>,
}

impl<L: Listener<Io = TcpStream>> AbortableListener<L> {
    /// Wraps a listener.
    pub fn new(inner: L) -> Self {
        Self { inner, limit: None }
    }

    /// Ends a connection when something is to be written and not a byte of it can be, for so long. Default: no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_write_limit`](Self::try_write_limit) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn write_limit(self, limit: Duration) -> Self {
        valid(self.try_write_limit(limit))
    }

    /// [`write_limit`](Self::write_limit) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_write_limit(mut self, limit: Duration) -> Result<Self, ConfigError> {
        self.limit = Some(at_least_a_millisecond("the write limit", limit)?);
        Ok(self)
    }
}

/// Who is at the other end, and the handle to the connection: the address type of an [`AbortableListener`].
#[derive(Clone, Debug)]
pub struct Peer<A> {
    /// The address that the inner listener gave.
    pub address: A,
    /// Ends the connection.
    pub connection: ConnectionHandle,
}

impl<L: Listener<Io = TcpStream>> Listener for AbortableListener<L> {
    type Io = AbortableIo<TcpStream>;
    type Addr = Peer<L::Addr>;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (tcp, address) = self.inner.accept().await;
        // Not waiting for it costs the connection's last bytes, which nobody reads. When it cannot be set, the socket
        // is closed the slow way.
        let reset = |tcp: &TcpStream| SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap_or_default();
        let io = AbortableIo::new(tcp).on_abort(reset).limited(self.limit);
        let connection = io.handle();
        (io, Peer { address, connection })
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        // Nobody's connection, and its handle ends nothing.
        let address = self.inner.local_addr()?;
        Ok(Peer { address, connection: ConnectionHandle::of_nothing() })
    }
}

/// Gives each request the [`ConnectionHandle`] of its connection, and axum's [`ConnectInfo`] with the peer's address: a
/// make service for `axum::serve` on an [`AbortableListener`].
///
/// It takes the place of [`into_make_service_with_connect_info`](axum::Router::into_make_service_with_connect_info).
#[derive(Clone, Copy, Debug)]
pub struct Connections<S> {
    app: S,
}

impl<S> Connections<S> {
    /// Serves this app, a [`Router`](axum::Router) for example.
    pub fn of(app: S) -> Self {
        Self { app }
    }
}

impl<L, A, S> Service<IncomingStream<'_, L>> for Connections<S>
where
    L: Listener<Addr = Peer<A>>,
    A: Clone + Send + Sync + 'static,
    S: Clone,
{
    type Response = AddExtension<AddExtension<S, ConnectInfo<A>>, ConnectionHandle>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, L>) -> Self::Future {
        let Peer { address, connection } = stream.remote_addr().clone();
        let app = Extension(ConnectInfo(address)).layer(self.app.clone());
        ready(Ok(Extension(connection).layer(app)))
    }
}
