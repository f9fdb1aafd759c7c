//! Heads that come before the answer.

mod body;
mod cancel;
mod layers;
mod requests;
mod table;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::Empty;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::testing::{Script, script, timeline};
use tower_lifeline::{BoxError, EarlyLayer};

use crate::support::wire::{client, connector};

/// How long handlers may think here before the head is sent.
const THRESHOLD: Duration = Duration::from_secs(10);
/// One that is in time, and one that is not: 26 s behind the early head, and so behind two beats.
const FAST: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(36);

type Answering<B = Script> = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

fn layer() -> EarlyLayer {
    EarlyLayer::after(THRESHOLD)
}

/// A request that names event streams among what it takes.
fn get() -> Request<Empty<Bytes>> {
    Request::get("http://server/").header("accept", "text/event-stream").body(Empty::new()).unwrap()
}

/// What an MCP client sends.
fn mcp() -> Request<Empty<Bytes>> {
    Request::post("http://server/")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body(Empty::new())
        .unwrap()
}

fn of_type(media_type: &str, stream: &str) -> Response<Script> {
    Response::builder().header("content-type", media_type).body(script(stream)).unwrap()
}

fn events(stream: &str) -> Response<Script> {
    of_type("text/event-stream", stream)
}

fn json(stream: &str) -> Response<Script> {
    of_type("application/json", stream)
}

fn status(status: u16, mut response: Response<Script>) -> Response<Script> {
    *response.status_mut() = status.try_into().unwrap();
    response
}

/// A response without a body, as handlers make it.
fn bare(code: u16) -> Response<Script> {
    Response::builder().status(code).body(script("0s=end").knows_length()).unwrap()
}

/// A handler that thinks for so long.
fn after(
    works: Duration,
    answer: impl FnOnce() -> Result<Response<Script>, BoxError> + Send + 'static,
) -> Answering {
    Box::pin(async move {
        sleep(works).await;
        answer()
    })
}

/// What a client sees of a response: status and content type, and then what comes when.
async fn drawn<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes, Error: std::fmt::Display>,
{
    let content_type = response.headers().get("content-type").map_or("-", |value| value.to_str().unwrap());
    let head = format!("{} {content_type}: ", response.status().as_u16());
    head + &timeline(response.into_body()).await
}

/// The head of a stream that was begun early.
const EARLY: &str = "200 text/event-stream: ";

/// An in-stream error for an `EventSource`, and the end behind it.
fn failed(at: &str, status: u16, message: &str) -> String {
    format!(r#"{at}='event: error\ndata: {{"status":{status},"message":"{message}"}}\n\n' {at}=end"#)
}

type Handler = Arc<dyn Fn(Duration) -> Answering + Send + Sync>;

/// One row of the table: a request, and the answer that a handler has for it.
struct Row {
    layer: EarlyLayer,
    request: fn() -> Request<Empty<Bytes>>,
    handler: Handler,
}

impl Row {
    fn new(answer: impl Fn() -> Response<Script> + Clone + Send + Sync + 'static) -> Self {
        let handler = move |works| {
            let answer = answer.clone();
            after(works, move || Ok(answer()))
        };
        Self { layer: layer(), request: get, handler: Arc::new(handler) }
    }

    fn with(mut self, change: impl FnOnce(EarlyLayer) -> EarlyLayer) -> Self {
        self.layer = change(self.layer);
        self
    }

    fn to(mut self, request: fn() -> Request<Empty<Bytes>>) -> Self {
        self.request = request;
        self
    }

    /// What the client sees of a handler that thinks for so long, in memory.
    async fn seen(&self, works: Duration) -> String {
        let handler = Arc::clone(&self.handler);
        let service = self.layer.layer(service_fn(move |_: Request<Empty<Bytes>>| handler(works)));
        match service.oneshot((self.request)()).await {
            Ok(response) => drawn(response).await,
            Err(error) => format!("no response: {error}"),
        }
    }

    /// The same at the other end of a wire.
    async fn seen_over(&self, version: Version, works: Duration) -> String {
        let handler = Arc::clone(&self.handler);
        let service = self.layer.layer(service_fn(move |_: Request<hyper::body::Incoming>| handler(works)));
        let client = client(version, connector(version, service));
        match client.request((self.request)()).await {
            Ok(response) => drawn(response).await,
            Err(_) => "no response".to_owned(),
        }
    }

    /// The same everywhere, but for what HTTP/1.1 cannot carry, and for the words in which a broken wire is told.
    async fn check(&self, works: Duration, line: &str) {
        assert_eq!(self.seen(works).await, line, "in memory, after {works:?}");
        let told = |line: &str, version: Version| {
            let lost = |item: &&str| version < Version::HTTP_2 && item.contains("trailers(");
            // HTTP/2 ends a stream with an empty frame.
            let items = line.split(' ').filter(|item| !lost(item) && !item.ends_with("=''"));
            let line = items.collect::<Vec<_>>().join(" ");
            line.find("=error(").map_or(line.clone(), |at| line[..at].to_owned() + "=error")
        };
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let seen = self.seen_over(version, works).await;
            assert_eq!(told(&seen, version), told(line, version), "over {version:?}, after {works:?}");
        }
    }

    /// `before`: what a client sees of a handler that answers in time. `later`: what follows an early head and its two
    /// beats.
    async fn is(&self, before: &str, later: &str) {
        self.check(FAST, before).await;
        self.check(SLOW, &format!("{EARLY}0s=: 15s=: {later}")).await;
    }
}
