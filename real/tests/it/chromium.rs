//! `EventSource` as a browser has it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Frame;
use real::browser::{AtAnEnd, Page};
use real::client::in_time;
use real::process::find;
use real::proxies;
use real::server::{Server, event_stream};
use real::streams;
use tokio::time::Instant;
use tower_lifeline::{Beat, Heartbeat, HeartbeatEvent, HeartbeatLayer, MidEvent, TimeoutLayer, Timeouts};

pub(crate) const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const EVENTS: [&str; 6] = [
    "id: 1\ndata: one\n\n",
    "event: delta\nid: 2\ndata: two\n\n",
    "data: first line\ndata: second line\n\n",
    "id: 4\ndata: grüß dich, 世界 🦀\n\n",
    "event: delta\r\nid: 5\r\ndata: with CRLF\r\n\r\n",
    "event: done\nid: 6\ndata: bye\n\n",
];

const GOT: [[&str; 3]; 6] = [
    ["message", "one", "1"],
    ["delta", "two", "2"],
    ["message", "first line\nsecond line", "2"],
    ["message", "grüß dich, 世界 🦀", "4"],
    ["delta", "with CRLF", "5"],
    ["done", "bye", "6"],
];

#[tokio::test]
async fn events_come_through_an_impatient_nginx_on_one_connection() {
    let (Some(nginx), Some(chromium)) = (find(&["nginx"]), find(&CHROMIUM)) else { return };
    let events = Router::new().route(
        "/events",
        get(async || {
            let silences = [0, 3, 3, 3, 3, 3].map(Duration::from_secs);
            event_stream(silences.into_iter().zip(EVENTS.map(Bytes::from)).collect())
        }),
    );
    let beating = |beat| {
        let heartbeat = Heartbeat::every(Duration::from_millis(500)).beat(beat);
        events.clone().layer(HeartbeatLayer::new(heartbeat))
    };
    let app = Router::new()
        .nest("/line", beating(Beat::comment_line("")))
        .nest("/block", beating(Beat::comment_block("still here")))
        .nest("/none", events.clone());
    let paths = ["/block/events", "/line/events", "/none/events"].map(str::to_owned);
    let (page, app) = Page::new(&paths, AtAnEnd::Stop, app);
    let server = Server::start(app).await;
    let proxy = proxies::nginx(&nginx, server.at, crate::nginx::BUFFERING).await;

    let (results, requests) = in_time(page.read(&chromium, proxy.at)).await;

    assert_eq!(results["/line/events"], GOT);
    assert_eq!(results["/block/events"], GOT);
    assert_eq!(results["/none/events"], [&GOT[0][..], &["error"]], "without the layer it is cut");
    assert_eq!(requests, paths, "nobody has connected again");
}

