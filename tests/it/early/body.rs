//! What a fast answer costs, and what of a slow one is kept.

use std::future::ready;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use tower::Service;

use super::*;

/// What the answer to a request allocates that is ready at its first poll, and how much that is without the layer.
fn allocations(layer: &EarlyLayer, request: impl Fn() -> Request<Empty<Bytes>>) -> (u64, u64) {
    let mut bare = service_fn(|_: Request<_>| ready(Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new()))));
    let mut early = layer.layer(bare);
    let [with, without] = [request(), request()];
    let mut cx = Context::from_waker(Waker::noop());
    let with = measure(|| {
        let answer = Pin::new(&mut early.call(with)).poll(&mut cx);
        assert!(matches!(answer, Poll::Ready(Ok(_))));
    });
    let without = measure(|| {
        let answer = Pin::new(&mut bare.call(without)).poll(&mut cx);
        assert!(matches!(answer, Poll::Ready(Ok(_))));
    });
    (with.count_total, without.count_total)
}

#[test]
fn an_answer_that_is_ready_at_its_first_poll_allocates_nothing_and_needs_no_runtime() {
    // Outside of a runtime a clock could be read, but no timer could be armed.
    let (with, without) = allocations(&layer(), get);
    assert_eq!((with, without), (0, 0), "one that could have come early");
    let plain = || Request::get("/").body(Empty::new()).unwrap();
    assert_eq!(allocations(&layer(), plain), (0, 0), "one that could not");
    // The control: to tell a place in a queue takes a place to tell it from.
    let tells = layer().queue_position(tower_lifeline::early::TellPosition::Comment);
    assert!(allocations(&tells, get).0 > 0);
}

#[test]
fn a_body_is_small() {
    type Future =
        Pin<Box<dyn std::future::Future<Output = Result<Response<axum::body::Body>, BoxError>> + Send>>;
    let body = size_of::<tower_lifeline::early::EarlyBody<Future>>() - size_of::<axum::body::Body>();
    assert!(body <= 88, "{body} bytes more than the body itself");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_of_an_answer_is_bounded() {
    // A body of a million frames, each of a kilobyte: what is kept at a time is never more than the buffer.
    const FRAMES: usize = 20_000;
    struct Endless(usize);
    impl Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            self.0 += 1;
            let frame = http_body::Frame::data(Bytes::from_static(&[b'1'; 1024]));
            Poll::Ready((self.0 <= FRAMES).then_some(Ok(frame)))
        }
    }
    for (status, most) in [(200, 64 * 1024), (500, 16 * 1024)] {
        let service = layer().buffer(64 * 1024).layer(service_fn(move |_: Request<Empty<Bytes>>| {
            Box::pin(async move {
                sleep(SLOW).await;
                let answer = Response::builder().status(status).header("content-type", "application/json");
                Ok::<_, BoxError>(answer.body(Endless(0)).unwrap())
            })
        }));
        let mut body = Box::pin(service.oneshot(get()).await.unwrap().into_body());
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(_)) = body.as_mut().poll_frame(&mut cx) {}
        tokio::time::advance(SLOW).await;
        let (mut bytes, mut ended) = (0, false);
        let kept = measure(|| {
            while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
                bytes += frame.unwrap().into_data().unwrap().len();
            }
            ended = body.is_end_stream();
        });
        assert!(ended);
        assert!(if status == 200 { bytes > FRAMES * 1024 } else { bytes < 18 * 1024 }, "{bytes}");
        // While it grows it is there twice, and once more when it is written.
        assert!(kept.bytes_max < 5 * most + 8 * 1024, "{} bytes at a time for {status}", kept.bytes_max);
    }
}
