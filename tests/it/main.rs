//! The one integration binary.

mod laws;
mod support;
