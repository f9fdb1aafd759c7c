//! Who ended a stream, and why.

mod body;
mod cause;
mod draft;
mod inference;
mod layer;
mod names;
mod observer;
mod report;
mod seen;
mod sink;
mod span;

pub use body::ObserveBody;
pub use cause::{EndCause, EndedBy, Upstream, When};
pub(crate) use draft::Draft;
pub use inference::{Disconnect, Finding, FindingKind, Inference};
pub use layer::{ObserveFuture, ObserveLayer, ObserveService};
pub use observer::Observer;
pub use report::{Opening, StreamReport};
pub use sink::Sink;
