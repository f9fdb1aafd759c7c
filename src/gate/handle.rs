//! Gate: the settings, the shared state, and the handle to both.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};

use super::keys::Keys;
use super::limit::Limit;
use super::sampling::{Adaptive, SampleAt};
use super::shared::Shared;
use super::shed::{Shed, drain_time, retry_after};
use super::stats::{Counts, GateStats};
use crate::ConfigError;
use crate::body::Journal;
use crate::error::valid;
use crate::jitter::Seeds;
use crate::reject::{Caller, Prepared, Refusal, Renderer};

/// A bound on how many requests are in flight, up to the end of their response *bodies*: the settings of a
/// [`GateLayer`](super::GateLayer) and the handle to it while it runs.
///
/// Clones are handles to the same gate. The setters make a gate with other settings and state of its own, so set first and
/// share then.
///
/// # Defaults
///
/// | setting | value |
/// |---|---|
/// | [`queue`](Self::queue) | twice the permits |
/// | [`max_wait`](Self::max_wait) | 5 s |
/// | [`scope`](Self::scope) | [`PermitScope::BodyEnd`] |
/// | [`buffer`](Self::buffer) | 64 KiB |
/// | [`status`](Self::status) | 503, and 429 for a key over its cap |
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::{Gate, GateLayer};
///
/// let gate = Gate::new(512).queue(128).max_wait(Duration::from_secs(5));
/// let layer = GateLayer::new(&gate);
///
/// gate.resize(256);
/// assert_eq!(gate.stats().limit, 256);
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct Gate {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Shared,
    pub(super) settings: Settings,
    pub(super) counts: Counts,
    pub(super) keys: Arc<Keys>,
    pub(super) seeds: Seeds,
    prepared: [Prepared; Shed::ALL.len()],
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) permits: usize,
    pub(super) depth: Option<usize>,
    pub(super) max_wait: Duration,
    pub(super) scope: PermitScope,
    pub(super) buffer: usize,
    pub(super) timed: bool,
    pub(super) holdable: bool,
    pub(super) statuses: [StatusCode; Shed::ALL.len()],
    pub(super) exempt: Option<Exempt>,
    pub(super) per_key: Option<(Key, usize)>,
    pub(super) renderer: Renderer,
    pub(super) adaptive: Option<Adaptive>,
}

type Exempt = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
type Key = Arc<dyn Fn(&Parts) -> Option<u64> + Send + Sync>;

/// How long a request holds its permit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PermitScope {
    /// Until the response head is there, like tower's `ConcurrencyLimit`. Streams are not limited then.
    Headers,
    /// Until the first bytes of the response body.
    FirstByte,
    /// Until the response body has ended or been dropped. hyper drops a body when it has taken the last frame, so up to
    /// about 400 KiB of it may still be on their way to the client.
    #[default]
    BodyEnd,
}

