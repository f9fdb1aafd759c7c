//! LifelineBuilder: what is asked for.

use std::time::Duration;

use super::presets::Preset;
use crate::deadline::DeadlineLayer;
use crate::drain::DrainLayer;
use crate::early::EarlyLayer;
use crate::gate::Gate;
use crate::heartbeat::HeartbeatLayer;
use crate::observe::Observer;
use crate::path::HopPath;
use crate::stall::StallLayer;
use crate::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

/// The settings of a [`Lifeline`](super::Lifeline), from one of its [presets](super#the-presets) on.
///
/// Each setter takes a layer, or the settings that make one, and replaces what was there before. What a layer leaves open
/// is the preset's to say: how streams end, and which requests are answered early.
#[derive(Clone, Debug)]
#[must_use]
pub struct LifelineBuilder {
    pub(super) preset: Preset,
    pub(super) path: Option<HopPath>,
    pub(super) observer: Option<Observer>,
    pub(super) stall: Option<StallLayer>,
    pub(super) drain: Option<DrainLayer>,
    pub(super) max_age: Choice<Duration>,
    pub(super) early: Option<EarlyLayer>,
    pub(super) deadlines: Option<DeadlineLayer>,
    pub(super) heartbeat: Choice<HeartbeatLayer>,
    pub(super) request_body: Choice<RequestBodyTimeoutLayer>,
    pub(super) gate: Option<Gate>,
    pub(super) gate_sizes: GateSizes,
    pub(super) timeouts: Option<TimeoutLayer>,
}

/// What a gate that was given is to be resized to. It may be in use, so that is done when nothing can go wrong any more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GateSizes {
    pub(super) limit: Option<usize>,
    pub(super) depth: Option<usize>,
}

impl GateSizes {
    pub(super) fn apply(self, gate: &Gate) {
        if let Some(limit) = self.limit {
            gate.resize(limit);
        }
        if let Some(depth) = self.depth {
            gate.resize_queue(depth);
        }
    }
}

/// What a preset has, too.
#[derive(Clone, Debug)]
pub(super) enum Choice<T> {
    /// By the preset and the path.
    Ours,
    Off,
    Given(T),
}

impl<T> Choice<T> {
    pub(super) fn or(self, ours: impl FnOnce() -> Option<T>) -> Option<T> {
        match self {
            Self::Ours => ours(),
            Self::Off => None,
            Self::Given(given) => Some(given),
        }
    }
}

impl LifelineBuilder {
    pub(super) fn new(preset: Preset) -> Self {
        Self {
            preset,
            path: None,
            observer: None,
            stall: None,
            drain: None,
            max_age: Choice::Ours,
            early: None,
            deadlines: None,
            heartbeat: Choice::Ours,
            request_body: Choice::Ours,
            gate: None,
            gate_sizes: GateSizes::default(),
            timeouts: None,
        }
    }

    /// What stands between this server and its clients. Streams beat often enough for it and make room before it ends
    /// them, and settings that it would not bear are refused. An early head it does not bring: that is
    /// [asked for](Self::early). Default: unknown.
    pub fn path(mut self, path: HopPath) -> Self {
        self.path = Some(path);
        self
    }

    /// Reports how each exchange ended. Default: no reports.
    pub fn observe(mut self, observer: &Observer) -> Self {
        self.observer = Some(observer.clone());
        self
    }

    /// What becomes of a client that stops reading. It costs a lock for each frame. Default: nothing.
    pub fn stall(mut self, stall: StallLayer) -> Self {
        self.stall = Some(stall);
        self
    }

    /// Streams leave when this drain says so: a [`Drain`](crate::Drain), or a layer of it with settings of its own.
    /// Default: nobody says so.
    pub fn drain(mut self, drain: impl Into<DrainLayer>) -> Self {
        self.drain = Some(drain.into());
        self
    }

    /// How old a stream may become before it makes room, see [`DrainLayer::max_age`]. Default: nine tenths of the shortest
    /// lifetime on the [path](Self::path); any age if there is none.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Choice::Given(age);
        self
    }

    /// Streams may become as old as they like, whatever the path and the [drain](Self::drain)'s layer say.
    pub fn any_age(mut self) -> Self {
        self.max_age = Choice::Off;
        self
    }

    /// Sends the head of an event stream when the handler takes too long. Read first
    /// [what it costs](crate::early#what-it-costs). It beats as this stack does, unless the layer has a heartbeat of its own.
    /// The headers limit still ends the handler behind the early head: give it one that suits the slowest answer, by
    /// [`timeouts`](Self::timeouts), which replaces all limits of the preset. Default: never.
    pub fn early(mut self, early: EarlyLayer) -> Self {
        self.early = Some(early);
        self
    }

    /// Which callers are believed how long they wait. Default: nobody is, but for gRPC's.
    pub fn deadlines(mut self, deadlines: DeadlineLayer) -> Self {
        self.deadlines = Some(deadlines);
        self
    }

    /// The heartbeat of event streams: a [`Heartbeat`](crate::Heartbeat), or a layer with choices of its own. Default: by the
    /// preset, and as often as the [path](Self::path) needs.
    pub fn heartbeat(mut self, heartbeat: impl Into<HeartbeatLayer>) -> Self {
        self.heartbeat = Choice::Given(heartbeat.into());
        self
    }

    /// No heartbeat.
    pub fn without_heartbeat(mut self) -> Self {
        self.heartbeat = Choice::Off;
        self
    }

    /// The limits of a handler that waits for the request's body. Default: by the preset.
    pub fn request_body(mut self, limits: RequestBodyTimeoutLayer) -> Self {
        self.request_body = Choice::Given(limits);
        self
    }

    /// A handler may wait for the request's body as long as it likes.
    pub fn without_request_body(mut self) -> Self {
        self.request_body = Choice::Off;
        self
    }

    /// How many requests are in flight, up to the end of their response bodies. Default: any number.
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self.gate_sizes = GateSizes::default();
        self
    }

    /// The limits of the response's phases: [`Timeouts`](crate::Timeouts), or a layer of them with settings of its own. The
    /// preset's are gone then, also those that are not set here. Default: by the preset.
    pub fn timeouts(mut self, limits: impl Into<TimeoutLayer>) -> Self {
        self.timeouts = Some(limits.into());
        self
    }
}
