//! A thread that gets no core for a while, in the middle of a turn: hyper flushes behind the turn, however long that takes.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::{TimeoutLayer, Timeouts};

const LIMIT: Duration = Duration::from_millis(20);

fn stand_still() {
    let until = Instant::now() + LIMIT * 3;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// Waits once, gives a frame, and then hangs or fails; and the thread stands still wherever the layer asks it anything.
struct Sluggish {
    polls: u8,
    hangs: bool,
}

impl Body for Sluggish {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.polls += 1;
        match self.polls {
            1 => Poll::Pending,
            2 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"last"))))),
            _ if self.hangs => Poll::Pending,
            _ => Poll::Ready(Some(Err("broken"))),
        }
    }

    fn is_end_stream(&self) -> bool {
        if self.polls > 2 {
            stand_still();
        }
        false
    }
}

impl Drop for Sluggish {
    fn drop(&mut self) {
        stand_still();
    }
}

async fn an_error_waits_for_the_next_turn(hangs: bool) {
    // Keeps the other thread looking at the clock, so that timers are seen to have passed.
    let ticks = tokio::spawn(async {
        loop {
            sleep(Duration::from_millis(1)).await;
        }
    });
    let service = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Sluggish { polls: 0, hangs }))
    });
    let service = TimeoutLayer::new(Timeouts::new().total(LIMIT)).layer(service);
    let mut body = pin!(service.oneshot(Request::new(())).await.unwrap().into_body());

    let waits = poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx).is_pending())).await;
    assert!(waits);
    sleep(LIMIT).await;
    let one_turn = poll_fn(|cx| {
        let frame = body.as_mut().poll_frame(cx);
        assert!(matches!(frame, Poll::Ready(Some(Ok(_)))), "{frame:?}");
        Poll::Ready(body.as_mut().poll_frame(cx).is_pending())
    });
    assert!(one_turn.await, "no error in the turn of the frame");

    let end = poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
    assert!(matches!(end, Some(Err(_))), "{end:?}");
    ticks.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_inner_bodys_error_is_not_in_the_turn_of_a_frame() {
    an_error_waits_for_the_next_turn(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_limits_error_is_not_in_the_turn_of_a_frame() {
    an_error_waits_for_the_next_turn(true).await;
}