#[tokio::test]
async fn no_event_of_a_random_stream_is_changed() {
    const STREAMS: u64 = 40;
    let Some(chromium) = find(&CHROMIUM) else { return };
    let sent = Arc::new(AtomicU32::new(0));
    let held = Arc::new(AtomicU32::new(0));
    let random = Router::new()
        .route("/{seed}", get(async |Path(seed): Path<u64>| event_stream(streams::random(seed))));
    let beating = |heartbeat: Heartbeat| {
        let (sent, held) = (sent.clone(), held.clone());
        let heartbeat = heartbeat.on_event(move |event| {
            if let HeartbeatEvent::Ended { beats, .. } = event {
                sent.fetch_add(beats.sent, Ordering::Relaxed);
                held.fetch_add(beats.held, Ordering::Relaxed);
            }
        });
        random.clone().layer(HeartbeatLayer::new(heartbeat))
    };
    let every = Heartbeat::every(Duration::from_millis(10));
    let app = Router::new()
        .nest("/bare", random.clone())
        .nest("/line", beating(every.clone()))
        .nest("/block", beating(every.clone().beat(Beat::comment_block("hb"))))
        .nest("/mid-event", beating(every.mid_event(MidEvent::CommentLine)));
    let path = |form: &str, seed| format!("/{form}/{seed}");
    let mut paths: Vec<_> = (0..STREAMS)
        .flat_map(|seed| ["bare", "line", "block", "mid-event"].map(|form| path(form, seed)))
        .collect();
    let (page, app) = Page::new(&paths, AtAnEnd::Stop, app);
    let server = Server::start(app).await;

    let (results, requests) = in_time(page.read(&chromium, server.at)).await;

    let mut events = 0;
    for seed in 0..STREAMS {
        let bare = &results[&path("bare", seed)];
        assert_eq!(bare.last().expect("an event")[0], "done", "stream {seed}");
        for form in ["line", "block", "mid-event"] {
            assert_eq!(&results[&path(form, seed)], bare, "stream {seed} with beats by {form}");
        }
        events += bare.len();
    }
    paths.sort_unstable();
    assert_eq!(requests, paths, "nobody has connected again");
    let (sent, held) = (sent.load(Ordering::Relaxed), held.load(Ordering::Relaxed));
    println!("{events} events; beats: {sent} sent, {held} held");
    assert!(events > 100 && sent > 100 && held > 100, "{events} events, {sent} sent, {held} held");
}

#[tokio::test]
async fn a_page_that_is_told_of_a_timeout_connects_again_when_it_was_told() {
    /// What Chromium waits for when it is told nothing.
    const ITS_OWN: Duration = Duration::from_secs(3);
    let Some(chromium) = find(&CHROMIUM) else { return };
    let told = Arc::new(OnceLock::new());
    let overheard = told.clone();
    let overhear = move |frame: Frame<Bytes>| {
        let said = str::from_utf8(frame.data_ref().expect("no trailers")).expect("text");
        if let Some(retry) = said.lines().find_map(|line| line.strip_prefix("retry: ")) {
            let told = (Instant::now(), Duration::from_millis(retry.parse().expect("a number")));
            overheard.set(told).expect("one timeout");
        }
        frame
    };
    let overhear = move |response: Response| {
        let overhear = overhear.clone();
        async move { response.map(|body| Body::new(body.map_frame(overhear))) }
    };
    let back = Arc::new(OnceLock::new());
    let came = back.clone();
    let events = async move |headers: HeaderMap| {
        let Some(last_id) = headers.get("last-event-id") else {
            let one = (Duration::ZERO, "id: 7\ndata: one\n\n".into());
            return event_stream(vec![one, (Duration::MAX, Bytes::new())]);
        };
        came.set((Instant::now(), last_id.clone())).expect("it comes back once");
        event_stream(vec![(Duration::ZERO, "event: done\ndata: bye\n\n".into())])
    };
    let limits = Timeouts::new().inter_chunk(Duration::from_millis(300));
    // Half of it is the least that is told.
    let limits = TimeoutLayer::new(limits).retry(ITS_OWN * 5 / 2);
    let app = Router::new().route("/events", get(events)).layer(limits);
    let app = app.layer(middleware::map_response(overhear));
    let (page, app) = Page::new(&["/events".to_owned()], AtAnEnd::Reconnect, app);
    let server = Server::start(app).await;

    let (results, requests) = in_time(page.read(&chromium, server.at)).await;

    let timeout = r#"{"phase":"inter-chunk","limit_ms":300}"#;
    let got = [&["message", "one", "7"][..], &["timeout", timeout, "7"], &["error"], &["done", "bye", "7"]];
    assert_eq!(results["/events"], got);
    assert_eq!(requests, ["/events"; 2]);
    let (ended, retry) = told.get().expect("it was told");
    let (came, last_id) = back.get().expect("it came back");
    assert_eq!(last_id, "7");
    let away = *came - *ended;
    println!("told to stay away for {retry:?}, and did for {away:?}");
    assert!(ITS_OWN < *retry && *retry <= away, "{retry:?} {away:?}");
}
