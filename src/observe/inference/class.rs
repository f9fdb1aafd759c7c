//! Decides: what do the last disconnects of one path class say?

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Disconnect;
use super::cluster::{Cluster, Sorted, around};
use super::finding::{Finding, FindingKind};

/// So many disconnects are remembered. Older ones fade by being replaced.
const REMEMBERED: usize = 128;

/// What is remembered of one path class: 4 KiB when it is full.
#[derive(Debug)]
pub(super) struct Class {
    name: Arc<str>,
    pub(super) last: Option<Instant>,
    /// In the order in which they came; and the same by silence and by age.
    cut: VecDeque<Cut>,
    silences: Sorted,
    ages: Sorted,
    /// Ages of those that had no head, in order; and sorted.
    headless: VecDeque<u32>,
    headless_ages: Sorted,
    found: [Option<Finding>; FindingKind::COUNT],
    /// The shortest idle timer that was ever found. It only gets shorter, and so does what follows from it.
    idle: Option<Duration>,
}

/// One disconnect, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Cut {
    age: u32,
    silence: u32,
    survived: u32,
}

impl Class {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            last: None,
            cut: VecDeque::new(),
            silences: Sorted::default(),
            ages: Sorted::default(),
            headless: VecDeque::new(),
            headless_ages: Sorted::default(),
            found: [const { None }; FindingKind::COUNT],
            idle: None,
        }
    }

    /// What is found with this disconnect and was not known before.
    pub(super) fn disconnected(&mut self, disconnect: &Disconnect, now: Instant) -> Option<Finding> {
        self.last = Some(now);
        let (silence, age) = (millis(disconnect.silence), millis(disconnect.age));
        if disconnect.headless {
            if let Some(old) = remember(&mut self.headless, age) {
                self.headless_ages.remove(old);
            }
            self.headless_ages.insert(age);
            let cluster = around(age, &self.headless_ages)?;
            return self.found(FindingKind::HeadLimit, cluster, false, disconnect);
        }
        if let Some(old) =
            remember(&mut self.cut, Cut { age, silence, survived: millis(disconnect.survived) })
        {
            self.silences.remove(old.silence);
            self.ages.remove(old.age);
        }
        self.silences.insert(silence);
        self.ages.insert(age);
        let idle = self.idle_timer(silence);
        if let Some(cap) = self.lifetime_cap(age) {
            match idle {
                Some(idle) if self.are_the_same(idle, cap) => {
                    return self.found(FindingKind::IdleTimer, idle, true, disconnect);
                }
                _ => {
                    let found = self.found(FindingKind::LifetimeCap, cap, false, disconnect);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        self.found(FindingKind::IdleTimer, idle?, false, disconnect)
    }

    fn idle_timer(&self, silence: u32) -> Option<Cluster> {
        let cluster = around(silence, &self.silences)?;
        // Whoever has survived such a silence on the same way before was not cut by this one. What a cap does to streams that
        // all beat in the same rhythm looks like a timer otherwise.
        let refuted = self
            .cut
            .iter()
            .filter(|cut| cluster.core.has(cut.silence) && cluster.core.is_reached_by(cut.survived))
            .count();
        let beyond = cluster.core.beyond(&self.silences);
        (refuted * 2 <= cluster.values && beyond <= cluster.values).then_some(cluster)
    }

    fn lifetime_cap(&self, age: u32) -> Option<Cluster> {
        let cluster = around(age, &self.ages)?;
        // Nothing gets older than a cap. Clients that leave at one of many regular events make clusters too.
        (cluster.core.beyond(&self.ages) <= cluster.values).then_some(cluster)
    }

    /// Most of those who are in the one are in the other too.
    fn are_the_same(&self, idle: Cluster, cap: Cluster) -> bool {
        let both = self.cut.iter().filter(|cut| idle.core.has(cut.silence) && cap.core.has(cut.age)).count();
        both * 5 >= cap.values * 4
    }

    fn found(
        &mut self,
        kind: FindingKind,
        cluster: Cluster,
        undecided: bool,
        disconnect: &Disconnect,
    ) -> Option<Finding> {
        let samples = match kind {
            FindingKind::HeadLimit => self.headless.len(),
            FindingKind::IdleTimer | FindingKind::LifetimeCap => self.cut.len(),
        };
        let sure = 1.0 - cluster.chance * REMEMBERED as f64;
        let finding = Finding {
            class: Arc::clone(&self.name),
            kind,
            estimate: cluster.at,
            confidence: if undecided { Finding::UNDECIDED } else { sure },
            clustered: cluster.values,
            samples,
            beat: disconnect.beat,
        };
        match kind {
            FindingKind::IdleTimer => self.idle = self.idle.into_iter().chain([cluster.at]).min(),
            FindingKind::LifetimeCap => self.decide_for_cap(&finding),
            FindingKind::HeadLimit => {}
        }
        let known = &mut self.found[kind as usize];
        let again = known.as_ref().is_some_and(|known| finding.is_at(known.estimate));
        *known = Some(finding.clone());
        (!again).then_some(finding)
    }

    /// What could be either when it was named an idle timer is none.
    fn decide_for_cap(&mut self, cap: &Finding) {
        let idle = &mut self.found[FindingKind::IdleTimer as usize];
        let wrong = |idle: &Finding| idle.confidence <= Finding::UNDECIDED && cap.is_at(idle.estimate);
        if idle.as_ref().is_some_and(wrong) {
            *idle = None;
        }
    }

    pub(super) fn shortest_idle(&self) -> Option<Duration> {
        self.idle
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.found.iter().flatten()
    }

    pub(super) fn has_findings(&self) -> bool {
        self.findings().next().is_some()
    }
}

/// Gives back what has to be forgotten for it.
fn remember<T>(all: &mut VecDeque<T>, new: T) -> Option<T> {
    let old = if all.len() == REMEMBERED { all.pop_front() } else { None };
    all.push_back(new);
    old
}

/// A stream older than 49 days is as old as one of 49 days.
fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
