//! Who ended a stream, and why.

mod inference;

pub use inference::{Disconnect, Finding, FindingKind, Inference};
