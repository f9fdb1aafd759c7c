//! Every kind of answer that a handler can give, after a while.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderName, StatusCode};

/// A path, the answer that is given there, and what is left of it behind an early head but for comments: a whole text, or
/// its beginning where the rest is what is in a sentence.
pub struct Answer {
    pub path: &'static str,
    pub give: fn() -> Response,
    pub begins: String,
    pub whole: bool,
}

/// More than a layer keeps, and twice as much is no more than a page may send in.
pub const LONG: usize = 512 * 1024;

const fn of_type(media_type: &'static str) -> [(HeaderName, &'static str); 1] {
    [(CONTENT_TYPE, media_type)]
}

fn answer(path: &'static str, begins: &str, give: fn() -> Response) -> Answer {
    let whole = begins.is_empty() || begins.ends_with('\n');
    Answer { path, give, begins: begins.to_owned(), whole }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Answer> {
    let error = |status: u16, message: &str| {
        format!(r#"event: error{}data: {{"status":{status},"message":"{message}"#, '\n')
    };
    let long = format!("data: \"{}\"\n\n", "x".repeat(LONG));
    vec![
        answer("/events", "data: one\n\nevent: done\ndata: two\n\n", || {
            (of_type("text/event-stream"), "data: one\n\nevent: done\ndata: two\n\n").into_response()
        }),
        answer("/json", "data: {\"a\":1}\n\n", || (of_type("application/json"), "{\"a\":1}").into_response()),
        answer("/lines", "data: {\ndata: \"a\":\ndata: 1\ndata: }\n\n", || {
            (of_type("application/json"), "{\n\"a\":\r1\r\n}\n").into_response()
        }),
        answer("/text", "data: so it is\n\n", || "so it is".into_response()),
        answer("/empty", "", || StatusCode::ACCEPTED.into_response()),
        answer("/none", "", || StatusCode::NO_CONTENT.into_response()),
        answer("/error", &error(503, "The answer is an error (503 Service Unavailable)."), || {
            (StatusCode::SERVICE_UNAVAILABLE, "busy").into_response()
        }),
        answer("/redirect", &error(303, "The answer is a redirect to /login (303 See Other)."), || {
            (StatusCode::SEE_OTHER, [(LOCATION, "/login")]).into_response()
        }),
        answer("/gzip", &error(500, "The answer has an encoding (gzip)"), || {
            let head = [(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "gzip")];
            (head, &b"\x1F\x8B"[..]).into_response()
        }),
        answer("/image", &error(500, "The answer (image/png)"), || {
            (of_type("image/png"), &b"\x89PNG"[..]).into_response()
        }),
        answer("/broken", &error(500, "The answer broke off."), || {
            let frames: [Result<_, std::io::Error>; 2] =
                [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("broken"))];
            (of_type("application/json"), Body::from_stream(stream::iter(frames))).into_response()
        }),
        answer("/long", &long, || {
            let text = format!("\"{}\"", "x".repeat(LONG));
            (of_type("application/json"), text).into_response()
        }),
    ]
}

/// An app that gives them after so long.
pub fn app(works: Duration) -> Router {
    all().into_iter().fold(Router::new(), |app, Answer { path, give, .. }| {
        let handler = move || async move {
            tokio::time::sleep(works).await;
            give()
        };
        app.route(path, get(handler).post(handler))
    })
}

/// A stream without its comments.
#[must_use]
pub fn without_comments(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with(':')).collect()
}
