//! Settings by name, as what the builder would have been told in code.

use std::time::Duration;

use super::builder::{Choice, GateSizes, LifelineBuilder};
use super::layer::Lifeline;
use crate::ConfigError;
use crate::config::{Config, Key, Value};
use crate::drain::{Drain, DrainLayer};
use crate::early::EarlyLayer;
use crate::gate::Gate;
use crate::heartbeat::{Heartbeat, HeartbeatLayer};
use crate::path::HopPath;
use crate::stall::StallLayer;
use crate::timeout::{RequestBodyTimeoutLayer, TimeoutLayer, Timeouts};

impl Lifeline {
    /// The stack that environment variables with this prefix ask for: `LIFELINE_HEARTBEAT=10s`, see the
    /// [names](crate::config). From [`sse`](Self::sse) on, where there is no `LIFELINE_PRESET`.
    ///
    /// # Errors
    ///
    /// When a variable is unknown or cannot be read, or settings contradict each other.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), tower_lifeline::ConfigError> {
    /// let lifeline = tower_lifeline::Lifeline::from_env("LIFELINE_")?;
    /// # let _ = lifeline;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        Self::sse().configured(&Config::from_env(prefix)?)?.build()
    }
}

impl LifelineBuilder {
    /// Changes what these settings name, and leaves everything else as it is. A [gate](Self::gate) that was given stays
    /// that one, and gets its new size when all of the stack is [built](Self::build).
    ///
    /// # Errors
    ///
    /// When a value is out of its range, when the queue or the wait of a gate is set and no gate, or when a
    /// [drain](Self::drain) was given whose times are others.
    ///
    /// ```
    /// use tower_lifeline::{Config, Lifeline};
    ///
    /// # fn main() -> Result<(), tower_lifeline::ConfigError> {
    /// let config = Config::from_pairs([("gate_limit", "512"), ("inter_chunk", "45s"), ("early", "5s")])?;
    /// let lifeline = Lifeline::llm().configured(&config)?.build()?;
    /// assert_eq!(lifeline.gate().unwrap().stats().limit, 512);
    ///
    /// let config = Config::from_pairs([("gate_queue", "64")])?;
    /// let error = Lifeline::llm().configured(&config).unwrap_err();
    /// assert_eq!(error.to_string(), "gate_queue: a queue needs a gate, and gate_limit is not set");
    /// # Ok(())
    /// # }
    /// ```
    pub fn configured(self, config: &Config) -> Result<Self, ConfigError> {
        let mut asked = self;
        if let Some(Value::Preset(preset)) = config.get(Key::Preset) {
            asked.preset = *preset;
        }
        if let Some(Value::Hops(hops)) = config.get(Key::PathHops) {
            asked.path = Some(HopPath::through(hops.iter().cloned()));
        }
        asked.heartbeat_by(config)?;
        asked.timeouts_by(config)?;
        asked.request_body_by(config)?;
        asked.stall_by(config)?;
        asked.gate_by(config)?;
        asked.early_by(config);
        asked.drain_by(config)?;
        Ok(asked)
    }

    fn heartbeat_by(&mut self, config: &Config) -> Result<(), ConfigError> {
        let Some(interval) = time(config, Key::Heartbeat) else {
            return Ok(());
        };
        let Some(interval) = interval else {
            self.heartbeat = Choice::Off;
            return Ok(());
        };
        let given = match std::mem::replace(&mut self.heartbeat, Choice::Off) {
            Choice::Given(layer) => layer,
            Choice::Ours | Choice::Off => HeartbeatLayer::new(self.preset.heartbeat().unwrap_or_default()),
        };
        // The range is checked by the setter, and then the jitter has to fit, too.
        Heartbeat::try_every(interval).map_err(|error| at(Key::Heartbeat, &error))?;
        let settings = given.settings().clone().beating_every(interval);
        self.heartbeat = Choice::Given(given.with_settings(settings));
        Ok(())
    }

    fn timeouts_by(&mut self, config: &Config) -> Result<(), ConfigError> {
        let given = self.timeouts.clone().unwrap_or_else(|| TimeoutLayer::new(self.ours_within(config)));
        let mut limits = *given.limits();
        let keys: [(Key, Set, Off); 4] = [
            (Key::Headers, Timeouts::try_headers, |limits| limits.headers = None),
            (Key::FirstByte, Timeouts::try_first_byte, |limits| limits.first_byte = None),
            (Key::InterChunk, Timeouts::try_inter_chunk, |limits| limits.inter_chunk = None),
            (Key::Total, Timeouts::try_total, |limits| limits.total = None),
        ];
        let mut named = false;
        for (key, set, off) in keys {
            match time(config, key) {
                None => continue,
                Some(None) => off(&mut limits),
                Some(Some(limit)) => limits = set(limits, limit).map_err(|error| at(key, &error))?,
            }
            named = true;
        }
        if named {
            self.timeouts = Some(given.with_limits(limits));
        }
        Ok(())
    }

    /// The preset's limits give way to a total that comes before them.
    fn ours_within(&self, config: &Config) -> Timeouts {
        let total = time(config, Key::Total).flatten();
        let most = Timeouts { headers: total, first_byte: total, inter_chunk: total, total: None };
        self.preset.timeouts().capped_by(&most)
    }

    fn request_body_by(&mut self, config: &Config) -> Result<(), ConfigError> {
        let key = Key::RequestBody;
        self.request_body = match (time(config, key), std::mem::replace(&mut self.request_body, Choice::Off))
        {
            (None, given) => given,
            (Some(None), _) => Choice::Off,
            (Some(Some(gap)), given) => {
                let layer = match given {
                    Choice::Given(layer) => layer,
                    Choice::Ours | Choice::Off => RequestBodyTimeoutLayer::new(),
                };
                Choice::Given(layer.try_gap(gap).map_err(|error| at(key, &error))?)
            }
        };
        Ok(())
    }

