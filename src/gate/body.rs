//! GateBody: the shell, and the permit that lives as long as it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::handle::PermitScope;
use super::permit::Carried;
use super::sampling::Sampling;
use crate::body::{Facts, Parts, Shell, Watch};
use crate::dialect::Tracker;

pin_project! {
    /// A response body that holds a permit.
    ///
    /// It gives the inner body's frames, trailers and errors as they come; only an error that would follow a frame at once
    /// waits for 5 ms, or hyper would lose the frame. The permit is given back with the end, an error or a drop, whichever
    /// comes first, or with the first bytes if the gate's [`PermitScope`] says so.
    pub struct GateBody<B: Body> {
        #[pin]
        shell: Shell<B>,
        sampling: Option<Box<Sampling>>,
        permit: Option<Carried>,
        scope: PermitScope,
    }
}

impl<B: Body<Data = Bytes>> GateBody<B> {
    pub(super) fn new(
        inner: B,
        sampling: Option<Box<Sampling>>,
        permit: Option<Carried>,
        scope: PermitScope,
    ) -> Self {
        let facts = Facts::new(Tracker::Opaque, Watch::Nothing);
        Self { shell: Shell::new(inner, facts, Parts::default()), sampling, permit, scope }
    }

    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        Self { shell: Shell::of_bytes(bytes), sampling: None, permit: None, scope: PermitScope::Headers }
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for GateBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateBody").field("shell", &self.shell).field("permit", &self.permit).finish()
    }
}

impl<B: Body<Data = Bytes>> Body for GateBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let polled = this.shell.poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let waits = this.sampling.is_some() || *this.scope == PermitScope::FirstByte;
                if waits && frame.data_ref().is_some_and(|data| !data.is_empty()) {
                    *this.sampling = None;
                    if *this.scope == PermitScope::FirstByte {
                        *this.permit = None;
                    }
                }
            }
            Poll::Ready(Some(Err(_))) => {
                if let Some(mut sampling) = this.sampling.take() {
                    sampling.failed();
                }
                *this.permit = None;
            }
            Poll::Ready(None) => {
                *this.sampling = None;
                *this.permit = None;
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}
