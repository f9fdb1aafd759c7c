//! The one task of a layer: looks at the streams that may be stalled, and takes out the bodies of those that are.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

use super::error::StallError;
use super::list::{Cut, List, Place, Watched};
use super::watch::{Clock, Limits};
use crate::body::{Timer, now};

/// What the services and streams of a layer share.
pub(super) struct Watchdog {
    pub(super) settings: Settings,
    list: List,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) disconnect: super::Disconnect,
    pub(super) hook: Option<Hook>,
}

type Hook = Arc<dyn Fn(&StallError) + Send + Sync>;

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog")
            .field("limits", &self.settings.limits)
            .field("disconnect", &self.settings.disconnect)
            .finish_non_exhaustive()
    }
}

impl Watchdog {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, list: List::new() })
    }

    /// Outside of a runtime nobody can look at the stream yet, and it has no place.
    pub(super) fn enter(self: &Arc<Self>, stream: Arc<dyn Watched>) -> Option<Place> {
        let (place, must_start) = self.list.enter(stream);
        if must_start {
            let running = Running(Some(Arc::clone(self)));
            if !running.starts() {
                self.leave(place);
                return None;
            }
        }
        Some(place)
    }

    pub(super) fn leave(&self, place: Place) {
        self.list.leave(place);
    }

    /// Looks at all streams from this place on, a number of them; returns where to go on.
    fn look(&self, from: usize, seen: Instant, until: &mut Instant) -> Option<usize> {
        let mut stalled = Vec::new();
        let more = self.list.look(from, &self.settings.limits, seen, until, &mut stalled);
        stalled.into_iter().for_each(|cut| self.cut(cut));
        more
    }

    fn cut(&self, Cut { error, body, stream }: Cut) {
        // First, because it is what holds the permit. A panic of somebody's code is not that of the others who were found
        // in the same look.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(body)));
        stream.reader().is_given_up(&error);
        if let Some(hook) = &self.settings.hook {
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&error)));
        }
    }
}

/// A watchdog runs, or is about to. Dropped with its runtime, or by a panic of somebody's body, it makes room for
/// another.
struct Running(Option<Arc<Watchdog>>);

#[cfg(not(all(test, lifeline_loom)))]
impl Running {
    fn starts(self) -> bool {
        let runtime = tokio::runtime::Handle::try_current();
        runtime.map(|runtime| runtime.spawn(run(self))).is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(watchdog) = &self.0 {
            watchdog.list.is_abandoned();
        }
    }
}

#[cfg_attr(all(test, lifeline_loom), expect(dead_code, reason = "loom knows no runtime"))]
async fn run(mut running: Running) {
    let Some(watchdog) = running.0.clone() else {
        return;
    };
    let limits = watchdog.settings.limits;
    let mut clock = Clock::new(&limits, now());
    let mut timer = pin!(Timer::new(now()));
    let mut wait = limits.pace();
    loop {
        // The pace has no more than an hour.
        let at = now() + wait;
        poll_fn(|cx| timer.as_mut().poll_at(at, cx)).await;
        let seen = clock.look(now());
        let mut until = seen + limits.pace();
        let mut from = Some(0);
        while let Some(place) = from {
            from = watchdog.look(place, seen, &mut until);
            if from.is_some() {
                yield_now().await;
            }
        }
        if watchdog.list.ends() {
            running.0 = None;
            return;
        }
        // Nobody is to be looked at before that; and if somebody were, not over and over.
        wait = until.saturating_duration_since(seen).max(Duration::from_millis(1));
    }
}

#[cfg(all(test, lifeline_loom))]
mod loom_models;
