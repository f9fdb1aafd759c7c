//! LifelineService and its future: the layers' own services, nested in the one order.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::answering::{AnswerBody, Answering};
use super::body::{LifelineBody, Whole};
use super::layer::Layers;
use super::maybe::Maybe;
use super::presets;
use crate::BoxError;
use crate::body::Journal;
use crate::deadline::DeadlineService;
use crate::drain::DrainService;
use crate::early::{EarlyService, Handling};
use crate::gate::{GateService, ReplayBody};
use crate::heartbeat::HeartbeatService;
use crate::observe::{ObserveLayer, ObserveService};
use crate::stall::{StallLayer, Watching};
use crate::timeout::{RequestBodyTimeoutService, RequestTimeoutBody, TimeoutService};

/// The request body that a handler behind a [`Lifeline`](super::Lifeline) gets: the same frames, trailers and errors as they
/// came, within the limits.
pub type LifelineRequestBody<B> = ReplayBody<RequestTimeoutBody<B>>;

type Inner<S> = HeartbeatService<RequestBodyTimeoutService<GateService<TimeoutService<S>>>>;
type MaybeEarly<S> = Maybe<EarlyService<Answering<Inner<S>>>, Inner<S>>;
type Deadlined<S> = DeadlineService<MaybeEarly<S>>;
type MaybeDrained<S> = Maybe<DrainService<Deadlined<S>>, Deadlined<S>>;
type Nest<S> = Maybe<ObserveService<MaybeDrained<S>>, MaybeDrained<S>>;

/// The service that [`Lifeline`](super::Lifeline) makes.
#[derive(Clone)]
pub struct LifelineService<S> {
    nest: Nest<S>,
    stall: Option<StallLayer>,
    mcp: bool,
}

impl<S> LifelineService<S> {
    pub(super) fn new(inner: S, layers: &Layers) -> Self {
        let limited = layers.timeouts.layer(inner);
        let gated = GateService::optional(limited, layers.gate.clone());
        let uploaded = RequestBodyTimeoutService::optional(gated, layers.request_body.clone());
        let inner = layers.heartbeat.layer(uploaded);
        let early = match &layers.early {
            Some(early) => Maybe::On { on: early.layer(Answering(inner)) },
            None => Maybe::Off { off: inner },
        };
        // An early head's own beats heed what a caller says of silence.
        let deadlined = layers.deadlines.layer(early);
        let drained = match &layers.drain {
            Some(drain) => Maybe::On { on: drain.layer(deadlined) },
            None => Maybe::Off { off: deadlined },
        };
        let nest = match &layers.observer {
            Some(observer) => Maybe::On { on: ObserveLayer::new(observer).layer(drained) },
            None => Maybe::Off { off: drained },
        };
        Self { nest, stall: layers.stall.clone(), mcp: layers.mcp }
    }
}

impl<S> fmt::Debug for LifelineService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifelineService").finish_non_exhaustive()
    }
}

impl<S, B, ResBody> Service<Request<B>> for LifelineService<S>
where
    S: Service<Request<LifelineRequestBody<B>>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<LifelineBody<ResBody>>;
    type Error = S::Error;
    type Future = LifelineFuture<<Nest<S> as Service<Request<B>>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // The same for all of the nest, and its own types ask for those of the request.
        <Nest<S> as Service<Request<B>>>::poll_ready(&mut self.nest, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.mcp {
            presets::says_what_mcp_means_by_leaving(&mut request);
        }
        if let (Some(_), Maybe::On { .. }) = (&self.stall, &self.nest) {
            // The observer is further in, and has to be told by who watches over the body.
            Journal::open(request.extensions_mut());
        }
        let watching = self.stall.as_ref().map(|stall| stall.watching(&request));
        LifelineFuture { nest: self.nest.call(request), watching }
    }
}

pin_project! {
    /// The future of [`LifelineService`]. To drop it gives everything back: a place in the queue, a permit, the handler.
    // Of the nest's future, and not of what that one is of: the compiler would work it out again for each item in here,
    // and take eight times as long for the whole crate.
    pub struct LifelineFuture<F> {
        #[pin]
        nest: F,
        watching: Option<Watching>,
    }
}

impl<F> fmt::Debug for LifelineFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifelineFuture").finish_non_exhaustive()
    }
}

impl<F, Early, ResBody, E> Future for LifelineFuture<F>
where
    F: Future<Output = Result<Response<Whole<Early, ResBody>>, E>>,
    Early: Handling<Body = AnswerBody<ResBody>> + Send + 'static,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Response<LifelineBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.nest.poll(cx))?;
        let watching = this.watching.take();
        Poll::Ready(Ok(response.map(|whole| LifelineBody::of(whole, watching))))
    }
}
