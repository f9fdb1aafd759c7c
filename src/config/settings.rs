//! Config: the settings that were given, each checked by itself.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use serde::Deserialize;

use super::key::Key;
use crate::stack::Preset;
use crate::{ConfigError, Hop};

/// Settings that were given by name. See the [module](super).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, Scalar>")]
pub struct Config {
    values: BTreeMap<Key, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Off,
    Time(Duration),
    Count(usize),
    Hops(Vec<Hop>),
    Preset(Preset),
}

/// What a file may have for a setting.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(u64),
    List(Vec<String>),
    Other(serde::de::IgnoredAny),
}

impl TryFrom<BTreeMap<String, Scalar>> for Config {
    type Error = ConfigError;

    fn try_from(map: BTreeMap<String, Scalar>) -> Result<Self, ConfigError> {
        Self::from_pairs(map.into_iter().map(|(name, scalar)| {
            let text = match scalar {
                Scalar::Text(text) => text,
                Scalar::Number(number) => number.to_string(),
                Scalar::List(list) => list.join(","),
                // Never read as anything, so it is refused by its name.
                Scalar::Other(_) => "something else".to_owned(),
            };
            (name, text)
        }))
    }
}

impl Config {
    /// Reads the environment variables whose names begin with this prefix: `LIFELINE_HEARTBEAT` for `LIFELINE_`.
    ///
    /// # Errors
    ///
    /// When one of them is unknown, or its value cannot be read.
    pub fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for (name, value) in env::vars_os() {
            let name = name.to_string_lossy();
            if let Some(key) = name.strip_prefix(prefix) {
                config.set(&name, &key.to_ascii_lowercase(), &value.to_string_lossy())?;
            }
        }
        Ok(config)
    }

    /// Reads names and values, wherever they come from.
    ///
    /// # Errors
    ///
    /// When a name is unknown, or a value cannot be read.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, ConfigError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut config = Self::default();
        for (name, value) in pairs {
            config.set(name.as_ref(), name.as_ref(), value.as_ref())?;
        }
        Ok(config)
    }

    /// These, and where they say nothing those.
    #[must_use]
    pub fn or(mut self, others: Self) -> Self {
        for (key, value) in others.values {
            self.values.entry(key).or_insert(value);
        }
        self
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Value> {
        self.values.get(&key)
    }

    /// `said` is the name as it was given.
    fn set(&mut self, said: &str, name: &str, text: &str) -> Result<(), ConfigError> {
        let Some(key) = Key::named(name) else {
            return Err(ConfigError::new(format!("{said}: no such setting; there are {}", Key::names())));
        };
        let value = key
            .read(text)
            .map_err(|expected| ConfigError::new(format!("{said}: expected {expected}, got {text:?}")))?;
        self.values.insert(key, value);
        Ok(())
    }
}
