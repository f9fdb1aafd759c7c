//! GateLayer, its service and its future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::EXPECT;
use http::request::Parts;
use http::{Extensions, Method, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::GateBody;
use super::handle::{Gate, Inner, PermitScope, Settings};
use super::keys::KeyGuard;
use super::permit::{Carried, Permit};
use super::permitted::{Held, Permitted};
use super::position::QueuePosition;
use super::queue::Ticket;
use super::replay::ReplayBody;
use super::sampling::Sampling;
use super::shared::Arrival;
use super::shed::{Shed, drain_time};
use crate::body::{Journal, Timer, is_tunnel, now};
use crate::deadline::Deadline;
use crate::timeout::Arrived;

/// Lets so many requests in at a time, lets some wait, and refuses the rest at once. See the [module](super) for what
/// happens when.
///
/// All services that one layer makes, and all layers of one [`Gate`], share its permits: axum makes a service for each
/// route and each method.
#[derive(Clone, Debug)]
pub struct GateLayer {
    gate: Gate,
}

impl GateLayer {
    /// The layer of this gate.
    #[must_use]
    pub fn new(gate: &Gate) -> Self {
        Self { gate: gate.clone() }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService::optional(inner, Some(self.gate.clone()))
    }
}

/// The service that [`GateLayer`] makes.
// Nothing is taken in `poll_ready`: a clone that was asked and never called would keep it for ever.
#[derive(Clone, Debug)]
pub struct GateService<S> {
    inner: S,
    gate: Option<Gate>,
}

impl<S> GateService<S> {
    /// Without a gate it lets everybody in. The type of the request's body is the same.
    pub(crate) fn optional(inner: S, gate: Option<Gate>) -> Self {
        Self { inner, gate }
    }
}

impl<S, B, ResBody> Service<Request<B>> for GateService<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>> + Clone,
    B: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<GateBody<ResBody>>;
    type Error = S::Error;
    type Future = GateFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(Gate { inner: gate }) = &self.gate else {
            let scope = PermitScope::Headers;
            return GateFuture {
                state: State::running(request.map(ReplayBody::untouched), None, &mut self.inner, scope),
            };
        };
        let entry = if gate.settings.looks_at_requests() {
            let (parts, body) = request.into_parts();
            let entry = gate.enter(&parts);
            request = Request::from_parts(parts, body);
            entry
        } else {
            gate.admit(request.extensions(), None)
        };
        // Each arm makes the whole future: it is hundreds of bytes, and would be moved once more behind them.
        match entry {
            Entry::Admitted(permit) => GateFuture {
                state: State::admitted(request.map(ReplayBody::untouched), permit, &mut self.inner, gate),
            },
            Entry::MustWait(key) => {
                // The service that was asked for its readiness is the one to call; the clone stays here.
                let clone = self.inner.clone();
                let service = std::mem::replace(&mut self.inner, clone);
                let place = Place::new(Arc::clone(gate), key, request.extensions());
                let waiter = Waiter::new(service, request.map(ReplayBody::to_be_read), place);
                GateFuture { state: State::Waiting { waiter: Some(Box::new(waiter)) } }
            }
            Entry::Refused(reason) => {
                GateFuture { state: State::Refused { answer: Some(gate.refuse(reason, &request)) } }
            }
        }
    }
}

/// What becomes of a request as soon as it arrives.
enum Entry {
    /// Without a permit when it needs none.
    Admitted(Option<Permit>),
    /// There may be a place in the queue.
    MustWait(Option<KeyGuard>),
    Refused(Shed),
}

impl Inner {
    fn enter(self: &Arc<Self>, request: &Parts) -> Entry {
        let Settings { exempt, per_key, .. } = &self.settings;
        if exempt.as_ref().is_some_and(|exempt| exempt(request)) {
            return Entry::Admitted(None);
        }
        match per_key.as_ref().and_then(|(key, cap)| Some((key(request)?, *cap))) {
            None => self.admit(&request.extensions, None),
            Some((key, cap)) => match self.keys.enter(key, cap) {
                None => Entry::Refused(Shed::KeyOverCap),
                key => self.admit(&request.extensions, key),
            },
        }
    }

