//! HeartbeatLayer, its service and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, request, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::HeartbeatBody;
use super::plan::Plan;
use super::settings::{Heartbeat, HeartbeatOverride};
use super::{headers, select};
use crate::ConfigError;
use crate::body::Journal;
use crate::deadline::SilenceHint;
use crate::dialect::Dialect;
use crate::error::valid;

/// Gives the responses of a service a heartbeat. See the [module](super) for what happens when.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use tower_lifeline::HeartbeatLayer;
///
/// let app: Router = Router::new()
///     .route("/events", get(|| async { "an event stream" }))
///     .layer(HeartbeatLayer::every(Duration::from_secs(15)));
/// ```
#[derive(Clone)]
pub struct HeartbeatLayer {
    choices: Arc<Choices>,
}

/// What is decided for each exchange.
#[derive(Clone)]
struct Choices {
    plan: Arc<Plan>,
    per_request: Option<PerRequest>,
    select: Option<Select>,
    nd_json: bool,
    keep_headers: bool,
    declare_interval: bool,
}

type PerRequest = Arc<dyn Fn(&request::Parts) -> Option<HeartbeatOverride> + Send + Sync>;
type Select = Arc<dyn Fn(&response::Parts) -> Option<Dialect> + Send + Sync>;

impl Default for HeartbeatLayer {
    fn default() -> Self {
        Self::new(Heartbeat::default())
    }
}

impl HeartbeatLayer {
    /// A layer with these settings.
    #[must_use]
    pub fn new(heartbeat: Heartbeat) -> Self {
        let plan = Arc::new(Plan::new(heartbeat));
        let choices = Choices {
            plan,
            per_request: None,
            select: None,
            nd_json: false,
            keep_headers: false,
            declare_interval: false,
        };
        Self { choices: Arc::new(choices) }
    }

    /// A layer with this interval and otherwise the [defaults](Heartbeat#defaults).
    ///
    /// # Panics
    ///
    /// When the interval is shorter than a millisecond. [`try_every`](Self::try_every) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn every(interval: Duration) -> Self {
        valid(Self::try_every(interval))
    }

    /// [`every`](Self::every) that returns what is wrong with the interval.
    ///
    /// # Errors
    ///
    /// When the interval is shorter than a millisecond.
    pub fn try_every(interval: Duration) -> Result<Self, ConfigError> {
        Heartbeat::try_every(interval).map(Self::new)
    }

    /// Asked for each request: `Some` changes the heartbeat of its response. The handler's own
    /// [`HeartbeatOverride`], in the response's extensions, wins over it.
    ///
    /// ```
    /// use tower_lifeline::{Beat, HeartbeatLayer, HeartbeatOverride};
    ///
    /// let layer = HeartbeatLayer::default().per_request(|request| {
    ///     // Google's client for Node loses an event behind a comment without a blank line.
    ///     let client = request.headers.get("x-goog-api-client").and_then(|client| client.to_str().ok());
    ///     let node = client.is_some_and(|client| client.contains("gl-node"));
    ///     node.then(|| HeartbeatOverride::new().beat(Beat::comment_block("")))
    /// });
    /// ```
    #[must_use]
    pub fn per_request(
        self,
        choose: impl Fn(&request::Parts) -> Option<HeartbeatOverride> + Send + Sync + 'static,
    ) -> Self {
        self.with(|choices| choices.per_request = Some(Arc::new(choose)))
    }

    /// Replaces the choice of responses by status (200) and content type (`text/event-stream`): `Some` says in which
    /// dialect the body is written, `None` leaves the response alone.
    ///
    /// `Some` is believed whatever the content type, so say it only of a body that is in that dialect: nothing else may be
    /// written into. Only what the [module](super#which-responses) lists (no body, a known length, an encoding, a digest)
    /// overrules it.
    #[must_use]
    pub fn select(
        self,
        choose: impl Fn(&response::Parts) -> Option<Dialect> + Send + Sync + 'static,
    ) -> Self {
        self.with(|choices| choices.select = Some(Arc::new(choose)))
    }

    /// Beats in newline-delimited JSON too, with an empty line between two values. Most readers skip it; no standard
    /// says that they must. Default: newline-delimited JSON is left alone.
    #[must_use]
    pub fn nd_json(self) -> Self {
        self.with(|choices| choices.nd_json = true)
    }

    /// Leaves the response's headers as they are. Default: `X-Accel-Buffering: no`,
    /// `Cache-Control: no-cache, no-transform` and `Incremental: ?1` are added where the handler has not set them.
    #[must_use]
    pub fn keep_headers(self) -> Self {
        self.with(|choices| choices.keep_headers = true)
    }

    /// Tells the client the interval, in the response header `Heartbeat-Interval`, where the handler has not set it: in
    /// seconds, so that a client can take a longer silence for the death of the stream. See the
    /// [module](super#clients-that-take-silence-for-death). Default: it is not told.
    #[must_use]
    pub fn declare_interval(self) -> Self {
        self.with(|choices| choices.declare_interval = true)
    }

    pub(crate) fn settings(&self) -> &Heartbeat {
        &self.choices.plan.settings
    }

    #[cfg(feature = "config")]
    pub(crate) fn with_settings(self, heartbeat: Heartbeat) -> Self {
        self.with(|choices| choices.plan = Arc::new(Plan::new(heartbeat)))
    }

    /// This choice for each request, unless there is one.
    pub(crate) fn per_request_or(
        self,
        choose: impl Fn(&request::Parts) -> Option<HeartbeatOverride> + Send + Sync + 'static,
    ) -> Self {
        if self.choices.per_request.is_some() { self } else { self.per_request(choose) }
    }

    fn with(mut self, change: impl FnOnce(&mut Choices)) -> Self {
        change(Arc::make_mut(&mut self.choices));
        self
    }
}

