//! One timer for all deadlines of a stream, and the only place that reads a clock.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::task::coop::unconstrained;
use tokio::time::{Sleep, sleep_until};

/// tokio's clock, which tests can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

pin_project! {
    /// Armed for one instant at a time; armed anew only when it has fired.
    #[derive(Debug)]
    pub(crate) struct Timer {
        #[pin]
        sleep: Sleep,
        waker: Option<Waker>,
    }
}

impl Timer {
    /// Not armed yet: a timer that is never polled never touches the runtime.
    pub(crate) fn new(now: Instant) -> Self {
        Self { sleep: sleep_until(now.into()), waker: None }
    }

    /// Whether this task will be woken by the instant that the timer is armed for. Polling it again would cost more
    /// than everything else a waiting stream does.
    #[inline]
    pub(crate) fn is_armed_for(&self, cx: &Context<'_>) -> bool {
        // A timer that has fired has spent its waker.
        !self.sleep.is_elapsed() && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    /// Ready at `at`. Until then this task will be woken.
    pub(crate) fn poll_at(self: Pin<&mut Self>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        // tokio rounds up to its next millisecond, and panics when that is beyond the clock's range.
        const ROUNDING: Duration = Duration::from_millis(1);
        let at = if at.checked_add(ROUNDING).is_some() { at } else { at - ROUNDING };
        let mut this = self.project();
        if this.waker.is_none() || this.sleep.deadline() != at.into() {
            this.sleep.as_mut().reset(at.into());
        }
        // Outside of the cooperative budget: an inner body that is pending because the budget has run out would take
        // the timer down with it, which then registers no waker, and nobody would ever ask again.
        let fired = pin!(unconstrained(this.sleep)).poll(cx);
        *this.waker = fired.is_pending().then(|| cx.waker().clone());
        fired
    }

    /// The next wait asks anew, whether or not this one has an end.
    pub(crate) fn disarm(self: Pin<&mut Self>) {
        *self.project().waker = None;
    }
}
