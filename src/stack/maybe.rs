//! Maybe: a layer that is on or off, as a service, as its future and as its body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// One of two that do the same.
    #[derive(Clone, Debug)]
    #[project = MaybeProj]
    // Public because the stack's future is made of it: nobody needs its name.
    pub enum Maybe<On, Off> {
        On { #[pin] on: On },
        Off { #[pin] off: Off },
    }
}

impl<On, Off, B, OnBody, OffBody> Service<Request<B>> for Maybe<On, Off>
where
    On: Service<Request<B>, Response = Response<OnBody>>,
    Off: Service<Request<B>, Response = Response<OffBody>, Error = On::Error>,
{
    type Response = Response<Maybe<OnBody, OffBody>>;
    type Error = On::Error;
    type Future = Maybe<On::Future, Off::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), On::Error>> {
        match self {
            Self::On { on } => on.poll_ready(cx),
            Self::Off { off } => off.poll_ready(cx),
        }
    }

    #[inline(always)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self {
            Self::On { on } => Maybe::On { on: on.call(request) },
            Self::Off { off } => Maybe::Off { off: off.call(request) },
        }
    }
}

impl<On, Off, OnBody, OffBody, E> Future for Maybe<On, Off>
where
    On: Future<Output = Result<Response<OnBody>, E>>,
    Off: Future<Output = Result<Response<OffBody>, E>>,
{
    type Output = Result<Response<Maybe<OnBody, OffBody>>, E>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            MaybeProj::On { on } => ready!(on.poll(cx)).map(|response| response.map(|on| Maybe::On { on })),
            MaybeProj::Off { off } => {
                ready!(off.poll(cx)).map(|response| response.map(|off| Maybe::Off { off }))
            }
        })
    }
}

impl<On, Off> Body for Maybe<On, Off>
where
    On: Body<Data = Bytes>,
    Off: Body<Data = Bytes, Error = On::Error>,
{
    type Data = Bytes;
    type Error = On::Error;

    // Inlined, or each frame is moved once more.
    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, On::Error>>> {
        match self.project() {
            MaybeProj::On { on } => on.poll_frame(cx),
            MaybeProj::Off { off } => off.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::On { on } => on.is_end_stream(),
            Self::Off { off } => off.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::On { on } => on.size_hint(),
            Self::Off { off } => off.size_hint(),
        }
    }
}
