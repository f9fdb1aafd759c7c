//! What the layers do for each other in a stack.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifeline::observe::{EndCause, Observer, StreamReport};
use tower_lifeline::stack::LifelineRequestBody;
use tower_lifeline::testing::{Script, script, timeline};
use tower_lifeline::{
    Beat, DeadlineLayer, Drain, DrainLayer, EarlyLayer, Gate, HeadersFrom, Heartbeat, Hop, HopPath, Lifeline,
    LifelineBody, LifelineBuilder, StallLayer, TimeoutLayer, Timeouts,
};

use crate::support::probe::{Open, Probe};

type Upload = LifelineRequestBody<Full<Bytes>>;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn request() -> Request<Full<Bytes>> {
    Request::post("/").header("accept", "text/event-stream").body(Full::default()).unwrap()
}

fn stream<B>(body: B) -> Response<B> {
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

/// A handler that thinks for so long, behind a stack.
fn stacked(
    asked: LifelineBuilder,
    thinks: u64,
    line: &'static str,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<LifelineBody<Script>>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    let handler = service_fn(move |_: Request<Upload>| async move {
        sleep(s(thinks)).await;
        Ok::<_, Infallible>(stream(script(line)))
    });
    asked.build().unwrap().layer(handler)
}

#[tokio::test(start_paused = true)]
async fn the_total_counts_from_the_arrival_and_the_queue_is_part_of_it() {
    let gate = Gate::new(1).max_wait(s(8));
    let asked = Lifeline::sse().timeouts(Timeouts::new().total(s(10))).gate(gate);
    let service = stacked(asked, 5, "0s=a 60s=b");
    let first = tokio::spawn(service.clone().oneshot(request()));
    tokio::task::yield_now().await;
    let second = tokio::spawn(service.oneshot(request()));
    let first = first.await.unwrap().unwrap();
    sleep(s(2)).await;
    drop(first);
    // It was let in at 7 s, and would have its head at 12 s.
    let answer = second.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("10s"), "{text:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_read_gives_the_permit_back_and_the_body() {
    let (gate, open) = (Gate::new(1), Open::default());
    let asked = Lifeline::sse().gate(gate.clone()).stall(StallLayer::new(s(16)));
    let opens = open.clone();
    let handler = service_fn(move |_: Request<Upload>| {
        let body = opens.probe(script("0s=a 0s=b 0s=c 0s=end"));
        async move { Ok::<Response<Probe>, Infallible>(stream(body)) }
    });
    let answer = asked.build().unwrap().layer(handler).oneshot(request()).await.unwrap();
    let mut body = answer.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!((open.count(), gate.stats().in_flight), (1, 1));
    sleep(s(18)).await;
    assert_eq!((open.count(), gate.stats().in_flight), (0, 0));
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(error.is::<tower_lifeline::StallError>(), "{error}");
}

