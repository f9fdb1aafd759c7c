//! ObserveLayer, its service and its future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::ObserveBody;
use super::draft::Draft;
use super::observer::Observer;
use crate::body::length;

/// Reports how each exchange ended. Put it outside of all other layers: see the [module](super).
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_lifeline::observe::{ObserveLayer, Observer, StreamReport};
///
/// let observer = Observer::new().sink(|report: &StreamReport| eprintln!("{report}"));
/// let app: Router = Router::new()
///     .route("/events", get(|| async { "events" }))
///     .layer(ObserveLayer::new(&observer));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ObserveLayer {
    observer: Observer,
}

impl ObserveLayer {
    /// The layer of this observer.
    #[must_use]
    pub fn new(observer: &Observer) -> Self {
        Self { observer: observer.clone() }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = ObserveService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ObserveService { inner, observer: self.observer.clone() }
    }
}

/// The service that [`ObserveLayer`] makes.
#[derive(Clone, Debug)]
pub struct ObserveService<S> {
    inner: S,
    observer: Observer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ObserveService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<ObserveBody<ResBody>>;
    type Error = S::Error;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (request, draft) = self.observer.inner.open(request);
        let inner = {
            let _entered = draft.span.enter();
            self.inner.call(request)
        };
        ObserveFuture { inner, draft: Some(draft) }
    }
}

pin_project! {
    /// The future of [`ObserveService`]. To drop it is reported, too.
    #[derive(Debug)]
    pub struct ObserveFuture<F> {
        // In this order: what the inner layers note when they are dropped is in the report.
        #[pin]
        inner: F,
        draft: Option<Box<Draft>>,
    }
}

impl<F, B, E> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ObserveBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(draft) = this.draft.as_ref() else {
            return Poll::Pending;
        };
        let answer = {
            let _entered = draft.span.enter();
            ready!(this.inner.poll(cx))
        };
        let Some(mut draft) = this.draft.take() else {
            return Poll::Pending;
        };
        match answer {
            Ok(response) => {
                let tracker = draft.headed(&response);
                let owed = length(&draft.opening.method, draft.opening.version, &response);
                Poll::Ready(Ok(response.map(|body| ObserveBody::new(body, tracker, owed, draft))))
            }
            Err(error) => {
                draft.failed();
                Poll::Ready(Err(error))
            }
        }
    }
}
