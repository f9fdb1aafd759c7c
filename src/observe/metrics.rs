//! Reports as metrics of the `metrics` facade.
//!
//! What to ask Prometheus:
//!
//! ```promql
//! # who ends them
//! sum by (by, when) (rate(lifeline_streams_ended_total[5m]))
//! # at which silence: a step in one bucket is an idle timer
//! sum by (le) (increase(lifeline_stream_silence_seconds_bucket{by="client"}[1h]))
//! # at which age: a step in one bucket is a lifetime cap
//! sum by (le) (increase(lifeline_stream_age_seconds_bucket{by="client"}[1h]))
//! # what has been named, and where it cuts
//! max by (class, kind) (lifeline_finding_seconds)
//! # how many come back for more
//! sum(rate(lifeline_streams_resumed_total[5m])) / sum(rate(lifeline_streams_ended_total[5m]))
//! # which beats did not get out in time, and why
//! sum by (what) (rate(lifeline_beats_total{what!="sent"}[5m]))
//! ```
//!
//! `examples/metrics.rs` prints them beside what a scrape says.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::{EndCause, Finding, Opening, Sink, StreamReport};
use crate::Gate;

/// Gauge: streams that are open now, from the call to the end of the body. Labels: `route`.
pub const STREAMS_OPEN: &str = "lifeline_streams_open";
/// Counter: streams that have ended. Labels: `route`, `cause` ([`EndCause::word`]), `by`, `when`. By class they are counted in
/// [`AGE`].
pub const STREAMS_ENDED: &str = "lifeline_streams_ended_total";
/// Counter: requests that came with a `Last-Event-ID`, so they follow a stream that broke. Labels: `route`.
pub const STREAMS_RESUMED: &str = "lifeline_streams_resumed_total";
/// Counter: streams that [may have been interfered with](StreamReport::is_suspect). Labels: `class`.
pub const STREAMS_SUSPECT: &str = "lifeline_streams_suspect_total";
/// Counter: refusals by a gate. Labels: `route`, `reason` ([`Shed::word`](crate::Shed::word)).
pub const REFUSALS: &str = "lifeline_refusals_total";
/// Counter: limits that were reached. Labels: `route`, `phase`.
pub const TIMEOUTS: &str = "lifeline_timeouts_total";
/// Counter: heartbeats. Labels: `class`, `what`: `sent`, `held`, `late`, `unread`.
pub const BEATS: &str = "lifeline_beats_total";
/// Histogram, seconds: from the call to the end. Labels: `class`, `by`.
pub const AGE: &str = "lifeline_stream_age_seconds";
/// Histogram, seconds: how long nobody had written anything at the end. Labels: `class`, `by`.
pub const SILENCE: &str = "lifeline_stream_silence_seconds";
/// Histogram, seconds: from the call to the response head. Labels: `route`.
pub const HEADERS: &str = "lifeline_headers_seconds";
/// Histogram, seconds: from the call to the first content. Labels: `route`.
pub const FIRST_BYTE: &str = "lifeline_first_byte_seconds";
/// Histogram, seconds: the largest gap of a stream, the time of a slow client included. Labels: `route`.
pub const GAP: &str = "lifeline_largest_gap_seconds";
/// Gauge, seconds: where something on the way cuts. Labels: `class`, `kind`
/// ([`FindingKind::word`](super::FindingKind::word)).
pub const FINDING: &str = "lifeline_finding_seconds";
/// Gauge: requests that wait for a permit. Labels: `gate`.
pub const GATE_QUEUED: &str = "lifeline_gate_queued";
/// Gauge: permits that are out. Labels: `gate`.
pub const GATE_IN_FLIGHT: &str = "lifeline_gate_in_flight";
/// Gauge: permits that exist. Labels: `gate`.
pub const GATE_LIMIT: &str = "lifeline_gate_limit";

/// Buckets for all histograms, in seconds: the limits that are met on the way have bounds close around them.
pub const BUCKETS: [f64; 22] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 9.5, 10.5, 14.5, 15.5, 29.5, 30.5, 54.5, 59.5, 60.5, 99.5, 100.5,
    119.5, 120.5, 299.5, 300.5,
];

/// Reports as metrics of the [`metrics`] facade (feature `metrics`).
///
/// Names, units and labels are the [constants](self). Labels have few values each: routes and path classes are bounded by the
/// [`Observer`](super::Observer), all others are words of this crate.
///
/// ```
/// use tower_lifeline::Gate;
/// use tower_lifeline::observe::metrics::MetricsSink;
/// use tower_lifeline::observe::{ObserveLayer, Observer};
///
/// let gate = Gate::new(512);
/// // After the exporter has been installed, so that it hears what they mean.
/// let metrics = MetricsSink::new().gate("chat", &gate);
/// let layer = ObserveLayer::new(&Observer::new().sink(metrics));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct MetricsSink {
    gates: Vec<(String, Gate)>,
}

