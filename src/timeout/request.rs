//! RequestBodyTimeoutLayer: limits for the upload. A layer of its own, because it changes the request's body type.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::TimeoutBody;
use super::bounds::Bounds;
use super::limits::Timeouts;
use super::plan::Plan;
use super::refuse::refuse;
use super::upload::{Asked, Upload};
use crate::body::{Facts, Fault, Journal, Parts, Shell, Watch, now};
use crate::dialect::Tracker;
use crate::error::{at_least_a_millisecond, valid};
use crate::reject::{Caller, Refusal, Renderer};
use crate::{BoxError, ConfigError};

/// Limits the time that a request body takes. See the [module](super) for what happens when.
///
/// When a limit is reached before the response head, the handler is dropped and the response is a 408 (RFC 9110, section
/// 15.5.9) with `Connection: close`, in the caller's protocol. Behind the head there is only the error that the handler
/// gets from the body: a [`TimeoutError`](super::TimeoutError).
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::RequestBodyTimeoutLayer;
///
/// let layer = RequestBodyTimeoutLayer::new()
///     .gap(Duration::from_secs(20))
///     .total(Duration::from_secs(300));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct RequestBodyTimeoutLayer {
    plan: Arc<Plan>,
}

impl Default for RequestBodyTimeoutLayer {
    fn default() -> Self {
        Self { plan: Arc::new(Plan::of_any_body(Timeouts::new())) }
    }
}

impl RequestBodyTimeoutLayer {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the time that the handler waits for the next bytes. Time in which it does not ask for any does not count.
    /// Default: no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_gap`](Self::try_gap) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn gap(self, limit: Duration) -> Self {
        valid(self.try_gap(limit))
    }

    /// [`gap`](Self::gap) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_gap(self, limit: Duration) -> Result<Self, ConfigError> {
        let limit = at_least_a_millisecond("the request gap limit", limit)?;
        Ok(self.with(|plan| {
            plan.limits.first_byte = Some(limit);
            plan.limits.inter_chunk = Some(limit);
        }))
    }

    /// Limits the time from the call to the end of the body. Noticed while the handler waits for bytes: what a handler
    /// does not ask for, a client cannot be late with. Default: no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_total`](Self::try_total) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn total(self, limit: Duration) -> Self {
        valid(self.try_total(limit))
    }

    /// [`total`](Self::total) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_total(self, limit: Duration) -> Result<Self, ConfigError> {
        let limit = at_least_a_millisecond("the request total limit", limit)?;
        Ok(self.with(|plan| plan.limits.total = Some(limit)))
    }

    /// Makes the 408 some other way; see [`TimeoutLayer::render`](super::TimeoutLayer::render).
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

    fn with(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(Arc::make_mut(&mut self.plan));
        self
    }
}

impl<S> Layer<S> for RequestBodyTimeoutLayer {
    type Service = RequestBodyTimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestBodyTimeoutService::optional(inner, Some(self.clone()))
    }
}

/// The service that [`RequestBodyTimeoutLayer`] makes.
#[derive(Clone, Debug)]
pub struct RequestBodyTimeoutService<S> {
    inner: S,
    layer: Option<RequestBodyTimeoutLayer>,
}

impl<S> RequestBodyTimeoutService<S> {
    /// Without a layer there are no limits. The type of the request's body is the same.
    pub(crate) fn optional(inner: S, layer: Option<RequestBodyTimeoutLayer>) -> Self {
        Self { inner, layer }
    }
}

impl<S, B, ResBody> Service<Request<B>> for RequestBodyTimeoutService<S>
where
    S: Service<Request<RequestTimeoutBody<B>>, Response = Response<ResBody>>,
    B: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<TimeoutBody<ResBody>>;
    type Error = S::Error;
    type Future = RequestBodyTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(RequestBodyTimeoutLayer { plan }) = &self.layer else {
            let asked = request.extensions().get::<Asked>().cloned();
            let inner = self.inner.call(request.map(|body| RequestTimeoutBody::unlimited(body, asked)));
            return RequestBodyTimeoutFuture { inner: Some(inner), limited: None };
        };
        let caller = Caller::of_request(&request);
        let journal = Journal::of(request.extensions());
        let (mut parts, body) = request.into_parts();
        let upload = Upload::default();
        parts.extensions.insert(upload.clone());
        let asked = parts.extensions.get::<Asked>().cloned();
        let plan = Arc::clone(plan);
        let bounds = Bounds { plan: Arc::clone(&plan), began: now() };
        let body = RequestTimeoutBody::new(body, bounds, upload.clone(), asked);
        let inner = self.inner.call(Request::from_parts(parts, body));
        let limited = Limited { upload, caller, plan, journal };
        RequestBodyTimeoutFuture { inner: Some(inner), limited: Some(limited) }
    }
}

