//! What a whole response costs in each app, by the clock: `scripts/bench` reads the ratios.

#[path = "support/clock.rs"]
mod clock;
#[allow(dead_code, reason = "each bench needs its own part")]
mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use clock::{ROUNDS, brief};
use support::response::{RESPONSES, answer, answers};
use support::runtime;

const REQUESTS: usize = 200;

criterion_group! {
    name = benches;
    config = brief();
    targets = per_response
}
criterion_main!(benches);

fn per_response(criterion: &mut Criterion) {
    let runtime = runtime();
    for (situation, variants) in RESPONSES {
        let mut group = criterion.benchmark_group(situation);
        group.throughput(Throughput::Elements(REQUESTS as u64));
        for round in 1..=ROUNDS {
            for variant in variants {
                group.bench_function(BenchmarkId::new(*variant, round), |bencher| {
                    bencher.iter(|| {
                        let written = answer(&runtime, situation, variant, REQUESTS);
                        assert_eq!(written, answers(situation, variant, REQUESTS));
                    });
                });
            }
        }
    }
}
