//! Timeouts: a limit for each phase of a response; checked when it is made.

use std::time::{Duration, Instant};

use super::bounds::Total;
use super::phase::Phase;
use crate::ConfigError;
use crate::error::{at_least_a_millisecond, valid};

/// A limit for each phase; see [`Phase`](super::Phase) for where each begins and ends. None is set by default.
///
/// As an extension of a request, or of a response, it changes the limits of that exchange: those it sets replace those of
/// the layer, the others stay. The response's, which the handler sets, wins. The layer's
/// [ceiling](super::TimeoutLayer::ceiling) is above both.
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::Timeouts;
///
/// let limits = Timeouts::new()
///     .headers(Duration::from_secs(30))
///     .first_byte(Duration::from_secs(60))
///     .inter_chunk(Duration::from_secs(90))
///     .total(Duration::from_secs(600));
///
/// assert_eq!(
///     Timeouts::new().try_total(Duration::ZERO).unwrap_err().to_string(),
///     "the total limit is at least 1ms, got 0ns"
/// );
/// # let _ = limits;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub(crate) headers: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) inter_chunk: Option<Duration>,
    pub(crate) total: Option<Duration>,
}

impl Timeouts {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the time to the response head. `Duration::MAX` is no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_headers`](Self::try_headers) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn headers(self, limit: Duration) -> Self {
        valid(self.try_headers(limit))
    }

    /// [`headers`](Self::headers) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_headers(mut self, limit: Duration) -> Result<Self, ConfigError> {
        self.headers = Some(at_least_a_millisecond("the headers limit", limit)?);
        Ok(self)
    }

    /// Limits the time from the head to the first content of the body. `Duration::MAX` is no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_first_byte`](Self::try_first_byte) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn first_byte(self, limit: Duration) -> Self {
        valid(self.try_first_byte(limit))
    }

    /// [`first_byte`](Self::first_byte) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_first_byte(mut self, limit: Duration) -> Result<Self, ConfigError> {
        self.first_byte = Some(at_least_a_millisecond("the first byte limit", limit)?);
        Ok(self)
    }

    /// Limits the time between content and content of the body. `Duration::MAX` is no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_inter_chunk`](Self::try_inter_chunk) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn inter_chunk(self, limit: Duration) -> Self {
        valid(self.try_inter_chunk(limit))
    }

    /// [`inter_chunk`](Self::inter_chunk) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_inter_chunk(mut self, limit: Duration) -> Result<Self, ConfigError> {
        self.inter_chunk = Some(at_least_a_millisecond("the inter-chunk limit", limit)?);
        Ok(self)
    }

    /// Limits the whole exchange: the wait in a gate's queue, the handler and the body, also a body that is always ready.
    /// `Duration::MAX` is no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_total`](Self::try_total) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn total(self, limit: Duration) -> Self {
        valid(self.try_total(limit))
    }

    /// [`total`](Self::total) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_total(mut self, limit: Duration) -> Result<Self, ConfigError> {
        self.total = Some(at_least_a_millisecond("the total limit", limit)?);
        Ok(self)
    }

    pub(super) fn total_from(&self, began: Instant) -> Option<Total> {
        let limit = self.total?;
        Some(Total { at: began.checked_add(limit)?, limit, phase: Phase::Total })
    }

    /// These limits with those of `other` where it sets any.
    pub(super) fn changed_by(self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| theirs.or(mine))
    }

    /// These limits, none longer than those of `ceiling`. What has no limit gets none by that.
    pub(crate) fn capped_by(self, ceiling: &Self) -> Self {
        self.zip(ceiling, |mine, most| mine.map(|mine| most.map_or(mine, |most| mine.min(most))))
    }

    /// The tighter of both limits in each phase.
    pub(super) fn tightened_by(self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| mine.into_iter().chain(theirs).min())
    }

    fn zip(
        self,
        other: &Self,
        choose: impl Fn(Option<Duration>, Option<Duration>) -> Option<Duration>,
    ) -> Self {
        Self {
            headers: choose(self.headers, other.headers),
            first_byte: choose(self.first_byte, other.first_byte),
            inter_chunk: choose(self.inter_chunk, other.inter_chunk),
            total: choose(self.total, other.total),
        }
    }
}