pin_project! {
    /// The future of [`RequestBodyTimeoutService`]. To drop it drops the handler.
    #[derive(Debug)]
    pub struct RequestBodyTimeoutFuture<F> {
        #[pin]
        inner: Option<F>,
        limited: Option<Limited>,
    }
}

/// What the request left behind for a refusal.
#[derive(Debug)]
struct Limited {
    upload: Upload,
    caller: Caller,
    plan: Arc<Plan>,
    journal: Option<Journal>,
}

impl<F, B, E> Future for RequestBodyTimeoutFuture<F>
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
        let answer = inner.poll(cx);
        // A handler that was told of the slow upload may have answered in this very turn, most often with a 400. The
        // upload was the reason, so it is what the client is told.
        if let Some(Limited { upload, caller, plan, journal }) = this.limited {
            if let Some(error) = upload.expired(cx) {
                this.inner.set(None);
                if let Some(journal) = journal {
                    journal.timed_out(error.phase());
                }
                return Poll::Ready(Ok(refuse(error, caller, &plan.renderer).map(TimeoutBody::of_bytes)));
            }
        }
        answer.map_ok(|response| response.map(|body| TimeoutBody::of(body, None, None)))
    }
}

pin_project! {
    /// The request body that a handler behind [`RequestBodyTimeoutLayer`] gets.
    ///
    /// Its errors are the inner body's, boxed, or a [`TimeoutError`](super::TimeoutError).
    pub struct RequestTimeoutBody<B: Body> {
        #[pin]
        shell: Shell<B>,
        // None without limits.
        upload: Option<Upload>,
        // Until it has been told.
        asked: Option<Asked>,
    }

    impl<B: Body> PinnedDrop for RequestTimeoutBody<B> {
        fn drop(this: Pin<&mut Self>) {
            // A handler that has dropped the body has read all it wanted.
            if let Some(upload) = &this.upload {
                upload.was_read(now());
            }
        }
    }
}

impl<B: Body<Data = Bytes>> RequestTimeoutBody<B> {
    fn new(inner: B, bounds: Bounds, upload: Upload, asked: Option<Asked>) -> Self {
        if inner.is_end_stream() {
            upload.was_read(bounds.began);
        }
        let parts = Parts { timeouts: Some(bounds), ..Parts::default() };
        Self {
            shell: Shell::new(inner, Facts::new(Tracker::Opaque, Watch::AnyByte), parts),
            upload: Some(upload),
            asked,
        }
    }

    fn unlimited(inner: B, asked: Option<Asked>) -> Self {
        let facts = Facts::new(Tracker::Opaque, Watch::Nothing);
        Self { shell: Shell::new(inner, facts, Parts::default()), upload: None, asked }
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for RequestTimeoutBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestTimeoutBody").field(&self.shell).finish()
    }
}

impl<B> Body for RequestTimeoutBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Some(asked) = this.asked.take() {
            asked.set();
        }
        let item = match this.shell.as_mut().poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(this.shell.as_mut().take_fault().map(|fault| match fault {
                Fault::Timeout(error) => {
                    let error = error.of_request();
                    if let Some(upload) = &this.upload {
                        upload.expire(error);
                    }
                    Err(error.into())
                }
                fault @ Fault::Drain(_) => Err(fault.into()),
            })),
            polled => polled.map_err(Into::into),
        };
        if let Some(upload) = this.upload.as_ref().filter(|_| item.is_ready() && this.shell.is_end_stream()) {
            upload.was_read(now());
        }
        item
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}