impl Gate {
    /// A gate with so many permits and the defaults above.
    ///
    /// # Panics
    ///
    /// When it is zero. [`try_new`](Self::try_new) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn new(max_in_flight: usize) -> Self {
        valid(Self::try_new(max_in_flight))
    }

    /// [`new`](Self::new) that returns what is wrong with the number.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn try_new(max_in_flight: usize) -> Result<Self, ConfigError> {
        if max_in_flight == 0 {
            return Err(ConfigError::new(
                "a gate has at least 1 permit, got 0: Gate::close() lets nobody in",
            ));
        }
        Ok(Self::of(Settings::of(max_in_flight)))
    }

    /// See [`max_wait`](Self::max_wait).
    pub(crate) fn longest_wait(&self) -> Duration {
        self.inner.settings.max_wait
    }

    fn of(settings: Settings) -> Self {
        let permits = settings.adaptive.as_ref().map_or(settings.permits, Adaptive::current);
        let depth = settings.depth.unwrap_or(permits.saturating_mul(2));
        Self {
            inner: Arc::new(Inner {
                shared: Shared::new(permits, depth),
                settings,
                counts: Counts::default(),
                keys: Arc::default(),
                seeds: Seeds::random(),
                prepared: Default::default(),
            }),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.inner.settings.clone();
        change(&mut settings);
        Self::of(settings)
    }

    /// How many requests may wait when all permits are out; zero refuses them at once. Default: twice the permits.
    #[must_use]
    pub fn queue(self, depth: usize) -> Self {
        self.with(|settings| settings.depth = Some(depth))
    }

    /// How long a request may wait; less when its [`Deadline`](crate::Deadline) is nearer. With zero it is refused
    /// as soon as it would wait; `Duration::MAX` is no limit. Default: 5 s.
    #[must_use]
    pub fn max_wait(self, limit: Duration) -> Self {
        self.with(|settings| settings.max_wait = limit)
    }

    /// How long a request holds its permit. Default: [`PermitScope::BodyEnd`].
    #[must_use]
    pub fn scope(self, scope: PermitScope) -> Self {
        self.with(|settings| settings.scope = scope)
    }

    /// How much of a waiting request's body is read and kept for the handler; one frame may go over it. hyper does not see
    /// that an HTTP/1 client has left as long as the body is unread, so a client with more to send than this is noticed only
    /// when it gets its permit. The body of a request with `Expect` is not read before. Default: 64 KiB.
    #[must_use]
    pub fn buffer(self, bytes: usize) -> Self {
        self.with(|settings| settings.buffer = bytes)
    }

    /// The status of a refusal in HTTP, for example 504 for [`Shed::QueueTimeout`]. Default: 503, and 429 for
    /// [`Shed::KeyOverCap`].
    #[must_use]
    pub fn status(self, reason: Shed, status: StatusCode) -> Self {
        self.with(|settings| settings.statuses[reason as usize] = status)
    }

    /// Requests that need no permit, such as health checks. They are neither counted nor refused. Default: none.
    #[must_use]
    pub fn exempt(self, exempt: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.exempt = Some(Arc::new(exempt)))
    }

    /// At most `cap` requests of one key in flight and in the queue together, so that one client cannot take everything.
    /// Requests without a key have no cap, and a cap of zero is a cap of one. Default: none.
    ///
    /// ```
    /// use tower_lifeline::Gate;
    ///
    /// let gate = Gate::new(100).per_key(4, |request| {
    ///     request.headers.get("authorization").map(|value| value.as_bytes().to_vec())
    /// });
    /// # let _ = gate;
    /// ```
    #[must_use]
    pub fn per_key<K: Hash>(
        self,
        cap: usize,
        key: impl Fn(&Parts) -> Option<K> + Send + Sync + 'static,
    ) -> Self {
        // Keys are kept as their hashes: bounded memory, and nobody outside can make two of them meet.
        let hasher = RandomState::new();
        let cap = cap.max(1);
        let key: Key = Arc::new(move |request| key(request).map(|key| hasher.hash_one(key)));
        self.with(|settings| settings.per_key = Some((key, cap)))
    }

    /// Puts a [`PermitHandle`](super::PermitHandle) into the extensions of each request, by which its handler can carry
    /// the permit on. Costs two allocations a request. Default: off.
    #[must_use]
    pub fn holdable(self) -> Self {
        self.with(|settings| settings.holdable = true)
    }

    /// Reads no clock for those who need not wait. `Retry-After` and [`GateStats::hold`] then know nothing of how long
    /// permits are held. Default: each permit is timed.
    #[must_use]
    pub fn untimed(self) -> Self {
        self.with(|settings| settings.timed = false)
    }

    /// Makes the refusals some other way; see [`TimeoutLayer::render`](crate::TimeoutLayer::render).
    #[must_use]
    pub fn render(
        self,
        render: impl Fn(Refusal, &Caller) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.renderer = Renderer::of(render))
    }

    /// Finds the number of permits while the gate runs, from the time between a permit and the first byte of its response.
    /// Each admitted request gives one sample, at the latest when its client leaves; a handler that fails, or answers 429,
    /// 503 or 504, counts as dropped. The queue's default depth is twice the number it starts with.
    ///
    /// The limit belongs to this gate. One that is made from it by a setter after it is in use takes the same one along: make
    /// a limit for each.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_lifeline::Gate;
    /// use tower_lifeline::gate::Aimd;
    ///
    /// let gate = Gate::adaptive(Aimd::between(8, 512).starting_at(64).target(Duration::from_secs(2)));
    /// assert_eq!(gate.stats().limit, 64);
    /// ```
    #[must_use]
    pub fn adaptive(limit: impl Limit + 'static) -> Self {
        let adaptive = Adaptive::new(limit);
        let permits = adaptive.current();
        Self::of(Settings { adaptive: Some(adaptive), ..Settings::of(permits) })
    }

    /// Where the time of an [`adaptive`](Self::adaptive) gate is read, at the latest when the permit goes back. Default:
    /// [`SampleAt::FirstByte`].
    #[must_use]
    pub fn sample_at(self, at: SampleAt) -> Self {
        self.with(|settings| {
            if let Some(adaptive) = &mut settings.adaptive {
                adaptive.at = at;
            }
        })
    }

    /// Changes the number of permits while the gate runs. More are given to those who wait at once; when there are fewer,
    /// nobody loses theirs, but none is given out before enough have come back. Zero lets nobody in and nobody out of the
    /// queue. The queue's depth stays.
    ///
    /// An [`adaptive`](Self::adaptive) gate goes on from its own number with the next sample: to bound it, bound its
    /// [`Limit`], or [`close`](Self::close) the gate.
    pub fn resize(&self, max_in_flight: usize) {
        self.inner.shared.resize(max_in_flight);
    }

    /// Changes the queue's depth while the gate runs. Those who wait stay.
    pub fn resize_queue(&self, depth: usize) {
        self.inner.shared.set_depth(depth);
    }

    /// Refuses everybody who arrives and everybody who waits. Those who are in flight stay.
    pub fn close(&self) {
        self.inner.shared.close();
    }

    /// Lets requests in again.
    pub fn reopen(&self) {
        self.inner.shared.reopen();
    }

    /// How it stands.
    #[must_use]
    pub fn stats(&self) -> GateStats {
        let Inner { shared, counts, .. } = &*self.inner;
        GateStats {
            limit: shared.limit(),
            in_flight: shared.in_flight(),
            queued: shared.queued(),
            admitted: shared.admitted(),
            queue_full: counts.of(Shed::QueueFull),
            queue_timeout: counts.of(Shed::QueueTimeout),
            deadline_too_short: counts.of(Shed::DeadlineTooShort),
            closed: counts.of(Shed::Closed),
            key_over_cap: counts.of(Shed::KeyOverCap),
            wait: counts.wait.summary(),
            hold: counts.hold.summary(),
        }
    }

    /// What is wrong with a queue that cannot drain within its wait when permits are held for so long; without an argument,
    /// for as long as they have been of late. Such a queue only delays refusals.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_lifeline::Gate;
    ///
    /// let gate = Gate::new(4).queue(8).max_wait(Duration::from_secs(5));
    ///
    /// assert_eq!(gate.advice(Duration::from_secs(1)), None);
    /// assert_eq!(
    ///     gate.advice(Duration::from_secs(10)).unwrap(),
    ///     "a queue of 8 behind 4 permits takes 20s to drain when each is held for 10s, but may wait for 5s: \
    ///      at most 2 places are of use"
    /// );
    /// ```
    #[must_use]
    pub fn advice(&self, hold: impl Into<Option<Duration>>) -> Option<String> {
        let shared = &self.inner.shared;
        let hold = hold.into().unwrap_or_else(|| self.inner.counts.hold.recent());
        let (depth, limit, wait) = (shared.depth(), shared.limit().max(1), self.inner.settings.max_wait);
        let drains_in = drain_time(depth.checked_sub(1)?, limit, hold);
        if drains_in <= wait {
            return None;
        }
        let useful = wait.as_nanos().saturating_mul(limit as u128) / hold.as_nanos().max(1);
        Some(format!(
            "a queue of {depth} behind {limit} permits takes {drains_in:?} to drain when each is held for {hold:?}, but \
             may wait for {wait:?}: at most {useful} places are of use"
        ))
    }
}

