//! A stream and the settings that it meets, to be drawn by chance or read from any bytes.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tower_lifeline::{Beat, Heartbeat, MidEvent, Rhythm};

#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) settings: Settings,
    /// Each frame and the silence before it.
    pub(crate) frames: Vec<(Duration, Bytes)>,
    pub(crate) ending: (Duration, Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    End,
    Error,
    Trailers,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) beat: Beat,
    pub(crate) rhythm: Rhythm,
    pub(crate) mid_event: MidEvent,
    pub(crate) jitter: Duration,
    pub(crate) at_once: bool,
    pub(crate) pad_first: usize,
}

pub(crate) const INTERVAL: Duration = Duration::from_millis(16);

/// What is written into a silence; comments first.
pub(crate) fn beats() -> [Beat; 8] {
    [
        Beat::default(),
        Beat::comment_line("hb"),
        Beat::comment_block("hb"),
        Beat::bytes(": a\n: b\n"),
        Beat::event("ping", "{}"),
        Beat::json_rpc("$/keepalive"),
        Beat::bytes(": a\nevent: ping\ndata: 1\n\ndata: 2\n\n"),
        Beat::none(),
    ]
}

impl Settings {
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        let heartbeat = Heartbeat::every(INTERVAL)
            .beat(self.beat.clone())
            .rhythm(self.rhythm)
            .mid_event(self.mid_event)
            .jitter(self.jitter)
            .pad_first(self.pad_first);
        if self.at_once { heartbeat.at_once() } else { heartbeat }
    }

    /// What the beats of a stream look like: the first one padded, if it is one comment.
    pub(crate) fn nth_beat(&self, nth: usize) -> Vec<u8> {
        let beat = self.beat.as_bytes();
        let text = beat.trim_ascii_end();
        if nth > 0 || !text.starts_with(b":") || text.contains(&b'\n') {
            return beat.to_vec();
        }
        let dots = vec![b'.'; self.pad_first.saturating_sub(beat.len())];
        [text, &dots, &beat[text.len()..]].concat()
    }
}

impl Case {
    /// Any bytes are a case. The first six are the settings, as numbers or digits; then comes the stream, in which `FF`
    /// cuts and the byte behind it is the silence there, in milliseconds. (No UTF-8 has an `FF`, and other bytes are as
    /// invalid.)
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([beat, rhythm, mid_event, jitter, first, ending], mut rest) = bytes.split_first_chunk()?;
        let choose = |byte: &u8, among: usize| usize::from(byte.wrapping_sub(b'0')) % among;
        let settings = Settings {
            beat: beats()[choose(beat, 8)].clone(),
            rhythm: [Rhythm::Silence, Rhythm::Periodic][choose(rhythm, 2)],
            mid_event: [MidEvent::Hold, MidEvent::CommentLine][choose(mid_event, 2)],
            jitter: INTERVAL / 2 * [0, 1][choose(jitter, 2)],
            at_once: choose(first, 2) == 1,
            pad_first: [0, 64][choose(first, 4) / 2],
        };
        let mut silence = Duration::ZERO;
        let mut frames = Vec::new();
        while let Some(cut) = rest.iter().position(|&byte| byte == 0xFF) {
            frames.push((silence, Bytes::copy_from_slice(&rest[..cut])));
            silence = Duration::from_millis(rest.get(cut + 1).copied().unwrap_or_default().into());
            rest = rest.get(cut + 2..).unwrap_or_default();
        }
        frames.push((silence, Bytes::copy_from_slice(rest)));
        let ending = [Ending::End, Ending::Error, Ending::Trailers][choose(ending, 3)];
        Some(Self { settings, frames, ending: (Duration::ZERO, ending) })
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (silence, bytes) in &self.frames {
            write!(f, "{silence:?} \"{}\", ", bytes.escape_ascii())?;
        }
        write!(f, "{:?} {:?}, {:?}", self.ending.0, self.ending.1, self.settings)
    }
}
