//! GateBody: the shell around a body that holds its permit.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::permitted::Permitted;
use crate::body::{Facts, Parts, Shell, Watch};
use crate::dialect::Tracker;

pin_project! {
    /// A response body that holds a permit.
    ///
    /// It gives the inner body's frames, trailers and errors as they come; only an error that would follow a frame at once
    /// waits for 5 ms, or hyper would lose the frame. The permit is given back with the end, an error or a drop, whichever
    /// comes first, or with the first bytes if the gate's [`PermitScope`](super::PermitScope) says so.
    pub struct GateBody<B: Body> {
        #[pin]
        shell: Shell<Permitted<B>>,
    }
}

impl<B: Body<Data = Bytes>> GateBody<B> {
    pub(super) fn new(inner: Permitted<B>) -> Self {
        let facts = Facts::new(Tracker::Opaque, Watch::Nothing);
        Self { shell: Shell::new(inner, facts, Parts::default()) }
    }

    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        Self { shell: Shell::of_bytes(bytes) }
    }

    pub(crate) fn shell_mut(&mut self) -> &mut Shell<Permitted<B>> {
        &mut self.shell
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for GateBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GateBody").field(&self.shell).finish()
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
        self.project().shell.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}
