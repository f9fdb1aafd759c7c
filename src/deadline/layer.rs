//! DeadlineLayer: reads what a caller asks for and puts it into the request's extensions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::budget::Deadline;
use super::header::DeadlineHeader;
use super::hint::{HeadDeadline, SilenceHint};
use super::limits::Limits;
use super::trust::Trust;
use crate::ConfigError;
use crate::error::valid;

/// Puts one [`Deadline`] into the extensions of each request. See the [module](super) for what happens when.
///
/// # Defaults
///
/// | setting | value |
/// |---|---|
/// | [`trust`](Self::trust), [`trust_prefer_wait`](Self::trust_prefer_wait), [`trust_read_timeout`](Self::trust_read_timeout) | nothing is trusted |
/// | [`min`](Self::min) | zero |
/// | [`max`](Self::max) | none |
/// | [`default`](Self::default()) | none: who asks for nothing gets no deadline |
///
/// A layer without settings does nothing.
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::{DeadlineHeader, DeadlineLayer};
///
/// let layer = DeadlineLayer::new()
///     .trust(DeadlineHeader::GrpcTimeout)
///     .min(Duration::from_millis(100))
///     .max(Duration::from_secs(600))
///     .default(Duration::from_secs(60));
/// ```
#[derive(Clone)]
pub struct DeadlineLayer {
    settings: Arc<Settings>,
    /// In the layer's value, because axum clones services per route, per method and per request.
    malformed: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
struct Settings {
    trust: Trust,
    limits: Limits,
}

impl DeadlineLayer {
    /// A layer that trusts nobody and sets nothing.
    #[expect(clippy::new_without_default, reason = "`default` is a setting of this type")]
    #[must_use]
    pub fn new() -> Self {
        let settings = Settings { trust: Trust::default(), limits: Limits::NONE };
        Self { settings: Arc::new(settings), malformed: Arc::default() }
    }

    /// Takes deadlines from this header too. Of several that a request has, the shortest counts. Default: none.
    #[must_use]
    pub fn trust(mut self, header: DeadlineHeader) -> Self {
        let trusted = &mut self.settings_mut().trust.deadlines;
        if !trusted.contains(&header) {
            trusted.push(header);
        }
        self
    }

    /// Takes a [`HeadDeadline`] from `Prefer: wait=5` (RFC 7240, section 4.3): seconds, 1 to 10 digits. Default: no.
    #[must_use]
    pub fn trust_prefer_wait(mut self) -> Self {
        self.settings_mut().trust.prefer_wait = true;
        self
    }

    /// Takes a [`SilenceHint`] from `x-stainless-read-timeout: 600.0`, which the Python clients of OpenAI and Anthropic
    /// send: seconds, 1 to 10 digits, and optionally a point and 1 to 17 digits. `NOT_GIVEN` says nothing. Default: no.
    #[must_use]
    pub fn trust_read_timeout(mut self) -> Self {
        self.settings_mut().trust.read_timeout = true;
        self
    }

    /// What a caller asks for is lengthened to so much. Default: zero, which is what it asks for.
    ///
    /// # Panics
    ///
    /// When it is more than the maximum or the default. [`try_min`](Self::try_min) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn min(self, shortest: Duration) -> Self {
        valid(self.try_min(shortest))
    }

    /// [`min`](Self::min) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is more than the maximum or the default.
    pub fn try_min(self, shortest: Duration) -> Result<Self, ConfigError> {
        self.with_limits(|limits| limits.with_min(shortest))
    }

    /// What a caller asks for is cut to so much. It gives no deadline to who asks for nothing:
    /// [`default`](Self::default()) does. Default: no maximum.
    ///
    /// # Panics
    ///
    /// When it is less than a millisecond, the minimum or the default. [`try_max`](Self::try_max) returns that as an
    /// error.
    #[must_use]
    #[track_caller]
    pub fn max(self, longest: Duration) -> Self {
        valid(self.try_max(longest))
    }

    /// [`max`](Self::max) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is less than a millisecond, the minimum or the default.
    pub fn try_max(self, longest: Duration) -> Result<Self, ConfigError> {
        self.with_limits(|limits| limits.with_max(longest))
    }

    /// What a request gets that asks for nothing, or for nothing that is trusted and can be read. With it every request
    /// has a deadline. Default: none.
    ///
    /// # Panics
    ///
    /// When it is less than a millisecond or the minimum, or more than the maximum.
    /// [`try_default`](Self::try_default) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn default(self, otherwise: Duration) -> Self {
        valid(self.try_default(otherwise))
    }

    /// [`default`](Self::default()) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is less than a millisecond or the minimum, or more than the maximum.
    pub fn try_default(self, otherwise: Duration) -> Result<Self, ConfigError> {
        self.with_limits(|limits| limits.with_default(otherwise))
    }

    /// How many trusted headers were there and could not be read. Clones of a layer, and the services that they make,
    /// count together.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    fn with_limits(
        mut self,
        change: impl FnOnce(Limits) -> Result<Limits, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let settings = self.settings_mut();
        settings.limits = change(settings.limits)?;
        Ok(self)
    }

    fn mark<B>(&self, request: &mut Request<B>) {
        let Settings { trust, limits } = &*self.settings;
        let asked = trust.read(request.headers());
        if asked.malformed > 0 {
            self.malformed.fetch_add(asked.malformed, Ordering::Relaxed);
        }
        let extensions = request.extensions_mut();
        if let Some(allowed) = limits.allow(asked.deadline) {
            keep_least(extensions, Deadline::after(allowed));
        }
        if let Some(asked) = asked.head {
            keep_least(extensions, HeadDeadline::new(Deadline::after(limits.clamp(asked))));
        }
        if let Some(asked) = asked.silence {
            keep_least(extensions, SilenceHint::new(limits.clamp(asked.max(SilenceHint::SHORTEST))));
        }
    }
}

/// What an outer layer has said stays when it is the stricter of the two.
fn keep_least<T: Ord + Clone + Send + Sync + 'static>(extensions: &mut Extensions, new: T) {
    if extensions.get::<T>().is_none_or(|old| new < *old) {
        extensions.insert(new);
    }
}

impl fmt::Debug for DeadlineLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineLayer")
            .field("trust", &self.settings.trust)
            .field("limits", &self.settings.limits)
            .field("malformed", &self.malformed())
            .finish()
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner, layer: self.clone() }
    }
}

/// The service that [`DeadlineLayer`] makes. It adds nothing to the inner service's future.
#[derive(Clone, Debug)]
pub struct DeadlineService<S> {
    inner: S,
    layer: DeadlineLayer,
}

impl<S, B> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.layer.mark(&mut request);
        self.inner.call(request)
    }
}
