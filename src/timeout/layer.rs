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
use super::refuse::refuse;
use super::upload::Upload;
use crate::body::{Timer, now};
use crate::deadline::{Deadline, HeadDeadline, SilenceHint};
use crate::dialect::Tracker;
use crate::jitter::Seeds;
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

#[derive(Clone, Debug)]
struct Plan {
    limits: Timeouts,
    ceiling: Timeouts,
    progress: Progress,
    headers_from: HeadersFrom,
    ending: Option<Ending>,
    retry: Duration,
    seeds: Arc<Seeds>,
    renderer: Renderer,
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
        Self {
            plan: Arc::new(Plan {
                limits,
                ceiling: Timeouts::new(),
                progress: Progress::default(),
                headers_from: HeadersFrom::default(),
                ending: None,
                retry: Duration::from_secs(2),
                seeds: Arc::new(Seeds::random()),
                renderer: Renderer::default(),
            }),
        }
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

    fn with(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(Arc::make_mut(&mut self.plan));
        self
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
        let exchange = Exchange::of(&request, Arc::clone(&self.layer.plan));
        TimeoutFuture { inner: Some(self.inner.call(request)), exchange, timer: None }
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
        exchange: Exchange,
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
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        // The handler first: an answer that is ready beats a limit that is due.
        if let Poll::Ready(answer) = inner.poll(cx) {
            return Poll::Ready(answer.map(|response| this.exchange.bound_body(response)));
        }
        loop {
            let now = now();
            match this.exchange.due(now, cx) {
                Due::At(None) => return Poll::Pending,
                Due::At(Some(at)) => {
                    let timer = this.timer.get_or_insert_with(|| Box::pin(Timer::new(at)));
                    ready!(timer.as_mut().poll_at(at, cx));
                }
                Due::Over(error) => {
                    this.inner.set(None);
                    let exchange = this.exchange;
                    let answer = refuse(error, &exchange.caller, &exchange.plan.renderer);
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
    limits: Timeouts,
    began: Instant,
    /// The request's own end of the headers phase, whenever that began.
    head: Option<Total>,
    /// The request's own end.
    deadline: Option<Total>,
    caller: Caller,
    upload: Option<Upload>,
}

/// A little before the request's own deadline (a tenth of what is left, at most 50 ms), so that the answer is there in
/// time, and before the caller's own timer or that of a server around this layer goes off.
fn in_time(deadline: Deadline, began: Instant) -> Total {
    let left = deadline.instant().saturating_duration_since(began);
    let limit = left - (left / 10).min(Duration::from_millis(50));
    // Whole milliseconds, because callers read it.
    let limit = Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    Total { at: began + limit, limit, phase: Phase::Deadline }
}

impl Exchange {
    fn of<B>(request: &Request<B>, plan: Arc<Plan>) -> Self {
        let began = now();
        let extensions = request.extensions();
        let mut limits = match extensions.get::<Timeouts>() {
            Some(wished) => plan.limits.changed_by(wished).capped_by(&plan.ceiling),
            None => plan.limits,
        };
        if let Some(silence) = extensions.get::<SilenceHint>() {
            limits = limits.tightened_by(&Timeouts {
                headers: Some(silence.limit()),
                first_byte: Some(silence.limit()),
                ..Timeouts::new()
            });
        }
        let head = extensions.get::<HeadDeadline>().map(|head| {
            let at = head.deadline().instant().max(began);
            Total { at, limit: at - began, phase: Phase::Headers }
        });
        let deadline = extensions.get::<Deadline>().map(|deadline| in_time(*deadline, began));
        let upload = match plan.headers_from {
            HeadersFrom::Call => None,
            HeadersFrom::RequestBody => request.extensions().get::<Upload>().cloned(),
        };
        let caller = Caller::of_request(request);
        Self { plan, limits, began, head, deadline, caller, upload }
    }

    /// The end of the exchange under these limits, or the request's own if that is earlier.
    fn total(&self, limits: &Timeouts) -> Option<Total> {
        Total::earlier(limits.total_from(self.began), self.deadline)
    }

    /// Asked while the handler has not answered. At a tie the headers limit wins, because it says more.
    fn due(&self, now: Instant, cx: &Context<'_>) -> Due {
        let from = match &self.upload {
            None => Some(self.began),
            Some(upload) => upload.read_at(cx),
        };
        let headers = self.limits.headers.zip(from).and_then(|(limit, from)| {
            Some(Total { at: from.checked_add(limit)?, limit, phase: Phase::Headers })
        });
        let head = Total::earlier(headers, self.head);
        let end = Total::earlier(head, self.total(&self.limits));
        match end.and_then(|end| end.over(now)) {
            Some(error) => Due::Over(error),
            None => Due::At(end.map(|end| end.at)),
        }
    }

    fn bound_body<B: Body<Data = Bytes>>(&self, response: Response<B>) -> Response<TimeoutBody<B>> {
        let limits = match response.extensions().get::<Timeouts>() {
            Some(wished) => self.limits.changed_by(wished).capped_by(&self.plan.ceiling),
            None => self.limits,
        };
        let total = self.total(&limits);
        // A body that is at its end has nothing left to wait for.
        let unbounded = limits.first_byte.or(limits.inter_chunk).is_none() && total.is_none();
        if unbounded || response.body().is_end_stream() {
            return response.map(TimeoutBody::unbounded);
        }
        let (tracker, ending) = self.ending(&response);
        let retry = match ending {
            Ending::EventSource => self.plan.retry / 2 + self.plan.seeds.next().up_to(self.plan.retry),
            _ => Duration::ZERO,
        };
        let bounds = Bounds { limits, total, ending, retry };
        response.map(|body| TimeoutBody::bounded(body, tracker, self.plan.progress, bounds))
    }

    fn ending<B: Body<Data = Bytes>>(&self, response: &Response<B>) -> (Tracker, Ending) {
        let chosen = response.extensions().get::<Ending>().or(self.plan.ending.as_ref());
        let exact = response.body().size_hint().exact().is_some();
        Ending::of_response(response.headers(), chosen, exact, self.caller.protocol())
    }
}
