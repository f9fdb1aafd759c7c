//! Event streams by chance, the same for the same seed.

use std::time::Duration;

use bytes::Bytes;

use crate::server::Frames;

/// Every type that a [`random`] event can have, and that of the last one.
pub const TYPES: [&str; 4] = ["message", "delta", "naïve", "done"];

/// All fields, all line endings, cut anywhere, with short silences at the cuts. Ends in an event of the type `done`.
#[must_use]
pub fn random(seed: u64) -> Frames {
    let mut chance = Chance::new(seed);
    let mut bytes = Vec::new();
    if chance.one_in(4) {
        // Chromium takes a line break right behind a BOM for a part of the next line.
        bytes.extend_from_slice("\u{feff}data: behind a BOM\n".as_bytes());
    }
    let one_ending = ["\n", "\r", "\r\n"][chance.below(3)];
    let mixed = chance.one_in(3);
    for _ in 0..30 {
        let line = match chance.below(10) {
            0..3 => format!("data: {}", chance.text()),
            3 => ["data", "data:", "data:x", "data:  y"][chance.below(4)].to_owned(),
            4 => format!("event:{}", ["delta", " naïve", " message", ""][chance.below(4)]),
            5 => ["id: 7", "id:", "id", "id: é:", "id: a\0b", "id:42"][chance.below(6)].to_owned(),
            6 => [":", ": hb", ":data: no", "::"][chance.below(4)].to_owned(),
            7 => ["retry: 10", "retry: soon", "other: x", "Data: x", " data: x"][chance.below(5)].to_owned(),
            _ => String::new(),
        };
        let ending = if mixed { ["\n", "\r", "\r\n"][chance.below(3)] } else { one_ending };
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(ending.as_bytes());
    }
    bytes.extend_from_slice(b"\n\nevent: done\ndata: all\n\n");
    cut(&bytes, &mut chance)
}

/// Line starts are cut more often than other places: that is where beats go.
fn cut(bytes: &[u8], chance: &mut Chance) -> Frames {
    let mut frames = Frames::new();
    let mut begin = 0;
    for end in 1..=bytes.len() {
        let at_line_start = matches!(bytes[end - 1], b'\n' | b'\r');
        if end == bytes.len() || chance.one_in(if at_line_start { 3 } else { 25 }) {
            let silence = if chance.one_in(2) { 5 + chance.below(26) as u64 } else { 0 };
            frames.push((Duration::from_millis(silence), Bytes::copy_from_slice(&bytes[begin..end])));
            begin = end;
        }
    }
    frames
}

/// SplitMix64.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    pub fn one_in(&mut self, end: usize) -> bool {
        self.below(end) == 0
    }

    fn text(&mut self) -> String {
        const WORDS: [&str; 8] =
            ["a", "two words", ": colon", "grüße", "世界", "🦀", "{\"x\":1}", "\u{feff}"];
        (0..=self.below(3)).map(|_| WORDS[self.below(WORDS.len())]).collect()
    }
}
