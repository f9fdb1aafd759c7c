//! The layers between real programs.

mod chromium;
mod haproxy;
mod nginx;
mod wire;
