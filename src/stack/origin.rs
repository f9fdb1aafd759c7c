//! Origin: where the bytes of a response come from, beneath all shells.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::kit::Kit;
use crate::BoxError;
use crate::gate::{GateBody, Permitted};
use crate::heartbeat::HeartbeatBody;
use crate::timeout::TimeoutBody;

/// The body of a response as the inner layers leave it: heartbeat, request body timeouts, gate, timeouts.
pub(super) type Nested<B> = HeartbeatBody<TimeoutBody<GateBody<TimeoutBody<B>>>>;

pin_project! {
    #[project = OriginProj]
    pub(super) enum Origin<B> {
        /// The handler.
        Handler { #[pin] body: Permitted<B> },
        /// A layer that has refused: its answer is all there.
        Refusal { answer: Bytes },
        /// The handler's future, and then its answer, behind an early head.
        Early { early: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>> },
    }
}

type Item = Option<Result<Frame<Bytes>, BoxError>>;

impl<B> Origin<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// `Err`: a layer has refused.
    #[inline]
    pub(super) fn of(nested: &mut Nested<B>, kit: &mut Kit) -> Result<Self, Bytes> {
        let limited_upload = kit.strip(nested.shell_mut())?;
        let gated = kit.strip(limited_upload.shell_mut())?;
        let (limited, held) = kit.strip(gated.shell_mut())?.strip();
        let body = kit.take(limited.shell_mut())?;
        Ok(Self::Handler { body: Permitted::new(body, held) })
    }

    pub(super) fn refusal(answer: Bytes) -> Self {
        Self::Refusal { answer }
    }

    #[inline(never)]
    fn poll_other(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item> {
        match self.project() {
            OriginProj::Handler { body } => body.poll_frame(cx).map_err(Into::into),
            OriginProj::Refusal { answer } if answer.is_empty() => Poll::Ready(None),
            OriginProj::Refusal { answer } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(answer))))),
            OriginProj::Early { early } => early.as_mut().poll_frame(cx),
        }
    }
}

impl<B> Body for Origin<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    // Inlined, or each frame is moved once more.
    #[inline(always)]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item> {
        let OriginProj::Handler { body } = self.as_mut().project() else {
            return self.poll_other(cx);
        };
        match body.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Handler { body } => body.is_end_stream(),
            Self::Refusal { answer } => answer.is_empty(),
            Self::Early { early } => early.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Handler { body } => body.size_hint(),
            Self::Refusal { answer } => SizeHint::with_exact(answer.len() as u64),
            Self::Early { early } => early.size_hint(),
        }
    }
}
