//! Heads that come before the answer, as real proxies and clients see them.

use std::time::Duration;

use axum::Router;
use http::Version;
use real::answers::{self, Answer, without_comments};
use real::browser::{AtAnEnd, Page};
use real::client::{Client, End, Reading, in_time};
use real::process::{find, output};
use real::proxies;
use real::server::Server;
use tower_lifeline::{EarlyLayer, Heartbeat};

use crate::chromium::CHROMIUM;
use crate::nginx::{BUFFERING, BY_WHOLE_BUFFERS, NOT_BUFFERING};

fn early(millis: u64) -> EarlyLayer {
    let millis = Duration::from_millis(millis);
    EarlyLayer::after(millis).heartbeat(Heartbeat::every(millis))
}

/// What a client behind an nginx with a patience of 2 s sees of a handler that thinks for 7 s: status and text.
async fn behind_nginx(settings: &str, app: Router) -> Option<(u16, String)> {
    let nginx = find(&["nginx"])?;
    let server = Server::start(app).await;
    let proxy = proxies::nginx(&nginx, server.at, settings).await;
    let mut client = Client::connect(proxy.at, Version::HTTP_11).await;
    let request = http::Request::post("/json").header("accept", "application/json, text/event-stream");
    let response = client.send(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let mut reading = Reading::new(response);
    reading.to_end().await;
    assert_eq!(reading.end, Some(End::Finished));
    Some((status, String::from_utf8(reading.bytes).unwrap()))
}

#[tokio::test]
async fn a_handler_that_thinks_for_longer_than_nginx_has_patience_is_heard_with_the_layer_and_a_504_without()
{
    let thinks = || answers::app(Duration::from_secs(7));
    let with = async |settings| behind_nginx(settings, thinks().layer(early(500))).await;
    let without = async |settings| behind_nginx(settings, thinks()).await;
    let all = async {
        tokio::join!(with(BUFFERING), with(NOT_BUFFERING), with(BY_WHOLE_BUFFERS), without(BUFFERING))
    };
    let (buffering, not_buffering, by_whole_buffers, without) = in_time(all).await;
    let Some(without) = without else { return };
    for with in [buffering, not_buffering, by_whole_buffers] {
        let (status, text) = with.unwrap();
        assert_eq!((status, without_comments(&text).as_str()), (200, "data: {\"a\":1}\n\n"));
        assert!(text.starts_with(":\n:\n"), "{text:?}");
    }
    assert_eq!(without.0, 504, "{without:?}");
}

/// A server whose answers take longer than its layer waits.
async fn late() -> Server {
    Server::start(answers::app(Duration::from_millis(700)).layer(early(200))).await
}

fn check(answer: &Answer, text: &str) {
    let Answer { path, begins, whole, .. } = answer;
    let events = without_comments(text);
    // Not `assert_eq`: one of them is half a megabyte.
    assert!(if *whole { events == *begins } else { events.starts_with(begins) }, "{path}: {events:.300}");
    assert!(events.is_empty() || events.ends_with("\n\n"), "{path}: it ends in a whole event");
    assert!(text.starts_with(":\n"), "{path}: it was early");
}

#[tokio::test]
async fn curl_reads_every_answer_to_its_end() {
    let Some(curl) = find(&["curl"]) else { return };
    let server = late().await;
    for version in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
        for answer in answers::all() {
            let url = format!("http://{}{}", server.at, answer.path);
            let accept = "accept: text/event-stream, application/json";
            let told = "\n%{http_code} %{content_type}";
            let arguments = ["-sS", "--max-time", "60", version, "-H", accept, "-d", "", "-w", told, &url];
            let output = in_time(output(&curl, &arguments)).await;
            assert_eq!(output.code, Some(0), "{version} {}: {}", answer.path, output.err);
            let (text, told) = output.out.rsplit_once('\n').unwrap();
            assert_eq!(told, "200 text/event-stream", "{version} {}", answer.path);
            check(&answer, text);
        }
    }
}

#[tokio::test]
async fn chromium_reads_every_answer_to_its_end() {
    let Some(chromium) = find(&CHROMIUM) else { return };
    let paths: Vec<_> = answers::all().iter().map(|answer| answer.path.to_owned()).collect();
    let app = answers::app(Duration::from_millis(700)).layer(early(200));
    let (page, app) = Page::with_fetched(&paths, &paths, AtAnEnd::Stop, app);
    let server = Server::start(app).await;
    let (results, _) = in_time(page.read(&chromium, server.at)).await;
    for answer in answers::all() {
        let [fetched] = &results[&format!("fetch {}", answer.path)][..] else { panic!("one answer") };
        let [status, media_type, text] = &fetched[..] else { panic!("{} failed: {fetched:?}", answer.path) };
        assert_eq!((status.as_str(), media_type.as_str()), ("200", "text/event-stream"), "{}", answer.path);
        check(&answer, text);

        let got = &results[answer.path];
        let first = got.first().unwrap();
        match answer.path {
            "/events" => assert_eq!(*got, [["message", "one", ""], ["done", "two", ""]]),
            "/json" => assert_eq!(*got, [&["message", "{\"a\":1}", ""][..], &["error"]]),
            "/lines" => assert_eq!(*got, [&["message", "{\n\"a\":\n1\n}", ""][..], &["error"]]),
            "/text" => assert_eq!(*got, [&["message", "so it is", ""][..], &["error"]]),
            "/long" => assert!(first[0] == "message" && first[1].len() == answers::LONG + 2),
            "/empty" | "/none" => assert_eq!(*got, [["error"]], "it ends without an event"),
            _ => {
                let data = &answer.begins.split_once("data: ").unwrap().1;
                assert!(first[0] == "error" && first[1].starts_with(data), "{}: {got:?}", answer.path);
            }
        }
    }
}
