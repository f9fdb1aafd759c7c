//! Runs one variant once, for callgrind: see `scripts/instructions`.

mod support;

use std::process::ExitCode;

use support::{Load, PLAIN, VARIANTS, answer, answers, carry, runtime};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Some(()) => ExitCode::SUCCESS,
        None => {
            println!("usage: count VARIANT SITUATION NUMBER");
            println!("ready awaited: {}", VARIANTS.join(" "));
            println!("plain: {}", PLAIN.join(" "));
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
    match situation {
        "plain" if PLAIN.contains(&variant) => {
            assert_eq!(answer(&runtime(), variant, number), answers(variant, number));
        }
        "ready" | "awaited" if VARIANTS.contains(&variant) => {
            let load = Load::events(number, situation == "awaited");
            assert_eq!(carry(&runtime(), variant, &load), load.moved());
        }
        _ => return None,
    }
    Some(())
}
