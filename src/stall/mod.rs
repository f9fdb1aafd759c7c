//! Takes a response's body away from a client that has stopped reading it.

mod body;
mod connection;
mod error;
mod layer;
mod list;
#[cfg(feature = "serve")]
mod serve;
mod slot;
#[cfg(all(feature = "socket2", any(target_os = "android", target_os = "linux")))]
mod socket;
mod watch;
mod watchdog;

pub use body::StallBody;
pub use connection::{AbortableIo, ConnectionHandle};
pub use error::StallError;
pub use layer::{Disconnect, StallFuture, StallLayer, StallService};
#[cfg(feature = "serve")]
pub use serve::{AbortableListener, Connections, Peer};
#[cfg(all(feature = "socket2", any(target_os = "android", target_os = "linux")))]
pub use socket::set_user_timeout;
