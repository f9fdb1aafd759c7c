//! The layers between real programs.

mod chromium;
mod drain;
mod gate;
mod grpc;
mod haproxy;
mod last_frame;
mod nginx;
mod stall;
mod timeouts;
mod wire;
