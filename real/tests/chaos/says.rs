//! What a handler's body says, by chance.

use std::fmt::Write;
use std::time::Duration;

use real::streams::Chance;

use crate::script::ms;
use crate::text::Text;

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub text: Text,
    /// Where a frame ends, and how long the producer is silent before it.
    pub frames: Vec<(Duration, usize)>,
    pub end: End,
    /// The body knows that its last frame was the last one.
    pub knows: bool,
    /// A total limit of its own.
    pub total: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It may end in the middle of an event.
    Well,
    Fails,
    Hangs,
}

pub const WORDS: [&str; 6] = ["a", "two words", ": colon", "grüße", "世界", "🦀"];

pub fn events(chance: &mut Chance, index: u64) -> Said {
    let mut text = Text::default();
    let ending = ["\n", "\n", "\r\n", "\r"][chance.below(4)];
    if chance.one_in(12) {
        text.begin_with_bom();
    }
    // One in ten is longer than all buffers on the way.
    let many = if chance.one_in(10) { 400 + chance.below(800) } else { chance.below(12) };
    for number in 0..many {
        let mut event = String::new();
        let _ = write!(event, "id: {number}{ending}");
        if chance.one_in(2) {
            let _ = write!(event, "event: delta{ending}");
        }
        for _ in 0..=chance.below(2) {
            let _ = write!(event, "data: {index}.{number} {}{ending}", WORDS[chance.below(WORDS.len())]);
        }
        if many > 50 {
            let _ = write!(event, "data: {}{ending}", "x".repeat(100));
        }
        text.event(&event, ending);
        if chance.one_in(8) {
            text.comment(&format!(": of the handler {number}{ending}"));
        }
    }
    said(chance, text, many > 50)
}

/// Lines of JSON, or bytes of no known format.
pub fn plain(chance: &mut Chance, index: u64, lines: bool) -> Said {
    let mut text = Text::default();
    for number in 0..chance.below(12) {
        let line = format!("{{\"stream\":{index},\"number\":{number}}}\n");
        if lines { text.line(&line) } else { text.bytes(&line) }
    }
    said(chance, text, false)
}

fn said(chance: &mut Chance, mut text: Text, long: bool) -> Said {
    let end = match chance.below(10) {
        0 => End::Fails,
        1 => End::Hangs,
        _ => End::Well,
    };
    // Cut off anywhere: half an event is the last that it says.
    if (end != End::Well || chance.one_in(10)) && !text.said.is_empty() {
        text.cut_off(chance.below(text.said.len()));
    }
    let mut frames = Vec::new();
    let mut at = 0;
    while at < text.said.len() {
        let most = if long { 4_000 } else { 200 };
        let next = if chance.one_in(3) {
            text.boundaries.iter().copied().find(|&boundary| boundary > at).unwrap_or(text.said.len())
        } else {
            at + 1 + chance.below(most)
        };
        let silence = match chance.below(if long { 300 } else { 30 }) {
            0 => 80 + chance.below(120),
            1..12 => chance.below(12),
            _ => 0,
        };
        at = next.min(text.said.len());
        frames.push((ms(silence as u64), at));
    }
    let total = chance.one_in(20).then(|| ms(20 + chance.below(200) as u64));
    Said { text, frames, end, knows: chance.one_in(2), total }
}

impl Said {
    /// The longest time from one content to the next.
    pub fn silence(&self) -> Duration {
        let (mut longest, mut silence, mut begin) = (ms(0), ms(0), 0);
        for (before, end) in &self.frames {
            silence += *before;
            longest = longest.max(silence);
            if self.text.contents.iter().any(|content| (begin..*end).contains(&(content - 1))) {
                silence = ms(0);
            }
            begin = *end;
        }
        longest
    }
}
