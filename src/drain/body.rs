//! DrainBody: the shell with a stay as its only part.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::stay::Stay;
use crate::BoxError;
use crate::body::{Facts, Journal, More, Parts, Shell, Watch};
use crate::dialect::Tracker;

pin_project! {
    /// A response body that can be asked to leave.
    ///
    /// It gives the inner body's frames, trailers and errors as they come. When it leaves, the inner body is dropped, and
    /// this one ends as the [module](super#what-happens-when) says. An error, the inner body's own included, that would
    /// follow a frame at once comes 5 ms later, because hyper throws away what it has not flushed when a body fails.
    ///
    /// Its errors are the inner body's, boxed, or a [`DrainError`](super::DrainError). It must be polled inside a tokio
    /// runtime with its timer enabled. To drop it drops the inner body, and its drain counts it as abandoned if that had
    /// not ended.
    pub struct DrainBody<B: Body> {
        #[pin]
        shell: Shell<B>,
    }
}

impl<B: Body<Data = Bytes>> DrainBody<B> {
    /// `owed`: how many bytes the client will wait for, if it knows.
    pub(super) fn staying(
        inner: B,
        tracker: Tracker,
        stay: Stay,
        owed: Option<u64>,
        journal: Option<Journal>,
    ) -> Self {
        let more = More { drain: Some(Box::new(stay)), owed, journal, ..More::default() };
        let parts = Parts { more: Some(Box::new(more)), ..Parts::default() };
        Self { shell: Shell::new(inner, Facts::new(tracker, Watch::Nothing), parts) }
    }

    pub(super) fn untold(inner: B) -> Self {
        Self { shell: Shell::new(inner, Facts::new(Tracker::Opaque, Watch::Nothing), Parts::default()) }
    }

    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        Self { shell: Shell::of_bytes(bytes) }
    }

    pub(crate) fn shell_mut(&mut self) -> &mut Shell<B> {
        &mut self.shell
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for DrainBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DrainBody").field(&self.shell).finish()
    }
}

impl<B> Body for DrainBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().shell.poll_frame_or_fault(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}
