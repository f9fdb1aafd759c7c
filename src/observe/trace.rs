//! Reports as events of `tracing`.

use tracing::{Level, Span, debug, error, info, info_span, warn};

use super::{EndCause, Finding, Opening, Sink, StreamReport};
use crate::body::now;
use crate::warn::Limiter;

/// Reports as events of [`tracing`], each in a span of its stream (feature `tracing`).
///
/// The span `stream` is entered whenever the handler or the body runs, so what they log belongs to it too. It has the
/// fields `method`, `route` and `class`, and is as old as the stream.
///
/// At the end there is one event, with the fields of the [`StreamReport`]:
///
/// | level | streams |
/// |---|---|
/// | `DEBUG` | that came to their own end |
/// | `INFO` | that somebody else has ended: clients, limits, gates, drains |
/// | `ERROR` | that failed, here or upstream, or panicked |
///
/// A [`Finding`] is a `WARN`, once; at most five in ten seconds.
///
/// ```
/// use tower_lifeline::observe::{ObserveLayer, Observer, TracingSink};
///
/// let layer = ObserveLayer::new(&Observer::new().sink(TracingSink::new()));
/// # let _ = layer;
/// ```
#[derive(Debug, Default)]
pub struct TracingSink {
    findings: Limiter,
}

impl TracingSink {
    /// To whatever subscribes when streams begin and end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

fn level(cause: EndCause) -> Level {
    match cause {
        EndCause::Finished => Level::DEBUG,
        EndCause::Failed | EndCause::UpstreamFailed | EndCause::Panicked => Level::ERROR,
        _ => Level::INFO,
    }
}

macro_rules! tell {
    ($event:ident, $report:expr) => {{
        let report: &StreamReport = $report;
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
        $event!(
            code = report.code(),
            cause = %report.cause,
            ended_by = report.ended_by().word(),
            when = report.when.word(),
            status = report.status.map(|status| status.as_u16()),
            age = report.age.as_secs_f64(),
            headers = seconds(report.headers),
            first_byte = seconds(report.first_byte),
            first_content = seconds(report.first_content),
            largest_gap = report.largest_gap.as_secs_f64(),
            silence = report.silence.as_secs_f64(),
            queued = report.queued.as_secs_f64(),
            stalled = report.stalled.as_secs_f64(),
            bytes = report.bytes,
            frames = report.frames,
            events = report.events,
            beats = report.beats.sent,
            beats_held = report.beats.held,
            beats_late = report.beats.late,
            beats_unread = report.beats.unread,
            interval = seconds(report.interval),
            resumed = report.opening.resumed,
            suspect = report.is_suspect(),
            "stream ended"
        )
    }};
}

impl Sink for TracingSink {
    fn ended(&self, report: &StreamReport) {
        match level(report.cause) {
            Level::DEBUG => tell!(debug, report),
            Level::ERROR => tell!(error, report),
            _ => tell!(info, report),
        }
    }

    fn found(&self, finding: &Finding) {
        if let Some(kept_back) = self.findings.pass(now()) {
            warn!(
                class = &*finding.class,
                kind = finding.kind.word(),
                estimate = finding.estimate.as_secs_f64(),
                confidence = finding.confidence,
                clustered = finding.clustered,
                samples = finding.samples,
                kept_back,
                "{finding}"
            );
        }
    }

    fn span(&self, opening: &Opening) -> Span {
        info_span!("stream", method = %opening.method, route = &*opening.route, class = &*opening.class)
    }
}
