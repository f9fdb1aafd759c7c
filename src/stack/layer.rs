//! Lifeline: the layers, built and ready to be put around services.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::builder::LifelineBuilder;
use super::presets::Preset;
use super::service::LifelineService;
use crate::deadline::DeadlineLayer;
use crate::drain::{Drain, DrainLayer};
use crate::early::EarlyLayer;
use crate::gate::Gate;
use crate::heartbeat::HeartbeatLayer;
use crate::observe::Observer;
use crate::stall::StallLayer;
use crate::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

/// All layers in the one right order. See the [module](super).
///
/// Clones, and all services that they make, share their state.
#[derive(Clone)]
pub struct Lifeline {
    layers: Arc<Layers>,
}

/// `None` is off. What has no off changes nothing by itself.
pub(super) struct Layers {
    pub(super) observer: Option<Observer>,
    pub(super) stall: Option<StallLayer>,
    pub(super) drain: Option<DrainLayer>,
    pub(super) early: Option<EarlyLayer>,
    pub(super) deadlines: DeadlineLayer,
    pub(super) heartbeat: HeartbeatLayer,
    pub(super) request_body: Option<RequestBodyTimeoutLayer>,
    pub(super) gate: Option<Gate>,
    pub(super) timeouts: TimeoutLayer,
    pub(super) mcp: bool,
}

impl Lifeline {
    pub(super) fn new(layers: Layers) -> Self {
        Self { layers: Arc::new(layers) }
    }

    /// For event streams. [What is on](super#the-presets).
    pub fn sse() -> LifelineBuilder {
        LifelineBuilder::new(Preset::Sse)
    }

    /// For answers of language models. [What is on](super#the-presets).
    pub fn llm() -> LifelineBuilder {
        LifelineBuilder::new(Preset::Llm)
    }

    /// For MCP servers over Streamable HTTP. [What is on](super#the-presets), and [what of it is MCP's](super#mcp).
    pub fn mcp() -> LifelineBuilder {
        LifelineBuilder::new(Preset::Mcp)
    }

    /// For gRPC servers. [What is on](super#the-presets), and [what of it is gRPC's](super#grpc).
    pub fn grpc() -> LifelineBuilder {
        LifelineBuilder::new(Preset::Grpc)
    }

    /// For everything else: no bytes are added to any response. [What is on](super#the-presets).
    pub fn plain() -> LifelineBuilder {
        LifelineBuilder::new(Preset::Plain)
    }

    /// The handle of its drain: one that was [given](LifelineBuilder::drain) or configured, or its own when streams have a
    /// greatest age.
    #[must_use]
    pub fn drain(&self) -> Option<&Drain> {
        self.layers.drain.as_ref().map(DrainLayer::drain)
    }

    /// The handle of its gate, if one was [given](LifelineBuilder::gate) or configured.
    #[must_use]
    pub fn gate(&self) -> Option<&Gate> {
        self.layers.gate.as_ref()
    }
}

impl fmt::Debug for Lifeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifeline")
            .field("observer", &self.layers.observer)
            .field("stall", &self.layers.stall)
            .field("drain", &self.layers.drain)
            .field("early", &self.layers.early)
            .field("deadlines", &self.layers.deadlines)
            .field("heartbeat", &self.layers.heartbeat)
            .field("request_body", &self.layers.request_body)
            .field("gate", &self.layers.gate)
            .field("timeouts", &self.layers.timeouts)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Lifeline {
    type Service = LifelineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LifelineService::new(inner, &self.layers)
    }
}