impl Default for MetricsSink {
    fn default() -> Self {
        Self::new()
    }
}

impl MetricsSink {
    /// To the recorder that is installed. It is told now what the metrics mean.
    #[must_use]
    pub fn new() -> Self {
        let count = Unit::Count;
        describe_gauge!(STREAMS_OPEN, count, "Streams that are open.");
        describe_counter!(STREAMS_ENDED, count, "Streams that have ended, by cause, by whom, and when.");
        describe_counter!(
            STREAMS_RESUMED,
            count,
            "Requests with a Last-Event-ID: they follow a stream that broke."
        );
        describe_counter!(
            STREAMS_SUSPECT,
            count,
            "Streams whose first data came late and that were dropped early."
        );
        describe_counter!(REFUSALS, count, "Requests that a gate refused, by reason.");
        describe_counter!(TIMEOUTS, count, "Streams that reached a limit, by its phase.");
        describe_counter!(BEATS, count, "Heartbeats, by what became of them.");
        let seconds = Unit::Seconds;
        describe_histogram!(AGE, seconds, "From the call to the end.");
        describe_histogram!(SILENCE, seconds, "How long nobody had written anything at the end.");
        describe_histogram!(HEADERS, seconds, "From the call to the response head.");
        describe_histogram!(FIRST_BYTE, seconds, "From the call to the first content.");
        describe_histogram!(GAP, seconds, "The largest gap of a stream, a slow client's time included.");
        describe_gauge!(FINDING, seconds, "Where something on the way cuts streams.");
        describe_gauge!(GATE_QUEUED, count, "Requests that wait for a permit.");
        describe_gauge!(GATE_IN_FLIGHT, count, "Permits that are out.");
        describe_gauge!(GATE_LIMIT, count, "Permits that exist.");
        Self { gates: Vec::new() }
    }

    /// Tells how this gate stands, whenever a stream begins or ends and whenever it is asked to [`update`](Self::update).
    #[must_use]
    pub fn gate(mut self, name: impl Into<String>, gate: &Gate) -> Self {
        self.gates.push((name.into(), gate.clone()));
        self
    }

    /// Tells how the gates stand now. A queue moves without a stream that begins or ends: so keep a clone, and call this in
    /// front of each scrape.
    pub fn update(&self) {
        for (name, gate) in &self.gates {
            let stats = gate.stats();
            for (metric, value) in
                [(GATE_QUEUED, stats.queued), (GATE_IN_FLIGHT, stats.in_flight), (GATE_LIMIT, stats.limit)]
            {
                gauge!(metric, "gate" => name.clone()).set(value as f64);
            }
        }
    }
}

impl Sink for MetricsSink {
    fn opened(&self, opening: &Opening) {
        gauge!(STREAMS_OPEN, "route" => opening.route.clone()).increment(1.0);
        if opening.resumed {
            counter!(STREAMS_RESUMED, "route" => opening.route.clone()).increment(1);
        }
        self.update();
    }

    fn ended(&self, report: &StreamReport) {
        let route = || report.opening.route.clone();
        let class = || report.opening.class.clone();
        let by = report.ended_by().word();
        gauge!(STREAMS_OPEN, "route" => route()).decrement(1.0);
        counter!(
            STREAMS_ENDED,
            "route" => route(), "cause" => report.cause.word(), "by" => by, "when" => report.when.word()
        )
        .increment(1);
        match report.cause {
            EndCause::TimedOut(phase) => {
                counter!(TIMEOUTS, "route" => route(), "phase" => phase.to_string()).increment(1);
            }
            EndCause::Shed(reason) => {
                counter!(REFUSALS, "route" => route(), "reason" => reason.word()).increment(1);
            }
            _ => {}
        }
        if report.is_suspect() {
            counter!(STREAMS_SUSPECT, "class" => class()).increment(1);
        }
        let beats = report.beats;
        for (what, count) in
            [("sent", beats.sent), ("held", beats.held), ("late", beats.late), ("unread", beats.unread)]
        {
            if count > 0 {
                counter!(BEATS, "class" => class(), "what" => what).increment(count.into());
            }
        }
        histogram!(AGE, "class" => class(), "by" => by).record(report.age);
        if report.status.is_some() {
            histogram!(SILENCE, "class" => class(), "by" => by).record(report.silence);
            histogram!(GAP, "route" => route()).record(report.largest_gap);
        }
        if let Some(headers) = report.headers {
            histogram!(HEADERS, "route" => route()).record(headers);
        }
        if let Some(first) = report.first_content {
            histogram!(FIRST_BYTE, "route" => route()).record(first);
        }
        self.update();
    }

    fn found(&self, finding: &Finding) {
        gauge!(FINDING, "class" => finding.class.clone(), "kind" => finding.kind.word())
            .set(finding.estimate);
    }
}