    fn stall_by(&mut self, config: &Config) -> Result<(), ConfigError> {
        let Some(limit) = time(config, Key::Stall) else {
            return Ok(());
        };
        self.stall = match (limit, self.stall.take()) {
            (None, _) => None,
            (Some(limit), None) => Some(StallLayer::try_new(limit)),
            (Some(limit), Some(layer)) => Some(layer.try_limit(limit)),
        }
        .transpose()
        .map_err(|error| at(Key::Stall, &error))?;
        Ok(())
    }

    fn gate_by(&mut self, config: &Config) -> Result<(), ConfigError> {
        if config.get(Key::GateLimit) == Some(&Value::Off) {
            self.gate = None;
            self.gate_sizes = GateSizes::default();
        }
        let Some(given) = &self.gate else {
            self.gate = config.gate()?;
            return Ok(());
        };
        // Who has given a gate has a handle of it, so that one stays what it is.
        if let Some(limit) = count(config, Key::GateLimit) {
            Gate::try_new(limit).map_err(|error| at(Key::GateLimit, &error))?;
            self.gate_sizes.limit = Some(limit);
        }
        if let Some(depth) = count(config, Key::GateQueue) {
            self.gate_sizes.depth = Some(depth);
        }
        let (wait, longest) = (time(config, Key::GateWait).flatten(), given.longest_wait());
        match wait.filter(|wait| *wait != longest) {
            None => Ok(()),
            Some(wait) => Err(ConfigError::new(format!(
                "{}: {wait:?}, and the gate that was given waits for {longest:?}",
                Key::GateWait.name()
            ))),
        }
    }

    fn early_by(&mut self, config: &Config) {
        if let Some(threshold) = time(config, Key::Early) {
            let given = self.early.take();
            self.early = threshold.map(|threshold| match given {
                Some(layer) => layer.with_threshold(threshold),
                None => EarlyLayer::after(threshold),
            });
        }
    }

    fn drain_by(&mut self, config: &Config) -> Result<(), ConfigError> {
        if let Some(age) = time(config, Key::MaxAge) {
            self.max_age = age.map_or(Choice::Off, Choice::Given);
        }
        let [window, deadline] =
            [Key::DrainWindow, Key::DrainDeadline].map(|key| (key, time(config, key).flatten()));
        if window.1.or(deadline.1).is_none() {
            return Ok(());
        }
        let Some(given) = self.drain.as_ref().map(DrainLayer::drain) else {
            self.drain = Some(DrainLayer::new(&config.drain()?));
            return Ok(());
        };
        let (given_window, given_deadline) = given.times();
        for ((key, asked), given) in [(window, given_window), (deadline, given_deadline)] {
            if let Some(asked) = asked.filter(|asked| *asked != given) {
                return Err(ConfigError::new(format!(
                    "{}: {asked:?}, and the drain that was given has {given:?}; make it with Config::drain",
                    key.name()
                )));
            }
        }
        Ok(())
    }
}

impl Config {
    /// A gate with these settings' limit, queue and wait, and otherwise its defaults; none if there is no limit.
    ///
    /// # Errors
    ///
    /// When the limit is zero, or when the queue or the wait is set and no limit.
    pub fn gate(&self) -> Result<Option<Gate>, ConfigError> {
        let (depth, wait) = (count(self, Key::GateQueue), time(self, Key::GateWait).flatten());
        let Some(limit) = count(self, Key::GateLimit) else {
            return match depth.map(|_| Key::GateQueue).or(wait.map(|_| Key::GateWait)) {
                None => Ok(None),
                Some(key) => Err(ConfigError::new(format!(
                    "{}: a queue needs a gate, and {} is {}",
                    key.name(),
                    Key::GateLimit.name(),
                    if self.get(Key::GateLimit).is_some() { "off" } else { "not set" }
                ))),
            };
        };
        let mut gate = Gate::try_new(limit).map_err(|error| at(Key::GateLimit, &error))?;
        if let Some(depth) = depth {
            gate = gate.queue(depth);
        }
        if let Some(wait) = wait {
            gate = gate.max_wait(wait);
        }
        Ok(Some(gate))
    }

    /// A drain with these settings' window and deadline, and otherwise its defaults.
    ///
    /// # Errors
    ///
    /// When the window is longer than the deadline.
    pub fn drain(&self) -> Result<Drain, ConfigError> {
        let mut drain = Drain::new();
        // The deadline first: a window has to fit.
        if let Some(Some(deadline)) = time(self, Key::DrainDeadline) {
            drain = drain.try_deadline(deadline).map_err(|error| at(Key::DrainDeadline, &error))?;
        }
        if let Some(Some(window)) = time(self, Key::DrainWindow) {
            drain = drain.try_window(window).map_err(|error| at(Key::DrainWindow, &error))?;
        }
        Ok(drain)
    }
}

type Set = fn(Timeouts, Duration) -> Result<Timeouts, ConfigError>;
type Off = fn(&mut Timeouts);

/// `Some(None)` is off.
fn time(config: &Config, key: Key) -> Option<Option<Duration>> {
    match config.get(key) {
        Some(Value::Time(time)) => Some(Some(*time)),
        Some(Value::Off) => Some(None),
        _ => None,
    }
}

fn count(config: &Config, key: Key) -> Option<usize> {
    match config.get(key) {
        Some(Value::Count(count)) => Some(*count),
        _ => None,
    }
}

/// The sentence of a setter, behind the name of the setting.
fn at(key: Key, error: &ConfigError) -> ConfigError {
    ConfigError::new(format!("{}: {error}", key.name()))
}
