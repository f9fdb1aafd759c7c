//! What was found, and the sentence that says what to change.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Something on the way that ends streams, named by where their disconnects cluster.
///
/// It prints as a sentence that says what to change:
///
/// ```
/// use std::time::{Duration, Instant};
/// use tower_lifeline::observe::{Disconnect, FindingKind, Inference};
///
/// let mut inference = Inference::new();
/// let now = Instant::now();
/// let cuts = (0..20).filter_map(|stream| {
///     let silence = Duration::from_millis(60_010 + stream);
///     let age = silence + Duration::from_secs(10 * stream);
///     inference.disconnected("chat", &Disconnect::new(age, silence), now)
/// });
/// let finding = cuts.last().unwrap();
///
/// assert_eq!(finding.kind, FindingKind::IdleTimer);
/// assert_eq!(
///     finding.to_string(),
///     "chat: 15 of the last 15 disconnects came after 60.0 s of silence, so something on the way has an idle timer: let \
///      heartbeats come at least every 30.0 s, or raise the timer"
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The path class.
    pub class: Arc<str>,
    /// What it is.
    pub kind: FindingKind,
    /// Where it cuts. A little more than it is set to: the server needs a moment to notice.
    pub estimate: Duration,
    /// Between 0 and 1: one less the chance that people would look like this. A half when the streams are such that an idle
    /// timer and a lifetime cap look the same; then the idle timer is named, because heartbeats will tell the two apart.
    pub confidence: f64,
    /// How many disconnects are in the cluster.
    pub clustered: usize,
    /// Of so many.
    pub samples: usize,
    /// The heartbeat's interval on the stream that was cut last, if it had one.
    pub beat: Option<Duration>,
}

/// What ends streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// Something cuts streams that say nothing for so long. Heartbeats help.
    IdleTimer,
    /// Something cuts streams that are so old. Heartbeats do not help.
    LifetimeCap,
    /// Something gives up on requests that have no response head after so long.
    HeadLimit,
}

impl FindingKind {
    pub(super) const COUNT: usize = 3;

    /// For labels.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::IdleTimer => "idle_timer",
            Self::LifetimeCap => "lifetime_cap",
            Self::HeadLimit => "head_limit",
        }
    }
}

impl Finding {
    /// The two kinds look the same on the streams that were seen.
    pub(super) const UNDECIDED: f64 = 0.5;

    /// Whether an estimate is this one again.
    pub(super) fn is_at(&self, estimate: Duration) -> bool {
        self.estimate.abs_diff(estimate) <= self.estimate / 10 + Duration::from_millis(500)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, clustered, samples, .. } = self;
        let at = self.estimate.as_secs_f64();
        let half = at / 2.0;
        write!(f, "{class}: {clustered} of the last {samples} disconnects came ")?;
        match self.kind {
            FindingKind::IdleTimer => {
                write!(f, "after {at:.1} s of silence, so something on the way has an idle timer: ")?;
                match self.beat {
                    Some(beat) if beat <= self.estimate / 2 => write!(
                        f,
                        "heartbeats are due every {:.1} s and do not get through; see whether they are held in the middle \
                         of events, or buffered on the way",
                        beat.as_secs_f64(),
                    )?,
                    _ => write!(f, "let heartbeats come at least every {half:.1} s, or raise the timer")?,
                }
                if self.confidence <= Self::UNDECIDED {
                    write!(
                        f,
                        "; all of these streams were equally old too, so if heartbeats do not help it is a lifetime cap"
                    )?;
                }
                Ok(())
            }
            FindingKind::LifetimeCap => write!(
                f,
                "at an age of {at:.1} s, whatever the streams said, so something on the way has a lifetime cap: end streams \
                 a little earlier yourself, between two events, or raise the cap"
            ),
            FindingKind::HeadLimit => write!(
                f,
                "{at:.1} s after the request, without a response head, so something on the way limits the time to it: \
                 answer sooner, or raise the limit"
            ),
        }
    }
}
