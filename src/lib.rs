//! tower layers that keep long-lived HTTP responses alive, bounded and explainable.

mod body;
mod dialect;
mod error;
pub mod heartbeat;
mod jitter;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;

pub use body::StreamEnd;
pub use dialect::Dialect;
pub use error::{BoxError, ConfigError};
pub use heartbeat::{
    Beat, Beats, Heartbeat, HeartbeatBody, HeartbeatEvent, HeartbeatLayer, HeartbeatOverride, MidEvent,
    Rhythm,
};