/// A beat is often the last thing that a client makes room for.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_beat_and_nothing_more_gives_the_permit_back() {
    let gate = Gate::new(1);
    let asked = || Lifeline::sse().gate(gate.clone()).stall(StallLayer::new(s(16)));
    let take_a_beat = async |asked: LifelineBuilder, thinks| {
        let answer = stacked(asked, thinks, "90s=a").oneshot(request()).await.unwrap();
        let mut body = answer.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ":\n");
        body
    };
    for (asked, thinks) in [(asked(), 0), (asked().early(EarlyLayer::after(s(1))), 20)] {
        let mut body = take_a_beat(asked, thinks).await;
        assert_eq!(gate.stats().in_flight, 1);
        sleep(s(18)).await;
        assert_eq!(gate.stats().in_flight, 0, "after {thinks}s");
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.is::<tower_lifeline::StallError>(), "{error}");
    }
    // Who reads on waits with the stream for its producer.
    let mut body = take_a_beat(asked(), 0).await;
    sleep(s(10)).await;
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(gate.stats().in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_reported_so() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&reports);
    let observer = Observer::new().sink(move |report: &StreamReport| {
        told.lock().unwrap().push((report.cause, report.stalled >= s(16)));
    });
    let asked = Lifeline::sse().observe(&observer).stall(StallLayer::new(s(16)));
    let answer = stacked(asked, 0, "0s=a 0s=b 0s=c 0s=end").oneshot(request()).await.unwrap();
    let mut body = answer.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    sleep(s(18)).await;
    drop(body);
    assert_eq!(*reports.lock().unwrap(), [(EndCause::Stalled, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_permit_is_given_back_with_the_last_frame_a_cut_and_a_drop() {
    let gate = Gate::new(1);
    let asked = || {
        let limits = Timeouts::new().inter_chunk(s(5));
        Lifeline::sse().without_heartbeat().timeouts(limits).gate(gate.clone())
    };
    let ends = stacked(asked(), 0, "0s=a 1s=end").oneshot(request()).await.unwrap();
    assert_eq!(gate.stats().in_flight, 1);
    assert_eq!(timeline(ends.into_body()).await, "0s=a 1s=end");
    assert_eq!(gate.stats().in_flight, 0);

    let cut = stacked(asked(), 0, "0s=a 60s=b").oneshot(request()).await.unwrap();
    let mut body = cut.into_body();
    while body.frame().await.is_some() {}
    assert_eq!(gate.stats().in_flight, 0, "the body is still there");

    let dropped = stacked(asked(), 0, "0s=a 60s=b").oneshot(request()).await.unwrap();
    assert_eq!(gate.stats().in_flight, 1);
    drop(dropped);
    assert_eq!(gate.stats().in_flight, 0);
}

/// Without an upload its end is there before the queue, and with one a gate reads it meanwhile.
#[tokio::test(start_paused = true)]
async fn the_queue_is_not_billed_to_the_handler_whose_clock_starts_with_its_upload() {
    for upload in ["", "upload"] {
        let limits = TimeoutLayer::new(Timeouts::new().headers(s(10))).headers_from(HeadersFrom::RequestBody);
        let asked = Lifeline::sse().gate(Gate::new(1).max_wait(s(60))).timeouts(limits);
        let service = stacked(asked, 5, "0s=a 60s=b");
        let request = || Request::post("/").body(Full::from(upload)).unwrap();
        let first = service.clone().oneshot(request()).await.unwrap();
        let second = tokio::spawn(service.oneshot(request()));
        sleep(s(20)).await;
        drop(first);
        let answer = second.await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{upload:?} is let in at 20 s and takes 5 s of 10 s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_head_heeds_how_much_silence_the_caller_bears() {
    let deadlines = DeadlineLayer::new().trust_read_timeout();
    let asked = Lifeline::sse().deadlines(deadlines).early(EarlyLayer::after(s(2)));
    let service = stacked(asked, 11, "0s=a 0s=end");
    let mut request = request();
    request.headers_mut().insert("x-stainless-read-timeout", "12".parse().unwrap());
    let line = timeline(service.oneshot(request).await.unwrap().into_body()).await;
    assert_eq!(line, "0s=: 4s=: 8s=: 9s=a 9s=end");
}

#[test]
fn the_beats_of_an_early_head_are_its_own_where_it_has_some() {
    let every = |seconds| Heartbeat::every(s(seconds));
    let early = |own: Heartbeat| EarlyLayer::after(s(10)).heartbeat(own);
    let sentence = |asked: LifelineBuilder| asked.build().unwrap_err().to_string();
    Lifeline::sse().without_heartbeat().early(early(every(15))).build().unwrap();
    Lifeline::plain().early(early(every(15))).build().unwrap();
    let path = || HopPath::through([Hop::NGINX]);
    assert_eq!(
        sentence(Lifeline::sse().path(path()).early(early(every(240)))),
        "a beat goes out twice in the shortest idle limit of the path, at most every 30s (nginx: 60s), got 240s"
    );
    let silent = every(15).beat(Beat::none());
    let none =
        "a stream with an early head beats until its answer comes, got a head after 10s and no heartbeat";
    assert_eq!(sentence(Lifeline::sse().heartbeat(silent.clone()).early(EarlyLayer::after(s(10)))), none);
    assert_eq!(sentence(Lifeline::sse().early(early(silent))), none);
}

/// Nothing for 3 s, and then empty frames without an end.
struct Empties(Pin<Box<Sleep>>);

impl Body for Empties {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.0.is_elapsed() {
            ready!(self.0.as_mut().poll(cx));
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

/// Behind a first beat these are looked at for a BOM, which is no reason not to look at the clock.
#[tokio::test(start_paused = true)]
async fn empty_frames_behind_a_first_beat_do_not_outrun_the_total() {
    let asked = Lifeline::sse().heartbeat(Heartbeat::every(s(2))).timeouts(Timeouts::new().total(s(10)));
    let handler = service_fn(|_: Request<Upload>| async {
        Ok::<_, Infallible>(stream(Empties(Box::pin(sleep(s(3))))))
    });
    let answer = asked.build().unwrap().layer(handler).oneshot(request()).await.unwrap();
    let mut body = pin!(answer.into_body());
    let beat = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(beat, ":\n");
    body.frame().await.unwrap().unwrap();
    tokio::time::advance(s(10)).await;
    let mut more = 0;
    let last = loop {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        if !data.is_empty() {
            break data;
        }
        more += 1;
        assert!(more <= 64, "the total has passed");
    };
    assert!(last.starts_with(b"retry: "), "{last:?}");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_the_queue_is_kept_alive_by_an_early_head() {
    let asked = Lifeline::sse()
        .heartbeat(Heartbeat::every(s(2)))
        .gate(Gate::new(1).max_wait(s(30)))
        .early(EarlyLayer::after(s(1)));
    let service = stacked(asked, 0, "0s=a 5s=end");
    let first = service.clone().oneshot(request()).await.unwrap();
    let second = service.oneshot(request()).await.unwrap();
    let (first, second) = tokio::join!(timeline(first.into_body()), timeline(second.into_body()));
    assert_eq!(first, "0s=a 2s=: 4s=: 5s=end");
    assert_eq!(second, "0s=: 2s=: 4s=: 5s=a 7s=: 9s=: 10s=end");
}

#[tokio::test(start_paused = true)]
async fn a_path_brings_beats_and_an_age() {
    let asked = || Lifeline::sse().path(HopPath::through([Hop::BUN, Hop::CLOUD_RUN]));
    let answer = stacked(asked(), 0, "0s=a 6s=b 400s=end").oneshot(request()).await.unwrap();
    let line = timeline(answer.into_body()).await;
    assert!(line.starts_with("0s=a 5s=: 6s=b 11s=: 16s=:"), "{line}");
    // Nine tenths of five minutes, less a tenth by chance.
    let (at, end) = line.rsplit_once(' ').unwrap().1.split_once('=').unwrap();
    let at: f64 = at.trim_end_matches('s').parse().unwrap();
    assert!((243.0..=270.0).contains(&at), "{at}");
    assert!(end == "end" && line.contains("='retry: "), "{line}");

    let answer = stacked(asked().any_age(), 0, "0s=a 400s=end").oneshot(request()).await.unwrap();
    assert!(timeline(answer.into_body()).await.ends_with("400s=end"));
}

#[tokio::test(start_paused = true)]
async fn any_age_is_any_age_for_a_drain_layer_that_has_one_too() {
    let layer = || DrainLayer::new(&Drain::new().retry(Duration::ZERO)).max_age(s(10)).jitter(Duration::ZERO);
    let drawn = async |asked: LifelineBuilder| {
        let answer = stacked(asked.without_heartbeat(), 0, "0s=a 60s=end").oneshot(request()).await.unwrap();
        timeline(answer.into_body()).await
    };
    assert_eq!(drawn(Lifeline::sse().drain(layer())).await, r"0s=a 10s='retry: 0\n\n' 10s=end");
    assert_eq!(drawn(Lifeline::sse().drain(layer()).any_age()).await, "0s=a 60s=end");
}

#[tokio::test(start_paused = true)]
async fn all_of_it_leaves_when_its_drain_begins() {
    let drain = Drain::new().window(Duration::ZERO);
    let service = stacked(Lifeline::llm().drain(&drain), 0, "0s=a 600s=b");
    let answer = service.clone().oneshot(request()).await.unwrap();
    let begins = drain.clone();
    tokio::spawn(async move {
        sleep(s(3)).await;
        begins.begin();
    });
    let line = timeline(answer.into_body()).await;
    assert!(line.starts_with("0s=a 3s=") && line.ends_with("3s=end"), "{line}");
    assert_eq!(drain.report().left, 1);
    assert_eq!(service.oneshot(request()).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// The drain stands outside of the early head: it may be that nothing else has been said yet.
#[tokio::test(start_paused = true)]
async fn who_has_only_an_early_head_leaves_too_and_takes_the_handler_along() {
    let (drain, open) = (Drain::new().window(Duration::ZERO), Open::default());
    let asked = Lifeline::sse()
        .timeouts(Timeouts::new())
        .drain(&drain)
        .early(EarlyLayer::after(s(1)))
        .heartbeat(Heartbeat::every(s(2)));
    let opens = open.clone();
    let handler = service_fn(move |_: Request<Upload>| {
        let thinks = opens.probe(script("0s=a"));
        async move {
            sleep(s(60)).await;
            Ok::<Response<Probe>, Infallible>(stream(thinks))
        }
    });
    let answer = asked.build().unwrap().layer(handler).oneshot(request()).await.unwrap();
    assert_eq!((answer.status(), open.count()), (StatusCode::OK, 1));
    let begins = drain.clone();
    tokio::spawn(async move {
        sleep(s(5)).await;
        begins.begin();
    });
    let line = timeline(answer.into_body()).await;
    assert!(line.starts_with("0s=: 2s=: 4s=: 5s='retry: ") && line.ends_with("5s=end"), "{line}");
    assert_eq!((open.count(), drain.report().left), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn services_and_clones_of_a_stack_share_its_gate() {
    let lifeline = Lifeline::sse().gate(Gate::new(1).queue(0)).build().unwrap();
    let handler = service_fn(|_: Request<Upload>| async { Ok::<_, Infallible>(stream(script("0s=a"))) });
    let held = lifeline.layer(handler).oneshot(request()).await.unwrap();
    let refused = lifeline.clone().layer(handler).oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(lifeline.gate().unwrap().stats().in_flight, 1);
    drop(held);
    let answer = lifeline.layer(handler).oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_all_there_stays_so() {
    let handler = service_fn(|_: Request<Upload>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let gate = Gate::new(1);
    let asked = Lifeline::llm().gate(gate.clone()).drain(&Drain::new()).early(EarlyLayer::after(s(1)));
    let answer = asked.build().unwrap().layer(handler).oneshot(request()).await.unwrap();
    assert_eq!(answer.headers().len(), 0, "{:?}", answer.headers());
    assert_eq!(answer.body().size_hint().exact(), Some(5));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(gate.stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_back_as_a_bom_is_in_the_report() {
    for (line, drawn) in [
        (r"20s='\xEF\xBB' 30s=end", r"15s=: 30s='\xEF\xBB' 30s=end"),
        (r"20s='\xEF\xBB' 30s=error(no)", r"15s=: 30s='\xEF\xBB' 30.005s=error(no)"),
        (r"20s='\xEF\xBB' 30s=trailers(a:b) 30s=end", r"15s=: 30s='\xEF\xBB' 30s=trailers(a:b) 30s=end"),
    ] {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&reports);
        let observer = Observer::new().sink(move |report: &StreamReport| {
            told.lock().unwrap().push((report.bytes, report.frames));
        });
        let service = stacked(Lifeline::sse().observe(&observer), 0, line);
        assert_eq!(timeline(service.oneshot(request()).await.unwrap().into_body()).await, drawn);
        assert_eq!(*reports.lock().unwrap(), [(4, 2)], "{line}");
    }
}
