use super::*;
use crate::body::now;

struct Fed {
    class: Class,
    now: Instant,
}

impl Fed {
    fn new() -> Self {
        Self { class: Class::new("chat".into()), now: now() }
    }

    fn one(&mut self, disconnect: &Disconnect) -> Option<Finding> {
        self.class.disconnected(disconnect, self.now)
    }

    /// What is found with streams of these ages and silences, in milliseconds.
    fn all(&mut self, streams: impl IntoIterator<Item = (u64, u64)>) -> Vec<Finding> {
        streams.into_iter().filter_map(|(age, silence)| self.one(&cut(age, silence))).collect()
    }

    fn known(&self) -> Vec<FindingKind> {
        self.class.findings().map(|finding| finding.kind).collect()
    }
}

fn cut(age: u64, silence: u64) -> Disconnect {
    Disconnect::new(Duration::from_millis(age), Duration::from_millis(silence))
}

/// So many that differ, none near another.
fn spread(from: u64, many: u64) -> impl Iterator<Item = u64> {
    (0..many).map(move |i| from + 20_000 * i)
}

/// Cut after a minute of silence, each at another age.
fn idle(many: u64) -> impl Iterator<Item = (u64, u64)> {
    spread(1_000_000, many).map(|age| (age, 60_000))
}

/// Cut at an age of five minutes, each after another silence.
fn capped(many: u64) -> impl Iterator<Item = (u64, u64)> {
    spread(100_000, many).map(|silence| (300_000, silence))
}

#[test]
fn an_idle_timer_is_named_once_and_with_its_doubt() {
    let mut fed = Fed::new();
    assert!(fed.all(idle(14)).is_empty() && !fed.class.has_findings());
    assert_eq!(fed.class.shortest_idle(), None);
    let finding = fed.one(&cut(2_000_000, 60_000).beat(Duration::from_secs(9))).unwrap();
    let chance = 3.0_f64.powi(-15);
    assert!((finding.confidence - (1.0 - 128.0 * chance)).abs() < 1e-12, "{finding:?}");
    assert_eq!((finding.kind, finding.estimate), (FindingKind::IdleTimer, Duration::from_secs(60)));
    assert_eq!((finding.clustered, finding.samples), (15, 15));
    assert_eq!((&*finding.class, finding.beat), ("chat", Some(Duration::from_secs(9))));

    assert_eq!(fed.all([(3_000_000, 60_000)]), []);
    assert!(fed.class.has_findings());
    assert_eq!(fed.known(), [FindingKind::IdleTimer]);
    assert_eq!(fed.class.shortest_idle(), Some(Duration::from_secs(60)));
    assert_eq!(fed.class.last, Some(fed.now));
}

#[test]
fn a_lifetime_cap_is_no_idle_timer() {
    let mut fed = Fed::new();
    let [finding] = &fed.all(capped(20))[..] else { panic!("one finding") };
    assert_eq!((finding.kind, finding.estimate), (FindingKind::LifetimeCap, Duration::from_secs(300)));
    assert_eq!(finding.clustered, 15);
    assert_eq!(fed.class.shortest_idle(), None);
}

#[test]
fn a_limit_on_the_head_is_told_from_what_ends_bodies() {
    let mut fed = Fed::new();
    let headless = cut(30_000, 30_000).before_head();
    assert!((0..14).all(|_| fed.one(&headless).is_none()));
    assert_eq!(fed.all([(30_000, 30_000)]), []);
    let finding = fed.one(&headless).unwrap();
    assert_eq!((finding.kind, finding.samples), (FindingKind::HeadLimit, 15));
    assert!(finding.confidence > 0.99);
}

#[test]
fn a_silence_that_more_than_half_of_its_cluster_have_survived_is_no_timer() {
    for (survivors, found) in [(0, 1), (7, 1), (8, 0), (10, 0)] {
        let mut fed = Fed::new();
        let findings = (0..).zip(idle(15)).filter_map(|(nth, (age, silence))| {
            let survived = if nth < survivors { silence } else { 1_000 };
            fed.one(&cut(age, silence).survived(Duration::from_millis(survived)))
        });
        assert_eq!(findings.count(), found, "{survivors}");
    }
    // What others have survived is another way's silence.
    let mut fed = Fed::new();
    let hour = Duration::from_secs(3_600);
    assert!(spread(100_000, 14).all(|silence| fed.one(&cut(silence * 9, silence).survived(hour)).is_none()));
    assert_eq!(fed.all(idle(15)).len(), 1);
}

