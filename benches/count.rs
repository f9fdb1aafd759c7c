//! Runs one variant once, for callgrind: see `scripts/instructions`.

mod support;

use std::process::ExitCode;

use support::response::{RESPONSES, answer, answers};
use support::{Load, VARIANTS, carry, runtime};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Some(()) => ExitCode::SUCCESS,
        None => {
            println!("usage: count VARIANT SITUATION NUMBER");
            println!("ready awaited: {}", VARIANTS.join(" "));
            for (situation, variants) in RESPONSES {
                println!("{situation}: {}", variants.join(" "));
            }
            // `cargo bench` runs this too, with its own arguments, and wants nothing.
            let asked = !arguments.is_empty() && !arguments.contains(&"--bench");
            if asked { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

/// Frames, or requests.
fn run(arguments: &[&str]) -> Option<()> {
    let &[variant, situation, number] = arguments else {
        return None;
    };
    let number = number.parse().ok()?;
    let of = |(named, variants): &(&str, &[&str])| *named == situation && variants.contains(&variant);
    match situation {
        "ready" | "awaited" if VARIANTS.contains(&variant) => {
            let load = Load::events(number, situation == "awaited");
            assert_eq!(carry(&runtime(), variant, &load), load.moved());
        }
        _ if RESPONSES.iter().any(of) => {
            assert_eq!(answer(&runtime(), situation, variant, number), answers(situation, variant, number));
        }
        _ => return None,
    }
    Some(())
}
