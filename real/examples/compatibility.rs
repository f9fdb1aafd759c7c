//! A server for `scripts/compatibility`: the same streams with each form of beat, for clients of all kinds.
//!
//! Prints its address, then what Chromium's page sends in, and ends with its standard input.

use std::io::Read;
use std::time::Duration;

use axum::Router;
use axum::response::{Html, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use real::server::{Server, event_stream};
use real::tool;
use tower_lifeline::{Beat, EarlyLayer, Heartbeat, HeartbeatLayer};

const SILENCE: Duration = Duration::from_millis(200);
const INTERVAL: Duration = Duration::from_millis(60);

fn forms() -> [(&'static str, Beat); 6] {
    [
        ("none", Beat::none()),
        ("line", Beat::default()),
        ("line-text", Beat::comment_line("hb")),
        ("block", Beat::comment_block("hb")),
        ("event", Beat::event("ping", "{}")),
        ("json-rpc", Beat::json_rpc("notifications/heartbeat")),
    ]
}

/// Each of them behind a silence in which beats are due.
fn stream(events: impl IntoIterator<Item = String>) -> Response {
    event_stream(events.into_iter().map(|event| (SILENCE, Bytes::from(event))).collect())
}

const WORDS: [&str; 3] = ["one", "two", "three"];

async fn events() -> Response {
    stream(WORDS.iter().zip(1..).map(|(word, id)| format!("id: {id}\ndata: {word}\n\n")))
}

async fn chat() -> Response {
    let chunk = |word: &&str| {
        format!(
            r#"data: {{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"content":"{word}"}},"finish_reason":null}}]}}"#
        ) + "\n\n"
    };
    stream(WORDS.iter().map(chunk).chain(["data: [DONE]\n\n".to_owned()]))
}

async fn generate() -> Response {
    let chunk = |word: &&str| {
        format!(
            r#"data: {{"candidates":[{{"index":0,"content":{{"role":"model","parts":[{{"text":"{word}"}}]}}}}]}}"#
        ) + "\r\n\r\n"
    };
    stream(WORDS.iter().map(chunk))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let page = include_str!("../compatibility/page.html")
        .replace("FORMS", &format!("{:?}", forms().map(|(form, _)| form)));
    let app = forms().into_iter().fold(Router::new(), |app, (form, beat)| {
        let heartbeat = Heartbeat::every(INTERVAL).beat(beat);
        let early = EarlyLayer::after(INTERVAL).heartbeat(heartbeat.clone());
        let streams = Router::new()
            .route("/events", get(events))
            .route("/v1/chat/completions", post(chat))
            .route("/v1/models/{model}", post(generate))
            .route("/v1beta/models/{model}", post(generate))
            .layer(HeartbeatLayer::new(heartbeat));
        app.nest(&format!("/{form}"), streams.merge(tool::app().layer(early)))
    });
    let app = app
        .route("/", get(async move || Html(page)))
        .route("/result", post(async |result: String| println!("{result}")));
    let server = Server::start(app).await;
    println!("http://{}", server.at);
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
}
