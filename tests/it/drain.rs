//! What happens when a server stops, line by line: the table in the module's documentation.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, StreamBody};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::drain::{Arrivals, DrainBody, DrainReport, Farewell, Stood};
use tower_lifeline::reject::RequestId;
use tower_lifeline::testing::{Script, ScriptError, script, timeline, timeline_for};
use tower_lifeline::{
    Beat, BoxError, Drain, DrainError, DrainLayer, Ending, HeartbeatLayer, OnDrain, StreamEnd,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Everybody leaves at once, and may come back at once.
fn prompt() -> Drain {
    Drain::new().window(Duration::ZERO).retry(Duration::ZERO)
}

fn of_type(media_type: &str, stream: &str) -> Response<Script> {
    Response::builder().header("content-type", media_type).body(script(stream)).unwrap()
}

fn events(stream: &str) -> Response<Script> {
    of_type("text/event-stream", stream)
}

fn with<T: Clone + Send + Sync + 'static>(mut response: Response<Script>, extension: T) -> Response<Script> {
    response.extensions_mut().insert(extension);
    response
}

/// The answer to a request.
async fn answer<B>(layer: &DrainLayer, request: Request<()>, response: Response<B>) -> Response<DrainBody<B>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut response = Some(response);
    let service = service_fn(move |_| ready(Ok::<_, Infallible>(response.take().expect("one request"))));
    layer.layer(service).oneshot(request).await.unwrap()
}

fn begin_after(drain: &Drain, seconds: u64) {
    let drain = drain.clone();
    tokio::spawn(async move {
        sleep(s(seconds)).await;
        drain.begin();
    });
}

/// A stream's time line when the drain begins in its tenth second and ends in its fortieth.
async fn drawn(response: Response<Script>) -> String {
    let drain = prompt();
    let answer = answer(&DrainLayer::new(&drain), Request::new(()), response).await;
    begin_after(&drain, 10);
    // Longer than any of them should take.
    timeline_for(answer.into_body(), s(1_000)).await
}

const CUT: &str = "error(the server stops, and the stream had not ended (deadline: 30s))";

