//! Decides: have so many disconnects at one place a cause of their own?
//!
//! People leave at all times, but no law by which they do has a bump that is a second wide. So a place is judged by its
//! own surroundings and not by a law: how many values lie in a *core*, and how many in the *neighbourhood*, which is five
//! times as wide. Where the density does not change, a fifth of the neighbourhood is in the core; where it breaks off to
//! nothing, which is what a regular heartbeat does to silences, a third at the most. That third is the doubt that a
//! cluster has to overcome.

use std::time::Duration;

/// The core of a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cluster {
    /// The middle of the values in the core.
    pub(super) at: Duration,
    pub(super) core: Core,
    /// How many values lie in it.
    pub(super) values: usize,
    /// At most so likely where nothing but chance puts a third of the neighbourhood into the core.
    pub(super) chance: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Core {
    center: u32,
    half: u32,
}

/// So unlikely must a cluster be. The values around each new one are looked at once, at a few places that differ little.
const CHANCE: f64 = 1e-7;
/// 3 to the 14th is less than one in [`CHANCE`], so with less there is nothing to reckon.
const FEWEST: usize = 15;
const NEIGHBOURHOOD: u32 = 5;
/// Two seconds.
const LEAST: u32 = 2_000;

impl Core {
    /// A timer that is looked at ten times a second, the network, a busy server: a quarter of a second either way. And
    /// half a percent, for timers on a coarse clock.
    fn around(center: u32) -> Self {
        Self { center, half: 250 + center / 200 }
    }

    pub(super) fn has(self, value: u32) -> bool {
        self.center.abs_diff(value) <= self.half
    }

    /// Whether somebody has got about so far, or farther.
    pub(super) fn is_reached_by(self, value: u32) -> bool {
        value >= self.center.saturating_sub(self.half)
    }

    fn inside(self, values: &Sorted) -> usize {
        values.within(self.center, self.half).len()
    }

    fn near(self, values: &Sorted) -> usize {
        values.within(self.center, NEIGHBOURHOOD * self.half).len()
    }

    /// How many have got well beyond it.
    pub(super) fn beyond(self, values: &Sorted) -> usize {
        let far = self.center.saturating_add(NEIGHBOURHOOD * self.half);
        values.0.len() - values.0.partition_point(|value| *value <= far)
    }

    /// Whether its surroundings can be told from the bump that most laws have at their start.
    fn has_room(self) -> bool {
        self.center >= LEAST
    }
}

/// Values in milliseconds, the smallest first.
#[derive(Debug, Default)]
pub(super) struct Sorted(Vec<u32>);

impl Sorted {
    pub(super) fn insert(&mut self, value: u32) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    pub(super) fn remove(&mut self, value: u32) {
        if let Ok(place) = self.0.binary_search(&value) {
            self.0.remove(place);
        }
    }

    fn within(&self, center: u32, reach: u32) -> &[u32] {
        let begin = self.0.partition_point(|value| *value < center.saturating_sub(reach));
        let end = self.0.partition_point(|value| *value <= center.saturating_add(reach));
        &self.0[begin..end]
    }
}

/// The cluster that this value, the newest, is in.
pub(super) fn around(newest: u32, values: &Sorted) -> Option<Cluster> {
    // A little more than twice the half, for a core that is farther out is wider.
    let reach = Core::around(newest).half * 51 / 25;
    let close = values.within(newest, reach);
    if close.len() < FEWEST {
        return None;
    }
    let cores = close.iter().map(|value| Core::around(*value));
    let cores = cores.filter(|core| core.has(newest) && core.has_room());
    let core = cores.max_by_key(|core| core.inside(values))?;
    let members = values.within(core.center, core.half);
    let chance = at_least(members.len(), core.near(values));
    let at = Duration::from_millis(members.get(members.len() / 2).copied()?.into());
    (chance <= CHANCE).then_some(Cluster { at, core, values: members.len(), chance })
}

