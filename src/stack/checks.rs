//! Decides: do settings contradict each other?

use std::time::Duration;

use super::presets::Preset;
use crate::ConfigError;
use crate::path::HopPath;
use crate::timeout::Timeouts;

/// What was asked for, as far as one setting can make another one useless.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    pub(super) preset: Preset,
    pub(super) path: Option<&'a HopPath>,
    pub(super) beat: Option<Duration>,
    pub(super) limits: Timeouts,
    pub(super) upload: Option<Timeouts>,
    /// In the gate's queue.
    pub(super) wait: Option<Duration>,
    pub(super) early: Option<Duration>,
    /// Behind an early head, until there is an answer.
    pub(super) early_beat: Option<Duration>,
    pub(super) age: Option<Duration>,
}

pub(super) fn all(asked: &Asked) -> Result<(), ConfigError> {
    on_the_path(asked)?;
    within_the_total(asked)?;
    an_early_head(asked)
}

fn on_the_path(asked: &Asked) -> Result<(), ConfigError> {
    let Some(path) = asked.path else {
        return Ok(());
    };
    for beat in asked.beat.into_iter().chain(asked.early_beat) {
        path.check_beat(beat)?;
    }
    asked.early.map_or(Ok(()), |early| path.check_early(early))?;
    asked.age.map_or(Ok(()), |age| path.check_max_age(age))
}

/// A limit that the total comes before is never reached. At a tie the narrower one is told, so that one works.
fn within_the_total(asked: &Asked) -> Result<(), ConfigError> {
    let Timeouts { headers, first_byte, inter_chunk, total: Some(total) } = asked.limits else {
        return Ok(());
    };
    let upload = asked.upload.unwrap_or_default();
    let limits = [
        ("the headers limit", headers),
        ("the first byte limit", first_byte),
        ("the inter-chunk limit", inter_chunk),
        ("the request gap limit", upload.inter_chunk),
        ("the request total limit", upload.total),
        ("the gate's longest wait", asked.wait),
        ("a stream's age", asked.age),
    ];
    for (name, limit) in limits {
        if let Some(limit) = limit.filter(|limit| *limit > total && *limit != Duration::MAX) {
            return Err(ConfigError::new(format!(
                "{name} is at most the total limit of {total:?}, which comes first, got {limit:?}"
            )));
        }
    }
    Ok(())
}

fn an_early_head(asked: &Asked) -> Result<(), ConfigError> {
    let Some(early) = asked.early else {
        return Ok(());
    };
    if asked.preset == Preset::Grpc {
        return Err(ConfigError::new(format!("gRPC has no early heads, got one after {early:?}")));
    }
    if asked.early_beat.is_none() {
        return Err(ConfigError::new(format!(
            "a stream with an early head beats until its answer comes, got a head after {early:?} and no heartbeat"
        )));
    }
    for (name, limit) in [("headers", asked.limits.headers), ("total", asked.limits.total)] {
        if let Some(limit) = limit.filter(|limit| early >= *limit) {
            return Err(ConfigError::new(format!(
                "an early head comes before the {name} limit of {limit:?}, which refuses the request, got {early:?}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hop;

    fn s(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn check(change: impl FnOnce(&mut Asked<'_>), expected: &str) {
        let path = HopPath::through([Hop::NGINX, Hop::HEROKU, Hop::RAILWAY]);
        let mut asked = Asked {
            preset: Preset::Sse,
            path: Some(&path),
            beat: s(15),
            limits: Timeouts { headers: s(30), first_byte: s(30), inter_chunk: s(30), total: s(600) },
            upload: Some(Timeouts { inter_chunk: s(30), total: s(60), ..Timeouts::new() }),
            wait: s(5),
            early: s(10),
            early_beat: s(15),
            age: s(500),
        };
        all(&asked).expect("nothing is wrong with these");
        change(&mut asked);
        let error = all(&asked).expect_err(expected).to_string();
        assert_eq!(error, expected);
    }

    #[test]
    fn what_contradicts_the_path() {
        check(
            |asked| asked.beat = s(28),
            "a beat goes out twice in the shortest idle limit of the path, at most every 27.5s (Heroku: 55s), got 28s",
        );
        check(
            |asked| asked.early_beat = s(28),
            "a beat goes out twice in the shortest idle limit of the path, at most every 27.5s (Heroku: 55s), got 28s",
        );
        check(
            |asked| asked.early = s(30),
            "an early head comes before the shortest limit on the first byte of the path (Heroku: 30s), got 30s",
        );
        check(
            |asked| asked.age = s(900),
            "a stream makes room before the shortest lifetime of the path (Railway: 900s), got 900s",
        );
    }

    #[test]
    fn what_the_total_comes_before() {
        let longer = s(601);
        let check = |change: fn(&mut Asked<'_>, Option<Duration>), name: &str| {
            let sentence = format!("{name} is at most the total limit of 600s, which comes first, got 601s");
            check(|asked| change(asked, longer), &sentence);
        };
        check(|asked, limit| asked.limits.headers = limit, "the headers limit");
        check(|asked, limit| asked.limits.first_byte = limit, "the first byte limit");
        check(|asked, limit| asked.limits.inter_chunk = limit, "the inter-chunk limit");
        check(
            |asked, limit| asked.upload = Some(Timeouts { inter_chunk: limit, ..Timeouts::new() }),
            "the request gap limit",
        );
        check(
            |asked, limit| asked.upload = Some(Timeouts { total: limit, ..Timeouts::new() }),
            "the request total limit",
        );
        check(|asked, limit| asked.wait = limit, "the gate's longest wait");
        check(|asked, limit| asked.age = limit, "a stream's age");
    }

    #[test]
    fn an_early_head_that_would_not_come() {
        check(|asked| asked.preset = Preset::Grpc, "gRPC has no early heads, got one after 10s");
        check(
            |asked| asked.early_beat = None,
            "a stream with an early head beats until its answer comes, got a head after 10s and no heartbeat",
        );
        check(
            |asked| asked.limits.headers = s(10),
            "an early head comes before the headers limit of 10s, which refuses the request, got 10s",
        );
        check(
            |asked| (asked.limits, asked.wait) = (Timeouts { total: s(10), ..Timeouts::new() }, None),
            "the request gap limit is at most the total limit of 10s, which comes first, got 30s",
        );
    }

    #[test]
    fn no_limit_and_a_tie_are_no_contradictions() {
        let asked = |limits| Asked {
            preset: Preset::Sse,
            path: None,
            beat: None,
            limits,
            upload: None,
            wait: None,
            early: None,
            early_beat: None,
            age: None,
        };
        let tie = Timeouts { headers: s(10), first_byte: s(10), inter_chunk: s(10), total: s(10) };
        assert_eq!(all(&asked(tie)), Ok(()));
        let endless = Timeouts { headers: Some(Duration::MAX), total: s(10), ..Timeouts::new() };
        assert_eq!(all(&asked(endless)), Ok(()));
        assert_eq!(all(&asked(Timeouts::new())), Ok(()));
    }
}
