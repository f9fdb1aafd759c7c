//! Decides: how much of what a caller asks for it gets.

use std::time::Duration;

use crate::ConfigError;
use crate::error::MILLISECOND;

/// The operator's word about deadlines. `min <= default <= max`, as far as they are set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    min: Duration,
    max: Option<Duration>,
    default: Option<Duration>,
}

impl Limits {
    pub(super) const NONE: Self = Self { min: Duration::ZERO, max: None, default: None };

    /// What a caller gets who asks for so much.
    pub(super) fn clamp(&self, asked: Duration) -> Duration {
        let asked = asked.max(self.min);
        self.max.map_or(asked, |max| asked.min(max))
    }

    /// What an exchange gets whose caller asks for so much or for nothing.
    pub(super) fn allow(&self, asked: Option<Duration>) -> Option<Duration> {
        asked.map(|asked| self.clamp(asked)).or(self.default)
    }

    pub(super) fn with_min(self, min: Duration) -> Result<Self, ConfigError> {
        at_most("shortest", min, "longest", self.max)?;
        at_most("shortest", min, "default", self.default)?;
        Ok(Self { min, ..self })
    }

    pub(super) fn with_max(self, max: Duration) -> Result<Self, ConfigError> {
        at_least("longest", max, "finest that a timer knows", Some(MILLISECOND))?;
        at_least("longest", max, "shortest", Some(self.min))?;
        at_least("longest", max, "default", self.default)?;
        Ok(Self { max: Some(max), ..self })
    }

    pub(super) fn with_default(self, default: Duration) -> Result<Self, ConfigError> {
        at_least("default", default, "finest that a timer knows", Some(MILLISECOND))?;
        at_least("default", default, "shortest", Some(self.min))?;
        at_most("default", default, "longest", self.max)?;
        Ok(Self { default: Some(default), ..self })
    }
}

fn at_least(what: &str, got: Duration, than: &str, bound: Option<Duration>) -> Result<(), ConfigError> {
    match bound {
        Some(bound) if got < bound => Err(ConfigError::new(format!(
            "the {what} deadline is at least the {than}, {bound:?}, got {got:?}"
        ))),
        _ => Ok(()),
    }
}

fn at_most(what: &str, got: Duration, than: &str, bound: Option<Duration>) -> Result<(), ConfigError> {
    match bound {
        Some(bound) if got > bound => Err(ConfigError::new(format!(
            "the {what} deadline is at most the {than}, {bound:?}, got {got:?}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_wish_is_clamped_and_silence_gets_the_default() {
        let limits = Limits::NONE.with_min(s(2)).unwrap().with_max(s(60)).unwrap();
        let check = |asked, wanted| assert_eq!(limits.allow(asked), wanted);
        check(Some(s(0)), Some(s(2)));
        check(Some(s(30)), Some(s(30)));
        check(Some(Duration::MAX), Some(s(60)));
        check(None, None);
        assert_eq!(limits.with_default(s(10)).unwrap().allow(None), Some(s(10)));
        assert_eq!(Limits::NONE.allow(Some(s(0))), Some(s(0)));
        assert_eq!(Limits::NONE.allow(Some(Duration::MAX)), Some(Duration::MAX));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_in_any_order() {
        let check = |limits: Result<Limits, ConfigError>, sentence: &str| {
            assert_eq!(limits.unwrap_err().to_string(), sentence);
        };
        let min = Limits::NONE.with_min(s(5)).unwrap();
        let max = Limits::NONE.with_max(s(5)).unwrap();
        let default = Limits::NONE.with_default(s(5)).unwrap();
        check(min.with_max(s(1)), "the longest deadline is at least the shortest, 5s, got 1s");
        check(min.with_default(s(1)), "the default deadline is at least the shortest, 5s, got 1s");
        check(max.with_min(s(9)), "the shortest deadline is at most the longest, 5s, got 9s");
        check(max.with_default(s(9)), "the default deadline is at most the longest, 5s, got 9s");
        check(default.with_min(s(9)), "the shortest deadline is at most the default, 5s, got 9s");
        check(default.with_max(s(1)), "the longest deadline is at least the default, 5s, got 1s");
        let zero = Duration::ZERO;
        check(
            max.with_max(zero),
            "the longest deadline is at least the finest that a timer knows, 1ms, got 0ns",
        );
        check(
            min.with_default(zero),
            "the default deadline is at least the finest that a timer knows, 1ms, got 0ns",
        );
        assert!(min.with_max(s(5)).unwrap().with_default(s(5)).is_ok());
    }
}
