//! The one integration binary.

mod laws;
mod rules;
mod support;
