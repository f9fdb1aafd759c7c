//! The standard library's, or loom's, which tries every interleaving: `RUSTFLAGS="--cfg lifeline_loom" cargo test --lib loom`.

#[cfg(all(test, lifeline_loom))]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
#[cfg(not(all(test, lifeline_loom)))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
