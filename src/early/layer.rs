//! EarlyLayer, its service and its future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, request};
use tower_layer::Layer;
use tower_service::Service;

use super::body::{EarlyBody, Handling};
use super::commit::{When, when};
use super::failure::Failure;
use super::format::{ErrorEvent, ErrorFormat};
use super::late::{EarlyStats, Late};
use super::plan::{Errors, Exchange, Plan};
use crate::body::{Timer, now};
use crate::{Heartbeat, heartbeat};

/// Sends the head of an event stream when the handler takes too long to answer, and the answer when it comes. See the
/// [module](super) for what happens when, and for what it costs.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::post};
/// use tower_lifeline::EarlyLayer;
///
/// let app: Router = Router::new()
///     .route("/chat", post(|| async { "an answer that takes its time" }))
///     .layer(EarlyLayer::after(Duration::from_secs(10)));
/// ```
#[derive(Clone, Debug)]
pub struct EarlyLayer {
    plan: Arc<Plan>,
}

/// How a request that waits in a gate's queue is told its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TellPosition {
    /// `: queue position 3`, which clients skip.
    Comment,
    /// `event: queue` with `{"position":3}`. When the wait is over the position is 0.
    Event,
}

impl TellPosition {
    fn written(self) -> fn(usize) -> Bytes {
        match self {
            Self::Comment => |place| format!(": queue position {place}\n").into(),
            Self::Event => |place| format!("event: queue\ndata: {{\"position\":{place}}}\n\n").into(),
        }
    }
}

impl EarlyLayer {
    /// A layer that waits for so long before it sends a head of its own, from when the handler is first seen not to be
    /// ready. Zero sends it at once for each handler that has to wait for anything.
    ///
    /// # Defaults
    ///
    /// | setting | value |
    /// |---|---|
    /// | [`when`](Self::when) | GET and POST whose `Accept` names `text/event-stream` |
    /// | [`heartbeat`](Self::heartbeat) | [`Heartbeat::default`], every 15 s of silence |
    /// | [`errors`](Self::errors) | [`ErrorFormat::JsonRpc`] for MCP, otherwise [`ErrorFormat::EventSource`] |
    /// | [`buffer`](Self::buffer) | 256 KiB |
    /// | [`queue_position`](Self::queue_position) | not told |
    /// | [`on_late`](Self::on_late) | nobody is told |
    #[must_use]
    pub fn after(threshold: Duration) -> Self {
        Self { plan: Arc::new(Plan::new(threshold)) }
    }

    /// Which responses may come early. It replaces the default choice; HEAD, CONNECT, upgrades and the RPC protocols (gRPC,
    /// gRPC-Web, Connect) are left alone whatever it says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_lifeline::EarlyLayer;
    ///
    /// let layer = EarlyLayer::after(Duration::from_secs(10))
    ///     .when(|request| request.uri.path().starts_with("/v1/messages"));
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn when(self, chooses: impl Fn(&request::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|plan| plan.chooses = Some(Arc::new(chooses)))
    }

    /// How the stream is kept alive, from the early head to its end. The first beat always comes
    /// [at once](Heartbeat::at_once), because there are proxies that hold a head back until bytes follow; one that waits
    /// for [content](Heartbeat::after_content) leaves the stream silent until the answer. Default: [`Heartbeat::default`].
    #[must_use]
    pub fn heartbeat(self, heartbeat: Heartbeat) -> Self {
        self.with(|plan| {
            plan.heartbeat = Arc::new(heartbeat::Plan::new(heartbeat.at_once()));
            plan.beats_by_itself = true;
        })
    }

    /// How errors that come behind the early head are written. Default: [`ErrorFormat::JsonRpc`] to MCP clients, and
    /// [`ErrorFormat::EventSource`] to all others.
    #[must_use]
    pub fn errors(self, format: ErrorFormat) -> Self {
        self.with(|plan| plan.errors = Errors::As(format))
    }

    /// Writes errors that come behind the early head some other way.
    #[must_use]
    pub fn render(self, render: impl Fn(&Failure) -> ErrorEvent + Send + Sync + 'static) -> Self {
        self.with(|plan| plan.errors = Errors::By(Arc::new(render)))
    }

    /// Called with the head of each answer that comes behind an early one: its status, its headers and its extensions can
    /// not be sent any more, cookies among them. When the service fails there is no such head; then
    /// [`render`](Self::render) is told.
    ///
    /// It runs inside `poll_frame`: it must be quick and must not panic. Default: nobody is told, and
    /// [`stats`](Self::stats) count.
    #[must_use]
    pub fn on_late(self, hook: impl Fn(&Late) + Send + Sync + 'static) -> Self {
        self.with(|plan| plan.on_late = Some(Arc::new(hook)))
    }

    /// How many bytes of an answer that becomes an event are kept until it is whole, so that one that breaks off can still
    /// become an error. A longer one is written as it comes, and when it then breaks off so does the stream. Default:
    /// 256 KiB.
    #[must_use]
    pub fn buffer(self, bytes: usize) -> Self {
        self.with(|plan| plan.buffer = bytes)
    }

