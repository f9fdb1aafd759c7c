//! Tasks that come and go: whoever asked last is the one to wake.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::stack::LifelineRequestBody;
use tower_lifeline::testing::{Script, script, timeline_for};
use tower_lifeline::{
    BoxError, Drain, EarlyLayer, Gate, GateLayer, HeadersFrom, Lifeline, RequestBodyTimeoutLayer,
    TimeoutLayer, Timeouts,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A body or a future whose every poll comes from another task than the one before: of two that ask in one turn, the former is
/// gone, and the latter is the one to wake.
pub(crate) struct Moving<T>(pub(crate) T);

impl<T> Moving<T> {
    fn twice<R>(&mut self, cx: &Context<'_>, poll: impl Fn(&mut T, &mut Context<'_>) -> Poll<R>) -> Poll<R> {
        struct Here(Waker);
        impl Wake for Here {
            fn wake(self: Arc<Self>) {
                self.0.wake_by_ref();
            }
        }
        struct Gone;
        impl Wake for Gone {
            fn wake(self: Arc<Self>) {}
        }
        // Not the one that does nothing: no two of these are the same.
        let gone = Waker::from(Arc::new(Gone));
        let here = Waker::from(Arc::new(Here(cx.waker().clone())));
        match poll(&mut self.0, &mut Context::from_waker(&gone)) {
            Poll::Pending => poll(&mut self.0, &mut Context::from_waker(&here)),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl<B: Body + Unpin> Body for Moving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.twice(cx, |body, cx| Pin::new(body).poll_frame(cx))
    }
}

impl<F: Future + Unpin> Future for Moving<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.twice(cx, |future, cx| Pin::new(future).poll(cx))
    }
}

/// Of all that futures wait for: an upload, a turn in the queue, the handler, and each limit.
#[tokio::test(start_paused = true)]
async fn whatever_a_future_waits_for_wakes_the_task_that_asked_last() {
    // In seconds: when the head is early, the limit on it, how long somebody else has the only permit, and when the drain
    // begins. Then whether a task of its own reads the upload.
    let drawn = async |moves: bool,
                       (early, headers, busy, drains): (u64, u64, u64, u64),
                       apart: bool,
                       upload: &str| {
        let (drain, gate) = (Drain::new().window(Duration::ZERO).deadline(s(5)), Gate::new(1));
        let mut asked = Lifeline::sse()
            .drain(&drain)
            .gate(gate.clone())
            .request_body(RequestBodyTimeoutLayer::new().gap(s(9)))
            .timeouts(
                TimeoutLayer::new(Timeouts::new().headers(s(headers))).headers_from(HeadersFrom::RequestBody),
            );
        if early > 0 {
            asked = asked.early(EarlyLayer::after(s(early)));
        }
        let handler = service_fn(move |request: Request<LifelineRequestBody<Script>>| async move {
            let upload = request.into_body().collect();
            if apart {
                drop(tokio::spawn(upload));
                sleep(s(30)).await;
            } else {
                upload.await?;
                sleep(s(7)).await;
            }
            let head = Response::builder().header("content-type", "text/event-stream");
            Ok::<_, BoxError>(head.body(script("3s=a 9s=end"))?)
        });
        let other = service_fn(|_: Request<_>| async { Ok::<_, BoxError>(Response::new(script(""))) });
        let held = GateLayer::new(&gate).layer(other).oneshot(Request::new(script(""))).await.unwrap();
        tokio::spawn(async move {
            sleep(s(busy)).await;
            drop(held);
        });
        tokio::spawn(async move {
            sleep(s(drains)).await;
            drain.begin();
        });
        let request = Request::post("/").header("accept", "text/event-stream").body(script(upload)).unwrap();
        let began = Instant::now();
        let future = Box::pin(asked.build().unwrap().layer(handler).oneshot(request));
        let answer = if moves { Moving(future).await } else { future.await }.unwrap();
        let answered = began.elapsed().as_secs();
        let status = answer.status();
        let body = Box::pin(answer.into_body());
        let line =
            if moves { timeline_for(Moving(body), s(200)).await } else { timeline_for(body, s(200)).await };
        // When to come back is by chance.
        let line = line.split("='retry: ").next().unwrap_or_default().to_owned();
        format!("{answered} {status} {line}")
    };
    for upload in ["0s=end", "2s=a 4s=end", "2s=a 20s=end"] {
        for settings in [
            (0, 99, 0, 500),
            (0, 5, 0, 500),
            (0, 99, 3, 500),
            (0, 5, 3, 500),
            (0, 99, 9, 500),
            (0, 99, 0, 1),
            (0, 99, 0, 12),
            (0, 99, 3, 4),
            (1, 99, 0, 500),
            (1, 5, 3, 500),
            (1, 99, 9, 500),
            (1, 99, 3, 4),
        ] {
            for apart in [false, true] {
                let stays = drawn(false, settings, apart, upload).await;
                let moves = drawn(true, settings, apart, upload).await;
                assert_eq!(moves, stays, "{settings:?} {upload:?}, read apart: {apart}");
            }
        }
    }
}
