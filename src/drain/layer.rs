//! DrainLayer, its service and its future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::DrainBody;
use super::guest::Guest;
use super::guests::Who;
use super::handle::Drain;
use super::report::Went;
use super::stay::Stay;
use super::{Farewell, OnDrain};
use crate::ConfigError;
use crate::body::{Journal, Timer, is_tunnel, length, now};
use crate::error::valid;
use crate::jitter::Seeds;
use crate::reject::{Caller, Ending};

/// Lets a [`Drain`] tell the streams behind it to leave, and refuses requests that come too late. See the
/// [module](super) for what happens when.
///
/// All services that one layer makes, and all layers of one [`Drain`], share its state.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_lifeline::{Drain, DrainLayer};
///
/// let drain = Drain::new();
/// let app: Router = Router::new()
///     .route("/events", get(|| async { "events" }))
///     .layer(DrainLayer::new(&drain));
/// ```
#[derive(Clone, Debug)]
pub struct DrainLayer {
    plan: Arc<Plan>,
}

#[derive(Clone, Debug)]
struct Plan {
    drain: Drain,
    on_drain: OnDrain,
    ending: Option<Ending>,
    max_age: Option<Duration>,
    jitter: Option<Duration>,
    seeds: Arc<Seeds>,
}

impl DrainLayer {
    /// A layer of this drain.
    #[must_use]
    pub fn new(drain: &Drain) -> Self {
        Self {
            plan: Arc::new(Plan {
                drain: drain.clone(),
                on_drain: OnDrain::default(),
                ending: None,
                max_age: None,
                jitter: None,
                seeds: Arc::new(Seeds::random()),
            }),
        }
    }

    /// What streams do when the drain begins, where the extensions of neither the response nor the request hold an
    /// [`OnDrain`] of their own. Default: [`OnDrain::Leave`].
    #[must_use]
    pub fn on_drain(self, what: OnDrain) -> Self {
        self.with(|plan| plan.on_drain = what)
    }

    /// How streams end when they leave, where the response's extensions hold neither an [`Ending`] nor a [`Farewell`].
    /// Default: by the response, see the [module](super#goodbyes).
    #[must_use]
    pub fn ending(self, ending: Ending) -> Self {
        self.with(|plan| plan.ending = Some(ending))
    }

    /// Ends streams at their first boundary when their request is so old, whether or not the server drains: before a hop
    /// on the way ends them anywhere. Less a tenth by chance, or as much as [`jitter`](Self::jitter) says. Default: never.
    ///
    /// A body without known boundaries stays, and so does one that is to end with [`Ending::Abort`] and has no
    /// [`Farewell`]; [`OnDrain::Finish`] is about the drain alone.
    ///
    /// # Panics
    ///
    /// When it is shorter than a second. [`try_max_age`](Self::try_max_age) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn max_age(self, age: Duration) -> Self {
        valid(self.try_max_age(age))
    }

    /// [`max_age`](Self::max_age) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is shorter than a second.
    pub fn try_max_age(self, age: Duration) -> Result<Self, ConfigError> {
        if age < Duration::from_secs(1) {
            return Err(ConfigError::new(format!("a stream may become at least 1s old, got {age:?}")));
        }
        Ok(self.with(|plan| plan.max_age = Some(age)))
    }

    /// Brings each stream's [`max_age`](Self::max_age) forward by up to so much, by chance. Default: a tenth of it.
    #[must_use]
    pub fn jitter(self, most: Duration) -> Self {
        self.with(|plan| plan.jitter = Some(most))
    }

    pub(crate) fn drain(&self) -> &Drain {
        &self.plan.drain
    }

    pub(crate) fn any_age(self) -> Self {
        self.with(|plan| plan.max_age = None)
    }

    pub(crate) fn age(&self) -> Option<Duration> {
        self.plan.max_age
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

impl From<&Drain> for DrainLayer {
    fn from(drain: &Drain) -> Self {
        Self::new(drain)
    }
}

impl<S> Layer<S> for DrainLayer {
    type Service = DrainService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DrainService { inner, layer: self.clone() }
    }
}

/// The service that [`DrainLayer`] makes.
#[derive(Clone, Debug)]
pub struct DrainService<S> {
    inner: S,
    layer: DrainLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for DrainService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<DrainBody<ResBody>>;
    type Error = S::Error;
    type Future = DrainFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let plan = &self.layer.plan;
        let drain = &plan.drain.inner;
        if drain.looks_at_requests() {
            let (parts, body) = request.into_parts();
            let exempt = drain.is_exempt(&parts);
            request = Request::from_parts(parts, body);
            if exempt {
                return DrainFuture::new(State::Untold { inner: self.inner.call(request) });
            }
        }
        let since = now();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (asked, version) = (method.clone(), request.version());
        let caller = Caller::of_request(&request);
        let journal = Journal::of(request.extensions());
        let wished = request.extensions().get().copied();
        let Some(guest) = Guest::enter(drain, Who { method, uri, since }) else {
            if let Some(journal) = journal {
                journal.drained();
            }
            let answer = drain.refuse(&caller);
            return DrainFuture::new(State::Refused { answer: Some(answer) });
        };
        request.extensions_mut().insert(plan.drain.clone());
        let exchange = Exchange {
            plan: Arc::clone(plan),
            guest,
            caller,
            since,
            method: asked,
            version,
            wished,
            journal,
        };
        DrainFuture::new(State::Running {
            inner: self.inner.call(request),
            exchange: Some(exchange),
            timer: None,
        })
    }
}

