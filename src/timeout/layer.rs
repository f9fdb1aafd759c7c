//! TimeoutLayer, its service and its future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::TimeoutBody;
use super::bounds::{Bounds, Total};
use super::error::TimeoutError;
use super::limits::Timeouts;
use super::phase::Phase;
use super::plan::Plan;
use super::refuse::refuse;
use super::upload::Upload;
use crate::body::{Journal, Timer, now};
use crate::dialect::Tracker;
use crate::reject::{Caller, Ending, Refusal, Renderer};

/// Limits the phases of an exchange from its call to the end of the response body. See the [module](super) for what
/// happens when.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use tower_lifeline::{TimeoutLayer, Timeouts};
///
/// let limits = Timeouts::new().headers(Duration::from_secs(30)).inter_chunk(Duration::from_secs(90));
/// let app: Router = Router::new()
///     .route("/chat", get(|| async { "tokens" }))
///     .layer(TimeoutLayer::new(limits));
/// ```
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    plan: Arc<Plan>,
}

/// What counts as content for the first-byte and inter-chunk limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// In an event stream: data that is not empty, in an event that is not of type `ping`. Comments, `id`, `retry` and
    /// heartbeats, whoever writes them, do not count. In NDJSON: anything but white space. Elsewhere: any byte.
    #[default]
    Content,
    /// Any byte.
    AnyByte,
}

/// Where the headers limit counts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadersFrom {
    /// The call.
    #[default]
    Call,
    /// The end of the request body, so that a slow upload is not billed to the handler. Known when a
    /// [`RequestBodyTimeoutLayer`](super::RequestBodyTimeoutLayer) stands outside of this layer; otherwise it is the call.
    /// A handler that does not read the body to its end, nor drops it, has no headers limit then.
    RequestBody,
}

impl TimeoutLayer {
    /// A layer with these limits.
    #[must_use]
    pub fn new(limits: Timeouts) -> Self {
        Self { plan: Arc::new(Plan::new(limits)) }
    }

    /// The longest limits that a request's or a response's own [`Timeouts`] can set. Default: none.
    #[must_use]
    pub fn ceiling(self, most: Timeouts) -> Self {
        self.with(|plan| plan.ceiling = most)
    }

    /// What counts as content. Default: [`Progress::Content`].
    #[must_use]
    pub fn progress(self, progress: Progress) -> Self {
        self.with(|plan| plan.progress = progress)
    }

    /// Where the headers limit counts from. Default: [`HeadersFrom::Call`].
    #[must_use]
    pub fn headers_from(self, from: HeadersFrom) -> Self {
        self.with(|plan| plan.headers_from = from)
    }

    /// How streams end when a limit is reached behind the head. Default: by the response, see [`Ending`].
    #[must_use]
    pub fn ending(self, ending: Ending) -> Self {
        self.with(|plan| plan.ending = Some(ending))
    }

    /// When an `EventSource` may come back after [`Ending::EventSource`]; each is told between half of it and one and a
    /// half, by chance, so that streams that ended together do not come back together. Default: 2 s.
    #[must_use]
    pub fn retry(self, about: Duration) -> Self {
        self.with(|plan| plan.retry = about)
    }

    /// Makes the responses to exchanges that reached a limit before the head. Default: problem+json (RFC 9457) or
    /// what the caller speaks, see [`Refusal`].
    #[must_use]
    pub fn render(
        self,
        render: impl Fn(Refusal, &Caller) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with(|plan| plan.renderer = Renderer::of(render))
    }

    pub(crate) fn limits(&self) -> &Timeouts {
        &self.plan.limits
    }

    #[cfg(feature = "config")]
    pub(crate) fn with_limits(self, limits: Timeouts) -> Self {
        self.with(|plan| plan.limits = limits)
    }

    /// This ending, if there is none yet.
    pub(crate) fn ending_or(self, ending: Option<Ending>) -> Self {
        self.with(|plan| plan.ending = plan.ending.take().or(ending))
    }

    fn with(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(Arc::make_mut(&mut self.plan));
        self
    }
}

impl From<Timeouts> for TimeoutLayer {
    fn from(limits: Timeouts) -> Self {
        Self::new(limits)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = TimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TimeoutService { inner, layer: self.clone() }
    }
}

/// The service that [`TimeoutLayer`] makes.
#[derive(Clone, Debug)]
pub struct TimeoutService<S> {
    inner: S,
    layer: TimeoutLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for TimeoutService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<TimeoutBody<ResBody>>;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let exchange = Exchange::of(&request, &self.layer.plan);
        TimeoutFuture { inner: Some(self.inner.call(request)), exchange: Some(exchange), timer: None }
    }
}

