//! Which responses may come early, and what their head is.

use http::Method;
use http_body_util::{BodyExt, Full};
use tower::Service;
use tower_lifeline::RequestBodyTimeoutLayer;
use tower_lifeline::early::Committed;
use tower_lifeline::timeout::RequestTimeoutBody;

use super::*;

fn request(method: Method, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().method(method).uri("http://server/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}

/// What a client with this request sees of a handler that thinks for too long.
async fn seen(layer: &EarlyLayer, request: Request<Empty<Bytes>>) -> String {
    let service = layer.layer(service_fn(|_: Request<_>| after(SLOW, || Ok(events("0s=a 0s=end")))));
    drawn(service.oneshot(request).await.unwrap()).await
}

const LEFT_ALONE: &str = "200 text/event-stream: 0s=a 0s=end";
const MADE_EARLY: &str = "200 text/event-stream: 0s=: 15s=: 26s=a 26s=end";

#[tokio::test(start_paused = true)]
async fn who_has_not_asked_for_events_waits_as_ever() {
    let events = ("accept", "text/event-stream");
    let check = async |method, fields: &[(&str, &str)]| {
        assert_eq!(seen(&layer(), request(method, fields)).await, LEFT_ALONE, "{fields:?}");
    };
    check(Method::GET, &[]).await;
    check(Method::POST, &[("accept", "application/json")]).await;
    check(Method::GET, &[("accept", "*/*")]).await;
    check(Method::GET, &[("accept", "text/event-stream;q=0, */*")]).await;
    check(Method::HEAD, &[events]).await;
    check(Method::PUT, &[events]).await;
    check(Method::DELETE, &[events]).await;
    check(Method::OPTIONS, &[events]).await;
    check(Method::GET, &[events, ("connection", "upgrade"), ("upgrade", "websocket")]).await;
    check(Method::POST, &[events, ("content-type", "application/grpc")]).await;
    check(Method::GET, &[events, ("mcp-protocol-version", "2025-11-25")]).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_does_not() {
    let check = async |method, fields: &[(&str, &str)]| {
        assert_eq!(seen(&layer(), request(method, fields)).await, MADE_EARLY, "{fields:?}");
    };
    check(Method::GET, &[("accept", "text/event-stream")]).await;
    check(Method::POST, &[("accept", "application/json;q=0.5, Text/Event-Stream")]).await;
    let both = ("accept", "application/json, text/event-stream");
    check(Method::POST, &[both, ("mcp-protocol-version", "2025-11-25")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_predicate_chooses_among_all_that_can_be() {
    let all = layer().when(|_| true);
    let none = layer().when(|_| false);
    let events = [("accept", "text/event-stream")];
    assert_eq!(seen(&all, request(Method::PUT, &[])).await, MADE_EARLY);
    assert_eq!(seen(&none, request(Method::GET, &events)).await, LEFT_ALONE);
    for method in [Method::HEAD, Method::CONNECT] {
        assert_eq!(seen(&all, request(method, &events)).await, LEFT_ALONE);
    }
    let grpc = [("content-type", "application/grpc")];
    assert_eq!(seen(&all, request(Method::POST, &grpc)).await, LEFT_ALONE);
    let upgrade = [("accept", "text/event-stream"), ("upgrade", "websocket")];
    assert_eq!(seen(&all, request(Method::GET, &upgrade)).await, LEFT_ALONE);
}

#[tokio::test(start_paused = true)]
async fn an_early_head_asks_nobody_to_buffer_and_says_what_it_is() {
    let service = layer().layer(service_fn(|_: Request<_>| after(SLOW, || Ok(events("0s=end")))));
    let early = service.oneshot(get()).await.unwrap();
    let fields: Vec<_> =
        early.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(
        fields,
        [
            ("content-type", "text/event-stream"),
            ("x-accel-buffering", "no"),
            ("cache-control", "no-cache, no-transform"),
            ("incremental", "?1"),
        ]
    );
    assert!(early.extensions().get::<Committed>().is_some());
    assert!(!early.body().is_end_stream());
    assert_eq!(early.body().size_hint().exact(), None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_keeps_all_it_has() {
    let answer = || {
        let mut response =
            Response::builder().status(418).header("set-cookie", "a=b").header("etag", "\"x\"");
        response.extensions_mut().unwrap().insert(7_u8);
        Ok::<_, BoxError>(response.body(Full::new(Bytes::from_static(b"tea"))).unwrap())
    };
    let service = layer().layer(service_fn(move |_: Request<_>| {
        Box::pin(async move {
            sleep(FAST).await;
            answer()
        })
    }));
    let response = service.oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers().len(), 2);
    assert_eq!(response.extensions().get(), Some(&7_u8));
    assert!(response.extensions().get::<Committed>().is_none());
    assert_eq!(response.body().size_hint().exact(), Some(3), "so hyper announces its length");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "tea");
}

/// How far a request with `Expect: 100-continue` gets within a minute when its handler asks for the body after so long.
async fn expecting(asks_after: Option<Duration>) -> Option<(String, Duration)> {
    let handler = service_fn(move |request: Request<_>| -> Answering {
        Box::pin(async move {
            if let Some(asks_after) = asks_after {
                sleep(asks_after).await;
                let upload: RequestTimeoutBody<Empty<Bytes>> = request.into_body();
                upload.collect().await.unwrap();
            }
            sleep(Duration::from_secs(3_600)).await;
            Ok(events("0s=a 0s=end"))
        })
    });
    let mut service = layer().layer(RequestBodyTimeoutLayer::new().layer(handler));
    let mut request = get();
    request.headers_mut().insert("expect", "100-continue".parse().unwrap());
    let began = tokio::time::Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(60), service.call(request)).await.ok()?;
    Some((answer.unwrap().status().to_string(), began.elapsed()))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_to_send_its_body_is_not_answered_before_it_is_asked_for_it() {
    let early = |seconds| Some(("200 OK".to_owned(), Duration::from_secs(seconds)));
    assert_eq!(expecting(Some(Duration::from_secs(1))).await, early(10));
    assert_eq!(expecting(Some(Duration::from_secs(20))).await, early(20));
    assert_eq!(expecting(None).await, None);
}

#[tokio::test(start_paused = true)]
async fn without_a_layer_that_watches_the_body_such_a_client_is_never_answered_early() {
    let mut request = get();
    request.headers_mut().insert("expect", "100-continue".parse().unwrap());
    assert_eq!(seen(&layer(), request).await, LEFT_ALONE);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_clock_is_no_threshold() {
    for far in [Duration::MAX, Duration::from_secs(u64::MAX / 4)] {
        assert_eq!(seen(&EarlyLayer::after(far), get()).await, LEFT_ALONE);
    }
    // And none at all is one.
    let at_once = EarlyLayer::after(Duration::ZERO);
    assert_eq!(seen(&at_once, get()).await, "200 text/event-stream: 0s=: 15s=: 30s=: 36s=a 36s=end");
    let ready = at_once.layer(service_fn(|_: Request<_>| std::future::ready(Ok::<_, BoxError>(bare(404)))));
    assert_eq!(ready.oneshot(get()).await.unwrap().status(), 404, "it never had to wait");
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_request_body_are_told_in_the_stream() {
    // Nothing of the body comes, ever.
    let upload = script("");
    let handler = service_fn(|request: Request<RequestTimeoutBody<Script>>| -> Answering {
        Box::pin(async move {
            request.into_body().collect().await?;
            Ok(bare(200))
        })
    });
    let limits = RequestBodyTimeoutLayer::new().gap(Duration::from_secs(30));
    let request = Request::post("/").header("accept", "text/event-stream").body(upload).unwrap();
    let answer = layer().layer(limits.layer(handler)).oneshot(request).await.unwrap();
    let line = drawn(answer).await;
    assert!(line.contains(r#"20s='event: error\ndata: {"status":408,"#), "{line}");
    assert!(line.contains("The request timed out: no bytes of the request body for 30s"), "{line}");
}
