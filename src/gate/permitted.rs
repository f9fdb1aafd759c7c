//! Permitted: a body and the permit that goes with it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::handle::PermitScope;
use super::permit::Carried;
use super::sampling::Sampling;

pin_project! {
    /// A body beneath the shell. The shell drops it with its end or its error, and that gives the permit back.
    pub(crate) struct Permitted<B> {
        // In the order in which they go: the permit is still held while the others are dropped.
        #[pin]
        inner: B,
        held: Held,
    }
}

/// What a response keeps of its way through the gate.
#[derive(Default)]
pub(crate) struct Held {
    sampling: Option<Box<Sampling>>,
    permit: Option<Carried>,
    /// Whether the permit goes back with the first bytes.
    lends: bool,
    /// Whether the first bytes mean something. One flag, because every frame asks.
    awaits_bytes: bool,
}

impl Held {
    pub(super) fn new(sampling: Option<Box<Sampling>>, permit: Option<Carried>, scope: PermitScope) -> Self {
        let lends = scope == PermitScope::FirstByte;
        let awaits_bytes = sampling.is_some() || lends && permit.is_some();
        Self { sampling, permit, lends, awaits_bytes }
    }

    #[cold]
    fn bytes_are_there(&mut self) {
        self.awaits_bytes = false;
        self.sampling = None;
        if self.lends {
            self.permit = None;
        }
    }
}

impl<B> Permitted<B> {
    pub(crate) fn new(inner: B, held: Held) -> Self {
        Self { inner, held }
    }

    /// Takes what goes with a body that nobody has polled.
    pub(crate) fn strip(&mut self) -> (&mut B, Held) {
        (&mut self.inner, std::mem::take(&mut self.held))
    }
}

impl<B: fmt::Debug> fmt::Debug for Permitted<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permitted").field("inner", &self.inner).field("permit", &self.held.permit).finish()
    }
}

impl<B: Body> Body for Permitted<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if this.held.awaits_bytes && frame.data_ref().is_some_and(Buf::has_remaining) {
                    this.held.bytes_are_there();
                }
            }
            Poll::Ready(Some(Err(_))) => {
                if let Some(mut sampling) = this.held.sampling.take() {
                    sampling.failed();
                }
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
