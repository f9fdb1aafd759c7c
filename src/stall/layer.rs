//! StallLayer, its service and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::StallBody;
use super::connection::ConnectionHandle;
use super::error::StallError;
use super::slot::Slot;
use super::watch::{Limits, Rate};
use super::watchdog::{Settings, Watchdog};
use crate::body::Journal;
use crate::error::{at_least_a_millisecond, valid};
use crate::{BoxError, ConfigError};

/// Takes a response's body away from a client that has stopped reading it. See the [module](super) for what happens
/// when.
///
/// All services that one layer makes share a watchdog. The setters make a layer with a watchdog of its own.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use tower_lifeline::StallLayer;
///
/// let app: Router = Router::new()
///     .route("/feed", get(|| async { "much, and fast" }))
///     .layer(StallLayer::new(Duration::from_secs(60)));
/// ```
#[derive(Clone)]
pub struct StallLayer {
    pub(super) watchdog: Arc<Watchdog>,
}

/// Whose connection is ended when a stream is stalled. Without a [`ConnectionHandle`] among the request's extensions:
/// nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// Nobody's: the body is dropped, and the connection waits for the client.
    Never,
    /// An HTTP/1 connection, which has nothing else to do.
    #[default]
    Http1,
    /// Any connection. An HTTP/2 connection takes all of its streams along, and behind a proxy they may be those of
    /// other clients.
    Always,
}

impl StallLayer {
    /// A layer that allows a client to take nothing for so long while there is something to take. `Duration::MAX` is no
    /// limit.
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
        let limit = at_least_a_millisecond("the stall limit", limit)?;
        let limits = Limits { limit, rate: None };
        Ok(Self::of(Settings { limits, disconnect: Disconnect::default(), hook: None }))
    }

    /// Each `bytes` bytes may take `per` at the most, so that a client cannot hold a stream open with a byte now and
    /// then.
    ///
    /// Counted are the bytes that are taken from the body while there is more to take. When a look finds the stream
    /// waiting for its producer, the count begins anew, and so it does when `bytes` have been taken: what was taken
    /// faster before does not buy time. Default: no rate.
    ///
    /// # Panics
    ///
    /// When `bytes` is zero, or `per` is shorter than the stall limit, which could never be reached then.
    /// [`try_min_rate`](Self::try_min_rate) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn min_rate(self, bytes: u64, per: Duration) -> Self {
        valid(self.try_min_rate(bytes, per))
    }

    /// [`min_rate`](Self::min_rate) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When `bytes` is zero, or `per` is shorter than the stall limit.
    pub fn try_min_rate(self, bytes: u64, per: Duration) -> Result<Self, ConfigError> {
        let limit = self.watchdog.settings.limits.limit;
        if bytes == 0 {
            return Err(ConfigError::new(
                "a minimum rate is at least 1 byte, got 0: without one there is none",
            ));
        }
        if per < limit {
            return Err(ConfigError::new(format!(
                "a minimum rate is counted over at least the stall limit of {limit:?}, got {per:?}"
            )));
        }
        Ok(self.with(|settings| settings.limits.rate = Some(Rate { bytes, per })))
    }

    /// The same with another limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond, or the minimum rate is counted over less.
    #[cfg(feature = "config")]
    pub(crate) fn try_limit(self, limit: Duration) -> Result<Self, ConfigError> {
        let Limits { limit, .. } = Self::try_new(limit)?.watchdog.settings.limits;
        match self.watchdog.settings.limits.rate {
            Some(Rate { bytes, per }) => {
                self.with(|settings| settings.limits = Limits { limit, rate: None }).try_min_rate(bytes, per)
            }
            None => Ok(self.with(|settings| settings.limits.limit = limit)),
        }
    }

    /// Whose connection is ended, too. Default: [`Disconnect::Http1`].
    #[must_use]
    pub fn disconnect(self, disconnect: Disconnect) -> Self {
        self.with(|settings| settings.disconnect = disconnect)
    }

    /// Called when a body has been dropped because its reader does not read.
    ///
    /// It runs in the watchdog's task: it must be quick. When it panics the stream is dropped all the same.
    #[must_use]
    pub fn on_stall(self, hook: impl Fn(&StallError) + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.hook = Some(Arc::new(hook)))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.watchdog.settings.clone();
        change(&mut settings);
        Self::of(settings)
    }

    fn of(settings: Settings) -> Self {
        Self { watchdog: Watchdog::new(settings) }
    }
}

/// What is kept of a request until its response's body is watched over.
#[derive(Debug)]
pub(crate) struct Watching {
    watchdog: Arc<Watchdog>,
    reader: Reader,
}

impl StallLayer {
    pub(crate) fn watching<B>(&self, request: &Request<B>) -> Watching {
        Watching::of(&self.watchdog, Reader::of(request, self.watchdog.settings.disconnect))
    }
}

impl Watching {
    pub(super) fn of(watchdog: &Arc<Watchdog>, reader: Reader) -> Self {
        Self { watchdog: Arc::clone(watchdog), reader }
    }

    pub(crate) fn slot<B>(self, body: B) -> Slot<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        Slot::new(body, self.watchdog, self.reader)
    }
}

impl fmt::Debug for StallLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallLayer").field("watchdog", &self.watchdog).finish()
    }
}

/// Whose client may stop reading: what is to be ended then, and where that is noted.
#[derive(Debug, Default)]
pub(super) struct Reader {
    connection: Option<ConnectionHandle>,
    journal: Option<Journal>,
}

impl Reader {
    fn of<B>(request: &Request<B>, disconnect: Disconnect) -> Self {
        let ends = match disconnect {
            Disconnect::Never => false,
            Disconnect::Http1 => request.version() <= Version::HTTP_11,
            Disconnect::Always => true,
        };
        let extensions = request.extensions();
        let connection = ends.then(|| extensions.get::<ConnectionHandle>().cloned()).flatten();
        Self { connection, journal: Journal::of(extensions) }
    }

    /// It has not read for so long that its body was taken away.
    pub(super) fn is_given_up(&self, error: &StallError) {
        if let Some(journal) = &self.journal {
            journal.stall_cut(error.elapsed());
        }
        if let Some(connection) = &self.connection {
            connection.abort();
        }
    }
}

impl<S> Layer<S> for StallLayer {
    type Service = StallService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StallService { inner, layer: self.clone() }
    }
}

/// The service that [`StallLayer`] makes.
#[derive(Clone, Debug)]
pub struct StallService<S> {
    inner: S,
    layer: StallLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for StallService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<StallBody<ResBody>>;
    type Error = S::Error;
    type Future = StallFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let watching = Some(self.layer.watching(&request));
        StallFuture { inner: self.inner.call(request), watching }
    }
}

pin_project! {
    /// The future of [`StallService`]: the inner one, whose response's body is watched over. To drop it drops the handler.
    #[derive(Debug)]
    pub struct StallFuture<F> {
        #[pin]
        inner: F,
        // Until the response is there.
        watching: Option<Watching>,
    }
}

impl<F, B, E> Future for StallFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Response<StallBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let Some(watching) = this.watching.take() else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(response.map(|body| StallBody::watched(body, watching))))
    }
}
