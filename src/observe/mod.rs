//! Who ended a stream, and why.

mod body;
mod cause;
mod draft;
mod inference;
mod layer;
#[cfg(feature = "metrics")]
pub mod metrics;
mod names;
mod observer;
mod report;
mod seen;
mod sink;
mod span;
#[cfg(feature = "tracing")]
mod trace;

pub use body::ObserveBody;
pub use cause::{EndCause, EndedBy, Upstream, When};
pub(crate) use draft::Draft;
pub use inference::{Disconnect, Finding, FindingKind, Inference};
pub use layer::{ObserveFuture, ObserveLayer, ObserveService};
pub use observer::Observer;
pub use report::{Opening, StreamReport};
pub use sink::Sink;
#[cfg(feature = "tracing")]
pub use trace::TracingSink;
