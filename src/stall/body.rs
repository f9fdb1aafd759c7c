//! StallBody: the shell around a slot.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::layer::{Reader, StallLayer, Watching};
use super::slot::Slot;
use crate::BoxError;
use crate::body::{Facts, Parts, Shell, Watch};
use crate::dialect::Tracker;

pin_project! {
    /// A body that is taken out when its reader stops reading.
    ///
    /// It gives the inner body's frames, trailers and errors as they come; only an error that would follow a frame at
    /// once waits for 5 ms, or hyper would lose the frame. A reader who reads on after the inner body was taken out
    /// gets a [`StallError`](super::StallError). Its errors are that one, or the inner body's, boxed.
    ///
    /// It must be polled inside a tokio runtime with its timer enabled. To drop it drops the inner body.
    pub struct StallBody<B>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
        B: Send,
        B: 'static,
    {
        #[pin]
        shell: Shell<Slot<B>>,
    }
}

impl<B> StallBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    /// Watches over a body as this layer does over those of its responses.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use http_body_util::BodyExt;
    /// use tower_lifeline::testing::script;
    /// use tower_lifeline::{StallBody, StallLayer};
    ///
    /// let layer = StallLayer::new(Duration::from_secs(30));
    /// let mut body = StallBody::new(script("0s=a 0s=b 0s=end"), &layer);
    ///
    /// assert!(body.frame().await.unwrap().is_ok());
    /// tokio::time::sleep(Duration::from_secs(32)).await; // nobody reads
    /// let error = body.frame().await.unwrap().unwrap_err();
    /// assert!(error.is::<tower_lifeline::StallError>());
    /// # }
    /// ```
    pub fn new(inner: B, layer: &StallLayer) -> Self {
        Self::watched(inner, Watching::of(&layer.watchdog, Reader::default()))
    }

    pub(super) fn watched(inner: B, watching: Watching) -> Self {
        let facts = Facts::new(Tracker::Opaque, Watch::Nothing);
        Self { shell: Shell::new(watching.slot(inner), facts, Parts::default()) }
    }
}

impl<B> fmt::Debug for StallBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    // The inner body may be polled by somebody else at this moment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallBody").finish_non_exhaustive()
    }
}

impl<B> Body for StallBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().shell.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}
