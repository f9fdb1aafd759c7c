//! Who leaves, and when: nothing outlives a request.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tower::Service;

use super::*;
use crate::support::probe::Open;
use crate::support::streams::secs as s;

/// A handler that thinks, and then answers with this response, whose body counts as open too.
fn service(
    open: &Open,
    media_type: &'static str,
    stream: &'static str,
) -> impl Service<
    Request<Empty<Bytes>>,
    Response = Response<impl Body<Data = Bytes, Error = tower_lifeline::testing::ScriptError> + Unpin>,
    Error = BoxError,
    Future: Unpin,
> + Clone {
    let open = open.clone();
    layer().layer(service_fn(move |_: Request<_>| {
        let open = open.clone();
        // Held as long as the handler is there.
        let thinking = open.probe(script(""));
        Box::pin(async move {
            sleep(SLOW).await;
            drop(thinking);
            Ok::<_, BoxError>(of_type(media_type, "").map(|_| open.probe(script(stream))))
        })
    }))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_head_drops_the_handler() {
    for patience in [s(0), s(1), s(9)] {
        let open = Open::default();
        let mut service = service(&open, "text/event-stream", "0s=a");
        let mut future = service.call(get());
        assert_eq!(open.count(), 1);
        assert!(timeout(patience, &mut future).await.is_err());
        drop(future);
        assert_eq!(open.count(), 0, "after {patience:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_behind_the_head_drops_whatever_there_is() {
    // Thinking up to the 26th second; then a stream, or an answer that is read.
    for (media_type, stream) in [
        ("text/event-stream", "0s=a 10s=b"),
        ("application/json", "0s='{' 10s='}'"),
        ("text/html", "0s=x 10s=y"),
    ] {
        for patience in [s(0), s(1), s(16), s(25), s(27), s(37), s(60)] {
            let open = Open::default();
            let mut body = service(&open, media_type, stream).oneshot(get()).await.unwrap().into_body();
            assert_eq!(open.count(), 1);
            let read = async { while let Some(Ok(_)) = body.frame().await {} };
            let _ = timeout(patience, read).await;
            drop(body);
            assert_eq!(open.count(), 0, "{media_type} after {patience:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_over_a_wire() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for patience in [s(1), s(12), s(30), s(40)] {
            let open = Open::default();
            let there = open.clone();
            let service = layer().layer(service_fn(move |_: Request<hyper::body::Incoming>| {
                let open = there.clone();
                let thinking = open.probe(script(""));
                Box::pin(async move {
                    sleep(SLOW).await;
                    drop(thinking);
                    Ok::<_, BoxError>(events("").map(|_| open.probe(script("0s=a"))))
                })
            }));
            let client = client(version, connector(version, service));
            let ask = async {
                let mut body = client.request(get()).await.unwrap().into_body();
                while let Some(Ok(_)) = body.frame().await {}
            };
            assert!(timeout(patience, ask).await.is_err());
            drop(client);
            // It has to be told.
            sleep(s(1)).await;
            assert_eq!(open.count(), 0, "{version:?} after {patience:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_spawned() {
    let open = Open::default();
    let mut body = service(&open, "application/json", "0s='{' 10s='}' 10s=end")
        .oneshot(get())
        .await
        .unwrap()
        .into_body();
    loop {
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        if body.frame().await.is_none() {
            break;
        }
    }
    assert_eq!(open.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_polled_only_when_its_body_is() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let service = layer().layer(service_fn(move |_: Request<_>| {
        let counted = Arc::clone(&counted);
        let mut work = Box::pin(sleep(SLOW));
        Box::pin(poll_fn(move |cx| {
            counted.fetch_add(1, Ordering::SeqCst);
            work.poll_unpin(cx).map(|()| Ok::<_, BoxError>(events("0s=a 0s=end")))
        }))
    }));
    let mut body = Box::pin(service.oneshot(get()).await.unwrap().into_body());
    let before = polls.load(Ordering::SeqCst);
    sleep(s(3_600)).await;
    assert_eq!(polls.load(Ordering::SeqCst), before, "nobody reads, so nobody works");
    // What is ready goes first, even where a beat is long overdue.
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "data: a\n\n");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the handler's own")]
async fn a_panic_passes_on_before_the_head() {
    let service = layer().layer(service_fn(|_: Request<_>| after(FAST, || panic!("the handler's own"))));
    let _ = service.oneshot(get()).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the handler's own")]
async fn a_panic_passes_on_behind_it() {
    let service = layer().layer(service_fn(|_: Request<_>| after(SLOW, || panic!("the handler's own"))));
    let mut body = service.oneshot(get()).await.unwrap().into_body();
    while body.frame().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_done_says_nothing_more() {
    let mut service = layer().layer(service_fn(|_: Request<_>| after(SLOW, || Ok(bare(200)))));
    let mut future = service.call(get());
    let _early = (&mut future).await.unwrap();
    assert!(timeout(s(100), &mut future).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_answers_is_kept_alive_for_ever() {
    let service = layer().layer(service_fn(|_: Request<_>| -> Answering { Box::pin(pending()) }));
    let body = service.oneshot(get()).await.unwrap().into_body();
    let line = tower_lifeline::testing::timeline_for(body, s(61)).await;
    assert_eq!(line, "0s=: 15s=: 30s=: 45s=: 60s=: 61s=open");
}
