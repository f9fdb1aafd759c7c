//! Names what cuts streams, from when they break off.
//!
//! Pure: disconnects in, findings out.

mod class;
mod cluster;
mod finding;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use finding::{Finding, FindingKind};

use class::Class;

/// Remembers when streams broke off, for each path class, and names the idle timer, the lifetime cap or the limit on the
/// head that made them.
///
/// An [`Observer`](super::Observer) feeds one by itself. It can be fed from elsewhere too, such as the access log of
/// another server: only streams that were *cut* count, not those that ended by themselves.
///
/// # How it decides
///
/// Of each path class the last 128 disconnects are kept. A timer shows as a cluster: more of them within a quarter of a
/// second (and half a percent) around one silence, or one age, than their surroundings explain. It takes 15 at one
/// place, and more when others are near. The doubt is stated for each place that is looked at: one in ten million, were
/// the surroundings as bad as they can be without a timer. Over eight laws by which people leave and five kinds of
/// producers, 2.4 million random disconnects gave no finding (`tests/it/disconnects`).
///
/// - A silence that members of its own cluster have survived earlier is no idle timer.
/// - An age that many others get beyond is no lifetime cap, and the same for silences.
/// - When all streams are alike, so that the same ones cluster by silence and by age, an idle timer is named with a
///   confidence of a half: heartbeats will tell.
/// - Nothing is named below 2 s, where people have a bump of their own.
///
/// # Memory
///
/// At most 64 classes, 4 KiB each. When there are more, a class takes the place of one that has no finding and had no
/// disconnect for an hour, or else shares one class `others` with the rest. So a million keys take no more memory than
/// 65, and nobody can make it forget a finding.
#[derive(Debug)]
pub struct Inference {
    classes: HashMap<Arc<str>, Class>,
    others: Class,
}

pub(super) const MOST_CLASSES: usize = 64;
/// Longer names are cut.
const LONGEST_NAME: usize = 64;
const STALE: Duration = Duration::from_secs(3_600);

/// A stream that broke off before its end, because its client, or something on the way, went away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    age: Duration,
    silence: Duration,
    survived: Duration,
    beat: Option<Duration>,
    headless: bool,
}

impl Disconnect {
    /// So long after the call, and so long after the last bytes.
    #[must_use]
    pub fn new(age: Duration, silence: Duration) -> Self {
        Self { age, silence, survived: Duration::ZERO, beat: None, headless: false }
    }

    /// The longest silence that the stream had survived before. Default: none.
    #[must_use]
    pub fn survived(mut self, silence: Duration) -> Self {
        self.survived = silence;
        self
    }

    /// The interval of the stream's heartbeat. Default: it had none.
    #[must_use]
    pub fn beat(mut self, interval: Duration) -> Self {
        self.beat = Some(interval);
        self
    }

    /// There was not even a response head.
    #[must_use]
    pub fn before_head(mut self) -> Self {
        self.headless = true;
        self
    }
}

impl Default for Inference {
    fn default() -> Self {
        Self::new()
    }
}

impl Inference {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self { classes: HashMap::new(), others: Class::new("others".into()) }
    }

    /// A stream of this path class has broken off. What that tells, if it was not known before.
    pub fn disconnected(&mut self, class: &str, disconnect: &Disconnect, now: Instant) -> Option<Finding> {
        self.class(shortened(class), now).disconnected(disconnect, now)
    }

    /// All that is known.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.classes.values().chain([&self.others]).flat_map(Class::findings)
    }

    /// The shortest idle timer that was ever found on the way of this path class.
    #[must_use]
    pub fn idle_timer(&self, class: &str) -> Option<Duration> {
        self.classes.get(shortened(class)).unwrap_or(&self.others).shortest_idle()
    }

    /// Forgets everything: somebody has changed what stands in between.
    pub fn forget(&mut self) {
        *self = Self::new();
    }

    fn class(&mut self, name: &str, now: Instant) -> &mut Class {
        if !self.classes.contains_key(name) {
            if !self.makes_room(now) {
                return &mut self.others;
            }
            let name: Arc<str> = name.into();
            self.classes.insert(Arc::clone(&name), Class::new(name));
        }
        self.classes.get_mut(name).unwrap_or(&mut self.others)
    }

    fn makes_room(&mut self, now: Instant) -> bool {
        if self.classes.len() < MOST_CLASSES {
            return true;
        }
        let stale = |class: &Class| {
            let idle = class.last.map(|last| now.saturating_duration_since(last));
            !class.has_findings() && idle.is_none_or(|idle| idle >= STALE)
        };
        let stale = self.classes.iter().find(|(_, class)| stale(class)).map(|(name, _)| Arc::clone(name));
        stale.is_some_and(|name| self.classes.remove(&name).is_some())
    }
}

/// As much of a name as is kept.
pub(super) fn shortened(name: &str) -> &str {
    let end = (0..=LONGEST_NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}
