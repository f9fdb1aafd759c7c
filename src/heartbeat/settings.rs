//! Heartbeat: when, what and how often; checked when it is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::beat::{Beat, MOST_BYTES};
use super::event::HeartbeatEvent;
use super::pace::Pace;
use crate::ConfigError;
use crate::error::{MILLISECOND, at_least_a_millisecond, valid};

/// The settings of a heartbeat.
///
/// # Defaults
///
/// | setting | value |
/// |---|---|
/// | interval | 15 s |
/// | [`beat`](Self::beat) | a comment line, `:⏎` |
/// | [`rhythm`](Self::rhythm) | [`Rhythm::Silence`] |
/// | [`mid_event`](Self::mid_event) | [`MidEvent::Hold`] |
/// | [`jitter`](Self::jitter) | none |
/// | [`at_once`](Self::at_once) | no |
/// | [`after_content`](Self::after_content) | no |
/// | [`pad_first`](Self::pad_first) | no |
/// | [`most_in_a_row`](Self::most_in_a_row) | no cap |
///
/// Fifteen seconds is at most half of every idle limit of 30 s and more; only shorter ones (Bun and Fastly between bytes,
/// 10 s; Azure's Application Gateway, 20 s) need less.
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::{Beat, Heartbeat};
///
/// let heartbeat = Heartbeat::every(Duration::from_secs(20))
///     .beat(Beat::comment_block("still here"))
///     .jitter(Duration::from_secs(2));
///
/// assert_eq!(heartbeat.interval(), Duration::from_secs(20));
/// assert_eq!(Heartbeat::default().interval(), Duration::from_secs(15));
/// ```
#[derive(Clone)]
pub struct Heartbeat {
    pub(super) interval: Duration,
    pub(super) beat: Beat,
    pub(super) rhythm: Rhythm,
    pub(super) mid_event: MidEvent,
    pub(super) jitter: Duration,
    pub(super) at_once: bool,
    pub(super) after_content: bool,
    pub(super) pad_first: usize,
    pub(super) most_in_a_row: u32,
    pub(super) hook: Option<Hook>,
    pub(super) pace: Option<Pace>,
}

pub(super) type Hook = Arc<dyn Fn(&HeartbeatEvent) + Send + Sync>;

/// What the interval is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rhythm {
    /// From the last byte of anybody: a stream that talks gets no beats, and no gap on the wire is longer than the
    /// interval.
    #[default]
    Silence,
    /// From the last beat: a beat comes every interval, whatever else is written, at the next moment when the stream
    /// waits between two events.
    Periodic,
}

/// What happens to a beat that is due while an event is half written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MidEvent {
    /// It waits for the end of the event. A producer that stops in the middle of an event for longer than a proxy's
    /// limit is then cut, as it would be without the layer.
    #[default]
    Hold,
    /// At a line start it is written, if it is a comment line: right by the standard, although some clients are not.
    /// Inside a line, and after a CR whose LF may still come, it waits.
    CommentLine,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            beat: Beat::default(),
            rhythm: Rhythm::default(),
            mid_event: MidEvent::default(),
            jitter: Duration::ZERO,
            at_once: false,
            after_content: false,
            pad_first: 0,
            most_in_a_row: u32::MAX,
            hook: None,
            pace: None,
        }
    }
}

