//! What a heartbeat does on an ordinary day, as drawn time lines.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Extension;
use axum::middleware::map_response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::get;
use axum::{Json, Router};
use futures_core::Stream;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;
use tower_lifeline::testing::{Script, script, timeline, timeline_for};
use tower_lifeline::{
    Beat, Dialect, Heartbeat, HeartbeatBody, HeartbeatLayer, HeartbeatOverride, MidEvent, Rhythm,
};

use crate::support::streams::{BEATEN, EVENTS, SLOW, answer, drawn, look, secs, slow};

#[tokio::test(start_paused = true)]
async fn a_silent_stream_beats_every_fifteen_seconds() {
    let check = async |inner: &str, outer: &str| {
        assert_eq!(drawn(inner, Heartbeat::default()).await, outer);
    };
    check(SLOW, BEATEN).await;
    check("40s=a 41s=end", "15s=: 30s=: 40s=a 41s=end").await;
    check("0s=a 10s=b 20s=c 30s=end", "0s=a 10s=b 20s=c 30s=end").await;
    check("0s=a 10s=b 40s=end", "0s=a 10s=b 25s=: 40s=end").await;
    // What is ready at the same moment takes a beat's place, and an empty frame breaks no silence.
    check("0s=a 15s=b 30s=end", "0s=a 15s=b 30s=end").await;
    check("0s=a 10s='' 20s=end", "0s=a 10s='' 15s=: 20s=end").await;
    check("0s=a 20s=error(broken)", "0s=a 15s=: 20s=error(broken)").await;

    let endless = HeartbeatBody::new(script(""), Heartbeat::default());
    assert_eq!(timeline_for(endless, secs(31)).await, "15s=: 30s=: 31s=open");
}