impl From<Heartbeat> for HeartbeatLayer {
    fn from(heartbeat: Heartbeat) -> Self {
        Self::new(heartbeat)
    }
}

impl fmt::Debug for HeartbeatLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeartbeatLayer")
            .field("heartbeat", &self.choices.plan.settings)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for HeartbeatLayer {
    type Service = HeartbeatService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HeartbeatService { inner, layer: self.clone() }
    }
}

/// The service that [`HeartbeatLayer`] makes.
#[derive(Clone, Debug)]
pub struct HeartbeatService<S> {
    inner: S,
    layer: HeartbeatLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for HeartbeatService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<HeartbeatBody<ResBody>>;
    type Error = S::Error;
    type Future = HeartbeatFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let mut wished = None;
        if let Some(choose) = &self.layer.choices.per_request {
            let (parts, body) = request.into_parts();
            wished = choose(&parts).map(Box::new);
            request = Request::from_parts(parts, body);
        }
        let method = request.method().clone();
        let longest = request.extensions().get::<SilenceHint>().map(SilenceHint::beat);
        let journal = Journal::of(request.extensions());
        let exchange = Exchange { layer: self.layer.clone(), method, wished, longest, journal };
        HeartbeatFuture { inner: self.inner.call(request), exchange }
    }
}

pin_project! {
    /// The future of [`HeartbeatService`]: the inner one, whose response then gets its heartbeat. To drop it drops the
    /// handler.
    #[derive(Debug)]
    pub struct HeartbeatFuture<F> {
        #[pin]
        inner: F,
        exchange: Exchange,
    }
}

impl<F, B, E> Future for HeartbeatFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<HeartbeatBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok(this.exchange.give_heartbeat(response)))
    }
}

/// What the request left behind for its response.
#[derive(Debug)]
struct Exchange {
    layer: HeartbeatLayer,
    method: Method,
    // Boxed: most have no wish, and the future is moved a few times.
    wished: Option<Box<HeartbeatOverride>>,
    /// The longest interval that the caller bears.
    longest: Option<Duration>,
    journal: Option<Journal>,
}

impl Exchange {
    fn give_heartbeat<B: Body<Data = Bytes>>(&self, response: Response<B>) -> Response<HeartbeatBody<B>> {
        // Most responses are all there, and cost no further look.
        if response.body().size_hint().exact().is_some() {
            return response.map(HeartbeatBody::untouched);
        }
        let choices = &self.layer.choices;
        let (mut parts, body) = response.into_parts();
        let dialect = match &choices.select {
            Some(choose) => choose(&parts),
            None => select::by_content_type(&parts, choices.nd_json),
        };
        let wished = parts.extensions.get::<HeartbeatOverride>().or(self.wished.as_deref());
        let off = wished.is_some_and(HeartbeatOverride::is_off);
        let body = match dialect {
            Some(dialect) if !off && !select::is_closed(&self.method, &parts) => {
                let idle_timer = self.journal.as_ref().and_then(Journal::idle_timer);
                let plan = choices.plan.with(wished, self.longest, idle_timer);
                if !choices.keep_headers {
                    headers::ask_not_to_buffer(&mut parts.headers);
                }
                if choices.declare_interval {
                    headers::declare_interval(&mut parts.headers, &plan.settings);
                }
                HeartbeatBody::beating(body, plan, dialect, self.journal.clone())
            }
            _ => HeartbeatBody::untouched(body),
        };
        Response::from_parts(parts, body)
    }
}
