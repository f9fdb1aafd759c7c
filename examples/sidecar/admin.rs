//! What operators and their machines ask for, at an address of its own: it answers until the process ends.

use std::io::{Write, stderr};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tower_lifeline::observe::metrics::MetricsSink;
use tower_lifeline::observe::{Finding, Sink};
use tower_lifeline::{Drain, StreamReport};

/// `/healthz` for a readiness probe, red as soon as the server is about to stop; `/metrics` for Prometheus.
pub(crate) fn routes(drain: Drain, metrics: MetricsSink, scrape: PrometheusHandle) -> Router {
    let health = async move || match drain.is_announced() {
        false => (StatusCode::OK, "ok\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    };
    let metrics = async move || {
        metrics.update();
        scrape.run_upkeep();
        ([("content-type", "text/plain; version=0.0.4")], scrape.render())
    };
    Router::new().route("/healthz", get(health)).route("/metrics", get(metrics))
}

/// Writes down what on the way has been found to cut streams. Each is found once.
pub(crate) struct Findings;

impl Sink for Findings {
    fn ended(&self, _: &StreamReport) {}

    fn found(&self, finding: &Finding) {
        // Whoever reads it may be gone.
        let _ = writeln!(stderr(), "{finding}");
    }
}