#[tokio::test(start_paused = true)]
async fn a_periodic_beat_comes_whatever_else_is_written() {
    let periodic = || Heartbeat::default().rhythm(Rhythm::Periodic);
    assert_eq!(drawn("0s=a 10s=b 20s=c 31s=end", periodic()).await, "0s=a 10s=b 15s=: 20s=c 30s=: 31s=end");
    assert_eq!(
        drawn(r"0s=a 14s='data: b' 20s='\n\n' 36s=end", periodic()).await,
        r"0s=a 14s='data: b' 20s='\n\n' 20s=: 35s=: 36s=end"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_beat_can_come_at_once() {
    let at_once = || Heartbeat::default().at_once();
    assert_eq!(drawn("20s=a 21s=end", at_once()).await, "0s=: 15s=: 20s=a 21s=end");
    // Data or half an event that is ready takes its place.
    assert_eq!(drawn("0s=a 20s=end", at_once()).await, "0s=a 15s=: 20s=end");
    let half = r"0s='data: a' 20s='\n\n' 21s=end";
    assert_eq!(drawn(half, at_once()).await, half);
}

#[tokio::test(start_paused = true)]
async fn only_the_first_beat_is_padded() {
    let padded = || Heartbeat::default().pad_first(8);
    assert_eq!(drawn("31s=end", padded()).await, r"15s=':......\n' 30s=: 31s=end");
    assert_eq!(drawn("0s=a 16s=end", padded().at_once()).await, r"0s=a 0s=':......\n' 15s=: 16s=end");
    let block = padded().beat(Beat::comment_block("hb"));
    assert_eq!(drawn("16s=end", block).await, r"15s=': hb..\n\n' 16s=end");
    let event = padded().beat(Beat::event("ping", "1"));
    assert_eq!(drawn("16s=end", event).await, r"15s='event: ping\ndata: 1\n\n' 16s=end");
}

/// The gaps in front of the first beats of a stream.
async fn gaps(heartbeat: Heartbeat) -> Vec<Duration> {
    let mut body = pin!(HeartbeatBody::new(script(""), heartbeat));
    let mut gaps = Vec::new();
    for _ in 0..5 {
        let before = Instant::now();
        body.frame().await.unwrap().unwrap();
        gaps.push(before.elapsed());
    }
    gaps
}

#[tokio::test(start_paused = true)]
async fn jitter_brings_each_beat_forward_and_never_back() {
    for rhythm in [Rhythm::Silence, Rhythm::Periodic] {
        let mut all = Vec::new();
        for _ in 0..50 {
            all.extend(gaps(Heartbeat::default().rhythm(rhythm).jitter(secs(3))).await);
        }
        // The clock of the tests ticks in milliseconds.
        let tick = Duration::from_millis(1);
        assert!(all.iter().all(|gap| (secs(12) - tick..=secs(15) + tick).contains(gap)), "{all:?}");
        let early = all.iter().filter(|gap| **gap < secs(13)).count();
        let late = all.iter().filter(|gap| **gap > secs(14)).count();
        assert!(early > 25 && late > 25, "{all:?}");
    }
    assert_eq!(gaps(Heartbeat::default()).await, [secs(15); 5]);
}

#[tokio::test(start_paused = true)]
async fn beats_in_a_row_can_be_capped() {
    let two = || Heartbeat::default().most_in_a_row(2);
    assert_eq!(drawn("0s=a 70s=b 130s=end", two()).await, "0s=a 15s=: 30s=: 70s=b 85s=: 100s=: 130s=end");
    assert_eq!(drawn("70s=end", two().at_once()).await, "0s=: 15s=: 70s=end");
    // An event of type ping says no more than a beat does.
    let ping = r"50s='event: ping\ndata: {}\n\n' 90s=end";
    assert_eq!(drawn(ping, two()).await, format!("15s=: 30s=: {ping}"));
}

#[tokio::test(start_paused = true)]
async fn a_comment_line_may_be_let_into_an_event() {
    let check = async |inner: &str, outer: &str| {
        assert_eq!(drawn(inner, Heartbeat::default()).await, inner);
        assert_eq!(drawn(inner, Heartbeat::default().mid_event(MidEvent::CommentLine)).await, outer);
    };
    check(
        r"0s='event: x\n' 20s='data: a\n' 40s='\n' 41s=end",
        r"0s='event: x\n' 15s=: 20s='data: a\n' 35s=: 40s='\n' 41s=end",
    )
    .await;
    check(r"0s='data: a\r\n' 20s='\r\n' 21s=end", r"0s='data: a\r\n' 15s=: 20s='\r\n' 21s=end").await;
    check(r"0s='data: a\r' 20s='\r' 21s=end", r"0s='data: a\r' 20s='\r' 21s=end").await;
    check(r"0s='data: a' 20s='\n\n' 21s=end", r"0s='data: a' 20s='\n\n' 21s=end").await;
}

/// Settings that write down what they are told.
fn telling(heartbeat: Heartbeat) -> (Heartbeat, impl Fn() -> Vec<String>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&told);
    let heartbeat = heartbeat.on_event(move |event| writer.lock().unwrap().push(format!("{event:?}")));
    (heartbeat, move || std::mem::take(&mut *told.lock().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn a_held_beat_is_told_once_a_silence() {
    let (heartbeat, told) = telling(Heartbeat::default());
    drawn(r"0s='data: a' 60s='b' 90s='\n\n' 110s=end", heartbeat).await;
    assert_eq!(
        told(),
        [
            "Held { silent: 15s }",
            "Held { silent: 15s }",
            "Ended { end: Finished, beats: Beats { sent: 1, held: 2, late: 0, unread: 0 } }"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_beat_is_told_and_so_is_a_drop() {
    let (heartbeat, told) = telling(Heartbeat::default());
    {
        let mut body = pin!(HeartbeatBody::new(script(""), heartbeat));
        for pause in [0, 40, 15, 16] {
            sleep(secs(pause)).await;
            look(body.as_mut());
            assert_eq!(look(body.as_mut()), None);
        }
        // A tenth of an interval is no delay worth a word; 25 s are.
        assert_eq!(told(), ["Late { by: 25s }"]);
    }
    assert_eq!(told(), ["Ended { end: Dropped, beats: Beats { sent: 3, held: 0, late: 1, unread: 0 } }"]);
}

#[tokio::test(start_paused = true)]
async fn every_end_is_told_once() {
    for (inner, end) in [("0s=a 0s=end", "Finished"), ("1s=end", "Finished"), ("0s=error(broken)", "Failed")]
    {
        let (heartbeat, told) = telling(Heartbeat::default());
        drawn(inner, heartbeat).await;
        assert_eq!(
            told(),
            [format!("Ended {{ end: {end}, beats: Beats {{ sent: 0, held: 0, late: 0, unread: 0 }} }}")]
        );
    }
}

/// What a layer makes of a response to `GET /path`, drawn.
async fn layered(layer: &HeartbeatLayer, path: &str, response: Response<Script>) -> String {
    let request = Request::builder().uri(path).body(()).unwrap();
    timeline(answer(layer, request, response).await.into_body()).await
}

#[tokio::test(start_paused = true)]
async fn newline_delimited_json_has_empty_lines_for_beats() {
    let lines = r"0s='{}\n' 20s='{' 40s='}\n' 70s=end";
    let response = || slow(200, &[("content-type", "application/x-ndjson")]).map(|_| script(lines));
    for beat in [Beat::default(), Beat::comment_block("hb"), Beat::event("ping", "{}")] {
        let layer = HeartbeatLayer::new(Heartbeat::default().beat(beat)).nd_json();
        let expected = r"0s='{}\n' 15s='\n' 20s='{' 40s='}\n' 55s='\n' 70s=end";
        assert_eq!(layered(&layer, "/", response()).await, expected);
    }
    assert_eq!(layered(&HeartbeatLayer::default(), "/", response()).await, lines);
    let none = HeartbeatLayer::new(Heartbeat::default().beat(Beat::none())).nd_json();
    assert_eq!(layered(&none, "/", response()).await, lines);
}

#[tokio::test(start_paused = true)]
async fn a_request_can_have_a_heartbeat_of_its_own_and_the_handler_has_the_last_word() {
    let layer = HeartbeatLayer::default().per_request(|request| match request.uri.path() {
        "/fast" => Some(HeartbeatOverride::new().interval(secs(20)).beat(Beat::comment_line("fast"))),
        "/off" => Some(HeartbeatOverride::off()),
        _ => None,
    });
    let own = |wish: HeartbeatOverride| {
        let mut response = slow(200, &[EVENTS]);
        response.extensions_mut().insert(wish);
        response
    };
    assert_eq!(layered(&layer, "/", slow(200, &[EVENTS])).await, BEATEN);
    assert_eq!(layered(&layer, "/fast", slow(200, &[EVENTS])).await, "0s=a 20s=:fast 40s=b 41s=end");
    assert_eq!(layered(&layer, "/off", slow(200, &[EVENTS])).await, SLOW);

    assert_eq!(layered(&layer, "/fast", own(HeartbeatOverride::off())).await, SLOW);
    let slower = HeartbeatOverride::new().interval(secs(30));
    assert_eq!(layered(&layer, "/fast", own(slower.clone())).await, "0s=a 30s=: 40s=b 41s=end");
    assert_eq!(layered(&layer, "/off", own(slower)).await, "0s=a 30s=: 40s=b 41s=end");
    assert_eq!(layered(&layer, "/fast", own(HeartbeatOverride::new())).await, BEATEN);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_interval_cuts_the_jitter_to_its_half() {
    let layer = HeartbeatLayer::new(Heartbeat::default().jitter(secs(7)));
    let mut response = slow(200, &[EVENTS]).map(|_| script(""));
    response.extensions_mut().insert(HeartbeatOverride::new().interval(secs(2)));
    let mut body = pin!(answer(&layer, Request::new(()), response).await.into_body());
    for _ in 0..100 {
        let before = Instant::now();
        body.frame().await.unwrap().unwrap();
        let gap = before.elapsed();
        assert!(gap >= Duration::from_millis(999) && gap <= Duration::from_millis(2001), "{gap:?}");
    }
}

const WISHES: [&str; 3] = ["x-accel-buffering", "cache-control", "incremental"];

/// The headers that ask for no buffering, as they leave a layer.
async fn wishes(layer: &HeartbeatLayer, response: Response<Script>) -> [Vec<String>; 3] {
    let response = answer(layer, Request::new(()), response).await;
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    WISHES.map(|name| response.headers().get_all(name).iter().map(text).collect())
}

#[tokio::test(start_paused = true)]
async fn a_beating_response_asks_not_to_be_buffered() {
    let check = async |layer: &HeartbeatLayer, headers: &[(&str, &str)], expected: [&str; 3]| {
        let expected = expected.map(|value| if value.is_empty() { vec![] } else { vec![value.to_owned()] });
        assert_eq!(wishes(layer, slow(200, headers)).await, expected, "{headers:?}");
    };
    let layer = HeartbeatLayer::default();
    check(&layer, &[EVENTS], ["no", "no-cache, no-transform", "?1"]).await;
    // What the handler has said stays.
    check(&layer, &[EVENTS, ("cache-control", "no-store")], ["no", "no-store", "?1"]).await;
    check(&layer, &[EVENTS, ("x-accel-buffering", "yes")], ["yes", "no-cache, no-transform", "?1"]).await;
    check(&layer, &[EVENTS, ("incremental", "?0")], ["no", "no-cache, no-transform", "?0"]).await;
    // A response without a heartbeat says nothing new.
    check(&layer, &[], ["", "", ""]).await;
    check(&layer, &[EVENTS, ("content-length", "18")], ["", "", ""]).await;

    let none = HeartbeatLayer::new(Heartbeat::default().beat(Beat::none()));
    check(&none, &[EVENTS], ["no", "no-cache, no-transform", "?1"]).await;
    let off = HeartbeatLayer::default().per_request(|_| Some(HeartbeatOverride::off()));
    check(&off, &[EVENTS], ["", "", ""]).await;
    let kept = HeartbeatLayer::default().keep_headers();
    check(&kept, &[EVENTS], ["", "", ""]).await;
    assert_eq!(layered(&kept, "/", slow(200, &[EVENTS])).await, BEATEN);
}

#[tokio::test(start_paused = true)]
async fn no_beat_at_all_is_a_choice_too() {
    assert_eq!(drawn(SLOW, Heartbeat::default().beat(Beat::none())).await, SLOW);
    let wish = HeartbeatOverride::new().beat(Beat::none());
    let layer = HeartbeatLayer::default().per_request(move |_| Some(wish.clone()));
    assert_eq!(layered(&layer, "/", slow(200, &[EVENTS])).await, SLOW);
}

#[tokio::test(start_paused = true)]
async fn the_operator_can_select_responses() {
    let layer =
        HeartbeatLayer::default().select(|response| match response.headers.get("x-kind")?.as_bytes() {
            b"events" => Some(Dialect::EventStream),
            b"lines" => Some(Dialect::NdJson),
            _ => None,
        });
    assert_eq!(layered(&layer, "/", slow(200, &[("x-kind", "events")])).await, BEATEN);
    assert_eq!(layered(&layer, "/", slow(500, &[("x-kind", "events")])).await, BEATEN);
    assert_eq!(
        layered(&layer, "/", slow(200, &[("x-kind", "lines")])).await,
        r"0s=a 15s='\n' 30s='\n' 40s=b 41s=end"
    );
    assert_eq!(layered(&layer, "/", slow(200, &[EVENTS, ("x-kind", "other")])).await, SLOW);
    assert_eq!(layered(&layer, "/", slow(200, &[EVENTS])).await, SLOW);
}

#[tokio::test(start_paused = true)]
async fn an_inner_heartbeat_that_stops_does_not_stop_the_outer_one() {
    let inner = |stream| {
        let own = Heartbeat::every(secs(10)).beat(Beat::comment_line("inner")).most_in_a_row(2);
        HeartbeatBody::new(script(stream), own)
    };
    assert_eq!(
        timeline(HeartbeatBody::new(inner("0s=a 60s=b 61s=end"), Heartbeat::default())).await,
        "0s=a 10s=:inner 20s=:inner 35s=: 50s=: 60s=b 61s=end"
    );
    // The same when the comments of an upstream come behind events and in pieces.
    assert_eq!(
        drawn(r"0s=a+:hb 20s=':' 21s=' hb\n' 40s=end", Heartbeat::default()).await,
        r"0s=a+:hb 15s=: 20s=':' 21s=' hb\n' 36s=: 40s=end"
    );
}

/// One event after 40 s.
fn late_event() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::once(async {
        sleep(secs(40)).await;
        Ok(Event::default().data("a"))
    }))
}

async fn fetch(app: &Router, path: &str) -> AxumResponse {
    let request = Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_route_of_an_axum_router_can_have_its_own() {
    let faster = map_response(async |mut response: AxumResponse| {
        response.extensions_mut().insert(HeartbeatOverride::new().interval(secs(30)));
        response
    });
    let app = Router::new()
        .route("/default", get(async || late_event()))
        .route("/off", get(async || (Extension(HeartbeatOverride::off()), late_event())))
        .route("/slower", get(async || late_event()).layer(faster))
        .route("/own", get(async || late_event().keep_alive(KeepAlive::default())))
        .route("/json", get(async || Json([1, 2, 3]).into_response()))
        .layer(HeartbeatLayer::default());

    for (path, expected) in [
        ("/default", "15s=: 30s=: 40s=a 40s=end"),
        ("/off", "40s=a 40s=end"),
        ("/slower", "30s=: 40s=a 40s=end"),
        // axum's own beats, and none of ours between them.
        ("/own", r"15s=':\n\n' 30s=':\n\n' 40s=a 40s=end"),
        ("/json", "0s='[1,2,3]' 0s=end"),
    ] {
        let response = fetch(&app, path).await;
        let asks = response.headers().contains_key("x-accel-buffering");
        assert_eq!(asks, !matches!(path, "/off" | "/json"), "{path}");
        let length = response.headers().get("content-length").map(http::HeaderValue::as_bytes);
        assert_eq!(length, (path == "/json").then_some(&b"7"[..]), "{path}");
        assert_eq!(timeline(response.into_body()).await, expected, "{path}");
    }
}