impl Heartbeat {
    /// A heartbeat with this interval and the defaults above.
    ///
    /// # Panics
    ///
    /// When the interval is shorter than a millisecond. [`try_every`](Self::try_every) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn every(interval: Duration) -> Self {
        valid(Self::try_every(interval))
    }

    /// [`every`](Self::every) that returns what is wrong with the interval.
    ///
    /// # Errors
    ///
    /// When the interval is shorter than a millisecond.
    pub fn try_every(interval: Duration) -> Result<Self, ConfigError> {
        Self::default().try_interval(interval)
    }

    /// A heartbeat that finds its interval by itself, between these two.
    ///
    /// It begins with `min`. [`Pace::probe`] lets an operator try longer ones; where an
    /// [`Observer`](crate::observe::Observer) outside of the layer has then inferred an idle timer from the streams that
    /// broke, those that begin from then on beat twice as often as that needs, each path class for itself. The interval of a
    /// stream never changes while it runs, and it never gets longer without an operator. Reports have it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_lifeline::Heartbeat;
    ///
    /// let heartbeat = Heartbeat::adaptive(Duration::from_secs(5), Duration::from_secs(120));
    /// let pace = heartbeat.pace().unwrap();
    ///
    /// assert_eq!(pace.interval(None), Duration::from_secs(5));
    /// pace.probe();
    /// assert_eq!(pace.interval(None), Duration::from_secs(10));
    /// assert_eq!(pace.interval(Some(Duration::from_secs(14))), Duration::from_secs(7));
    /// ```
    ///
    /// # Panics
    ///
    /// When `min` is shorter than a millisecond or longer than `max`. [`try_adaptive`](Self::try_adaptive) returns that as
    /// an error.
    #[must_use]
    #[track_caller]
    pub fn adaptive(min: Duration, max: Duration) -> Self {
        valid(Self::try_adaptive(min, max))
    }

    /// [`adaptive`](Self::adaptive) that returns what is wrong with the bounds.
    ///
    /// # Errors
    ///
    /// When `min` is shorter than a millisecond or longer than `max`.
    pub fn try_adaptive(min: Duration, max: Duration) -> Result<Self, ConfigError> {
        if max < min {
            return Err(ConfigError::new(format!(
                "the longest interval of an adaptive heartbeat is at least the shortest of {min:?}, got {max:?}"
            )));
        }
        Ok(Self { pace: Some(Pace::between(min, max)), ..Self::try_every(min)? })
    }

    /// The handle to the pace of an [`adaptive`](Self::adaptive) heartbeat.
    #[must_use]
    pub fn pace(&self) -> Option<Pace> {
        self.pace.clone()
    }

    /// What is written. Default: a comment line, `:⏎`.
    #[must_use]
    pub fn beat(mut self, beat: Beat) -> Self {
        self.beat = beat;
        self
    }

    /// What the interval is counted from. Default: [`Rhythm::Silence`].
    #[must_use]
    pub fn rhythm(mut self, rhythm: Rhythm) -> Self {
        self.rhythm = rhythm;
        self
    }

    /// What happens to a beat that is due in the middle of an event. Default: [`MidEvent::Hold`].
    #[must_use]
    pub fn mid_event(mut self, mid_event: MidEvent) -> Self {
        self.mid_event = mid_event;
        self
    }

    /// Each beat comes up to `most` early, by chance, so that streams that began together do not beat together. Never
    /// late: no gap is longer than the interval. Default: zero.
    ///
    /// # Panics
    ///
    /// When `most` is more than half of the interval. [`try_jitter`](Self::try_jitter) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn jitter(self, most: Duration) -> Self {
        valid(self.try_jitter(most))
    }

    /// [`jitter`](Self::jitter) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When `most` is more than half of the interval.
    pub fn try_jitter(mut self, most: Duration) -> Result<Self, ConfigError> {
        if most > self.interval / 2 {
            return Err(ConfigError::new(format!(
                "heartbeat jitter is at most half of the interval of {:?}, got {most:?}",
                self.interval
            )));
        }
        self.jitter = most;
        Ok(self)
    }

    /// The first beat comes as soon as the stream has to wait for its first byte, instead of an interval later. Some
    /// HTTP/2 proxies hold the response head back until then. Data that is ready at once takes its place.
    #[must_use]
    pub fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// No beat comes before the first content: for protocols in which the server has to say something before anything
    /// else, like the acknowledgement of MCP's `subscriptions/listen`. It wins over [`at_once`](Self::at_once).
    #[must_use]
    pub fn after_content(mut self) -> Self {
        self.after_content = true;
        self
    }

    /// The first beat is filled up to so many bytes, for proxies that hold the beginning of a response back (2 KiB for
    /// old browsers, 4 to 16 KiB for nginx with buffering on). Only comments are padded. With
    /// [`at_once`](Self::at_once) it goes out at the first wait even when data came before it. Default: no padding.
    ///
    /// # Panics
    ///
    /// When it is more than 64 KiB. [`try_pad_first`](Self::try_pad_first) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn pad_first(self, bytes: usize) -> Self {
        valid(self.try_pad_first(bytes))
    }

    /// [`pad_first`](Self::pad_first) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is more than 64 KiB.
    pub fn try_pad_first(mut self, bytes: usize) -> Result<Self, ConfigError> {
        if bytes > MOST_BYTES {
            return Err(ConfigError::new(format!(
                "a heartbeat is padded to at most {MOST_BYTES} bytes, got {bytes}"
            )));
        }
        self.pad_first = bytes;
        Ok(self)
    }

    /// After so many beats without any content in between there are no more, so that a producer that has died does not
    /// look alive for ever: the next idle limit on the way then ends the stream. Comments, `id`, `retry`, empty data and
    /// events of type `ping` from within are no content. Default: no cap.
    ///
    /// # Panics
    ///
    /// When it is zero ([`Beat::none`] says that better). [`try_most_in_a_row`](Self::try_most_in_a_row) returns that
    /// as an error.
    #[must_use]
    #[track_caller]
    pub fn most_in_a_row(self, beats: u32) -> Self {
        valid(self.try_most_in_a_row(beats))
    }

    /// [`most_in_a_row`](Self::most_in_a_row) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn try_most_in_a_row(mut self, beats: u32) -> Result<Self, ConfigError> {
        if beats == 0 {
            return Err(ConfigError::new(
                "the cap on heartbeats in a row is at least 1, got 0: Beat::none() is how to have none",
            ));
        }
        self.most_in_a_row = beats;
        Ok(self)
    }

    /// Called with everything that is worth knowing: a beat that had to be held, one that came late, and the counts at
    /// the end of each stream. At most one call an interval and stream, and one at its end.
    ///
    /// It runs inside `poll_frame` and, when a stream is dropped, inside `drop`: it must be quick and must not panic.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(&HeartbeatEvent) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// How long the wire may be silent. Of an [`adaptive`](Self::adaptive) heartbeat it is the shortest interval.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The same, unless it writes nothing at all.
    pub(crate) fn beats_every(&self) -> Option<Duration> {
        (!self.beat.is_none()).then_some(self.interval)
    }

    pub(crate) fn try_interval(self, interval: Duration) -> Result<Self, ConfigError> {
        Ok(self.beating_every(at_least_a_millisecond("a heartbeat interval", interval)?))
    }

    /// A hint of a caller may be as short as it likes, so it is not refused but brought into the range.
    pub(crate) fn beating_every(self, interval: Duration) -> Self {
        let interval = interval.max(MILLISECOND);
        Self { interval, jitter: self.jitter.min(interval / 2), ..self }
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat")
            .field("interval", &self.interval)
            .field("beat", &self.beat)
            .field("rhythm", &self.rhythm)
            .field("mid_event", &self.mid_event)
            .field("jitter", &self.jitter)
            .field("at_once", &self.at_once)
            .field("after_content", &self.after_content)
            .field("pad_first", &self.pad_first)
            .field("most_in_a_row", &self.most_in_a_row)
            .finish_non_exhaustive()
    }
}

