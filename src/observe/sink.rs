//! Where reports go.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

#[cfg(feature = "tracing")]
use super::span::Span;
use super::{Finding, Opening, StreamReport};

/// Takes reports. Closures over a [`StreamReport`] are sinks, and so is `()`, which takes none.
///
/// What it does is done where streams end: inside `poll_frame`, inside the future, or inside `drop`. So it must be quick. A
/// panic goes no farther than to the panic hook.
pub trait Sink: Send + Sync {
    /// A request has come in. Each is followed by one [`ended`](Self::ended).
    fn opened(&self, opening: &Opening) {
        let _ = opening;
    }

    /// A stream has ended.
    fn ended(&self, report: &StreamReport);

    /// Something on the way has been named, or has changed.
    fn found(&self, finding: &Finding) {
        let _ = finding;
    }

    /// The span in which the stream is to live, if this sink makes one.
    #[cfg(feature = "tracing")]
    #[doc(hidden)]
    fn span(&self, opening: &Opening) -> Span {
        let _ = opening;
        Span::none()
    }
}

impl Sink for () {
    fn ended(&self, _: &StreamReport) {}
}

impl<F: Fn(&StreamReport) + Send + Sync> Sink for F {
    fn ended(&self, report: &StreamReport) {
        self(report);
    }
}

/// All of them, in order.
#[derive(Clone, Default)]
pub(super) struct Sinks(Vec<Arc<dyn Sink>>);

impl Sinks {
    pub(super) fn push(&mut self, sink: impl Sink + 'static) {
        self.0.push(Arc::new(sink));
    }

    /// A panic stays in its sink: streams end in `drop` while their thread unwinds, too, and a second panic would then end
    /// the process. The other sinks are told all the same.
    pub(super) fn each(&self, tell: impl Fn(&dyn Sink)) {
        for sink in &self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| tell(&**sink)));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(feature = "tracing")]
    pub(super) fn span(&self, opening: &Opening) -> Span {
        let mut spans = self.0.iter().map(|sink| sink.span(opening));
        spans.find(|span| !span.is_none()).unwrap_or_else(Span::none)
    }

    #[cfg(not(feature = "tracing"))]
    pub(super) fn span(&self, _: &Opening) -> super::span::Span {
        super::span::Span::none()
    }
}
