//! Any bytes are a stream, its cuts, its silences and the settings; the laws are those of the integration tests.
//!
//! `cargo +nightly fuzz run event_stream`

#![no_main]

#[path = "../../tests/it/transparency/case.rs"]
mod case;
#[path = "../../tests/it/transparency/laws.rs"]
mod laws;
#[path = "../../tests/it/transparency/reference.rs"]
mod reference;

use libfuzzer_sys::{Corpus, fuzz_target};
use tower_lifeline::HeartbeatBody;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some(case) = case::Case::from_bytes(bytes) else {
        return Corpus::Reject;
    };
    let beating = |producer| HeartbeatBody::new(producer, case.settings.heartbeat());
    let checked = laws::Trace::of(&case, beating).and_then(|trace| trace.all(&case));
    if let Err(broken) = checked {
        panic!("{broken}\n{case:?}");
    }
    Corpus::Keep
});
