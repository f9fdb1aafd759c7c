//! The layers between real programs.

mod chromium;
mod grpc;
mod gate;
mod haproxy;
mod last_frame;
mod nginx;
mod timeouts;
mod wire;
