//! With the other layers, inside and outside, and what the operator is told.

use std::sync::Mutex;

use http_body_util::{BodyExt, Full};
use tower_lifeline::early::{EarlyStats, ErrorEvent, ErrorFormat, FailureKind, TellPosition};
use tower_lifeline::gate::{QueuePosition, ReplayBody};
use tower_lifeline::observe::{ObserveLayer, Observer};
use tower_lifeline::reject::{Ending, RequestId};
use tower_lifeline::testing::timeline_for;
use tower_lifeline::{
    Gate, GateLayer, Heartbeat, HeartbeatLayer, Shed, SilenceHint, TimeoutError, TimeoutLayer, Timeouts,
};

use super::*;
use crate::support::probe::Open;
use crate::support::streams::secs as s;

/// Takes `works` to answer with a stream that is over at once.
fn thinks(
    works: Duration,
) -> impl Clone
+ tower::Service<
    Request<ReplayBody<Empty<Bytes>>>,
    Response = Response<Script>,
    Error = BoxError,
    Future = Answering,
> {
    service_fn(move |_: Request<_>| after(works, || Ok(events("0s=a 0s=end"))))
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_refuses_at_once_answers_as_ever() {
    let gate = Gate::new(1).queue(0);
    let service = layer().layer(GateLayer::new(&gate).layer(thinks(SLOW)));
    let first = service.clone().oneshot(get());
    let second = service.oneshot(get());
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.unwrap().status().as_u16(), second.unwrap().status().as_u16()), (200, 503));
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_refuses_after_a_wait_is_heard_in_the_stream() {
    let gate = Gate::new(1).max_wait(s(30));
    let late = Arc::new(Mutex::new(None));
    let told = Arc::clone(&late);
    let layer = layer().on_late(move |late| {
        *told.lock().unwrap() =
            late.extensions.get::<Shed>().copied().map(|shed| (late.status.as_u16(), shed));
    });
    let service = layer.layer(GateLayer::new(&gate).layer(thinks(s(600))));
    let (held, waits) = tokio::join!(service.clone().oneshot(get()), service.oneshot(get()));
    let line = drawn(waits.unwrap()).await;
    let (beats, event) = line.split_once("20s=").unwrap();
    assert_eq!(beats, format!("{EARLY}0s=: 15s=: "));
    // The gate says when to come back, and an `EventSource` is told.
    assert!(event.starts_with(r"'retry: ") && event.contains(r"000\nevent: error\ndata: "), "{event}");
    assert!(event.contains(r#"{"status":503,"message":"No place has become free in time.","#), "{event}");
    assert!(event.ends_with("' 20s=end"), "{event}");
    assert_eq!(*late.lock().unwrap(), Some((503, Shed::QueueTimeout)));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_the_queue_is_told_the_place_when_it_changes() {
    let check = async |tell: TellPosition, line: &str| {
        let gate = Gate::new(1).max_wait(s(600));
        let layer = layer().queue_position(tell);
        let service = layer.layer(GateLayer::new(&gate).layer(thinks(s(40))));
        let read = async |request| drawn(service.clone().oneshot(request).await.unwrap()).await;
        let plain = Request::get("/").body(Empty::new()).unwrap();
        // One runs for 40 s, then the next one, and then the third: it is drawn from its 10th second on.
        let (_, _, third) = tokio::join!(read(plain), read(get()), read(get()));
        assert_eq!(third, format!("{EARLY}{line}"));
        assert_eq!(gate.stats().in_flight, 0);
    };
    check(
        TellPosition::Comment,
        concat!(
            r"0s=': queue position 2\n' 15s=: 30s=': queue position 1\n' 45s=: 60s=: ",
            r"75s=': queue position 0\n' 90s=: 105s=: 110s=a 110s=end"
        ),
    )
    .await;
    check(
        TellPosition::Event,
        concat!(
            r#"0s='event: queue\ndata: {"position":2}\n\n' 15s=: "#,
            r#"30s='event: queue\ndata: {"position":1}\n\n' 45s=: 60s=: "#,
            r#"75s='event: queue\ndata: {"position":0}\n\n' 90s=: 105s=: 110s=a 110s=end"#
        ),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_somebody_else_asked_for_is_told_to_both() {
    let gate = Gate::new(1).max_wait(s(600));
    let layer = layer().queue_position(TellPosition::Comment);
    let service = layer.layer(GateLayer::new(&gate).layer(thinks(s(40))));
    let position = QueuePosition::new();
    let mut request = get();
    request.extensions_mut().insert(position.clone());
    let held = tokio::spawn(service.clone().oneshot(get()));
    tokio::task::yield_now().await;
    let body = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(position.get(), Some(1));
    let line = timeline_for(body, s(1)).await;
    assert_eq!(line, r"0s=': queue position 1\n' 1s=open");
    assert_eq!(position.get(), None, "it has left");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_headers_limit_within_is_heard_in_the_stream() {
    let limits = TimeoutLayer::new(Timeouts::new().headers(s(30)));
    let service = layer().layer(limits.layer(service_fn(|_: Request<_>| after(s(600), || Ok(bare(200))))));
    let line = drawn(service.clone().oneshot(get()).await.unwrap()).await;
    assert!(
        line.starts_with(&format!("{EARLY}0s=: 15s=: 20s='event: error\\ndata: {{\"status\":504,")),
        "{line}"
    );
    assert!(line.contains("The request timed out: no response head for 30s (headers limit: 30s)."), "{line}");
    // And before the threshold it is what it was.
    let service = EarlyLayer::after(s(60)).layer(
        TimeoutLayer::new(Timeouts::new().headers(s(30)))
            .layer(service_fn(|_: Request<_>| after(s(600), || Ok(bare(200))))),
    );
    let answer = service.oneshot(get()).await.unwrap();
    assert_eq!(answer.status(), 504);
    assert!(answer.extensions().get::<TimeoutError>().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_first_byte_limit_within_ends_the_stream_in_its_own_words() {
    let limits = TimeoutLayer::new(Timeouts::new().first_byte(s(5))).retry(Duration::ZERO);
    let service = layer().layer(limits.layer(service_fn(|_: Request<_>| after(SLOW, || Ok(events("9s=a"))))));
    let line = drawn(service.oneshot(get()).await.unwrap()).await;
    let goodbye =
        r#"31s='retry: 0\nevent: timeout\ndata: {"phase":"first byte","limit_ms":5000}\n\n' 31s=end"#;
    assert_eq!(line, format!("{EARLY}0s=: 15s=: 30s=: {goodbye}"));
    // An answer that is no stream yet can still become an error.
    let limits = TimeoutLayer::new(Timeouts::new().inter_chunk(s(5)));
    let service =
        layer().layer(limits.layer(service_fn(|_: Request<_>| after(SLOW, || Ok(json("0s='{' 9s='}'"))))));
    let line = drawn(service.oneshot(get()).await.unwrap()).await;
    assert!(
        line.contains(r#"31s='event: error\ndata: {"status":500,"message":"The answer broke off."}"#),
        "{line}"
    );
}

/// What ends streams from the outside does it here too: a limit here, a drain in the same way.
#[tokio::test(start_paused = true)]
async fn an_end_from_the_outside_says_goodbye_and_drops_the_handler() {
    let open = Open::default();
    let there = open.clone();
    let early = layer().layer(service_fn(move |_: Request<_>| {
        let thinking = there.probe(script(""));
        Box::pin(async move {
            sleep(s(600)).await;
            Ok::<_, BoxError>(events("").map(|_| thinking))
        })
    }));
    let service = TimeoutLayer::new(Timeouts::new().total(s(30))).retry(Duration::ZERO).layer(early);
    let answer = service.oneshot(get()).await.unwrap();
    assert_eq!(open.count(), 1);
    let goodbye = r#"20s='retry: 0\nevent: timeout\ndata: {"phase":"total","limit_ms":30000}\n\n' 20s=end"#;
    assert_eq!(drawn(answer).await, format!("{EARLY}0s=: 15s=: {goodbye}"));
    assert_eq!(open.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_around_it_or_within_it_double_nothing() {
    let handler = || service_fn(|_: Request<Empty<Bytes>>| after(SLOW, || Ok(events("0s=a 20s=b 20s=end"))));
    let beats = || HeartbeatLayer::new(Heartbeat::every(s(15)).at_once());
    let expected = format!("{EARLY}0s=: 15s=: 26s=a 41s=: 46s=b 46s=end");
    let outside = beats().layer(layer().layer(handler()));
    assert_eq!(drawn(outside.oneshot(get()).await.unwrap()).await, expected);
    let inside = layer().layer(beats().layer(handler()));
    assert_eq!(drawn(inside.oneshot(get()).await.unwrap()).await, expected);
    let twice = layer().layer(EarlyLayer::after(s(20)).layer(handler()));
    // The inner one's head comes 20 s after the call, and its first beat with it.
    let expected = format!("{EARLY}0s=: 10s=: 25s=: 26s=a 41s=: 46s=b 46s=end");
    assert_eq!(drawn(twice.oneshot(get()).await.unwrap()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn it_beats_by_the_heartbeats_rules() {
    let line = async |heartbeat: Heartbeat| {
        let handler = service_fn(|_: Request<Empty<Bytes>>| {
            after(SLOW, || Ok(events(r"0s='data: a' 20s='\n\n' 20s=end")))
        });
        drawn(layer().heartbeat(heartbeat).layer(handler).oneshot(get()).await.unwrap()).await
    };
    let every = || Heartbeat::every(s(10));
    let half = r"26s='data: a' 46s='\n\n' 46s=end";
    assert_eq!(
        line(every()).await,
        format!("{EARLY}0s=: 10s=: 20s=: {half}"),
        "and none in the middle of an event"
    );
    let ping = every().beat(tower_lifeline::Beat::comment_line("hb")).most_in_a_row(2);
    assert_eq!(line(ping).await, format!("{EARLY}0s=:hb 10s=:hb {half}"));
    assert_eq!(line(every().pad_first(4)).await, format!(r"{EARLY}0s=':..\n' 10s=: 20s=: {half}"));
    assert_eq!(line(every().beat(tower_lifeline::Beat::none())).await, format!("{EARLY}{half}"));
    assert_eq!(line(every().after_content()).await, format!("{EARLY}{half}"));
}

#[tokio::test(start_paused = true)]
async fn who_bears_less_silence_gets_more_beats() {
    let mut request = get();
    request.extensions_mut().insert(SilenceHint::new(s(30)));
    let service = layer().layer(service_fn(|_: Request<_>| after(SLOW, || Ok(events("0s=a 0s=end")))));
    let line = drawn(service.oneshot(request).await.unwrap()).await;
    assert_eq!(line, format!("{EARLY}0s=: 10s=: 20s=: 26s=a 26s=end"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_any_more_is_told() {
    let late = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&late);
    let layer = layer().on_late(move |late| {
        let cookie = late.headers.get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
        told.lock().unwrap().push((late.status.as_u16(), cookie, late.extensions.get::<u8>().copied()));
    });
    let answer = |status| {
        move || {
            let mut response = events("0s=end");
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            response.headers_mut().insert("set-cookie", "a=b".parse().unwrap());
            response.extensions_mut().insert(7_u8);
            Ok(response)
        }
    };
    for (status, works) in [(201, FAST), (202, SLOW), (403, SLOW)] {
        let service = layer.layer(service_fn(move |_: Request<_>| after(works, answer(status))));
        service.oneshot(get()).await.unwrap().into_body().collect().await.unwrap();
    }
    let cookie = || Some("a=b".to_owned());
    assert_eq!(*late.lock().unwrap(), [(202, cookie(), Some(7)), (403, cookie(), Some(7))]);
    let EarlyStats { committed, answered, failed, .. } = layer.stats();
    assert_eq!((committed, answered, failed), (2, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_the_answer_is_counted_as_committed_only() {
    let layer = layer();
    let service = layer.layer(service_fn(|_: Request<_>| after(SLOW, || Ok(bare(200)))));
    drop(service.oneshot(get()).await.unwrap());
    let EarlyStats { committed, answered, failed, .. } = layer.stats();
    assert_eq!((committed, answered, failed), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn errors_are_written_as_the_operator_wants_them() {
    let fails = || status(503, of_type("text/plain", "0s='busy' 0s=end"));
    let row = Row::new(fails).with(|layer| layer.errors(ErrorFormat::OpenAi));
    let line = row.seen(SLOW).await;
    assert!(
        line.contains(
            r#"26s='data: {"error":{"message":"The answer is an error (503 Service Unavailable).""#
        ),
        "{line}"
    );
    let row = Row::new(fails).with(|layer| layer.errors(ErrorFormat::Anthropic));
    let line = row.seen(SLOW).await;
    assert!(
        line.contains(r#"26s='event: error\ndata: {"type":"error","error":{"type":"overloaded_error","#),
        "{line}"
    );
    let row = Row::new(fails).with(|layer| {
        layer.render(|failure| {
            assert_eq!(failure.kind(), FailureKind::Status);
            assert_eq!(failure.late().unwrap().status, 503);
            ErrorEvent::named("sorry", failure.body())
        })
    });
    assert_eq!(
        row.seen(SLOW).await,
        format!(r"{EARLY}0s=: 15s=: 26s='event: sorry\ndata: busy\n\n' 26s=end")
    );
    let row = Row::new(fails).with(|layer| layer.render(|_| ErrorEvent::none()));
    assert_eq!(row.seen(SLOW).await, format!("{EARLY}0s=: 15s=: 26s=end"));
}

#[tokio::test(start_paused = true)]
async fn a_json_rpc_error_has_the_id_that_somebody_knows() {
    let seen = async |request: Request<Empty<Bytes>>, answer: fn() -> Result<Response<Script>, BoxError>| {
        let service = layer().layer(service_fn(move |_: Request<_>| after(SLOW, answer)));
        drawn(service.oneshot(request).await.unwrap()).await
    };
    let known = || {
        let mut request = mcp();
        request.extensions_mut().insert(RequestId::from(7));
        request
    };
    let id = |line: String| {
        line.split_once(r#""2.0","#).unwrap().1.split_once(r#","error""#).map(|(id, _)| id.to_owned())
    };
    assert_eq!(id(seen(known(), || Ok(bare(500))).await).unwrap(), r#""id":7"#);
    assert_eq!(id(seen(known(), || Err("no".into())).await).unwrap(), r#""id":7"#);
    let by_answer = || {
        let mut response = bare(500);
        response.extensions_mut().insert(RequestId::from("x"));
        Ok(response)
    };
    assert_eq!(id(seen(known(), by_answer).await).unwrap(), r#""id":"x""#, "the answer knows better");
    let by_ending = || {
        let mut response = bare(500);
        response.extensions_mut().insert(Ending::Mcp { id: Some(RequestId::from(9)) });
        Ok(response)
    };
    assert_eq!(id(seen(mcp(), by_ending).await).unwrap(), r#""id":9"#);
    assert_eq!(id(seen(mcp(), || Ok(bare(500))).await), None, "nobody does");
    let of_nobody =
        || Ok(status(400, json(r#"0s='{"jsonrpc":"2.0","id": null,"error":{"code":-32600}}' 0s=end"#)));
    assert_eq!(id(seen(known(), of_nobody).await).unwrap(), r#""id":7"#);
    assert_eq!(id(seen(mcp(), of_nobody).await).unwrap(), r#""id": null"#, "as it was");
}

#[tokio::test(start_paused = true)]
async fn the_layer_stands_in_front_of_an_axum_app() {
    use axum::response::IntoResponse;
    use axum::{Router, routing::get as on_get};
    let chat = async || {
        sleep(SLOW).await;
        axum::Json(serde_json::json!({ "answer": 42 })).into_response()
    };
    let app: Router = Router::new().route("/", on_get(chat)).layer(layer());
    let request =
        Request::get("/").header("accept", "text/event-stream").body(axum::body::Body::empty()).unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    assert_eq!(drawn(answer).await, format!(r#"{EARLY}0s=: 15s=: 26s='data: {{"answer":42}}\n\n' 26s=end"#));
    let plain = Request::get("/").body(Full::<Bytes>::default()).unwrap();
    let answer = app.oneshot(plain).await.unwrap();
    assert_eq!(drawn(answer).await, r#"200 application/json: 0s='{"answer":42}' 0s=end"#);
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_heartbeat_stays_below_the_idle_timer_that_cuts_early_streams() {
    let observer = Observer::new();
    let heartbeat = Heartbeat::adaptive(s(2), s(60));
    let pace = heartbeat.pace().unwrap();
    (0..9).for_each(|_| pace.probe());
    let service = ObserveLayer::new(&observer).layer(
        layer().heartbeat(heartbeat).layer(service_fn(|_: Request<_>| after(s(75), || Ok(bare(204))))),
    );
    let line = async || drawn(service.clone().oneshot(get()).await.unwrap()).await;
    assert_eq!(line().await, format!("{EARLY}0s=: 60s=: 65s=end"));
    for number in 0..20 {
        // Their clients are cut behind the first beat, before the handler has said anything.
        let mut body = service.clone().oneshot(get()).await.unwrap().into_body();
        let reads = async { while body.frame().await.is_some() {} };
        assert!(tokio::time::timeout(s(20) + Duration::from_millis(number), reads).await.is_err());
    }
    assert_eq!(
        line().await,
        format!("{EARLY}0s=: 10.004s=: 20.008s=: 30.012s=: 40.016s=: 50.02s=: 60.024s=: 65s=end")
    );
    observer.forget();
    assert_eq!(line().await, format!("{EARLY}0s=: 60s=: 65s=end"));
}
