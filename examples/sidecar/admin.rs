//! What operators and their machines ask for, at an address of its own: it answers until the process ends.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tower_lifeline::Drain;

/// `/healthz` for a readiness probe, red as soon as the server is about to stop; `/metrics` for Prometheus.
pub(crate) fn routes(drain: Drain, scrape: PrometheusHandle) -> Router {
    let health = async move || match drain.is_announced() {
        false => (StatusCode::OK, "ok\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    };
    let metrics = async move || {
        scrape.run_upkeep();
        ([("content-type", "text/plain; version=0.0.4")], scrape.render())
    };
    Router::new().route("/healthz", get(health)).route("/metrics", get(metrics))
}
