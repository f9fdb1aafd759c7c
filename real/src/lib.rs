//! What the tests against real programs share.

pub mod browser;
pub mod client;
pub mod guest;
pub mod process;
pub mod proxies;
pub mod server;
pub mod streams;
pub mod ticks;
pub mod two_events;
