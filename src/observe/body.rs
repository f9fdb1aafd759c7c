//! ObserveBody: the shell with a report as its only part.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::draft::Draft;
use super::span::Span;
use crate::body::{Facts, More, Parts, Shell, Watch};
use crate::dialect::Tracker;

pin_project! {
    /// A response body that is reported when it has ended.
    ///
    /// It gives the inner body's frames, trailers and errors as they come; only an error that would follow a frame at once
    /// waits for 5 ms, or hyper would lose the frame. The report is written with the end, an error or a drop, whichever
    /// comes first.
    pub struct ObserveBody<B: Body> {
        #[pin]
        shell: Shell<B>,
        span: Span,
    }
}

impl<B: Body<Data = Bytes>> ObserveBody<B> {
    /// `owed`: how many bytes the client will wait for, if it knows.
    pub(super) fn new(inner: B, tracker: Tracker, owed: Option<u64>, draft: Box<Draft>) -> Self {
        let span = draft.span.clone();
        let more = More { report: Some(draft), owed, ..More::default() };
        let parts = Parts { more: Some(Box::new(more)), ..Parts::default() };
        Self { shell: Shell::new(inner, Facts::new(tracker, Watch::Content), parts), span }
    }
}

impl<B: Body> ObserveBody<B> {
    pub(crate) fn shell_mut(&mut self) -> &mut Shell<B> {
        &mut self.shell
    }

    pub(crate) fn take_span(&mut self) -> Span {
        std::mem::replace(&mut self.span, Span::none())
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for ObserveBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObserveBody").field(&self.shell).finish()
    }
}

impl<B: Body<Data = Bytes>> Body for ObserveBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let _entered = this.span.enter();
        this.shell.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}