#[test]
fn what_more_get_beyond_than_end_at_cuts_nothing() {
    for (beyond, found) in [(15, 1), (16, 0)] {
        let mut fed = Fed::new();
        let silent_for_longer = spread(100_000, beyond).map(|silence| (silence * 20, silence));
        assert_eq!(fed.all(silent_for_longer).len(), 0);
        assert_eq!(fed.all(idle(15)).len(), found, "{beyond} silences");

        let mut fed = Fed::new();
        let older = spread(1_000_000, beyond).map(|age| (age, age / 20));
        assert_eq!(fed.all(older).len(), 0);
        assert_eq!(fed.all(capped(15)).len(), found, "{beyond} ages");
    }
}

#[test]
fn streams_that_are_alike_cannot_tell_a_cap_from_a_timer() {
    for (alike, kind, confidence) in
        [(12, FindingKind::IdleTimer, 0.5..=0.5), (11, FindingKind::LifetimeCap, 0.99..=1.0)]
    {
        let mut fed = Fed::new();
        let others = 15 - alike;
        // Younger than the cap: nothing gets older.
        let idle = spread(100_000, others).map(|age| (age, 60_000));
        assert_eq!(fed.all(idle.chain(capped(others))), []);
        let [finding] = &fed.all((0..alike).map(|_| (300_000, 60_000)))[..] else { panic!("{alike}") };
        assert_eq!(finding.kind, kind, "{alike}");
        assert!(confidence.contains(&finding.confidence), "{finding:?}");
    }
}

#[test]
fn a_timer_and_a_cap_on_one_way_are_both_named() {
    let mut fed = Fed::new();
    assert_eq!(fed.all((0..20).map(|i| (300_000, 2_000 + 2_500 * i))).len(), 1);
    assert_eq!(fed.all((0..14).map(|i| (100_000 + 12_000 * i, 60_000))), []);
    let finding = fed.one(&cut(300_000, 60_000)).unwrap();
    assert_eq!(finding.kind, FindingKind::IdleTimer);
    assert!(finding.confidence > 0.99, "{finding:?}");
}

#[test]
fn a_cap_takes_the_place_of_a_timer_that_was_never_sure() {
    let mut fed = Fed::new();
    let never_spoke = (0..15).map(|_| (60_000, 60_000));
    assert_eq!(fed.all(never_spoke)[0].confidence, 0.5);
    assert_eq!(fed.all([(60_000, 20_000)]).len(), 1);
    assert_eq!(fed.known(), [FindingKind::LifetimeCap]);

    let mut fed = Fed::new();
    assert!(fed.all(idle(15))[0].confidence > 0.99);
    let at_60 = (0..15).map(|i| (60_000, 2_000 + 3_000 * i));
    assert_eq!(fed.all(at_60).len(), 1);
    assert_eq!(fed.known(), [FindingKind::IdleTimer, FindingKind::LifetimeCap]);
}

#[test]
fn only_the_last_are_remembered() {
    let mut all = VecDeque::new();
    assert!((0..REMEMBERED).all(|nth| remember(&mut all, nth).is_none()));
    assert_eq!(remember(&mut all, REMEMBERED), Some(0));
    assert_eq!((all.len(), all.back()), (REMEMBERED, Some(&REMEMBERED)));

    let mut fed = Fed::new();
    assert_eq!(fed.all(idle(10)), []);
    assert_eq!(fed.all(spread(100_000, 125).map(|silence| (silence * 20, silence))), []);
    assert_eq!(fed.all(idle(20)), [], "more have got beyond");
    // Were nothing forgotten, 125 would have got beyond and 80 not.
    let [finding] = &fed.all(idle(50))[..] else { panic!("one finding") };
    assert_eq!(finding.samples, REMEMBERED);
}

#[test]
fn the_ends_of_the_range() {
    assert_eq!(millis(Duration::from_micros(1_999)), 1);
    assert_eq!(millis(Duration::MAX), u32::MAX);
}
