//! HeartbeatBody: the shell with a heartbeat as its only part.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::plan::Plan;
use super::settings::Heartbeat;
use crate::body::{Facts, Journal, More, Parts, Shell, Watch};
use crate::dialect::{Dialect, Tracker};

pin_project! {
    /// A body with heartbeats in its silences.
    ///
    /// [`HeartbeatLayer`](super::HeartbeatLayer) makes it; [`new`](Self::new) makes it without tower.
    ///
    /// It gives the inner body's frames, trailers and errors as they come, and heartbeats when the inner body is pending
    /// for too long. Only an error that would follow a frame at once waits for 5 ms, or hyper would lose the frame. The
    /// inner body is dropped as soon as it ends or fails, and is never polled again after that. To be dropped before is
    /// fine at any point: nothing is spawned, and nothing outlives the body.
    ///
    /// A body whose exact length is known is passed on untouched: it is all there, and its length may be announced.
    ///
    /// It must be polled inside a tokio runtime with its timer enabled.
    pub struct HeartbeatBody<B: Body> {
        #[pin]
        shell: Shell<B>,
    }
}

impl<B: Body<Data = Bytes>> HeartbeatBody<B> {
    /// Beats in a body that is a `text/event-stream`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use tower_lifeline::testing::{script, timeline};
    /// use tower_lifeline::{Heartbeat, HeartbeatBody};
    ///
    /// let slow = script("0s=a 31s=b 32s=end");
    /// let body = HeartbeatBody::new(slow, Heartbeat::every(Duration::from_secs(15)));
    ///
    /// assert_eq!(timeline(body).await, "0s=a 15s=: 30s=: 31s=b 32s=end");
    /// # }
    /// ```
    pub fn new(inner: B, heartbeat: Heartbeat) -> Self {
        Self::beating(inner, Arc::new(Plan::new(heartbeat)), Dialect::EventStream, None)
    }

    pub(super) fn beating(inner: B, plan: Arc<Plan>, dialect: Dialect, journal: Option<Journal>) -> Self {
        if inner.size_hint().exact().is_some() {
            return Self::untouched(inner);
        }
        let facts = Facts::new(Tracker::new(dialect), plan.watch());
        let heartbeat = Some(plan);
        Self {
            shell: Shell::new(
                inner,
                facts,
                Parts { heartbeat, more: More::with(journal), ..Parts::default() },
            ),
        }
    }

    pub(super) fn untouched(inner: B) -> Self {
        let facts = Facts::new(Tracker::Opaque, Watch::Nothing);
        Self { shell: Shell::new(inner, facts, Parts::default()) }
    }

    pub(crate) fn shell_mut(&mut self) -> &mut Shell<B> {
        &mut self.shell
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for HeartbeatBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeartbeatBody").field(&self.shell).finish()
    }
}

impl<B: Body<Data = Bytes>> Body for HeartbeatBody<B> {
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
