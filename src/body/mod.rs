//! Being a response body, once for all layers.
//!
//! ```text
//!   shell.rs   polls the inner body, writes what the parts wish, keeps the hints honest
//!     facts.rs   what has gone by: where the wire stands, whether it was content
//!     parts.rs   what a stream can have, and who wins in one turn
//!     length.rs  how much the client will wait for, by the head
//!     timer.rs   one lazily armed timer, the only reader of a clock
//!     end.rs     how a stream ended: decided once, told once
//!   journal.rs what the layers of one exchange have decided, for the one that reports it
//! ```

mod end;
mod facts;
mod journal;
mod length;
mod parts;
mod shell;
mod timer;

pub(crate) use end::Fault;
pub use end::StreamEnd;
pub(crate) use facts::{Facts, Watch};
pub(crate) use journal::{Journal, Notes, Verdict};
pub(crate) use length::{has_no_body, is_tunnel, length};
pub(crate) use parts::{Cut, More, Parts};
pub(crate) use shell::Shell;
pub(crate) use timer::{Timer, now};
