//! What happens when, line by line: the table in the module's documentation.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::testing::{Script, script, timeline};
use tower_lifeline::{
    BoxError, ConnectTimeoutLayer, Deadline, DeadlineHeader, DeadlineLayer, Ending, HeadersFrom, Heartbeat,
    HeartbeatBody, HeartbeatLayer, Phase, Progress, RequestBodyTimeoutLayer, TimeoutError, TimeoutLayer,
    Timeouts,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn limits() -> Timeouts {
    Timeouts::new()
}

fn of_type(media_type: &str, stream: &str) -> Response<Script> {
    Response::builder().header("content-type", media_type).body(script(stream)).unwrap()
}

fn opaque(stream: &str) -> Response<Script> {
    of_type("application/octet-stream", stream)
}

fn events(stream: &str) -> Response<Script> {
    of_type("text/event-stream", stream)
}

/// The answer to a request whose handler takes so long.
async fn answer(
    layer: &TimeoutLayer,
    request: Request<Empty<Bytes>>,
    after: Duration,
    response: Response<Script>,
) -> Response<impl Body<Data = Bytes, Error = BoxError> + use<>> {
    let mut response = Some(response);
    let service = service_fn(move |_| {
        let response = response.take().expect("one request");
        async move {
            sleep(after).await;
            Ok::<_, BoxError>(response)
        }
    });
    layer.layer(service).oneshot(request).await.expect("an answer")
}

/// Its status, if it is not 200, and its time line.
async fn drawn(layer: TimeoutLayer, after: Duration, response: Response<Script>) -> String {
    let answer = answer(&layer, Request::new(Empty::new()), after, response).await;
    let line = match answer.status() {
        StatusCode::OK => String::new(),
        status => format!("{} ", status.as_u16()),
    };
    line + &timeline(answer.into_body()).await
}

async fn body(limits: Timeouts, response: Response<Script>) -> String {
    drawn(TimeoutLayer::new(limits), Duration::ZERO, response).await
}

#[tokio::test(start_paused = true)]
async fn without_limits_everything_passes() {
    assert_eq!(body(limits(), opaque("0s=a 9000s=b 9000s=end")).await, "0s=a 9000s=b 9000s=end");
}

#[tokio::test(start_paused = true)]
async fn no_head_in_time_is_a_504_and_drops_the_handler() {
    let layer = TimeoutLayer::new(limits().headers(s(30)));
    let line = drawn(layer.clone(), s(31), opaque("0s=a 0s=end")).await;
    assert!(line.starts_with("504 0s='{\"type\":\"urn:tower-lifeline:headers-timeout\""), "{line}");

    struct OnDrop(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (sender, mut dropped) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |_: Request<()>| {
        let guard = OnDrop(sender.clone());
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok::<_, BoxError>(opaque("0s=end"))
        }
    });
    let mut service = layer.layer(service);
    let mut future = std::pin::pin!(tower::Service::call(&mut service, Request::new(())));
    let answer = future.as_mut().await.unwrap();
    // The future is still there; the handler is not.
    assert!(dropped.try_recv().is_ok());
    assert_eq!(answer.status(), 504);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_ready_beats_a_limit_that_is_due() {
    let layer = TimeoutLayer::new(limits().headers(s(30)).total(s(30)));
    let service = service_fn(|_: Request<()>| async {
        sleep(s(30)).await;
        Ok::<_, BoxError>(opaque("0s=end"))
    });
    let answer = layer.layer(service).oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_ready_beats_a_limit_that_is_due() {
    let line = "0s=a 10s=b 20s=end";
    assert_eq!(body(limits().inter_chunk(s(10)), opaque(line)).await, line);
}

#[tokio::test(start_paused = true)]
async fn each_phase_behind_the_head_has_its_error() {
    let check = async |limits: Timeouts, stream: &str, line: &str| {
        assert_eq!(body(limits, opaque(stream)).await, line);
    };
    check(
        limits().first_byte(s(5)),
        "9s=a",
        "5s=error(no first content of the response body for 5s (first byte limit: 5s))",
    )
    .await;
    check(
        limits().first_byte(s(5)).inter_chunk(s(2)),
        "4s=a 5s=b",
        "4s=a 5s=b 7s=error(no further content of the response body for 2s (inter-chunk limit: 2s))",
    )
    .await;
    check(
        limits().total(s(5)),
        "0s=a 3s=b 6s=c",
        "0s=a 3s=b 5s=error(the exchange has not ended for 5s (total limit: 5s))",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn at_a_tie_the_narrower_phase_is_named() {
    let tied = body(limits().inter_chunk(s(5)).total(s(5)), opaque("0s=a")).await;
    assert!(tied.ends_with("(inter-chunk limit: 5s))"), "{tied}");
    let tied = drawn(TimeoutLayer::new(limits().headers(s(5)).total(s(5))), s(9), opaque("")).await;
    assert!(tied.contains("headers-timeout"), "{tied}");
}

#[tokio::test(start_paused = true)]
async fn the_total_covers_handler_and_body() {
    let line = drawn(TimeoutLayer::new(limits().total(s(10))), s(4), opaque("0s=a 5s=b 7s=c")).await;
    assert_eq!(line, "0s=a 5s=b 6s=error(the exchange has not ended for 10s (total limit: 10s))");
    let line = drawn(TimeoutLayer::new(limits().total(s(10))), s(11), opaque("")).await;
    assert!(line.starts_with("504 0s='{\"type\":\"urn:tower-lifeline:total-timeout\""), "{line}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_content_feeds_no_limit() {
    let limits = limits().first_byte(s(20)).inter_chunk(s(20));
    let layer = |progress| TimeoutLayer::new(limits).progress(progress).ending(Ending::Abort);
    for idle in [":", "'id: 7\\n\\n'", "'retry: 5\\n\\n'", "'data:\\n\\n'", "'event: ping\\ndata: {}\\n\\n'"]
    {
        let stream = format!("0s=a 6s={idle} 12s={idle} 18s={idle} 24s=b 25s=end");
        let line = drawn(layer(Progress::Content), Duration::ZERO, events(&stream)).await;
        assert!(line.contains(" 20s=error(no further content"), "{line}");
        let line = drawn(layer(Progress::AnyByte), Duration::ZERO, events(&stream)).await;
        assert!(line.ends_with("24s=b 25s=end"), "{line}");

        let stream = format!("6s={idle} 12s={idle} 18s={idle} 24s=b 25s=end");
        let line = drawn(layer(Progress::Content), Duration::ZERO, events(&stream)).await;
        assert!(line.contains(" 20s=error(no first content"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_producer_is_found_behind_heartbeats_in_either_order() {
    let limits = TimeoutLayer::new(limits().inter_chunk(s(20))).ending(Ending::Abort);
    let beats = HeartbeatLayer::every(s(6));
    let dead = |_: Request<()>| async { Ok::<_, BoxError>(events("0s=a")) };

    let beats_outside = beats.layer(limits.layer(service_fn(dead)));
    let answer = beats_outside.oneshot(Request::new(())).await.unwrap();
    let error = "20s=error(no further content of the response body for 20s (inter-chunk limit: 20s))";
    assert_eq!(timeline(answer.into_body()).await, format!("0s=a 6s=: 12s=: 18s=: {error}"));

    let limits_outside = limits.layer(beats.layer(service_fn(dead)));
    let answer = limits_outside.oneshot(Request::new(())).await.unwrap();
    assert_eq!(timeline(answer.into_body()).await, format!("0s=a 6s=: 12s=: 18s=: {error}"));
}

#[tokio::test(start_paused = true)]
async fn the_client_s_time_is_not_the_producer_s() {
    let layer = TimeoutLayer::new(limits().inter_chunk(s(10)));
    let answer = answer(&layer, Request::new(Empty::new()), s(0), opaque("0s=a 1s=b 2s=c 2s=end")).await;
    let mut body = std::pin::pin!(answer.into_body());
    let mut got = 0;
    while let Some(frame) = body.frame().await {
        frame.expect("no error");
        got += 1;
        sleep(s(60)).await;
    }
    assert_eq!(got, 3);
}

/// A body that makes progress only while it is polled, one step a poll, like an async block.
#[tokio::test(start_paused = true)]
async fn a_runtime_that_stands_still_ends_nothing() {
    let layer = TimeoutLayer::new(limits().inter_chunk(s(10)));
    let lazy = futures_util::stream::unfold(0, |step| async move {
        sleep(s(6)).await;
        sleep(s(1)).await;
        (step < 3).then(|| (Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(b"x"))), step + 1))
    });
    let mut lazy = Some(http_body_util::StreamBody::new(lazy));
    let service = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(Response::new(lazy.take().expect("one request"))))
    });
    let answer = layer.layer(service).oneshot(Request::new(())).await.unwrap();
    let mut body = std::pin::pin!(answer.into_body());
    let mut got = 0;
    loop {
        // Polled once, then not for 20 seconds.
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(body.as_mut().poll_frame(cx)));
        let frame = match polled.await {
            std::task::Poll::Ready(frame) => frame,
            std::task::Poll::Pending => {
                tokio::time::advance(s(20)).await;
                body.frame().await
            }
        };
        match frame {
            Some(frame) => frame.expect("no error"),
            None => break,
        };
        got += 1;
    }
    assert_eq!(got, 3);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_does_not_outrun_the_total() {
    struct Always;
    impl Body for Always {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"x")))))
        }
    }
    let layer = TimeoutLayer::new(limits().total(s(10)));
    let service = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(Always)) });
    let answer = layer.layer(service).oneshot(Request::new(())).await.unwrap();
    let mut body = std::pin::pin!(answer.into_body());
    for _ in 0..1_000 {
        body.frame().await.expect("a frame").expect("no error");
    }
    tokio::time::advance(s(10)).await;
    let mut more = 0;
    let error = loop {
        match body.frame().await.expect("no end") {
            Ok(_) => more += 1,
            Err(error) => break error,
        }
    };
    assert!(more <= 64, "{more} frames after the limit");
    assert_eq!(error.downcast::<TimeoutError>().expect("ours").phase(), Phase::Total);
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_last_frame_comes_behind_the_total_is_whole() {
    let large = Bytes::from(vec![0; 300 * 1024]);
    let layer = TimeoutLayer::new(limits().total(s(10)));
    let service = service_fn(|_: Request<()>| {
        let large = large.clone();
        async move { Ok::<_, BoxError>(Response::new(http_body_util::Full::new(large))) }
    });
    let mut body = layer.layer(service).oneshot(Request::new(())).await.unwrap().into_body();
    // The client, or the runtime, takes its time.
    sleep(s(11)).await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), large);
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());

    // The limit is noticed at the trailers, or at the frame that may be the last; behind that empty ones are looked at
    // now and then, and the next look is at the trailers, too.
    for (content, empty) in [(63, 0), (64, 63)] {
        let line = "0s=a ".repeat(content) + &"0s='' ".repeat(empty) + "0s=trailers(a:b) 0s=end";
        let answer = answer(&layer, Request::new(Empty::new()), Duration::ZERO, opaque(&line)).await;
        sleep(s(11)).await;
        assert_eq!(timeline(answer.into_body()).await, line);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_right_behind_a_frame_comes_five_milliseconds_later() {
    assert_eq!(body(limits(), opaque("0s=a 0s=error(broken)")).await, "0s=a 5ms=error(broken)");
    assert_eq!(body(limits(), opaque("0s=error(broken)")).await, "5ms=error(broken)");
    let line = "0s=a 3s=error(broken)";
    assert_eq!(body(limits().total(s(9)), opaque(line)).await, line);
    let line = "0s=a 3s=b 3s=error(broken)";
    assert_eq!(body(limits().total(s(9)), opaque(line)).await, "0s=a 3s=b 3.005s=error(broken)");
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_stream_has_its_ending() {
    let check = async |layer: TimeoutLayer, response, line: &str| {
        let drawn = drawn(layer.retry(s(0)), s(0), response).await;
        assert_eq!(drawn, line);
    };
    let layer = TimeoutLayer::new(limits().inter_chunk(s(9)));
    let error = "error(no further content of the response body for 9s (inter-chunk limit: 9s))";

    check(
        layer.clone(),
        events("0s=a"),
        "0s=a 9s='retry: 0\\nevent: timeout\\ndata: {\"phase\":\"inter-chunk\",\"limit_ms\":9000}\\n\\n' 9s=end",
    )
    .await;
    // Half an event is not completed.
    check(layer.clone(), events("0s='data: a\\n'"), &format!("0s='data: a\\n' 9s={error}")).await;
    check(
        layer.clone().ending(Ending::Llm),
        events("0s=a"),
        "0s=a 9s='event: error\\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\
         \"message\":\"The inter-chunk limit of 9s has passed.\"}}\\n\\n' 9s=end",
    )
    .await;
    check(layer.clone().ending(Ending::Mcp { id: None }), events("0s=a"), &format!("0s=a 9s={error}")).await;
    check(
        layer.clone(),
        of_type("application/x-ndjson", "0s='{}\\n'"),
        "0s='{}\\n' 9s='{\"error\":\"The inter-chunk limit of 9s has passed.\",\"phase\":\"inter-chunk\",\
         \"limit_ms\":9000}\\n' 9s=end",
    )
    .await;
    check(
        layer.clone(),
        of_type("application/grpc", "0s='\\x00\\x00\\x00\\x00\\x01a'"),
        "0s='\\x00\\x00\\x00\\x00\\x01a' 9s=trailers(grpc-status:4,grpc-message:The inter-chunk limit of 9s has passed.) 9s=end",
    )
    .await;
    let inside = "0s='\\x00\\x00\\x00\\x00\\x02a'";
    check(layer.clone(), of_type("application/grpc", inside), &format!("{inside} 9s={error}")).await;
    check(layer.clone(), of_type("application/grpc-web", "0s='x'"), &format!("0s='x' 9s={error}")).await;
    check(layer.clone(), opaque("0s=a"), &format!("0s=a 9s={error}")).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_and_a_handler_change_limits_below_the_ceiling() {
    let layer = TimeoutLayer::new(limits().inter_chunk(s(10)))
        .ceiling(limits().inter_chunk(s(100)))
        .ending(Ending::Abort);
    let check = async |request: Option<Timeouts>, response: Option<Timeouts>, at: &str| {
        let mut asked = Request::new(Empty::new());
        asked.extensions_mut().extend(request.map(extension).unwrap_or_default());
        let mut answered = opaque("0s=a");
        answered.extensions_mut().extend(response.map(extension).unwrap_or_default());
        let line = timeline(answer(&layer, asked, s(0), answered).await.into_body()).await;
        assert!(line.starts_with(&format!("0s=a {at}=error(")), "{line}");
    };
    check(None, None, "10s").await;
    check(Some(limits().inter_chunk(s(50))), None, "50s").await;
    check(Some(limits().inter_chunk(s(50))), Some(limits().inter_chunk(s(60))), "60s").await;
    check(Some(limits().total(s(4))), None, "4s").await;
    check(None, Some(limits().total(s(4))), "4s").await;
    check(None, Some(limits().inter_chunk(Duration::MAX)), "100s").await;

    // A ceiling is no limit of its own.
    let high = TimeoutLayer::new(limits()).ceiling(limits().total(s(5)));
    let mut asked = Request::new(Empty::new());
    asked.extensions_mut().insert(limits().inter_chunk(s(60)));
    let line = "0s=a 50s=b 50s=end";
    assert_eq!(timeline(answer(&high, asked, s(0), opaque(line)).await.into_body()).await, line);
}

fn extension(limits: Timeouts) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    extensions.insert(limits);
    extensions
}

#[tokio::test(start_paused = true)]
async fn a_known_length_stays_known() {
    let layer = TimeoutLayer::new(limits().inter_chunk(s(9)).total(s(100)));
    let known = opaque("0s=a 5s=b 6s=end").map(Script::knows_length);
    let answer = answer(&layer, Request::new(Empty::new()), s(0), known).await;
    assert_eq!(answer.body().size_hint().exact(), Some(18));
    assert_eq!(timeline(answer.into_body()).await, "0s=a 5s=b 6s=end");
}

/// A handler that reads the request body and answers with the number of bytes, or 400.
async fn upload(layer: RequestBodyTimeoutLayer, stream: &str) -> (StatusCode, String) {
    let service = service_fn(|request: Request<_>| async move {
        let read =
            http_body_util::BodyExt::collect(request.into_body()).await.map(|body| body.to_bytes().len());
        Ok::<_, BoxError>(match read {
            Ok(_) => opaque("0s=read 0s=end"),
            Err(_) => Response::builder().status(400).body(script("0s=end")).expect("a response"),
        })
    });
    let answer = layer.layer(service).oneshot(Request::new(script(stream))).await.unwrap();
    let close = answer.headers().get("connection").map_or("", |value| value.to_str().unwrap());
    (answer.status(), close.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_a_408_that_closes_the_connection() {
    let layer = RequestBodyTimeoutLayer::new().gap(s(10)).total(s(25));
    let check = async |stream: &str, status: u16, close: &str| {
        assert_eq!(
            upload(layer.clone(), stream).await,
            (status.try_into().unwrap(), close.to_owned()),
            "{stream}"
        );
    };
    check("0s=a 9s=b 18s=c 20s=end", 200, "").await;
    check("0s=a 11s=b 12s=end", 408, "close").await;
    check("11s=a 12s=end", 408, "close").await;
    check("0s=a 9s=b 18s=c 24s=d 30s=end", 408, "close").await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_handler_is_not_a_slow_upload() {
    let layer = RequestBodyTimeoutLayer::new().gap(s(10));
    let service = service_fn(|request: Request<_>| async move {
        let mut body = std::pin::pin!(request.into_body());
        while let Some(frame) = BodyExt::frame(&mut body).await {
            frame.map_err(|error: BoxError| error)?;
            sleep(s(60)).await;
        }
        Ok::<_, BoxError>(opaque("0s=end"))
    });
    let answer = layer.layer(service).oneshot(Request::new(script("0s=a 1s=b 2s=c 3s=end"))).await;
    assert_eq!(answer.expect("no error").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_headers_clock_can_start_when_the_request_body_has_been_read() {
    let check = async |from: HeadersFrom, upload: &str, works: Duration, status: u16| {
        let service = service_fn(move |request: Request<_>| async move {
            let _ = http_body_util::BodyExt::collect(request.into_body()).await;
            sleep(works).await;
            Ok::<_, BoxError>(opaque("0s=end"))
        });
        let limits = TimeoutLayer::new(limits().headers(s(10))).headers_from(from);
        let service = RequestBodyTimeoutLayer::new().layer(limits.layer(service));
        let answer = service.oneshot(Request::new(script(upload))).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{from:?} {upload} {works:?}");
    };
    check(HeadersFrom::Call, "30s=a 30s=end", s(5), 504).await;
    check(HeadersFrom::RequestBody, "30s=a 30s=end", s(5), 200).await;
    check(HeadersFrom::RequestBody, "30s=a 30s=end", s(11), 504).await;
    check(HeadersFrom::RequestBody, "0s=end", s(11), 504).await;
}

#[tokio::test(start_paused = true)]
async fn beats_and_limits_on_one_stream() {
    let limits = TimeoutLayer::new(limits().inter_chunk(s(20)));
    let answer = answer(&limits, Request::new(Empty::new()), s(0), opaque("0s=a 19s=b 20s=end")).await;
    let body = HeartbeatBody::new(answer.into_body(), Heartbeat::every(s(8)));
    assert_eq!(timeline(body).await, "0s=a 8s=: 16s=: 19s=b 20s=end");
}

/// A service behind a deadline layer that trusts everything, asked with these headers.
async fn asked(headers: &[(&str, &str)], works: Duration, response: Response<Script>) -> String {
    let mut response = Some(response);
    let service = service_fn(move |_: Request<()>| {
        let response = response.take().expect("one request");
        async move {
            sleep(works).await;
            Ok::<_, BoxError>(response)
        }
    });
    let trusting =
        DeadlineLayer::new().trust(DeadlineHeader::RequestTimeout).trust_prefer_wait().trust_read_timeout();
    let service = trusting.layer(TimeoutLayer::new(limits()).ending(Ending::Abort).layer(service));
    let request =
        headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
    let answer = service.oneshot(request.body(()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    format!("{status} {}", timeline(answer.into_body()).await)
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_exchange_a_little_early() {
    let line = asked(&[("request-timeout", "10")], s(11), opaque("")).await;
    assert!(line.starts_with("504 0s='{\"type\":\"urn:tower-lifeline:deadline-exceeded\""), "{line}");
    let line = asked(&[("request-timeout", "10")], s(4), opaque("0s=a 5s=b")).await;
    let error = "error(the exchange has not ended for 9.95s (deadline limit: 9.95s))";
    assert_eq!(line, format!("200 0s=a 5s=b 5.95s={error}"));
    let line = asked(&[("request-timeout", "10")], s(4), opaque("0s=a 5s=end")).await;
    assert_eq!(line, "200 0s=a 5s=end");
}

#[tokio::test(start_paused = true)]
async fn hints_about_the_head_and_about_silence_are_limits_of_their_phases() {
    let line = asked(&[("prefer", "wait=10")], s(11), opaque("")).await;
    assert!(line.starts_with("504 0s='{\"type\":\"urn:tower-lifeline:headers-timeout\""), "{line}");
    assert_eq!(asked(&[("prefer", "wait=10")], s(9), opaque("0s=a 60s=end")).await, "200 0s=a 60s=end");

    let silence = [("x-stainless-read-timeout", "10")];
    assert!(asked(&silence, s(11), opaque("")).await.starts_with("504"));
    let line = asked(&silence, s(9), opaque("11s=a 11s=end")).await;
    assert!(
        line.ends_with(" 10s=error(no first content of the response body for 10s (first byte limit: 10s))"),
        "{line}"
    );
    assert_eq!(asked(&silence, s(9), opaque("9s=a 60s=b 60s=end")).await, "200 9s=a 60s=b 60s=end");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_beats_three_times_in_the_silence_that_a_caller_bears() {
    let service = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(events("0s=a 20s=end")) });
    let layers = DeadlineLayer::new().trust_read_timeout().layer(HeartbeatLayer::every(s(15)).layer(service));
    let check = async |read_timeout: &str, line: &str| {
        let request = Request::builder().header("x-stainless-read-timeout", read_timeout).body(()).unwrap();
        assert_eq!(timeline(layers.clone().oneshot(request).await.unwrap().into_body()).await, line);
    };
    check("24", "0s=a 8s=: 16s=: 20s=end").await;
    check("600", "0s=a 15s=: 20s=end").await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_past_leaves_a_handler_that_is_ready_its_answer() {
    let mut request = Request::new(Empty::<Bytes>::new());
    request.extensions_mut().insert(Deadline::after(Duration::ZERO));
    let answer = answer(&TimeoutLayer::new(limits()), request, Duration::ZERO, opaque("0s=a 0s=end")).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_carries_the_error_whoever_renders_it() {
    let error = |answer: Response<_>| answer.extensions().get::<TimeoutError>().map(|error| error.phase());
    let layer = TimeoutLayer::new(limits().headers(s(5)));
    let plain = layer.clone().render(|_, _| Response::new(Bytes::new()));
    for layer in [layer.clone(), plain] {
        let refused = answer(&layer, Request::new(Empty::new()), s(6), opaque("")).await;
        assert_eq!(error(refused.map(drop)), Some(Phase::Headers));
    }
    let answered = answer(&layer, Request::new(Empty::new()), s(4), opaque("")).await;
    assert_eq!(error(answered.map(drop)), None);

    let reads = service_fn(async |request: Request<_>| {
        let _ = BodyExt::collect(request.into_body()).await;
        Ok::<_, BoxError>(opaque("0s=end"))
    });
    let uploads = RequestBodyTimeoutLayer::new().gap(s(5)).layer(reads);
    let refused = uploads.oneshot(Request::new(script("6s=a"))).await.unwrap();
    assert_eq!(error(refused.map(drop)), Some(Phase::RequestGap));
}

/// What a connector that takes so long gives behind a limit of 5 s, and when.
async fn connecting(takes: Duration, gives: Result<&'static str, BoxError>) -> String {
    let mut gives = Some(gives);
    let connector = service_fn(move |_| {
        let gives = gives.take().expect("one attempt");
        async move {
            sleep(takes).await;
            gives
        }
    });
    let began = tokio::time::Instant::now();
    let given = ConnectTimeoutLayer::new(s(5)).layer(connector).oneshot(Uri::from_static("upstream")).await;
    let given = given.map_or_else(|error| format!("error({error})"), str::to_owned);
    format!("{}s={given}", began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn the_time_to_a_connection_is_limited() {
    assert_eq!(connecting(s(0), Ok("connected")).await, "0s=connected");
    assert_eq!(connecting(s(4), Ok("connected")).await, "4s=connected");
    assert_eq!(connecting(s(4), Err("refused".into())).await, "4s=error(refused)");
    assert_eq!(connecting(s(6), Ok("late")).await, "5s=error(no connection for 5s (connect limit: 5s))");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_ready_beats_a_limit_that_is_due() {
    assert_eq!(connecting(s(5), Ok("connected")).await, "5s=connected");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_dropped_with_its_future_and_at_its_limit() {
    let attempt = std::sync::Arc::new(());
    let held = std::sync::Arc::clone(&attempt);
    let connector = service_fn(move |_| {
        let held = std::sync::Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<(), BoxError>(())
        }
    });
    let open = || std::sync::Arc::strong_count(&attempt) - 2;
    let mut connector = ConnectTimeoutLayer::new(s(5)).layer(connector);
    let mut call = || tower::Service::call(&mut connector, Uri::from_static("upstream"));

    let mut future = Box::pin(call());
    assert!(tokio::time::timeout(s(1), &mut future).await.is_err());
    assert_eq!(open(), 1);
    drop(future);
    assert_eq!(open(), 0);

    let mut future = std::pin::pin!(call());
    let error = future.as_mut().await.unwrap_err();
    assert_eq!(error.downcast::<TimeoutError>().expect("ours").phase(), Phase::Connect);
    // The future is still there; the attempt is not.
    assert_eq!(open(), 0);
}

/// There is no runtime here, without which a timer cannot be made.
#[test]
fn a_connection_that_is_there_at_once_needs_no_timer() {
    let connector = service_fn(|_| std::future::ready(Ok::<_, BoxError>("connected")));
    let connected = ConnectTimeoutLayer::new(s(5)).layer(connector).oneshot(Uri::from_static("upstream"));
    assert_eq!(futures_util::FutureExt::now_or_never(connected).expect("at once").unwrap(), "connected");
}

#[test]
fn a_connect_limit_that_cannot_work_is_refused() {
    let error = ConnectTimeoutLayer::try_new(Duration::from_micros(999)).unwrap_err();
    assert_eq!(error.to_string(), "the connect limit is at least 1ms, got 999µs");
    assert!(ConnectTimeoutLayer::try_new(Duration::MAX).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_body_ends_with_its_head() {
    let check = async |request: http::request::Builder, status: u16, has_length: bool| {
        let layer = TimeoutLayer::new(limits().headers(s(30)));
        let request = request.body(Empty::new()).unwrap();
        let answer = answer(&layer, request, s(31), opaque("")).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers().contains_key("content-length"), has_length);
        // Over HTTP/2 what a client of gRPC takes for trailers alone, and a client that sent HEAD for no error.
        assert!(answer.body().is_end_stream());
        assert_eq!(timeline(answer.into_body()).await, "0s=end");
    };
    check(Request::post("/").header("content-type", "application/grpc"), 200, false).await;
    check(Request::head("/").version(http::Version::HTTP_2), 504, true).await;
}

#[tokio::test(start_paused = true)]
async fn behind_the_head_the_handler_gets_the_error_of_a_slow_upload() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<_>| {
        sender.send(request.into_body()).expect("a receiver");
        async { Ok::<_, BoxError>(opaque("0s=end")) }
    });
    let layer = RequestBodyTimeoutLayer::new().gap(s(10));
    let answer = layer.layer(service).oneshot(Request::new(script("0s=a 11s=b"))).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut upload = std::pin::pin!(receiver.recv().await.expect("a body"));
    assert!(upload.frame().await.expect("a frame").is_ok());
    let error = upload.frame().await.expect("no end").expect_err("a timeout");
    let error = error.downcast::<TimeoutError>().expect("ours");
    assert_eq!(error.phase(), Phase::RequestGap);
    assert_eq!(error.to_string(), "no bytes of the request body for 10s (request gap limit: 10s)");
}

#[tokio::test(start_paused = true)]
async fn the_upload_does_not_put_the_moment_off_by_which_the_caller_wants_the_head() {
    let check = async |upload: &'static str, reads: bool, status: u16| {
        let service = service_fn(move |request: Request<_>| async move {
            if reads {
                let _ = BodyExt::collect(request.into_body()).await;
                sleep(s(9)).await;
            } else {
                sleep(s(60)).await;
                drop(request);
            }
            Ok::<_, BoxError>(opaque("0s=end"))
        });
        let limits = TimeoutLayer::new(limits().headers(s(30))).headers_from(HeadersFrom::RequestBody);
        let service = RequestBodyTimeoutLayer::new().layer(limits.layer(service));
        let service = DeadlineLayer::new().trust_prefer_wait().layer(service);
        let request = Request::builder().header("prefer", "wait=10").body(script(upload)).unwrap();
        assert_eq!(service.oneshot(request).await.unwrap().status().as_u16(), status, "{upload} {reads}");
    };
    check("0s=a 0s=end", true, 200).await;
    check("8s=a 8s=end", true, 504).await;
    check("8s=a 8s=end", false, 504).await;
}