impl Settings {
    pub(super) fn looks_at_requests(&self) -> bool {
        self.exempt.is_some() || self.per_key.is_some()
    }

    fn of(permits: usize) -> Self {
        Self {
            permits,
            depth: None,
            max_wait: Duration::from_secs(5),
            scope: PermitScope::default(),
            buffer: 64 * 1024,
            timed: true,
            holdable: false,
            statuses: Shed::ALL.map(Shed::default_status),
            exempt: None,
            per_key: None,
            renderer: Renderer::default(),
            adaptive: None,
        }
    }
}

impl Inner {
    /// The answer to somebody who is refused.
    pub(super) fn refuse<B>(&self, reason: Shed, request: &Request<B>) -> Response<Bytes> {
        self.counts.shed(reason);
        if let Some(journal) = Journal::of(request.extensions()) {
            journal.shed(reason);
        }
        let status = self.settings.statuses[reason as usize];
        let drains_in = drain_time(self.shared.queued(), self.shared.limit(), self.counts.hold.recent());
        let after = retry_after(drains_in, |width| self.seeds.next().up_to(width));
        let refusal = reason.refusal(status, after);
        let caller = Caller::of_request(request);
        let mut response = self.prepared[reason as usize].answer(refusal, &caller, &self.settings.renderer);
        // For a log outside of this layer.
        response.extensions_mut().insert(reason);
        response
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("limit", &self.shared.limit())
            .field("in_flight", &self.shared.in_flight())
            .field("queued", &self.shared.queued())
            .field("depth", &self.shared.depth())
            .field("max_wait", &self.settings.max_wait)
            .field("scope", &self.settings.scope)
            .finish_non_exhaustive()
    }
}
