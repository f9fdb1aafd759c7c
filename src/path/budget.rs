//! Decides: which seconds follow from the hops on the way?

use std::fmt;
use std::time::Duration;

use super::hop::Hop;
use crate::ConfigError;

/// What stands between a server and its clients. See the [module](super).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopPath {
    hops: Vec<Hop>,
}

/// What a [`HopPath`] leaves room for. `None` where no hop sets a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// How long a stream may be silent before it beats: half of the shortest idle limit, at most 15 s, at least 1 s.
    /// So a stack is refused behind a hop with an idle limit below 2 s, unless it says its own heartbeat.
    pub beat: Option<Duration>,
    /// How long a request may wait for its head: a third of the shortest limit on the first byte, at most 10 s.
    pub early: Option<Duration>,
    /// How old a stream may become: nine tenths of the shortest lifetime.
    pub max_age: Option<Duration>,
}

const LONGEST_BEAT: Duration = Duration::from_secs(15);
const SHORTEST_BEAT: Duration = Duration::from_secs(1);
const LATEST_HEAD: Duration = Duration::from_secs(10);

impl HopPath {
    /// A path through these hops; their order does not matter.
    #[must_use]
    pub fn through(hops: impl IntoIterator<Item = Hop>) -> Self {
        Self { hops: hops.into_iter().collect() }
    }

