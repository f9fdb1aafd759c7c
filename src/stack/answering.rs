//! Answering: the inner layers as a service whose futures can move into a body, for an early head.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::kit::Kit;
use super::origin::{Nested, Origin};
use crate::BoxError;
use crate::body::Shell;

/// Boxes the futures of a service, and puts the bodies of its responses into one shell.
#[derive(Clone, Debug)]
#[expect(
    unnameable_types,
    reason = "public because the stack's future is made of it, and nobody needs its name"
)]
pub struct Answering<S>(pub(super) S);

impl<S, B, ResBody> Service<Request<B>> for Answering<S>
where
    S: Service<Request<B>, Response = Response<Nested<ResBody>>>,
    S::Future: Send + 'static,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody<ResBody>>;
    type Error = S::Error;
    type Future = Answer<ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let nested = self.0.call(request);
        Box::pin(async move { Ok(nested.await?.map(AnswerBody::of)) })
    }
}

pub(super) type Answer<B, E> = Pin<Box<dyn Future<Output = Result<Response<AnswerBody<B>>, E>> + Send>>;

pin_project! {
    /// The body of an answer that may come behind an early head.
    pub struct AnswerBody<B>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        #[pin]
        shell: Shell<Origin<B>>,
    }
}

impl<B> AnswerBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    fn of(mut nested: Nested<B>) -> Self {
        let mut kit = Kit::new();
        let origin = Origin::of(&mut nested, &mut kit).unwrap_or_else(Origin::refusal);
        Self { shell: kit.shell(origin) }
    }

    pub(super) fn shell_mut(&mut self) -> &mut Shell<Origin<B>> {
        &mut self.shell
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().shell.poll_boxed_or_fault(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}
