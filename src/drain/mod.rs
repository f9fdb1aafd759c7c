//! Stops a server with open streams: each leaves between two events, spread over a window, and at a deadline all is over.

mod body;
mod error;
mod guest;
mod guests;
mod handle;
mod layer;
mod leave;
mod report;
#[cfg(feature = "signal")]
mod signal;
mod stay;

pub use body::DrainBody;
pub use error::DrainError;
pub use handle::{Arrivals, Drain};
pub use layer::{DrainFuture, DrainLayer, DrainService};
pub use report::{DrainReport, Stood, Unfinished};
pub(crate) use stay::{Due, Stay};

use crate::heartbeat::Beat;

/// What a stream does when the drain begins. In the extensions of a response it is the handler's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDrain {
    /// It leaves at its first boundary, at a moment of its own within the [`window`](Drain::window).
    #[default]
    Leave,
    /// It goes on to its own end, at the latest to the [`deadline`](Drain::deadline): for streams that cannot be resumed.
    Finish,
}

/// In the extensions of a response: what its stream says when it leaves, instead of its [`Ending`](crate::Ending).
///
/// An MCP server ends a `subscriptions/listen` with the result that its client waits for:
///
/// ```
/// use tower_lifeline::Beat;
/// use tower_lifeline::drain::Farewell;
///
/// let result = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}"#;
/// let mut response = http::Response::new(());
/// response.extensions_mut().insert(Farewell(Beat::event("message", result)));
/// ```
///
/// Only what is written in an event stream or in newline-delimited JSON says it.
#[derive(Clone, Debug)]
pub struct Farewell(pub Beat);