pin_project! {
    /// The future of [`TimeoutService`]: the inner one, or a refusal when that takes too long.
    ///
    /// A future that is ready when it is first polled never arms a timer. To drop it drops the handler.
    #[derive(Debug)]
    pub struct TimeoutFuture<F> {
        #[pin]
        inner: Option<F>,
        // Gone when there is an answer, like the handler when that is a refusal.
        exchange: Option<Exchange>,
        timer: Option<Pin<Box<Timer>>>,
    }
}

impl<F, B, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<TimeoutBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(inner), Some(exchange)) = (this.inner.as_mut().as_pin_mut(), &*this.exchange) else {
            return Poll::Pending;
        };
        // The handler first: an answer that is ready beats a limit that is due.
        if let Poll::Ready(answer) = inner.poll(cx) {
            let mut exchange = this.exchange.take();
            let response = answer?;
            let journal = exchange.as_mut().and_then(|exchange| exchange.journal.take());
            let limits = exchange.and_then(|exchange| exchange.limits_for(&response));
            // Without a limit there is nothing to note.
            let journal = journal.filter(|_| limits.is_some());
            return Poll::Ready(Ok(response.map(|body| TimeoutBody::of(body, limits, journal))));
        }
        loop {
            match exchange.due(now(), cx) {
                Due::At(None) => return Poll::Pending,
                Due::At(Some(at)) => {
                    let timer = this.timer.get_or_insert_with(|| Box::pin(Timer::new(at)));
                    ready!(timer.as_mut().poll_at(at, cx));
                }
                Due::Over(error) => {
                    if let Some(journal) = &exchange.journal {
                        journal.timed_out(error.phase());
                    }
                    let answer = refuse(error, &exchange.caller, &exchange.plan.renderer);
                    this.inner.set(None);
                    return Poll::Ready(Ok(answer.map(TimeoutBody::of_bytes)));
                }
            }
        }
    }
}

enum Due {
    At(Option<Instant>),
    Over(TimeoutError),
}

/// What the request left behind for its response.
#[derive(Debug)]
struct Exchange {
    plan: Arc<Plan>,
    began: Instant,
    caller: Caller,
    upload: Option<Upload>,
    journal: Option<Journal>,
}

impl Exchange {
    fn of<B>(request: &Request<B>, plan: &Arc<Plan>) -> Self {
        let began = now();
        let upload = match plan.headers_from {
            HeadersFrom::Call => None,
            HeadersFrom::RequestBody => request.extensions().get::<Upload>().cloned(),
        };
        let plan = plan.for_request(request.extensions(), began);
        let journal = Journal::of(request.extensions());
        Self { plan, began, caller: Caller::of_request(request), upload, journal }
    }

    /// Asked while the handler has not answered. At a tie the headers limit wins, because it says more.
    fn due(&self, now: Instant, cx: &Context<'_>) -> Due {
        let plan = &self.plan;
        let from = match &self.upload {
            None => Some(self.began),
            // It may have been read while the request waited in a gate, which is nothing that the handler did.
            Some(upload) => upload.read_at(cx).map(|read| read.max(self.began)),
        };
        let headers = plan.limits.headers.zip(from).and_then(|(limit, from)| {
            Some(Total { at: from.checked_add(limit)?, limit, phase: Phase::Headers })
        });
        let head = Total::earlier(headers, plan.head);
        let end = Total::earlier(head, plan.total(self.began));
        match end.and_then(|end| end.over(now)) {
            Some(error) => Due::Over(error),
            None => Due::At(end.map(|end| end.at)),
        }
    }

    /// What the body of this response is told, if there is a limit for it.
    fn limits_for<B: Body<Data = Bytes>>(mut self, response: &Response<B>) -> Option<(Tracker, Bounds)> {
        if let Some(wished) = response.extensions().get::<Timeouts>() {
            Arc::make_mut(&mut self.plan).change(wished);
        }
        // A body that is at its end has nothing left to wait for.
        if !self.plan.bounds_bodies() || response.body().is_end_stream() {
            return None;
        }
        let tracker = self.tracker(response);
        Some((tracker, Bounds { plan: self.plan, began: self.began }))
    }

    /// Where and how something can be said at the end of this response.
    fn tracker<B: Body<Data = Bytes>>(&mut self, response: &Response<B>) -> Tracker {
        let chosen = response.extensions().get::<Ending>().or(self.plan.ending.as_ref());
        let exact = response.body().size_hint().exact().is_some();
        let (tracker, ending) =
            Ending::of_response(response.headers(), chosen, exact, self.caller.protocol());
        // Into opaque bytes nothing is said, whatever the plan has for others.
        if tracker != Tracker::Opaque && self.plan.ending_of(tracker) != ending {
            Arc::make_mut(&mut self.plan).ending = Some(ending);
        }
        tracker
    }
}
