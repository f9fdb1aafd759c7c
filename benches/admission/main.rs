//! What it costs to be admitted and to let go again, and what a refusal costs, by the clock: `scripts/bench`
//! reads the ratios. With arguments it runs one variant once, for callgrind.

mod stacks;

use std::process::ExitCode;
use std::time::Duration;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};

use stacks::{ADMITTING, Load, REFUSING, carry};

const REQUESTS: usize = 10_000;

/// See `support/clock.rs`.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [variant, threads, requests] = &arguments[..] {
        let (Ok(threads), Ok(requests)) = (threads.parse(), requests.parse()) else {
            println!("usage: admission VARIANT THREADS REQUESTS");
            println!("variants: {} {}", ADMITTING.join(" "), REFUSING.join(" "));
            return ExitCode::FAILURE;
        };
        let load = Load { requests, threads };
        assert_eq!(carry(variant, load).moved, load.moved(variant));
        return ExitCode::SUCCESS;
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(20)
        .without_plots()
        .configure_from_args();
    for (situation, variants, threads) in [
        ("admitted", &ADMITTING[..], 1),
        ("admitted-2-threads", &ADMITTING[..], 2),
        ("refused", &REFUSING[..], 1),
        ("refused-2-threads", &REFUSING[..], 2),
    ] {
        let mut group = criterion.benchmark_group(situation);
        group.throughput(Throughput::Elements(REQUESTS as u64));
        for round in 1..=ROUNDS {
            for variant in ["bare"].iter().chain(variants) {
                measure(&mut group, variant, round, Load { requests: REQUESTS, threads });
            }
        }
    }
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, variant: &str, round: usize, load: Load) {
    group.bench_function(BenchmarkId::new(variant, round), |bencher| {
        bencher.iter_custom(|times| {
            let runs = (0..times).map(|_| {
                let carried = carry(variant, load);
                assert_eq!(carried.moved, load.moved(variant));
                carried.took
            });
            runs.sum()
        });
    });
}
