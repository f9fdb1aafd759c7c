//! What the tests against real programs share.

pub mod answers;
pub mod browser;
pub mod client;
pub mod guest;
pub mod mcp;
pub mod process;
pub mod proxies;
pub mod relay;
pub mod server;
pub mod sidecar;
pub mod streams;
pub mod ticks;
pub mod tool;
pub mod two_events;
pub mod upstreams;
