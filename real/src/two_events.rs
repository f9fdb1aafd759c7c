//! Two events with a silence between them, through a proxy that has less patience.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use http::Version;
use http::header::CONTENT_TYPE;
use tower_lifeline::HeartbeatLayer;

use crate::client::{Client, End, Reading};

/// Longer than three times the patience of the proxies, which is 2 s.
const SILENCE: Duration = Duration::from_secs(7);

/// What happened, in the order in which it happened at the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    SentFirst,
    GotFirst,
    SentSecond,
    GotSecond,
    Finished,
    Cut,
}

#[derive(Clone, Debug, Default)]
pub struct TwoEvents {
    steps: Arc<Mutex<Vec<Step>>>,
}

impl TwoEvents {
    fn note(&self, step: Step) {
        self.steps.lock().expect("no panic").push(step);
    }

    /// The server's end.
    pub fn app(&self, heartbeat: Option<HeartbeatLayer>) -> Router {
        let this = self.clone();
        let app = Router::new().route(
            "/",
            get(async move || {
                let events = [
                    (Duration::ZERO, Step::SentFirst, "data: first\n\n"),
                    (SILENCE, Step::SentSecond, "data: second\n\n"),
                ];
                let events = stream::iter(events).then(move |(silence, step, event)| {
                    let this = this.clone();
                    async move {
                        tokio::time::sleep(silence).await;
                        this.note(step);
                        Ok::<_, std::convert::Infallible>(event)
                    }
                });
                ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events))
            }),
        );
        match heartbeat {
            Some(layer) => app.layer(layer),
            None => app,
        }
    }

    /// The client's end: what had happened when the stream was over.
    pub async fn read(&self, at: SocketAddr) -> Vec<Step> {
        let mut client = Client::connect(at, Version::HTTP_11).await;
        let mut reading = Reading::new(client.get("/").await);
        for (event, step) in [("data: first\n\n", Step::GotFirst), ("data: second\n\n", Step::GotSecond)] {
            if reading.until_has(event).await {
                self.note(step);
            }
        }
        reading.to_end().await;
        self.note(match reading.end {
            Some(End::Finished) => Step::Finished,
            Some(End::Cut) | None => Step::Cut,
        });
        self.steps.lock().expect("no panic").clone()
    }
}
