//! The one integration binary.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and helpers of tests are tests too")]

mod adaptive;
mod client;
mod deadline;
mod disconnects;
mod drain;
mod early;
mod gate;
mod heartbeat;
mod inference;
mod laws;
mod model;
mod moves;
mod observe;
mod pace;
mod rules;
mod settings;
mod simulator;
mod sinks;
mod stack;
mod stall;
mod standstill;
mod support;
mod timeout;
mod transparency;
mod upload;
