//! What of an answer cannot be sent any more.

use http::{Extensions, HeaderMap, StatusCode};

/// The head of an answer that came behind an early one: nobody has sent it, and nobody can.
///
/// Told to [`EarlyLayer::on_late`](super::EarlyLayer::on_late).
#[derive(Debug)]
#[non_exhaustive]
pub struct Late {
    /// The client saw 200.
    pub status: StatusCode,
    /// All of them: cookies, and what the layers between this one and the handler have added.
    pub headers: HeaderMap,
    /// What layers and the handler told each other, such as a gate's [`Shed`](crate::Shed).
    pub extensions: Extensions,
}

/// How often heads came early; see [`EarlyLayer::stats`](super::EarlyLayer::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EarlyStats {
    /// Responses whose head was sent before their handler had answered.
    pub committed: u64,
    /// Those of them whose handler has answered since, one way or the other. The others still think, or their client has
    /// left.
    pub answered: u64,
    /// Those of the answered ones that became an in-stream error under a 200.
    pub failed: u64,
}

/// In the extensions of a response whose head was sent early, for a log outside of this layer: its status and headers are
/// not the handler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed;
