//! TimeoutBody: the shell with limits as its only part, or the answer that a refused exchange gets.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::bounds::Bounds;
use super::limits::Timeouts;
use crate::BoxError;
use crate::body::{Facts, Journal, More, Parts, Shell, Watch, now};
use crate::dialect::Tracker;

pin_project! {
    /// A body with limits.
    ///
    /// It gives the inner body's frames, trailers and errors as they come. When a limit is reached the inner body is
    /// dropped, and this one ends as the [module](super#endings) says, in the caller's protocol where there is one.
    /// An error, the inner body's own included, that would follow a frame at once comes 5 ms later, because hyper throws
    /// away what it has not flushed when a body fails.
    ///
    /// Its errors are the inner body's, boxed, or a [`TimeoutError`](super::TimeoutError). It must be polled inside a tokio
    /// runtime with its timer enabled. To drop it drops the inner body.
    pub struct TimeoutBody<B: Body> {
        #[pin]
        shell: Shell<B>,
    }
}

impl<B: Body<Data = Bytes>> TimeoutBody<B> {
    /// Limits a body of any kind: every byte is content, and it ends in an error. The total counts from now on, and the
    /// headers limit is none of its business. With a [`TimeoutLayer`](super::TimeoutLayer) the response's head says more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use tower_lifeline::testing::{script, timeline};
    /// use tower_lifeline::{TimeoutBody, Timeouts};
    ///
    /// let body = TimeoutBody::new(script("0s=a 8s=b"), Timeouts::new().total(Duration::from_secs(10)));
    ///
    /// let error = "error(the exchange has not ended for 10s (total limit: 10s))";
    /// assert_eq!(timeline(body).await, format!("0s=a 8s=b 10s={error}"));
    /// # }
    /// ```
    pub fn new(inner: B, limits: Timeouts) -> Self {
        Self::of(inner, Some((Tracker::Opaque, Bounds::of_any_body(limits, now()))), None)
    }

    #[inline(always)]
    pub(super) fn of(inner: B, limits: Option<(Tracker, Bounds)>, journal: Option<Journal>) -> Self {
        let (facts, timeouts) = match limits {
            Some((tracker, bounds)) => (Facts::new(tracker, bounds.watch()), Some(bounds)),
            None => (Facts::new(Tracker::Opaque, Watch::Nothing), None),
        };
        Self {
            shell: Shell::new(
                inner,
                facts,
                Parts { timeouts, more: More::with(journal), ..Parts::default() },
            ),
        }
    }

    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        Self { shell: Shell::of_bytes(bytes) }
    }

    pub(crate) fn shell_mut(&mut self) -> &mut Shell<B> {
        &mut self.shell
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for TimeoutBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimeoutBody").field(&self.shell).finish()
    }
}

impl<B> Body for TimeoutBody<B>
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
