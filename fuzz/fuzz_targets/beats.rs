//! Any bytes as a heartbeat of one's own: refused, or harmless wherever a beat may stand.

#![no_main]

#[path = "../../tests/it/transparency/reference.rs"]
mod reference;

use libfuzzer_sys::{Corpus, fuzz_target};
use reference::{Effect, effects};
use tower_lifeline::Beat;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(beat) = Beat::try_bytes(bytes.to_vec()) else {
        return Corpus::Keep;
    };
    assert_eq!(beat.as_bytes(), bytes);
    let (before, behind) = ("id: 7\ndata: a\n\n", "event: b\ndata: b\n\nretry: 5\nid: 8\n\n");
    let with = effects(&[before.as_bytes(), bytes, behind.as_bytes()].concat());
    let own = effects(bytes).len();
    // Its own events stand between the others, bear the id that was there, and do nothing else.
    let at = effects(before.as_bytes()).len();
    assert!(
        with[at..at + own]
            .iter()
            .all(|effect| matches!(effect, Effect::Event { id, data, .. } if id == "7" && !data.is_empty()))
    );
    let others = [&with[..at], &with[at + own..]].concat();
    assert_eq!(others, effects([before, behind].concat().as_bytes()));
    // A line of JSON-RPC or text as a name: the same.
    if let Ok(text) = std::str::from_utf8(bytes) {
        for made in [
            Beat::try_comment_line(text),
            Beat::try_comment_block(text),
            Beat::try_event(text, text),
            Beat::try_json_rpc(text),
        ]
        .into_iter()
        .flatten()
        {
            assert!(Beat::try_bytes(made.as_bytes().to_vec()).is_ok(), "{made:?}");
        }
    }
    Corpus::Keep
});
