//! A permit, given back exactly once, by whoever holds it last.

use std::sync::{Arc, Weak};
use std::time::Instant;

use http::Extensions;

use super::handle::Inner;
use super::keys::KeyGuard;
use crate::body::now;

/// The right to be in flight. To drop it gives it back.
// Not `Clone`: two owners would give it back twice.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Inner>,
    /// Since when, if anybody wants to know.
    since: Option<Instant>,
    /// Counted for as long as the permit is out.
    key: Option<KeyGuard>,
}

impl Permit {
    /// Of a permit that has been taken from `gate.shared`.
    #[inline]
    pub(super) fn new(gate: Arc<Inner>, key: Option<KeyGuard>) -> Self {
        let since = gate.settings.timed.then(now);
        Self { gate, since, key }
    }

    /// In the request's extensions too, if its handler may carry it on.
    #[inline(always)]
    pub(super) fn carried(self, extensions: &mut Extensions) -> Carried {
        if !self.gate.settings.holdable {
            return Carried::Alone(self);
        }
        let permit = Arc::new(self);
        extensions.insert(PermitHandle(Arc::downgrade(&permit)));
        Carried::Holdable(permit)
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if let Some(since) = self.since {
            self.gate.counts.hold.add(now().saturating_duration_since(since));
        }
        // First, for whoever is woken by the release may come with the same key.
        self.key = None;
        self.gate.shared.release();
    }
}

/// In the extensions of a request that was admitted by a [`Gate`](super::Gate) that is
/// [holdable](super::Gate::holdable): lets the handler carry the permit on.
///
/// Extensions are cloned and kept in odd places, so this handle alone keeps no permit.
#[derive(Clone, Debug)]
pub struct PermitHandle(pub(super) Weak<Permit>);

impl PermitHandle {
    /// The permit itself, for work that goes on when the response has ended, or for an upgraded connection. `None` when
    /// it has been given back already.
    ///
    /// ```
    /// # fn handler(request: http::Request<()>) {
    /// use tower_lifeline::gate::PermitHandle;
    ///
    /// let permit = request.extensions().get::<PermitHandle>().and_then(PermitHandle::hold);
    /// tokio::spawn(async move {
    ///     // ... work that still counts ...
    ///     drop(permit);
    /// });
    /// # }
    /// ```
    #[must_use]
    pub fn hold(&self) -> Option<HeldPermit> {
        self.0.upgrade().map(HeldPermit)
    }
}

/// A permit that its handler has carried on. The request counts as in flight until this is dropped, too.
#[derive(Debug)]
pub struct HeldPermit(#[expect(dead_code, reason = "it is held, and not read")] Arc<Permit>);

/// A permit on its way through future and body.
#[derive(Debug)]
pub(crate) enum Carried {
    Alone(#[expect(dead_code, reason = "it is held, and not read")] Permit),
    Holdable(#[expect(dead_code, reason = "it is held, and not read")] Arc<Permit>),
}
