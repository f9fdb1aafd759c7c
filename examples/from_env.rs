//! A server whose operator says how long, how many and what is in between:
//! `LIFELINE_PATH_HOPS='nginx, AWS ALB' LIFELINE_GATE_LIMIT=2 cargo run --example from_env`.
//! It prints what follows from that, or what is wrong with it. Without any variable it shows both.

use std::process::ExitCode;

use tower_lifeline::{Config, ConfigError, Lifeline};

fn stack(config: &Config) -> Result<Lifeline, ConfigError> {
    Lifeline::llm().configured(config)?.build()
}

fn main() -> ExitCode {
    if !std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("LIFELINE_")) {
        return show();
    }
    match Config::from_env("LIFELINE_").and_then(|config| stack(&config)) {
        Ok(lifeline) => println!("{lifeline:#?}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Names and values, and what is wrong with them.
type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);

fn show() -> ExitCode {
    let settings: [Case<'_>; 4] = [
        (&[("gate_limit", "512"), ("gate_wait", "2s"), ("inter_chunk", "45s")], None),
        (&[("path_hops", "nginx, AWS ALB"), ("early", "5s")], None),
        (
            &[("path_hops", "nginx"), ("heartbeat", "4m")],
            Some(
                "a beat goes out twice in the shortest idle limit of the path, at most every 30s (nginx: 60s), got 240s",
            ),
        ),
        (
            &[("first_byte", "60")],
            Some(r#"first_byte: expected a duration like 15s or 250ms, or off, got "60""#),
        ),
    ];
    let mut as_promised = true;
    for (pairs, expected) in settings {
        for (name, value) in pairs {
            print!("LIFELINE_{}='{value}' ", name.to_uppercase());
        }
        let config = Config::from_pairs(pairs.iter().copied());
        let error = config.and_then(|config| stack(&config)).err().map(|error| error.to_string());
        println!("\n    {}", error.as_deref().unwrap_or("is fine"));
        as_promised &= error.as_deref() == expected;
    }
    if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