#[tokio::test(start_paused = true)]
async fn an_idle_stream_leaves_when_its_moment_has_come() {
    assert_eq!(drawn(events("0s=a 100s=b")).await, r"0s=a 10s='retry: 0\n\n' 10s=end");
    assert_eq!(drawn(events("100s=b")).await, r"10s='retry: 0\n\n' 10s=end");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_asks_to_leave_stays() {
    let drain = prompt();
    let layer = DrainLayer::new(&drain);
    let line = "0s=a 9000s=b 9001s=end";
    assert_eq!(timeline(answer(&layer, Request::new(()), events(line)).await.into_body()).await, line);
}

#[tokio::test(start_paused = true)]
async fn a_stream_inside_an_event_leaves_at_its_end() {
    let line = r"0s='data: a' 20s='\n\n' 50s=b";
    assert_eq!(drawn(events(line)).await, r"0s='data: a' 20s='\n\n' 20s='retry: 0\n\n' 20s=end");
    // However the event is finished.
    let line = r"0s='data: a' 15s='\ndata: b' 20s='\n' 25s='\n' 50s=b";
    assert_eq!(
        drawn(events(line)).await,
        r"0s='data: a' 15s='\ndata: b' 20s='\n' 25s='\n' 25s='retry: 0\n\n' 25s=end"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_never_ends_is_cut_at_the_deadline() {
    let line = format!("0s='data: a' 39s='b' 40s={CUT}");
    assert_eq!(drawn(events("0s='data: a' 39s='b' 100s='c'")).await, line);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_boundary_or_would_rather_finish_goes_on() {
    let line = "0s=a 20s=b 39s=c 39s=end";
    for response in [
        of_type("application/octet-stream", line),
        with(events(line), OnDrain::Finish),
        with(events(line), Ending::Abort),
        events(line).map(Script::knows_length),
        with(of_type("application/grpc", line), OnDrain::Finish),
    ] {
        assert_eq!(drawn(response).await, line);
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_who_can_says_goodbye_and_the_rest_is_cut() {
    let cut = format!("0s=a 40s={CUT}");
    assert_eq!(drawn(of_type("application/octet-stream", "0s=a 50s=b")).await, cut);
    assert_eq!(drawn(events("0s=a 50s=b").map(Script::knows_length)).await, cut);
    assert_eq!(drawn(with(events("0s=a 50s=b"), Ending::Abort)).await, cut);
    let finish = with(events("0s=a 50s=b"), OnDrain::Finish);
    assert_eq!(drawn(finish).await, r"0s=a 40s='retry: 0\n\n' 40s=end");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_always_ready_leaves_too() {
    let drain = prompt();
    let busy = StreamBody::new(stream::repeat_with(|| {
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"data: a\n\n")))
    }));
    let response = Response::builder().header("content-type", "text/event-stream").body(busy).unwrap();
    let mut body = answer(&DrainLayer::new(&drain), Request::new(()), response).await.into_body();
    for _ in 0..1_000 {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data: a\n\n");
    }
    drain.begin();
    let mut frames = 0;
    while frames < 1_000 {
        frames += 1;
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        if frame == "retry: 0\n\n" {
            break;
        }
        assert_eq!(frame, "data: a\n\n");
    }
    assert!(frames <= 65, "{frames}");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_that_is_always_ready_leaves_too() {
    let drain = prompt();
    let busy = StreamBody::new(stream::repeat_with(|| {
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"\0\0\0\0\x01a")))
    }));
    let response = Response::builder().header("content-type", "application/grpc").body(busy).unwrap();
    let mut body = answer(&DrainLayer::new(&drain), Request::new(()), response).await.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    drain.begin();
    let mut frames = 0;
    let last = loop {
        frames += 1;
        assert!(frames <= 66, "{frames}");
        if let Ok(trailers) = body.frame().await.unwrap().unwrap().into_trailers() {
            break trailers;
        }
    };
    assert_eq!(last["grpc-status"], "14");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_said_all_says_no_goodbye() {
    let drain = prompt();
    let response = events(&("0s=a ".repeat(64) + "0s=end")).map(Script::reports_end);
    let mut body = answer(&DrainLayer::new(&drain), Request::new(()), response).await.into_body();
    drain.begin();
    for _ in 0..64 {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data: a\n\n");
    }
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
    assert_eq!(drain.report().finished, 1);
}

#[tokio::test(start_paused = true)]
async fn a_boundary_between_two_frames_that_come_at_once_is_seen() {
    // Whenever this one waits, it waits inside an event.
    let line = r"0s='data: a' 20s='\n\n' 20s='data: b' 30s='\n\n' 30s='data: c'";
    assert_eq!(drawn(events(line)).await, r"0s='data: a' 20s='\n\n' 20s='retry: 0\n\n' 20s=end");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_just_been_answered_keeps_its_status() {
    let line = r"0s='\x00\x00\x00\x00\x01' 20s='a' 20s=trailers(grpc-status:0) 20s=end";
    assert_eq!(drawn(of_type("application/grpc", line)).await, line);
}

#[tokio::test(start_paused = true)]
async fn an_empty_frame_behind_an_answer_is_not_one_more_message() {
    let line = r"0s='\x00\x00\x00\x00\x01' 20s='a' 20s='' 20s=trailers(grpc-status:0) 20s=end";
    assert_eq!(drawn(of_type("application/grpc", line)).await, line);
}

#[tokio::test(start_paused = true)]
async fn each_protocol_has_its_goodbye() {
    let check = async |response: Response<Script>, goodbye: &str| {
        assert_eq!(drawn(response).await, format!("10s={goodbye} 10s=end").replace("10s= ", ""));
    };
    let stops = "The server is about to stop.";
    let llm = format!(
        r#"'event: error\ndata: {{"type":"error","error":{{"type":"overloaded_error","message":"{stops}"}}}}\n\n'"#
    );
    let mcp = format!(
        r#"'event: message\ndata: {{"jsonrpc":"2.0","id":7,"error":{{"code":-32014,"message":"{stops}"}}}}\n\n'"#
    );
    check(events(""), r"'retry: 0\n\n'").await;
    check(with(events(""), Ending::Llm), &llm).await;
    check(with(events(""), Ending::Mcp { id: Some(RequestId::from(7)) }), &mcp).await;
    check(with(events(""), Ending::Mcp { id: None }), "").await;
    check(of_type("application/x-ndjson", ""), &format!(r#"'{{"error":"{stops}"}}\n'"#)).await;
    check(with(events(""), Farewell(Beat::event("bye", "1"))), r"'event: bye\ndata: 1\n\n'").await;
    let own = Farewell(Beat::bytes("data: last\n\n"));
    check(with(events(""), own), "last").await;
}

#[tokio::test(start_paused = true)]
async fn a_farewell_has_no_place_in_a_length_that_the_client_knows() {
    let bye = || Farewell(Beat::event("bye", "1"));
    let mut response = with(events("0s=a 50s=b"), bye());
    response.headers_mut().insert("content-length", "22".parse().unwrap());
    assert_eq!(drawn(response).await, format!("0s=a 40s={CUT}"));
}

/// It has between 10 and 20 bytes.
struct Roughly(Script);

impl Body for Roughly {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(10);
        hint.set_upper(20);
        hint
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_may_say_farewell_promises_no_length() {
    let drain = prompt();
    let layer = DrainLayer::new(&drain).ending(Ending::Abort);
    let response = with(events("50s='data: a\\n\\n'"), Farewell(Beat::event("bye", "to all of you")));
    let body = answer(&layer, Request::new(()), response.map(Roughly)).await.into_body();
    let hint = body.size_hint();
    drain.begin();
    let said = body.collect().await.unwrap().to_bytes().len() as u64;
    assert!(hint.lower() <= said && hint.upper().is_none_or(|upper| said <= upper), "{said} in {hint:?}");
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_leaves_with_trailers_between_two_messages() {
    let drain = prompt();
    let message = r"'\x00\x00\x00\x00\x01a'";
    let response = of_type("application/grpc", &format!("0s={message} 100s={message}"));
    let body = answer(&DrainLayer::new(&drain), Request::new(()), response).await.into_body();
    begin_after(&drain, 10);
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(trailers["grpc-message"], "The server is about to stop.");
    assert_eq!(collected.to_bytes().len(), 6);
    // An ending that is for other responses of the same router changes nothing.
    let drain = prompt();
    let layer = DrainLayer::new(&drain).ending(Ending::Llm);
    let response = of_type("application/grpc", &format!("0s={message} 100s={message}"));
    let body = answer(&layer, Request::new(()), response).await.into_body();
    begin_after(&drain, 10);
    assert_eq!(body.collect().await.unwrap().trailers().unwrap()["grpc-status"], "14");
    // Without one it goes on to the deadline.
    let drain = prompt();
    let layer = DrainLayer::new(&drain).ending(Ending::Abort);
    let response = of_type("application/grpc", &format!("0s={message} 25s={message} 100s={message}"));
    let response = with(response, Farewell(Beat::event("bye", "1")));
    let body = answer(&layer, Request::new(()), response).await.into_body();
    begin_after(&drain, 10);
    assert_eq!(timeline(body).await, format!("0s={message} 25s={message} 40s={CUT}"));
    // Inside of one it is cut.
    let half = of_type("application/grpc", r"0s='\x00\x00\x00\x00\x01'");
    assert_eq!(drawn(half).await, format!(r"0s='\x00\x00\x00\x00\x01' 40s={CUT}"));
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_told_from_other_errors() {
    let drain = prompt();
    let body = answer(&DrainLayer::new(&drain), Request::new(()), of_type("image/png", "")).await.into_body();
    drain.begin();
    let error = body.collect().await.unwrap_err().downcast::<DrainError>().unwrap();
    assert_eq!((error.end(), error.limit()), (StreamEnd::Drained, s(30)));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_answered_at_the_deadline_gets_a_503_and_the_handler_is_dropped() {
    struct OnDrop(Arc<AtomicUsize>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drain = prompt();
    let dropped = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|_: Request<()>| {
        let guard = OnDrop(Arc::clone(&dropped));
        async move {
            pending::<()>().await;
            drop(guard);
            Ok::<_, Infallible>(events(""))
        }
    });
    begin_after(&drain, 10);
    let began = Instant::now();
    let mut answer =
        pin!(DrainLayer::new(&drain).layer(service).oneshot(Request::get("/slow").body(()).unwrap()));
    let answer = answer.as_mut().await.unwrap();
    assert_eq!((answer.status(), began.elapsed().as_secs()), (StatusCode::SERVICE_UNAVAILABLE, 40));
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "urn:tower-lifeline:draining");
    let report = drain.finished().await;
    assert_eq!((report.cut, report.present), (1, 0));
    let [unfinished] = &report.unfinished[..] else { panic!("{report:?}") };
    assert_eq!((unfinished.uri.path(), unfinished.stood), ("/slow", Stood::Unanswered));
    assert_eq!(unfinished.to_string(), "GET /slow: not answered after 40s");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_ready_beats_the_deadline() {
    let drain = prompt();
    let service = service_fn(|_: Request<()>| async {
        sleep(s(40)).await;
        Ok::<_, Infallible>(events("0s=end"))
    });
    begin_after(&drain, 10);
    let answer = DrainLayer::new(&drain).layer(service).oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_comes_too_late_is_refused_or_let_in() {
    let drain = prompt().retry(s(10));
    let layer = DrainLayer::new(&drain);
    drain.announce(s(5)).await;
    let refused = answer(&layer, Request::new(()), events("0s=a")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["connection"], "close");
    let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((5..=15).contains(&after), "{after}");
    assert_eq!(drain.report().refused, 1);

    let drain = prompt().arrivals(Arrivals::Admit);
    drain.begin();
    let late = answer(&DrainLayer::new(&drain), Request::new(()), events("0s=a 9s=b")).await;
    assert_eq!(timeline(late.into_body()).await, r"0s=a 0s='retry: 0\n\n' 0s=end");
}

#[tokio::test(start_paused = true)]
async fn an_exempt_request_has_nothing_to_do_with_it() {
    let drain = prompt().exempt(|request| request.uri.path() == "/livez");
    let layer = DrainLayer::new(&drain);
    drain.begin();
    let request = Request::get("/livez").body(()).unwrap();
    let line = "0s=a 50s=end";
    let answer = answer(&layer, request, events(line)).await;
    assert_eq!(drain.finished().await.present, 0);
    assert_eq!(timeline(answer.into_body()).await, line);
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_and_a_body_at_its_end_have_gone() {
    let drain = prompt();
    let layer = DrainLayer::new(&drain);
    let mut switching = events("");
    *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let _upgraded = answer(&layer, Request::new(()), switching).await;
    let connect = Request::builder().method(Method::CONNECT).body(()).unwrap();
    let _tunnel = answer(&layer, connect, events("")).await;
    let _ended = answer(&layer, Request::new(()), events("0s=end").map(Script::reports_end)).await;
    assert_eq!(drain.report().present, 0);
    let _open = answer(&layer, Request::new(()), events("")).await;
    assert_eq!(drain.report().present, 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_turns_red_before_anybody_leaves() {
    let drain = prompt();
    let layer = DrainLayer::new(&drain);
    assert!(!drain.is_announced());
    let announcing = tokio::spawn({
        let drain = drain.clone();
        async move { drain.announce(s(5)).await }
    });
    sleep(s(1)).await;
    assert!(drain.is_announced() && !drain.is_begun());
    let served = answer(&layer, Request::new(()), events("0s=a 9s=b")).await;
    assert_eq!(timeline(served.into_body()).await, r"0s=a 4s='retry: 0\n\n' 4s=end");
    announcing.await.unwrap();
    assert!(drain.is_begun());
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_see_it_and_say_its_own_goodbye() {
    let drain = prompt();
    let service = service_fn(|request: Request<()>| {
        let drain = request.extensions().get::<Drain>().unwrap().clone();
        let last = stream::once(async move {
            drain.begun().await;
            sleep(s(3)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"data: bye\n\n")))
        });
        let response = Response::builder().header("content-type", "text/event-stream");
        let mut response = response.body(StreamBody::new(last)).unwrap();
        response.extensions_mut().insert(OnDrain::Finish);
        ready(Ok::<_, Infallible>(response))
    });
    let answer = DrainLayer::new(&drain).layer(service).oneshot(Request::new(())).await.unwrap();
    begin_after(&drain, 10);
    assert_eq!(timeline(Box::pin(answer.into_body())).await, "13s=bye 13s=end");
}

#[tokio::test(start_paused = true)]
async fn the_report_counts_everybody_once() {
    let drain = prompt();
    let layer = DrainLayer::new(&drain);
    let open =
        async |response| answer(&layer, Request::get("/x").body(()).unwrap(), response).await.into_body();
    let leaves = open(events("0s=a")).await;
    let finishes = open(with(events("0s=a 12s=end"), OnDrain::Finish)).await;
    let fails = open(with(events("12s=error(broken)"), OnDrain::Finish)).await;
    let cut = open(of_type("image/png", "0s=a")).await;
    let abandoned = open(events("0s=a")).await;
    let unread = open(events("0s=a")).await;
    // Before it begins, comings and goings are none of its business.
    drop(open(events("0s=a")).await);
    drain.begin();
    drop(abandoned);
    let read = |body| tokio::spawn(timeline(Box::pin(body)));
    let readers = [read(leaves), read(finishes), read(fails), read(cut)];
    let began = Instant::now();
    let report = drain.finished().await;
    // The one that nobody reads keeps it waiting up to the deadline and the grace.
    assert_eq!(began.elapsed().as_secs(), 31);
    assert_eq!(report.to_string(), "1 here, 2 finished, 1 left, 1 cut, 1 abandoned, 0 refused");
    let stood: Vec<_> = report.unfinished.iter().map(|unfinished| unfinished.stood).collect();
    assert_eq!(stood, [Stood::Inside, Stood::Unread]);
    for reader in readers {
        reader.await.unwrap();
    }
    drop(unread);
    assert_eq!(drain.report().present, 0);
}

/// hyper drops a body whose announced length has gone out, or that nobody waits for, without asking for its end.
#[tokio::test(start_paused = true)]
async fn what_has_gone_out_whole_is_finished() {
    let check = async |method: Method, length: &str, reads: usize, report: &str| {
        let drain = prompt();
        let mut response = of_type("image/png", "0s=a 0s=b 9s=end");
        response.headers_mut().insert("content-length", length.parse().unwrap());
        let request = Request::builder().method(method).body(()).unwrap();
        let mut body = answer(&DrainLayer::new(&drain), request, response).await.into_body();
        drain.begin();
        // The deadline has passed when a slow client takes the last of it.
        sleep(s(40)).await;
        for _ in 0..reads {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        assert_eq!(drain.report().to_string(), report, "{length}, after {reads}");
    };
    let finished = "0 here, 1 finished, 0 left, 0 cut, 0 abandoned, 0 refused";
    let abandoned = "0 here, 0 finished, 0 left, 0 cut, 1 abandoned, 0 refused";
    check(Method::GET, "18", 2, finished).await;
    check(Method::GET, "18", 1, abandoned).await;
    check(Method::GET, "19", 2, abandoned).await;
    check(Method::HEAD, "18", 0, finished).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_finished_when_the_last_has_gone() {
    let drain = prompt();
    let body = answer(&DrainLayer::new(&drain), Request::new(()), events("0s=a")).await.into_body();
    begin_after(&drain, 10);
    let reader = tokio::spawn(timeline(Box::pin(body)));
    let began = Instant::now();
    assert_eq!(drain.finished().await.left, 1);
    assert_eq!(began.elapsed().as_secs(), 10);
    reader.await.unwrap();
}

/// Counts those who are here when it is dropped.
struct Present(Drain, Arc<AtomicUsize>);

impl Drop for Present {
    fn drop(&mut self) {
        self.1.store(self.0.report().present, Ordering::SeqCst);
    }
}

/// How many are said to be here when a handler, or the body that it answers with, is dropped.
async fn present_at_the_drop(media_type: &str, answers: Option<&str>) -> usize {
    let (drain, here) = (prompt(), Arc::new(AtomicUsize::new(0)));
    let service = DrainLayer::new(&drain).layer(service_fn(|_: Request<()>| {
        let held = Present(drain.clone(), Arc::clone(&here));
        async move {
            let text = match answers {
                Some(text) => text,
                None => pending().await,
            };
            let stream = script(text).map_frame(move |frame| {
                let _ = &held;
                frame
            });
            Ok::<_, Infallible>(Response::builder().header("content-type", media_type).body(stream).unwrap())
        }
    }));
    begin_after(&drain, 10);
    // It is left in the middle of the drain.
    let read = async { timeline(service.oneshot(Request::new(())).await.unwrap().into_body()).await };
    let until = if answers.is_some() { s(20) } else { s(60) };
    let _ = tokio::time::timeout(until, read).await;
    drain.finished().await;
    here.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn who_has_gone_has_dropped_what_it_held() {
    let mut present = BTreeMap::new();
    present.insert("ends", present_at_the_drop("text/event-stream", Some("0s=a 5s=end")).await);
    present.insert("says goodbye", present_at_the_drop("text/event-stream", Some("0s=a")).await);
    present.insert("is left", present_at_the_drop("text/plain", Some("0s=a")).await);
    present.insert("fails", present_at_the_drop("text/plain", Some("0s=a 15s=error(broken)")).await);
    present.insert("is cut before the answer", present_at_the_drop("text/plain", None).await);
    assert!(present.values().all(|count| *count == 1), "{present:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_is_bounded() {
    let drain = prompt();
    begin_after(&drain, 10);
    let began = Instant::now();
    drain.bound(pending::<Result<(), BoxError>>()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 41);

    // One that returns by itself is not held up, and its error is its own.
    let drain = prompt();
    let failed = drain.bound(ready(Err::<(), BoxError>("broken".into()))).await;
    assert_eq!(failed.unwrap_err().to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn streams_leave_spread_over_the_window_and_are_told_when_to_come_back() {
    let drain = Drain::new().window(s(10)).retry(s(4));
    let layer = DrainLayer::new(&drain);
    let mut leaving = Vec::new();
    for _ in 0..1_000 {
        let body = answer(&layer, Request::new(()), events("")).await.into_body();
        leaving.push(tokio::spawn(async move {
            let mut body = pin!(body);
            let goodbye = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let left = Instant::now();
            assert!(body.frame().await.is_none());
            let retry = goodbye.strip_prefix(b"retry: ").unwrap().strip_suffix(b"\n\n").unwrap();
            let retry: u64 = std::str::from_utf8(retry).unwrap().parse().unwrap();
            assert!((2_000..=6_000).contains(&retry), "{retry}");
            (left, left + Duration::from_millis(retry))
        }));
    }
    tokio::task::yield_now().await;
    drain.begin();
    let began = Instant::now();
    let (mut left, mut back) = (BTreeMap::new(), BTreeMap::new());
    for stream in leaving {
        let (at, again) = stream.await.unwrap();
        *left.entry((at - began).as_secs()).or_insert(0) += 1;
        *back.entry((again - began).as_secs()).or_insert(0) += 1;
    }
    for (second, count) in &back {
        println!("back after {second:>2} s: {count:>4} {}", "#".repeat(count / 4));
    }
    // A tenth each second, give or take.
    let tenths: Vec<_> = (0..10).map(|second| left[&second]).collect();
    assert!(tenths.iter().all(|&count| (60..=140).contains(&count)), "{tenths:?}");
    assert!(back.len() >= 12 && back.values().all(|&count| count <= 150), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn an_old_stream_makes_room_at_a_boundary_though_nobody_drains() {
    let drain = prompt();
    let layer = DrainLayer::new(&drain).max_age(s(60)).jitter(Duration::ZERO);
    let check = async |stream, line| {
        let body = answer(&layer, Request::new(()), events(stream)).await.into_body();
        assert_eq!(timeline(body).await, line);
    };
    check("0s=a 100s=b", r"0s=a 60s='retry: 0\n\n' 60s=end").await;
    check("0s=a 50s=b 60s=c 70s=d", r"0s=a 50s=b 60s=c 60s='retry: 0\n\n' 60s=end").await;
    check(r"59s='data: a' 90s='\n\n' 91s=b", r"59s='data: a' 90s='\n\n' 90s='retry: 0\n\n' 90s=end").await;
    // What has no boundary never makes room.
    let body = answer(&layer, Request::new(()), of_type("image/png", "0s=a 900s=end")).await.into_body();
    assert_eq!(timeline(body).await, "0s=a 900s=end");
    // It is brought forward by up to a tenth.
    let layer = DrainLayer::new(&drain).max_age(s(60));
    let mut ages = Vec::new();
    for _ in 0..50 {
        let body = answer(&layer, Request::new(()), events("")).await.into_body();
        let began = Instant::now();
        timeline(body).await;
        ages.push(began.elapsed().as_millis());
    }
    assert!(ages.iter().all(|age| (54_000..=60_001).contains(age)), "{ages:?}");
    assert!(ages.iter().any(|age| *age < 56_000) && ages.iter().any(|age| *age > 58_000), "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn beats_outside_do_not_keep_a_stream_that_leaves() {
    let drain = prompt();
    let mut response = Some(events("0s=a 100s=b"));
    let service =
        service_fn(move |_: Request<Empty<Bytes>>| ready(Ok::<_, Infallible>(response.take().unwrap())));
    let service = HeartbeatLayer::every(s(4)).layer(DrainLayer::new(&drain).layer(service));
    let answer = service.oneshot(Request::new(Empty::new())).await.unwrap();
    begin_after(&drain, 10);
    assert_eq!(timeline(answer.into_body()).await, r"0s=a 4s=: 8s=: 10s='retry: 0\n\n' 10s=end");
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_stream_is_woken_once_by_the_beginning_and_by_nothing_before() {
    let drain = Drain::new().retry(Duration::ZERO);
    let body = answer(&DrainLayer::new(&drain), Request::new(()), events("")).await.into_body();
    let mut body = pin!(body);
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    let mut look = || body.as_mut().poll_frame(&mut Context::from_waker(&waker));
    assert!(look().is_pending());
    sleep(s(3_600)).await;
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    drain.begin();
    drain.begin();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    // It draws its moment, and its own timer wakes it then.
    assert!(look().is_pending());
    sleep(s(6)).await;
    assert_eq!(wakes.0.load(Ordering::SeqCst), 2);
    assert!(matches!(look(), Poll::Ready(Some(Ok(_)))));
}

#[tokio::test(start_paused = true)]
async fn the_last_task_that_asked_is_the_one_that_is_woken() {
    let drain = prompt();
    let body = answer(&DrainLayer::new(&drain), Request::new(()), events("")).await.into_body();
    let mut body = pin!(body);
    assert!(body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())).is_pending());
    let moved = poll_fn(|cx| body.as_mut().poll_frame(cx));
    begin_after(&drain, 10);
    let began = Instant::now();
    assert!(tokio::time::timeout(s(20), moved).await.unwrap().is_some());
    assert_eq!(began.elapsed(), s(10));
}

#[test]
fn wrong_settings_are_refused_when_they_are_made() {
    let check = |result: Result<Drain, tower_lifeline::ConfigError>, sentence: &str| {
        assert_eq!(result.unwrap_err().to_string(), sentence);
    };
    check(
        Drain::new().try_window(s(31)),
        "streams leave within the drain's deadline, got a window of 31s and a deadline of 30s",
    );
    check(
        Drain::new().window(s(20)).try_deadline(s(10)),
        "streams leave within the drain's deadline, got a window of 20s and a deadline of 10s",
    );
    // A window that nobody has set makes room.
    assert!(Drain::new().try_deadline(s(1)).is_ok());
    let error = DrainLayer::new(&Drain::new()).try_max_age(Duration::from_millis(999)).unwrap_err();
    assert_eq!(error.to_string(), "a stream may become at least 1s old, got 999ms");
}

#[tokio::test(start_paused = true)]
async fn a_window_or_a_deadline_beyond_the_clock_does_no_harm() {
    let drain = Drain::new().deadline(Duration::MAX).window(Duration::MAX).grace(Duration::MAX);
    let body = answer(&DrainLayer::new(&drain), Request::new(()), events("0s=a")).await.into_body();
    drain.begin();
    timeline_for(body, s(100)).await;
}

/// The clock is looked at behind a large frame. The end may be ready behind it, and nobody wants a failure in its place.
#[tokio::test(start_paused = true)]
async fn what_is_ready_behind_the_deadline_may_be_the_end() {
    let read = async |lengths: &[usize]| {
        let drain = prompt();
        let frames: Vec<_> =
            lengths.iter().map(|&length| Ok(Frame::data(vec![b'a'; length].into()))).collect();
        let body = StreamBody::new(stream::iter::<Vec<Result<_, Infallible>>>(frames));
        let mut body =
            answer(&DrainLayer::new(&drain), Request::new(()), Response::new(body)).await.into_body();
        body.frame().await.unwrap().unwrap();
        drain.begin();
        sleep(s(40)).await;
        let mut read = 1;
        let end = loop {
            match body.frame().await {
                Some(Ok(_)) => read += 1,
                Some(Err(_)) => break "error",
                None => break "end",
            }
        };
        let DrainReport { finished, cut, .. } = drain.report();
        (read, end, finished, cut)
    };
    assert_eq!(read(&[8 << 20, 300_000]).await, (2, "end", 1, 0));
    assert_eq!(read(&[8 << 20, 300_000, 1]).await, (3, "error", 0, 1));
    assert_eq!(read(&[8 << 20, 300_000, 1, 1]).await, (3, "error", 0, 1));
}

/// Everybody goes at once, each on a thread of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_is_not_finished_before_everybody_is_counted() {
    for _ in 0..500 {
        let drain = prompt();
        let layer = DrainLayer::new(&drain);
        let mut bodies = Vec::new();
        for _ in 0..4 {
            bodies.push(answer(&layer, Request::new(()), events("0s=a 900s=b")).await.into_body());
        }
        drain.begin();
        let finished = tokio::spawn({
            let drain = drain.clone();
            async move { drain.finished().await }
        });
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for body in bodies {
                scope.spawn(|| {
                    barrier.wait();
                    drop(body);
                });
            }
        });
        assert_eq!(finished.await.unwrap().abandoned, 4);
    }
}
