//! What a frame costs in each body, by the clock: `scripts/bench` reads the ratios.

#[path = "support/clock.rs"]
mod clock;
#[allow(dead_code, reason = "each bench needs its own part")]
mod support;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use clock::{ROUNDS, brief};
use support::{Load, VARIANTS, carry, runtime};

const FRAMES: usize = 10_000;

criterion_group! {
    name = benches;
    config = brief();
    targets = per_frame, per_size
}
criterion_main!(benches);

fn per_frame(criterion: &mut Criterion) {
    for (situation, awaited) in [("ready", false), ("awaited", true)] {
        let mut group = criterion.benchmark_group(situation);
        for round in 1..=ROUNDS {
            for variant in VARIANTS {
                measure(&mut group, variant, &round.to_string(), &Load::events(FRAMES, awaited));
            }
        }
    }
}

/// Following the boundaries of an event stream must not cost more for a larger chunk.
fn per_size(criterion: &mut Criterion) {
    for (ending, end) in [("blank-line", "\n\n"), ("inside-a-line", "..")] {
        for size in [64, 1024, 16 * 1024] {
            let chunk = Bytes::from(format!("data: {}{end}", "x".repeat(size - 8)));
            let load = Load { frames: FRAMES, awaited: false, chunk };
            let mut group = criterion.benchmark_group(format!("{ending}-{size}"));
            for round in 1..=ROUNDS {
                for variant in ["bare", "heartbeat"] {
                    measure(&mut group, variant, &round.to_string(), &load);
                }
            }
        }
    }
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, variant: &str, round: &str, load: &Load) {
    let runtime = runtime();
    group.throughput(Throughput::Elements(load.frames as u64));
    group.bench_function(BenchmarkId::new(variant, round), |bencher| {
        bencher.iter(|| assert_eq!(carry(&runtime, variant, load), load.moved()));
    });
}
