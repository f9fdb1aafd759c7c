//! Bytes on the wire whenever it has been silent for an interval, and never a changed event.

mod beat;
mod body;
mod event;
mod headers;
mod layer;
mod plan;
mod pulse;
mod select;
mod settings;

pub use beat::Beat;
pub use body::HeartbeatBody;
pub use event::{Beats, HeartbeatEvent};
pub use layer::{HeartbeatFuture, HeartbeatLayer, HeartbeatService};
pub(crate) use plan::Plan;
pub(crate) use pulse::{Due, Pulse};
pub use settings::{Heartbeat, HeartbeatOverride, MidEvent, Rhythm};