    /// The hops.
    #[must_use]
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// The seconds that survive the worst hop.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget {
            beat: self.idle().map(|(_, limit)| (limit / 2).clamp(SHORTEST_BEAT, LONGEST_BEAT)),
            early: self.first_byte().map(|(_, limit)| (limit / 3).min(LATEST_HEAD)),
            max_age: self.lifetime().map(|(_, limit)| limit / 10 * 9),
        }
    }

    /// Refuses a beat that comes too late for a hop.
    ///
    /// # Errors
    ///
    /// When the interval is longer than half of the shortest idle limit.
    pub fn check_beat(&self, interval: Duration) -> Result<(), ConfigError> {
        match self.idle() {
            Some((hop, limit)) if interval > limit / 2 => Err(ConfigError::new(format!(
                "a beat goes out twice in the shortest idle limit of the path, at most every {:?} ({}: {limit:?}), got {interval:?}",
                limit / 2,
                hop.name(),
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a head that comes too late for a hop.
    ///
    /// # Errors
    ///
    /// When the threshold is not shorter than the shortest limit on the first byte.
    pub fn check_early(&self, threshold: Duration) -> Result<(), ConfigError> {
        match self.first_byte() {
            Some((hop, limit)) if threshold >= limit => Err(ConfigError::new(format!(
                "an early head comes before the shortest limit on the first byte of the path ({}: {limit:?}), got {threshold:?}",
                hop.name(),
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses an age that a hop does not let a stream reach.
    ///
    /// # Errors
    ///
    /// When it is not shorter than the shortest lifetime.
    pub fn check_max_age(&self, age: Duration) -> Result<(), ConfigError> {
        match self.lifetime() {
            Some((hop, limit)) if age >= limit => Err(ConfigError::new(format!(
                "a stream makes room before the shortest lifetime of the path ({}: {limit:?}), got {age:?}",
                hop.name(),
            ))),
            _ => Ok(()),
        }
    }

    fn idle(&self) -> Option<(&Hop, Duration)> {
        self.shortest(Hop::idle_limit)
    }

    /// A hop that waits only so long between two bytes waits no longer for the first.
    fn first_byte(&self) -> Option<(&Hop, Duration)> {
        self.shortest(|hop| hop.first_byte_limit().or(hop.idle_limit()))
    }

    fn lifetime(&self) -> Option<(&Hop, Duration)> {
        self.shortest(Hop::lifetime_limit)
    }

    fn shortest(&self, limit: impl Fn(&Hop) -> Option<Duration>) -> Option<(&Hop, Duration)> {
        self.hops.iter().filter_map(|hop| Some((hop, limit(hop)?))).min_by_key(|(_, limit)| *limit)
    }
}

/// In seconds, as limits are written down.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}s", self.0.as_secs_f64()))
    }
}

/// A small table, and the reason for each number.
impl fmt::Display for HopPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.hops.iter().map(|hop| hop.name().chars().count()).max().unwrap_or(0).max(3);
        writeln!(f, "{:width$}  idle   first byte   lifetime", "hop")?;
        for hop in &self.hops {
            let cell =
                |limit: Option<Duration>| limit.map_or("-".to_owned(), |limit| Seconds(limit).to_string());
            let (idle, first, life) =
                (cell(hop.idle_limit()), cell(hop.first_byte_limit()), cell(hop.lifetime_limit()));
            writeln!(f, "{:width$}  {idle:<6} {first:<12} {life}", hop.name())?;
        }
        let Budget { beat, early, max_age } = self.budget();
        if let (Some(beat), Some((hop, limit))) = (beat, self.idle()) {
            let (beat, name, limit) = (Seconds(beat), hop.name(), Seconds(limit));
            writeln!(
                f,
                "beat every {beat}: half of the shortest idle limit ({name}, {limit}), and no more than 15s"
            )?;
        }
        if let (Some(early), Some((hop, limit))) = (early, self.first_byte()) {
            let (early, name, limit) = (Seconds(early), hop.name(), Seconds(limit));
            writeln!(
                f,
                "head within {early}: a third of the shortest limit on the first byte ({name}, {limit}), and no more than 10s"
            )?;
        }
        if let (Some(age), Some((hop, limit))) = (max_age, self.lifetime()) {
            let (age, name, limit) = (Seconds(age), hop.name(), Seconds(limit));
            writeln!(f, "age up to {age}: nine tenths of the shortest lifetime ({name}, {limit})")?;
        }
        for hop in self.hops.iter().filter(|hop| hop.is_buffering()) {
            writeln!(f, "{} holds bytes back unless it is told not to", hop.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_worst_hop_decides() {
        let check = |hops: &[Hop], beat: Option<u64>, early: Option<u64>, age: Option<u64>| {
            let budget = HopPath::through(hops.iter().cloned()).budget();
            let millis = |limit: Option<Duration>| limit.map(|limit| limit.as_millis() as u64);
            assert_eq!(
                (millis(budget.beat), millis(budget.early), millis(budget.max_age)),
                (beat, early, age)
            );
        };
        assert_eq!(HopPath::through([Hop::BUN, Hop::NGINX]).hops(), [Hop::BUN, Hop::NGINX]);
        check(&[], None, None, None);
        check(&[Hop::NGINX], Some(15_000), Some(10_000), None);
        check(&[Hop::NGINX, Hop::AWS_ALB, Hop::BUN], Some(5_000), Some(3_333), None);
        check(&[Hop::FASTLY], Some(5_000), Some(5_000), None);
        check(&[Hop::CLOUD_RUN], None, None, Some(270_000));
        check(&[Hop::RAILWAY, Hop::VERCEL_EDGE], Some(15_000), Some(8_333), Some(270_000));
        // A beat each second is as often as it makes sense.
        check(&[Hop::new("hasty").idle(Duration::from_millis(500))], Some(1_000), Some(166), None);
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_hop_that_is_why() {
        let path = HopPath::through([Hop::NGINX, Hop::HEROKU, Hop::RAILWAY]);
        let refused = |result: Result<(), ConfigError>| result.unwrap_err().to_string();
        assert_eq!(
            refused(path.check_beat(s(240))),
            "a beat goes out twice in the shortest idle limit of the path, at most every 27.5s (Heroku: 55s), got 240s"
        );
        assert_eq!(
            refused(path.check_early(s(30))),
            "an early head comes before the shortest limit on the first byte of the path (Heroku: 30s), got 30s"
        );
        assert_eq!(
            refused(path.check_max_age(s(900))),
            "a stream makes room before the shortest lifetime of the path (Railway: 900s), got 900s"
        );
        // Half of it is in time, and a moment more is not.
        let half = Duration::from_millis(27_500);
        assert!(path.check_beat(half).is_ok() && path.check_beat(half + Duration::from_millis(1)).is_err());
        assert!(path.check_beat(s(27)).and(path.check_early(s(29))).and(path.check_max_age(s(899))).is_ok());
        let open = HopPath::default();
        assert!(
            open.check_beat(s(240)).and(open.check_early(s(240))).and(open.check_max_age(s(9_000))).is_ok()
        );
    }

    #[test]
    fn it_says_why() {
        let path = HopPath::through([Hop::NGINX, Hop::HEROKU, Hop::new("our gateway").lifetime(s(600))]);
        let text = [
            "hop          idle   first byte   lifetime",
            "nginx        60s    -            -",
            "Heroku       55s    30s          -",
            "our gateway  -      -            600s",
            "beat every 15s: half of the shortest idle limit (Heroku, 55s), and no more than 15s",
            "head within 10s: a third of the shortest limit on the first byte (Heroku, 30s), and no more than 10s",
            "age up to 540s: nine tenths of the shortest lifetime (our gateway, 600s)",
            "nginx holds bytes back unless it is told not to",
        ];
        assert_eq!(path.to_string().lines().collect::<Vec<_>>(), text);
    }
}
