//! The standard library's, or loom's, which tries every interleaving:
//! `RUSTFLAGS="--cfg lifeline_loom" CARGO_TARGET_DIR=target/loom cargo test --lib --release loom`.

#[cfg(all(test, lifeline_loom))]
pub(crate) use self::checked::{AtomicBool, AtomicUsize};
#[cfg(all(test, lifeline_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::Ordering};
#[cfg(not(all(test, lifeline_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// loom takes `SeqCst` for `AcqRel`, and then finds lost wake-ups that the language rules out. What reads and writes at once
/// always sees the latest value; with nothing else, every execution is one interleaving, which is what `SeqCst` means
/// when everything is. So this checks the order of the steps, and that nobody weakens one.
#[cfg(all(test, lifeline_loom))]
mod checked {
    use loom::sync::atomic::{self, Ordering};

    #[derive(Debug)]
    pub(crate) struct AtomicUsize(atomic::AtomicUsize);

    fn strong(order: Ordering) -> Ordering {
        assert_eq!(order, Ordering::SeqCst, "weaker orderings are not checked here");
        order
    }

    impl AtomicUsize {
        pub(crate) fn new(value: usize) -> Self {
            Self(atomic::AtomicUsize::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> usize {
            self.0.fetch_add(0, strong(order))
        }

        pub(crate) fn store(&self, value: usize, order: Ordering) {
            self.0.swap(value, strong(order));
        }

        pub(crate) fn fetch_add(&self, value: usize, order: Ordering) -> usize {
            self.0.fetch_add(value, strong(order))
        }

        pub(crate) fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
            self.0.fetch_sub(value, strong(order))
        }

        pub(crate) fn compare_exchange(
            &self,
            current: usize,
            new: usize,
            success: Ordering,
            failure: Ordering,
        ) -> Result<usize, usize> {
            self.0.compare_exchange(current, new, strong(success), strong(failure))
        }
    }

    #[derive(Debug)]
    pub(crate) struct AtomicBool(AtomicUsize);

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> Self {
            Self(AtomicUsize::new(usize::from(value)))
        }

        pub(crate) fn load(&self, order: Ordering) -> bool {
            self.0.load(order) != 0
        }

        pub(crate) fn store(&self, value: bool, order: Ordering) {
            self.0.store(usize::from(value), order);
        }
    }
}
