//! The one stack: what it is made of, and what it refuses to be.

mod apps;
mod config;
mod mcp;
mod nested;
mod whole;
