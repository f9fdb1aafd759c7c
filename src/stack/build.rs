//! Building: from what is asked for to the layers, or to a sentence that says why they cannot work.

use std::time::Duration;

use super::builder::{Choice, LifelineBuilder};
use super::checks::{self, Asked};
use super::layer::{Layers, Lifeline};
use super::presets::{Preset, is_listen};
use crate::ConfigError;
use crate::drain::{Drain, DrainLayer};
use crate::early::{self, EarlyLayer};
use crate::gate::Gate;
use crate::heartbeat::{Heartbeat, HeartbeatLayer, HeartbeatOverride};
use crate::path::{Budget, HopPath};
use crate::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

impl LifelineBuilder {
    /// Checks the settings against each other, and puts the layers together.
    ///
    /// # Errors
    ///
    /// When two of them contradict each other. The sentence says what was wanted and what was given:
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_lifeline::{Heartbeat, Hop, HopPath, Lifeline};
    ///
    /// let error = Lifeline::sse()
    ///     .path(HopPath::through([Hop::NGINX]))
    ///     .heartbeat(Heartbeat::every(Duration::from_secs(240)))
    ///     .build()
    ///     .unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "a beat goes out twice in the shortest idle limit of the path, at most every 30s (nginx: 60s), got 240s"
    /// );
    /// ```
    pub fn build(self) -> Result<Lifeline, ConfigError> {
        let budget = self.path.as_ref().map(HopPath::budget).unwrap_or_default();
        let Self { preset, .. } = self;
        let heartbeat = self.heartbeat.or(|| beats(preset, budget));
        let timeouts = self.timeouts.unwrap_or_else(|| TimeoutLayer::new(preset.timeouts()));
        let upload = match &self.request_body {
            Choice::Given(layer) => Some(*layer.limits()),
            Choice::Ours | Choice::Off => None,
        };
        let age = match (&self.max_age, &self.drain) {
            (Choice::Given(age), _) => Some(*age),
            (Choice::Ours, Some(drain)) => drain.age(),
            _ => None,
        };
        let beat = heartbeat.as_ref().and_then(|heartbeat| heartbeat.settings().beats_every());
        checks::all(&Asked {
            preset,
            path: self.path.as_ref(),
            beat,
            limits: *timeouts.limits(),
            upload,
            wait: self.gate.as_ref().map(Gate::longest_wait),
            early: self.early.as_ref().map(EarlyLayer::threshold),
            early_beat: self
                .early
                .as_ref()
                .and_then(|layer| layer.own_heartbeat().map_or(beat, Heartbeat::beats_every)),
            age,
        })?;
        let given = match &self.max_age {
            Choice::Off => self.drain.map(DrainLayer::any_age),
            Choice::Ours | Choice::Given(_) => self.drain,
        };
        let drain = drain(preset, given, age.or(self.max_age.or(|| budget.max_age)))?;
        if let Some(gate) = &self.gate {
            self.gate_sizes.apply(gate);
        }
        let early_beats = heartbeat.as_ref().map(|heartbeat| heartbeat.settings().clone());
        Ok(Lifeline::new(Layers {
            observer: self.observer,
            stall: self.stall,
            drain,
            early: self.early.map(|layer| early(preset, layer, early_beats.as_ref())),
            deadlines: self.deadlines.unwrap_or_else(|| preset.deadlines()),
            heartbeat: heartbeats(preset, heartbeat),
            request_body: self.request_body.or(|| uploads(preset)),
            gate: self.gate,
            timeouts: timeouts.ending_or(preset.ending()),
            mcp: preset == Preset::Mcp,
        }))
    }
}

/// As often as the path needs.
fn beats(preset: Preset, budget: Budget) -> Option<HeartbeatLayer> {
    let ours = preset.heartbeat()?;
    let interval = budget.beat.map_or(ours.interval(), |beat| beat.min(ours.interval()));
    Some(HeartbeatLayer::new(ours.beating_every(interval)))
}

fn heartbeats(preset: Preset, given: Option<HeartbeatLayer>) -> HeartbeatLayer {
    match given {
        None => HeartbeatLayer::default().select(|_| None),
        Some(layer) if preset == Preset::Mcp => layer
            .per_request_or(|request| is_listen(request).then(|| HeartbeatOverride::new().after_content())),
        Some(layer) => layer,
    }
}

fn uploads(preset: Preset) -> Option<RequestBodyTimeoutLayer> {
    Some(RequestBodyTimeoutLayer::new().gap(preset.request_body()?))
}

/// A preset's own ages and endings need a drain, too, though nobody will ever begin it.
fn drain(
    preset: Preset,
    given: Option<DrainLayer>,
    age: Option<Duration>,
) -> Result<Option<DrainLayer>, ConfigError> {
    let Some(mut layer) = given.or_else(|| age.map(|_| DrainLayer::new(&Drain::new()))) else {
        return Ok(None);
    };
    if let Some(age) = age {
        layer = layer.try_max_age(age)?;
    }
    Ok(Some(layer.ending_or(preset.ending())))
}

fn early(preset: Preset, layer: EarlyLayer, heartbeat: Option<&Heartbeat>) -> EarlyLayer {
    let layer = match heartbeat {
        Some(heartbeat) => layer.heartbeat_or(heartbeat),
        None => layer,
    };
    if preset != Preset::Mcp {
        return layer;
    }
    // Nothing may come before the acknowledgement of a listen, and an early head begins with a beat.
    layer.when_or(|request| early::by_accept(&request.method, &request.headers) && !is_listen(request))
}
