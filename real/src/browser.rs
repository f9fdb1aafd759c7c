//! Chromium, reading event streams with its own `EventSource`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{OriginalUri, Request};
use axum::middleware::{self, Next};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::mpsc;

use crate::process::Process;
use crate::streams::TYPES;

/// For each path what `EventSource` gave: type, data and last event id, or the word `error`, alone where the connection
/// ended. For each path behind `fetch ` what `fetch` gave: status, content type and text.
pub type Results = BTreeMap<String, Vec<Vec<String>>>;

/// What a page does when a stream ends before its event of type `done`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtAnEnd {
    Stop,
    /// What `EventSource` does by itself.
    Reconnect,
}

/// A page that reads each of some paths to its first event of type `done`, and sends in what it got.
#[derive(Debug)]
pub struct Page {
    results: mpsc::Receiver<Results>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Page {
    /// Puts the page in front of an app that has these paths.
    pub fn new(paths: &[String], at_an_end: AtAnEnd, app: Router) -> (Self, Router) {
        Self::with_fetched(paths, &[], at_an_end, app)
    }

    /// The same, and it reads some paths with `fetch` first.
    pub fn with_fetched(
        paths: &[String],
        fetched: &[String],
        at_an_end: AtAnEnd,
        app: Router,
    ) -> (Self, Router) {
        let json = |list: &[_]| serde_json::to_string(list).expect("a list of texts");
        let types: Vec<_> = TYPES.into_iter().chain(["timeout"]).map(str::to_owned).collect();
        let reconnects = at_an_end == AtAnEnd::Reconnect;
        let html = include_str!("page.html")
            .replace("PATHS", &json(paths))
            .replace("FETCHED", &json(fetched))
            .replace("TYPES", &json(&types))
            .replace("RECONNECTS", &reconnects.to_string());
        let (sender, results) = mpsc::channel(1);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = requests.clone();
        let note = move |OriginalUri(uri): OriginalUri, request: Request, next: Next| {
            noted.lock().expect("no panic").push(uri.path().to_owned());
            next.run(request)
        };
        let app = app
            .route_layer(middleware::from_fn(note))
            .route("/", get(async move || Html(html)))
            .route("/result", post(async move |Json(results)| drop(sender.send(results).await)));
        (Self { results, requests }, app)
    }

    /// What Chromium got, and the paths it asked for, in order.
    pub async fn read(mut self, chromium: &Path, origin: SocketAddr) -> (Results, Vec<String>) {
        let _process = Process::start(chromium, |folder| {
            let profile = format!("--user-data-dir={}", folder.join("profile").display());
            let url = format!("http://{origin}/");
            [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                &profile,
                &url,
            ]
            .map(str::to_owned)
            .into()
        });
        let results = self.results.recv().await.expect("the server is there");
        let mut requests = self.requests.lock().expect("no panic").clone();
        requests.sort_unstable();
        (results, requests)
    }
}
