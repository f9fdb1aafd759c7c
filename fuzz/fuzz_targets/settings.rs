//! Any text as settings, `name=value` a line: refused with a sentence, or a stack that can be built or says why not.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tower_lifeline::{Config, Lifeline};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let config = match Config::from_pairs(pairs) {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Corpus::Keep;
        }
    };
    if let Err(error) = Lifeline::sse().configured(&config).and_then(|lifeline| lifeline.build()) {
        assert!(!error.to_string().is_empty());
    }
    Corpus::Keep
});