    /// Tells a request that waits in the queue of a [`Gate`](crate::Gate) inside of this layer its place: in place of the
    /// next beat whenever it has changed, so never more often than the heartbeat beats, and never with
    /// [`Beat::none`](crate::Beat::none). Costs an allocation for each request that may be answered early. Default: not
    /// told.
    #[must_use]
    pub fn queue_position(self, tell: TellPosition) -> Self {
        self.with(|plan| plan.position = Some(tell.written()))
    }

    /// How often heads came early. Clones of a layer, and the services that they make, count together.
    #[must_use]
    pub fn stats(&self) -> EarlyStats {
        self.plan.counts.stats()
    }

    pub(crate) fn threshold(&self) -> Duration {
        self.plan.threshold
    }

    #[cfg(feature = "config")]
    pub(crate) fn with_threshold(self, threshold: Duration) -> Self {
        self.with(|plan| plan.threshold = threshold)
    }

    /// This heartbeat, unless there is one.
    pub(crate) fn heartbeat_or(self, heartbeat: &Heartbeat) -> Self {
        if self.plan.beats_by_itself { self } else { self.heartbeat(heartbeat.clone()) }
    }

    /// That which was set, and is not another layer's.
    pub(crate) fn own_heartbeat(&self) -> Option<&Heartbeat> {
        self.plan.beats_by_itself.then_some(&self.plan.heartbeat.settings)
    }

    /// This choice, unless there is one.
    pub(crate) fn when_or(self, chooses: impl Fn(&request::Parts) -> bool + Send + Sync + 'static) -> Self {
        if self.plan.chooses.is_some() { self } else { self.when(chooses) }
    }

    fn with(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(Arc::make_mut(&mut self.plan));
        self
    }
}

impl<S> Layer<S> for EarlyLayer {
    type Service = EarlyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EarlyService { inner, layer: self.clone() }
    }
}

/// The service that [`EarlyLayer`] makes.
#[derive(Clone, Debug)]
pub struct EarlyService<S> {
    inner: S,
    layer: EarlyLayer,
}

impl<S, ReqBody> Service<Request<ReqBody>> for EarlyService<S>
where
    S: Service<Request<ReqBody>>,
    S::Future: Handling<Error = S::Error>,
{
    type Response = Response<EarlyBody<S::Future>>;
    type Error = S::Error;
    type Future = EarlyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let plan = &self.layer.plan;
        let (mut request, chosen) = match &plan.chooses {
            None => (request, None),
            Some(chooses) => {
                let (parts, body) = request.into_parts();
                let chosen = chooses(&parts);
                (Request::from_parts(parts, body), Some(chosen))
            }
        };
        let exchange = plan.exchange(&mut request, chosen);
        EarlyFuture { inner: Some(self.inner.call(request)), exchange, waiting: None }
    }
}

/// The future of [`EarlyService`]: the inner one, or an early head when that takes too long.
///
/// A future that is ready when it is first polled costs no clock, no timer and no allocation. To drop it drops the handler.
#[derive(Debug)]
pub struct EarlyFuture<F> {
    inner: Option<F>,
    /// What is needed to answer early; `None` for requests that are left alone.
    exchange: Option<Exchange>,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    timer: Pin<Box<Timer>>,
}

impl<F: Handling> Future for EarlyFuture<F> {
    type Output = Result<Response<EarlyBody<F>>, F::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(inner) = &mut self.inner else {
            return Poll::Pending;
        };
        // The handler first: an answer that is ready beats a head of our own.
        if let Poll::Ready(answer) = Pin::new(inner).poll(cx) {
            return Poll::Ready(answer.map(|response| response.map(EarlyBody::untouched)));
        }
        ready!(self.poll_threshold(cx));
        let (Some(future), Some(exchange)) = (self.inner.take(), self.exchange.take()) else {
            return Poll::Pending;
        };
        self.waiting = None;
        let response = exchange.commit(());
        Poll::Ready(Ok(response.map(|()| EarlyBody::committed(future, exchange))))
    }
}

impl<F: Handling> EarlyFuture<F> {
    /// The handler is not ready. Ready when that has been so for too long.
    fn poll_threshold(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(exchange) = &self.exchange else {
            return Poll::Pending;
        };
        let plan = &exchange.plan;
        loop {
            let now = now();
            let since = self.waiting.as_ref().map_or(now, |waiting| waiting.since);
            let every = plan.heartbeat.settings.interval();
            match when(since, plan.threshold, exchange.may_commit(), every, now) {
                When::Now => return Poll::Ready(()),
                When::Never => return Poll::Pending,
                When::At(at) => {
                    let timer = || Waiting { since: now, timer: Box::pin(Timer::new(at)) };
                    ready!(self.waiting.get_or_insert_with(timer).timer.as_mut().poll_at(at, cx));
                }
            }
        }
    }
}
