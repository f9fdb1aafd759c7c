//! The layers between real programs.

mod chromium;
mod drain;
mod early;
mod gate;
mod grpc;
mod haproxy;
mod last_frame;
mod mcp;
mod nginx;
mod observe;
mod sidecar;
mod stall;
mod timeouts;
mod wire;