    #[inline]
    fn admit(self: &Arc<Self>, extensions: &Extensions, key: Option<KeyGuard>) -> Entry {
        if extensions.get::<Deadline>().is_some_and(Deadline::is_past) {
            return Entry::Refused(Shed::DeadlineTooShort);
        }
        if self.shared.try_enter() {
            return Entry::Admitted(Some(self.permit(key)));
        }
        if self.shared.is_closed() {
            Entry::Refused(Shed::Closed)
        } else if self.shared.is_full() {
            Entry::Refused(Shed::QueueFull)
        } else {
            Entry::MustWait(key)
        }
    }

    #[inline]
    fn permit(self: &Arc<Self>, key: Option<KeyGuard>) -> Permit {
        Permit::new(Arc::clone(self), key)
    }
}

pin_project! {
    /// The future of [`GateService`]. To drop it gives everything back: a place in the queue, a permit, the handler.
    pub struct GateFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, B>,
    }
}

impl<S, B> std::fmt::Debug for GateFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateFuture").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
        B: Body,
    {
        Waiting { waiter: Option<Box<Waiter<S, B>>> },
        Running { #[pin] handler: S::Future, sampling: Option<Box<Sampling>>, permit: Option<Carried>, scope: PermitScope, connect: bool },
        Refused { answer: Option<Response<Bytes>> },
    }
}

impl<S, B, ResBody> State<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>>,
    B: Body,
{
    // Requests, futures and bodies are hundreds of bytes, and each call in between moves them once more.
    #[inline(always)]
    fn admitted(
        mut request: Request<ReplayBody<B>>,
        permit: Option<Permit>,
        service: &mut S,
        gate: &Arc<Inner>,
    ) -> Self {
        let sampling = permit.as_ref().and_then(|_| Sampling::begin(gate));
        let permit = permit.map(|permit| permit.carried(request.extensions_mut()));
        Self::running(request, Some((sampling, permit)), service, gate.settings.scope)
    }

    #[inline(always)]
    fn running(
        request: Request<ReplayBody<B>>,
        held: Option<(Option<Box<Sampling>>, Option<Carried>)>,
        service: &mut S,
        scope: PermitScope,
    ) -> Self {
        let connect = request.method() == Method::CONNECT;
        let (sampling, permit) = held.unwrap_or_default();
        Self::Running { handler: service.call(request), sampling, permit, scope, connect }
    }
}

impl<S, B, ResBody> Future for GateFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>>,
    B: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<GateBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                // ## Waiting => (Running | Refused)
                StateProj::Waiting { waiter } => {
                    let Some(polled) = waiter.as_mut().map(|waiter| waiter.poll(cx)) else {
                        return Poll::Pending;
                    };
                    let outcome = ready!(polled);
                    let Some(waiter) = waiter.take() else {
                        return Poll::Pending;
                    };
                    let Waiter { mut service, mut request, place, .. } = *waiter;
                    let next = match outcome {
                        Ok(permit) => {
                            if let Some(journal) = &place.journal {
                                journal.admitted();
                            }
                            request.extensions_mut().insert(Arrived(place.arrived));
                            State::admitted(request, Some(permit), &mut service, &place.gate)
                        }
                        Err(reason) => State::Refused { answer: Some(place.gate.refuse(reason, &request)) },
                    };
                    state.set(next);
                }
                // ## Running => done
                StateProj::Running { handler, sampling, permit, scope, connect } => {
                    let answer = ready!(handler.poll(cx));
                    let sampling = sampling.take();
                    let permit = permit.take();
                    let response = match answer {
                        Ok(response) => response,
                        Err(error) => {
                            if let Some(mut sampling) = sampling {
                                sampling.failed();
                            }
                            return Poll::Ready(Err(error));
                        }
                    };
                    let status = response.status();
                    let stays = !is_tunnel(*connect, status) && *scope != PermitScope::Headers;
                    let sampling = sampling.and_then(|sampling| sampling.head(status)).filter(|_| stays);
                    let permit = permit.filter(|_| stays);
                    let held = Held::new(sampling, permit, *scope);
                    return Poll::Ready(Ok(response.map(|body| GateBody::new(Permitted::new(body, held)))));
                }
                // ## Refused => done
                StateProj::Refused { answer } => {
                    return match answer.take() {
                        Some(answer) => Poll::Ready(Ok(answer.map(GateBody::of_bytes))),
                        None => Poll::Pending,
                    };
                }
            }
        }
    }
}