/// Changes the heartbeat of one response.
///
/// Returned by [`HeartbeatLayer::per_request`](super::HeartbeatLayer::per_request), or put into the *response's*
/// extensions by the handler, which has the last word:
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::{Beat, HeartbeatOverride};
///
/// let mut response = http::Response::new(());
/// response.extensions_mut().insert(HeartbeatOverride::new().beat(Beat::comment_block("")));
/// // In axum a handler returns `(Extension(HeartbeatOverride::off()), Sse::new(stream))`.
/// ```
#[derive(Clone, Debug, Default)]
pub struct HeartbeatOverride {
    off: bool,
    after_content: bool,
    interval: Option<Duration>,
    beat: Option<Beat>,
}

impl HeartbeatOverride {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves this response wholly alone, headers included.
    #[must_use]
    pub fn off() -> Self {
        Self { off: true, ..Self::default() }
    }

    /// Another beat.
    #[must_use]
    pub fn beat(mut self, beat: Beat) -> Self {
        self.beat = Some(beat);
        self
    }

    /// No beat before the first content, see [`Heartbeat::after_content`].
    #[must_use]
    pub fn after_content(mut self) -> Self {
        self.after_content = true;
        self
    }

    /// Another interval. The layer's jitter is cut to half of it.
    ///
    /// # Panics
    ///
    /// When the interval is shorter than a millisecond. [`try_interval`](Self::try_interval) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn interval(self, interval: Duration) -> Self {
        valid(self.try_interval(interval))
    }

    /// [`interval`](Self::interval) that returns what is wrong with the interval.
    ///
    /// # Errors
    ///
    /// When the interval is shorter than a millisecond.
    pub fn try_interval(mut self, interval: Duration) -> Result<Self, ConfigError> {
        Heartbeat::try_every(interval)?;
        self.interval = Some(interval);
        Ok(self)
    }

    pub(super) fn is_off(&self) -> bool {
        self.off
    }

    pub(super) fn apply(&self, mut heartbeat: Heartbeat) -> Heartbeat {
        if let Some(beat) = &self.beat {
            heartbeat.beat = beat.clone();
        }
        heartbeat.after_content |= self.after_content;
        if let Some(interval) = self.interval {
            heartbeat = heartbeat.beating_every(interval);
        }
        heartbeat
    }
}
