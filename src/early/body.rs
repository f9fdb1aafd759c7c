//! EarlyBody: the shell around a body that owns the handler's future until there is an answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::answer::{Read, Reading};
use super::late::Late;
use super::plan::Exchange;
use super::splice::Splice;
use crate::BoxError;
use crate::body::{Facts, More, Parts, Shell, Watch};
use crate::dialect::{Dialect, Tracker};

/// A handler's future, as a service that answers with a body makes it. Implemented for all of them that are `Unpin`.
///
/// It moves into the response body when the head is sent early, so it must not be pinned to its place. The futures of
/// axum, tonic and all boxed services can be moved; of any other service `map_future(Box::pin)` of tower makes one whose
/// futures can:
///
/// ```
/// use std::time::Duration;
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_lifeline::testing::script;
/// use tower_lifeline::{BoxError, EarlyLayer};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(EarlyLayer::after(Duration::from_secs(10)))
///     .map_future(Box::pin)
///     .service(service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(script("0s=end"))) }));
/// assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 200);
/// # }
/// ```
pub trait Handling: Future<Output = Result<Response<Self::Body>, Self::Error>> + Unpin {
    /// The answer's body.
    type Body: Body<Data = Bytes, Error: Into<BoxError>>;
    /// The service's error.
    type Error: Into<BoxError>;
}

impl<F, B, E> Handling for F
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    type Body = B;
    type Error = E;
}

pin_project! {
    /// The body of a response whose head may have come before the handler's answer.
    ///
    /// When it has not, this is the handler's body as it is. When it has, this body owns the handler's future and polls it
    /// whenever it is polled, beats as long as there is nothing to say, and then says what the answer has to say. To drop
    /// it drops the handler, wherever that is. Nothing is spawned.
    ///
    /// Its errors are the handler's body's. It must be polled inside a tokio runtime with its timer enabled.
    pub struct EarlyBody<F: Handling> {
        #[pin]
        shell: Shell<Inner<F>>,
    }
}

impl<F: Handling> EarlyBody<F> {
    pub(super) fn untouched(body: F::Body) -> Self {
        let facts = Facts::new(Tracker::Opaque, Watch::Nothing);
        Self { shell: Shell::new(Inner::Answer { body }, facts, Parts::default()) }
    }

    pub(super) fn committed(future: F, exchange: Exchange) -> Self {
        let plan = exchange.heartbeat();
        let facts = Facts::new(Tracker::new(Dialect::EventStream), plan.watch());
        let more = More::with(exchange.journal());
        let early = Box::pin(Early::Thinking { future, exchange: Some(exchange) });
        let parts = Parts { heartbeat: Some(plan), more, ..Parts::default() };
        Self { shell: Shell::new(Inner::Early { early }, facts, parts) }
    }

    pub(crate) fn shell_mut(&mut self) -> &mut Shell<Inner<F>> {
        &mut self.shell
    }
}

impl<F: Handling> fmt::Debug for EarlyBody<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyBody").finish_non_exhaustive()
    }
}

impl<F: Handling> Body for EarlyBody<F> {
    type Data = Bytes;
    type Error = <F::Body as Body>::Error;

    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.project().shell.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}

pin_project! {
    /// What is beneath the shell.
    #[project = InnerProj]
    pub(crate) enum Inner<F: Handling> {
        // The handler's body: the answer came in time, or is an event stream.
        Answer { #[pin] body: F::Body },
        Early { early: Pin<Box<Early<F>>> },
    }
}

pin_project! {
    #[project = EarlyProj]
    enum Early<F: Handling> {
        Thinking { future: F, exchange: Option<Exchange> },
        Reading { #[pin] reading: Reading<F::Body> },
        Said { bytes: Bytes, trailers: Option<HeaderMap> },
    }
}

type Item<B> = Option<Result<Frame<Bytes>, <B as Body>::Error>>;

impl<F: Handling> Body for Inner<F> {
    type Data = Bytes;
    type Error = <F::Body as Body>::Error;

    #[inline(always)]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<F::Body>> {
        match self.as_mut().project() {
            InnerProj::Answer { body } => body.poll_frame(cx),
            InnerProj::Early { .. } => self.poll_early(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Answer { body } => body.is_end_stream(),
            Self::Early { early } => match &**early {
                Early::Said { bytes, trailers } => bytes.is_empty() && trailers.is_none(),
                Early::Thinking { .. } | Early::Reading { .. } => false,
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Answer { body } => body.size_hint(),
            Self::Early { early } => match &**early {
                Early::Said { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
                Early::Thinking { .. } | Early::Reading { .. } => SizeHint::new(),
            },
        }
    }
}

impl<F: Handling> Inner<F> {
    /// The handler's body, unless the head was early.
    pub(crate) fn answer_mut(&mut self) -> Option<&mut F::Body> {
        match self {
            Self::Answer { body } => Some(body),
            Self::Early { .. } => None,
        }
    }

    #[inline(never)]
    fn poll_early(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item<F::Body>> {
        loop {
            let early = match self.as_mut().project() {
                InnerProj::Answer { body } => return body.poll_frame(cx),
                InnerProj::Early { early } => early,
            };
            match early.as_mut().project() {
                // ## Thinking => (Answer | Reading | Said)
                EarlyProj::Thinking { future, exchange } => {
                    let answer = ready!(Pin::new(future).poll(cx));
                    let next = exchange.take().map(|exchange| Next::of(answer, exchange));
                    match next {
                        Some(Next::Stream(body)) => self.set(Self::Answer { body }),
                        Some(Next::Reading(reading)) => early.set(Early::Reading { reading }),
                        Some(Next::Said(bytes)) => early.set(Early::Said { bytes, trailers: None }),
                        None => early.set(Early::Said { bytes: Bytes::new(), trailers: None }),
                    }
                }
                // ## Reading => Said
                EarlyProj::Reading { reading } => match ready!(reading.poll(cx)) {
                    Read::Part(part) => return Poll::Ready(Some(Ok(Frame::data(part)))),
                    Read::Last(bytes, trailers) => early.set(Early::Said { bytes, trailers }),
                    Read::Failed(error) => {
                        early.set(Early::Said { bytes: Bytes::new(), trailers: None });
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                EarlyProj::Said { bytes, trailers } => {
                    let last = Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()).map(Frame::data);
                    let last = last.or_else(|| trailers.take().map(Frame::trailers));
                    return Poll::Ready(last.map(Ok));
                }
            }
        }
    }
}

/// What follows the thinking.
#[expect(clippy::large_enum_variant, reason = "it moves to its place in the box at once")]
enum Next<B> {
    Stream(B),
    Reading(Reading<B>),
    Said(Bytes),
}

impl<B> Next<B>
where
    B: Body<Data = Bytes>,
{
    fn of<E: Into<BoxError>>(answer: Result<Response<B>, E>, mut exchange: Exchange) -> Self {
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                let failure = exchange.has_no_answer(error.into());
                return Self::Said(exchange.render(&failure));
            }
        };
        let splice = Splice::of(&response);
        let (parts, body) = response.into_parts();
        let late = Late { status: parts.status, headers: parts.headers, extensions: parts.extensions };
        exchange.answered(&late);
        match splice {
            Splice::Stream => Self::Stream(body),
            Splice::Event => Self::Reading(Reading::event(body, late, exchange)),
            Splice::End => Self::Said(Bytes::new()),
            Splice::Failure { kind, reads } => {
                let failure = exchange.failed(kind, late);
                if reads {
                    Self::Reading(Reading::failure(body, failure, exchange))
                } else {
                    Self::Said(exchange.render(&failure))
                }
            }
        }
    }
}
