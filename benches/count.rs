//! Runs one variant once, for callgrind: see `scripts/instructions`.

mod support;

use std::process::ExitCode;

use support::{Load, VARIANTS, carry, runtime};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match read(&arguments) {
        Some((variant, load)) => {
            assert_eq!(carry(&runtime(), variant, &load), load.moved());
            ExitCode::SUCCESS
        }
        None => {
            println!("usage: count VARIANT SITUATION FRAMES");
            println!("variants: {}", VARIANTS.join(" "));
            println!("situations: ready awaited");
            // `cargo bench` runs this too, with its own arguments, and wants nothing.
            let asked = !arguments.is_empty() && !arguments.contains(&"--bench");
            if asked { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

fn read<'a>(arguments: &[&'a str]) -> Option<(&'a str, Load)> {
    let [variant, situation, frames] = arguments else {
        return None;
    };
    let awaited = match *situation {
        "ready" => false,
        "awaited" => true,
        _ => return None,
    };
    let known = VARIANTS.contains(variant);
    known.then_some((*variant, Load::events(frames.parse().ok()?, awaited)))
}