/// A request that waits, and the service that will be called with it.
struct Waiter<S, B: Body> {
    service: S,
    request: Request<ReplayBody<B>>,
    /// The request's body may be read before the handler asks for it.
    reads: bool,
    place: Place,
}

impl<S, B: Body<Data = Bytes>> Waiter<S, B> {
    fn new(service: S, request: Request<ReplayBody<B>>, place: Place) -> Self {
        // To ask for the body would tell the client to send it, before anybody knows whether it will be wanted.
        let reads = !request.headers().contains_key(EXPECT);
        Self { service, request, reads, place }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Shed>> {
        let outcome = self.place.poll(cx);
        if outcome.is_pending() && self.reads {
            let most = self.place.gate.settings.buffer;
            self.request.body_mut().poll_read(most, cx);
        }
        outcome
    }
}

/// A place in a gate's queue, or on the way to one. To drop it leaves the queue.
struct Place {
    gate: Arc<Inner>,
    ticket: Option<Ticket>,
    key: Option<KeyGuard>,
    deadline: Option<Instant>,
    arrived: Instant,
    timer: Option<Pin<Box<Timer>>>,
    position: Option<QueuePosition>,
    journal: Option<Journal>,
}

impl Place {
    fn new(gate: Arc<Inner>, key: Option<KeyGuard>, extensions: &Extensions) -> Self {
        let deadline = extensions.get::<Deadline>().map(Deadline::instant);
        let position = extensions.get::<QueuePosition>().cloned();
        let journal = Journal::of(extensions);
        if let Some(journal) = &journal {
            journal.queued();
        }
        Self { gate, ticket: None, key, deadline, arrived: now(), timer: None, position, journal }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Shed>> {
        let outcome = self.poll_turn(cx);
        if let (Some(position), Some(ticket), true) = (&self.position, self.ticket, outcome.is_pending()) {
            position.set(self.gate.shared.place(ticket));
        }
        outcome
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Shed>> {
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => match self.join(cx) {
                Ok(Some(ticket)) => *self.ticket.insert(ticket),
                Ok(None) => return Poll::Ready(Ok(self.gate.permit(self.key.take()))),
                Err(reason) => return Poll::Ready(Err(reason)),
            },
        };
        if let Poll::Ready(admitted) = self.gate.shared.poll_turn(ticket, cx) {
            self.ticket = None;
            if !admitted {
                return Poll::Ready(Err(Shed::Closed));
            }
            self.gate.counts.wait.add(now().saturating_duration_since(self.arrived));
            return Poll::Ready(Ok(self.gate.permit(self.key.take())));
        }
        // A turn that has come beats a time that has passed.
        let longest = self.arrived.checked_add(self.gate.settings.max_wait);
        let (until, reason) = match (longest, self.deadline) {
            (Some(longest), Some(deadline)) if deadline < longest => (deadline, Shed::DeadlineTooShort),
            (Some(longest), _) => (longest, Shed::QueueTimeout),
            (None, Some(deadline)) => (deadline, Shed::DeadlineTooShort),
            (None, None) => return Poll::Pending,
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(Timer::new(until)));
        ready!(timer.as_mut().poll_at(until, cx));
        Poll::Ready(Err(reason))
    }

    /// A place, or `None` for a permit at once.
    fn join(&self, cx: &Context<'_>) -> Result<Option<Ticket>, Shed> {
        let shared = &self.gate.shared;
        if shared.try_enter() {
            return Ok(None);
        }
        if let Some(deadline) = self.deadline {
            let wait = drain_time(shared.queued(), shared.limit(), self.gate.counts.hold.recent());
            if deadline.saturating_duration_since(now()) < wait {
                return Err(Shed::DeadlineTooShort);
            }
        }
        match shared.arrive(cx.waker()) {
            Arrival::Queued(ticket) => Ok(Some(ticket)),
            Arrival::Full => Err(Shed::QueueFull),
            Arrival::Closed => Err(Shed::Closed),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.shared.leave(ticket);
        }
        if let Some(position) = &self.position {
            position.set(None);
        }
        if let Some(journal) = &self.journal {
            journal.waited(now().saturating_duration_since(self.arrived));
        }
    }
}