/// How likely at least so many of `all` are, when each is by a chance of one third: the tail of a binomial distribution.
fn at_least(some: usize, all: usize) -> f64 {
    const SHARE: f64 = 1.0 / 3.0;
    let (k, n) = (some as f64, all as f64);
    let mut term = (0..some).fold(1.0, |term, i| term * (n - i as f64) / (k - i as f64) * SHARE);
    term *= (1.0 - SHARE).powf(n - k);
    let mut sum = 0.0;
    for k in some..=all {
        sum += term;
        term *= (n - k as f64) / (k as f64 + 1.0) * SHARE / (1.0 - SHARE);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_the_distribution() {
        let check = |some, all, expected: f64| {
            let chance = at_least(some, all);
            assert!((chance / expected - 1.0).abs() < 1e-9, "{some} of {all}: {chance}");
        };
        check(0, 7, 1.0);
        check(1, 1, 1.0 / 3.0);
        check(1, 2, 5.0 / 9.0);
        check(2, 3, 7.0 / 27.0);
        check(15, 15, 3.0_f64.powi(-15));
        assert!(at_least(14, 14) > CHANCE && at_least(FEWEST, FEWEST) < CHANCE);
    }

    fn check(newest: u32, values: impl IntoIterator<Item = u32>, expected: Option<(u64, usize)>) {
        let mut sorted = Sorted::default();
        values.into_iter().for_each(|value| sorted.insert(value));
        let cluster = around(newest, &sorted);
        let found = cluster.map(|cluster| (cluster.at.as_millis() as u64, cluster.values));
        assert_eq!(found, expected, "{newest} in {sorted:?}");
    }

    #[test]
    fn fifteen_at_one_place_are_a_cluster_and_fourteen_are_none() {
        let at_60 = |many: u32| (0..many).map(|i| 60_000 + 10 * i);
        check(60_000, at_60(14), None);
        check(60_000, at_60(15), Some((60_070, 15)));
        check(90_000, at_60(15).chain([90_000]), None);
    }

    #[test]
    fn a_core_and_what_lies_around_it() {
        let core = Core::around(100_000);
        assert_eq!(core, Core { center: 100_000, half: 750 });
        for (value, has, reached) in
            [(99_249, false, false), (99_250, true, true), (100_750, true, true), (100_751, false, true)]
        {
            assert_eq!((core.has(value), core.is_reached_by(value)), (has, reached), "{value}");
        }

        let mut values = Sorted::default();
        let edges = [99_249, 99_250, 100_750, 100_751, 96_249, 96_250, 103_750, 103_751, 200_000];
        edges.into_iter().for_each(|value| values.insert(value));
        assert_eq!(core.inside(&values), 2);
        assert_eq!(core.near(&values), 6);
        assert_eq!(core.beyond(&values), 2);
        values.remove(99_250);
        values.remove(99_251);
        assert_eq!((core.inside(&values), core.near(&values)), (1, 5));
    }

    #[test]
    fn a_cluster_is_found_from_its_edge() {
        let spread = |many: u32| (0..many).map(|i| 60_000 + 75 * i);
        check(60_000, spread(15), Some((60_525, 15)));
        check(61_050, spread(15), Some((60_525, 15)));
    }

    #[test]
    fn what_lies_in_the_neighbourhood_speaks_against_it() {
        let at_60 = (0..15).map(|i| 60_000 + 10 * i);
        let far = [10_000, 50_000, 70_000, 80_000];
        check(60_000, at_60.clone().chain(far), Some((60_070, 15)));
        let near = [58_500, 61_500, 62_000];
        check(60_000, at_60.chain(near), None);
        let more = (0..22).map(|i| 60_000 + 10 * i).chain(near);
        check(60_000, more, Some((60_110, 22)));
    }

    #[test]
    fn the_edge_of_what_is_even_is_no_cluster() {
        // What regular beats make of silences.
        check(14_900, (0..128).map(|i| 15_000 - 117 * i), None);
        check(14_900, (0..128).map(|i| 15_000 - 40 * i), None);
        check(7_000, (0..128).map(|i| 15_000 - 117 * i), None);
    }

    #[test]
    fn near_zero_there_is_no_room_to_judge() {
        check(1_800, (0..100).map(|i| 1_800 + i), None);
        check(2_000, (0..100).map(|i| 2_000 + i), Some((2_050, 100)));
    }

    #[test]
    fn the_ends_of_the_range() {
        check(u32::MAX, [u32::MAX; 20], Some((u32::MAX.into(), 20)));
        check(0, [0; 20], None);
    }
}
