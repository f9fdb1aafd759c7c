//! How the clock is asked, in every bench that asks it.

use std::time::Duration;

use criterion::Criterion;

/// A machine changes its speed while a run goes on. Criterion cannot interleave, so every variant is measured once a
/// round, and ratios are taken inside a round.
pub(crate) const ROUNDS: usize = 3;

/// Short looks: what is compared is the best of many.
pub(crate) fn brief() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
        .without_plots()
}
