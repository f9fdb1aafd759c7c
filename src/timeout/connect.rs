//! ConnectTimeoutLayer: a limit for the time to a connection, around the connector of a client.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::Uri;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::error::TimeoutError;
use super::phase::Phase;
use crate::body::{Timer, now};
use crate::error::{at_least_a_millisecond, valid};
use crate::{BoxError, ConfigError};

/// Limits the time to a connection, around any connector: a `Service<http::Uri>`, as hyper-util's client and tonic's
/// channels take one.
///
/// The limit covers all that the connector does: the name, the addresses one after the other, and TLS and a proxy when
/// they are inside. The connection itself passes unchanged. When the limit is reached first, the attempt is dropped and
/// the error is a [`TimeoutError`] of [`Phase::Connect`]; a client has it among its error's sources. A connection that is
/// ready beats a limit that is due.
///
/// hyper-util wants the future of a connector to be `Unpin`; this one is when the inner one is.
///
/// ```
/// use std::time::Duration;
/// use hyper_util::client::legacy::{Client, connect::HttpConnector};
/// use hyper_util::rt::TokioExecutor;
/// use tower::Layer;
/// use tower_lifeline::ConnectTimeoutLayer;
///
/// let connector = ConnectTimeoutLayer::new(Duration::from_secs(5)).layer(HttpConnector::new());
/// let client = Client::builder(TokioExecutor::new()).build(connector);
/// # let _: Client<_, String> = client;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConnectTimeoutLayer {
    limit: Duration,
}

impl ConnectTimeoutLayer {
    /// A layer with this limit. `Duration::MAX` is no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_new`](Self::try_new) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn new(limit: Duration) -> Self {
        valid(Self::try_new(limit))
    }

    /// [`new`](Self::new) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_new(limit: Duration) -> Result<Self, ConfigError> {
        Ok(Self { limit: at_least_a_millisecond("the connect limit", limit)? })
    }
}

impl<S> Layer<S> for ConnectTimeoutLayer {
    type Service = ConnectTimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectTimeoutService { inner, limit: self.limit }
    }
}

/// The connector that [`ConnectTimeoutLayer`] makes.
#[derive(Clone, Debug)]
pub struct ConnectTimeoutService<S> {
    inner: S,
    limit: Duration,
}

impl<S> Service<Uri> for ConnectTimeoutService<S>
where
    S: Service<Uri>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ConnectTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let began = now();
        ConnectTimeoutFuture { inner: Some(self.inner.call(to)), began, limit: self.limit, timer: None }
    }
}

pin_project! {
    /// The future of [`ConnectTimeoutService`]: the inner one, or an error when that takes too long.
    ///
    /// A future that is ready when it is first polled never arms a timer. To drop it drops the attempt.
    #[derive(Debug)]
    pub struct ConnectTimeoutFuture<F> {
        #[pin]
        inner: Option<F>,
        began: Instant,
        limit: Duration,
        timer: Option<Pin<Box<Timer>>>,
    }
}

impl<F, T, E> Future for ConnectTimeoutFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        // The attempt first: a connection that is ready beats a limit that is due.
        if let Poll::Ready(connection) = inner.poll(cx) {
            return Poll::Ready(connection.map_err(Into::into));
        }
        let Some(at) = this.began.checked_add(*this.limit) else {
            return Poll::Pending;
        };
        let timer = this.timer.get_or_insert_with(|| Box::pin(Timer::new(at)));
        ready!(timer.as_mut().poll_at(at, cx));
        this.inner.set(None);
        let elapsed = now().saturating_duration_since(*this.began);
        Poll::Ready(Err(TimeoutError::new(Phase::Connect, *this.limit, elapsed).into()))
    }
}