pin_project! {
    /// The future of [`DrainService`]. To drop it drops the handler.
    #[derive(Debug)]
    pub struct DrainFuture<F> {
        #[pin]
        state: State<F>,
    }
}

impl<F> DrainFuture<F> {
    fn new(state: State<F>) -> Self {
        Self { state }
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Untold { #[pin] inner: F },
        Running { #[pin] inner: F, exchange: Option<Exchange>, timer: Option<Pin<Box<Timer>>> },
        Refused { answer: Option<Response<Bytes>> },
    }
}

impl<F, B, E> Future for DrainFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<DrainBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let (answer, _leaves) = match state.as_mut().project() {
                StateProj::Untold { inner } => {
                    return inner.poll(cx).map_ok(|response| response.map(DrainBody::untold));
                }
                // ## Running => (done | Refused)
                StateProj::Running { inner, exchange, timer } => {
                    // The handler first: an answer that is ready beats a deadline that has passed.
                    let polled = inner.poll(cx);
                    let Some(staying) = exchange else {
                        return Poll::Pending;
                    };
                    if polled.is_pending() && !staying.is_over(timer, cx) {
                        return Poll::Pending;
                    }
                    match (polled, exchange.take()) {
                        (Poll::Ready(answer), Some(exchange)) => {
                            return Poll::Ready(match answer {
                                Ok(response) => Ok(exchange.stays(response)),
                                Err(error) => {
                                    exchange.fails();
                                    Err(error)
                                }
                            });
                        }
                        (_, Some(mut exchange)) => (exchange.cut(), exchange),
                        (_, None) => return Poll::Pending,
                    }
                }
                // ## Refused => done
                StateProj::Refused { answer } => {
                    return match answer.take() {
                        Some(answer) => Poll::Ready(Ok(answer.map(DrainBody::of_bytes))),
                        None => Poll::Pending,
                    };
                }
            };
            // The handler goes with the state that held it, and before it is said to have gone.
            state.set(State::Refused { answer: Some(answer) });
        }
    }
}

/// What the request left behind for its response.
#[derive(Debug)]
struct Exchange {
    plan: Arc<Plan>,
    guest: Guest,
    caller: Caller,
    since: Instant,
    method: Method,
    version: Version,
    wished: Option<OnDrain>,
    journal: Option<Journal>,
}

impl Exchange {
    /// Whether the drain's deadline has passed. Until then this task is woken when there is something to see.
    fn is_over(&mut self, timer: &mut Option<Pin<Box<Timer>>>, cx: &mut Context<'_>) -> bool {
        let Some(began) = self.guest.poll_began(cx) else {
            return false;
        };
        let Some(by) = began.by else {
            return false;
        };
        let timer = timer.get_or_insert_with(|| Box::pin(Timer::new(by)));
        timer.as_mut().poll_at(by, cx).is_ready()
    }

    fn cut(&mut self) -> Response<Bytes> {
        self.guest.goes(Went::Cut);
        if let Some(journal) = &self.journal {
            journal.drain_cut();
        }
        self.plan.drain.inner.cut(&self.caller)
    }

    fn fails(mut self) {
        self.guest.goes(Went::Finished);
    }

    fn stays<B: Body<Data = Bytes>>(mut self, response: Response<B>) -> Response<DrainBody<B>> {
        if is_tunnel(self.method == Method::CONNECT, response.status()) || response.body().is_end_stream() {
            self.guest.goes(Went::Finished);
            return response.map(DrainBody::untold);
        }
        let extensions = response.extensions();
        let on_drain = extensions.get().copied().or(self.wished).unwrap_or(self.plan.on_drain);
        let chosen = extensions.get::<Ending>().or(self.plan.ending.as_ref());
        let exact = response.body().size_hint().exact().is_some();
        // Nothing can be added to a body whose length the client knows, whoever wants it.
        let known = exact || response.headers().contains_key(CONTENT_LENGTH);
        let farewell = extensions.get().filter(|_| !known).map(|Farewell(beat)| beat.clone());
        let (tracker, ending) =
            Ending::of_response(response.headers(), chosen, exact, self.caller.protocol());
        let mut stay = Stay::new(self.guest, on_drain, ending, farewell);
        if let Some(age) = self.plan.max_age {
            let most = self.plan.jitter.unwrap_or(age / 10).min(age);
            let age = age - self.plan.seeds.next().up_to(most);
            stay = stay.until(self.since.checked_add(age), age);
        }
        let owed = length(&self.method, self.version, &response);
        response.map(|body| DrainBody::staying(body, tracker, stay, owed, self.journal))
    }
}
