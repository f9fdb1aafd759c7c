//! What a handler says, and whether that is what a client has read.

use std::fmt;

/// Bytes, and where something else may stand between them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text {
    pub said: Vec<u8>,
    /// Behind whole events and lines, in order. Not the beginning, which is one in any case.
    pub boundaries: Vec<usize>,
    /// The first of them behind each event or line that says something.
    pub contents: Vec<usize>,
    bom: bool,
    half: bool,
    /// Nothing stands between these, wherever they are cut.
    opaque: bool,
}

const BOM: &[u8] = "\u{feff}".as_bytes();

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.said).fmt(f)
    }
}

impl Text {
    pub fn begin_with_bom(&mut self) {
        self.said.extend(BOM);
        self.boundaries.push(self.said.len());
        self.bom = true;
    }

    pub fn event(&mut self, lines: &str, blank: &str) {
        self.said.extend(lines.as_bytes());
        self.contents.push(self.said.len() + 1);
        for byte in blank.bytes() {
            self.said.push(byte);
            // Behind the CR the event is over, and the LF is one more blank line to whoever has seen something between.
            self.boundaries.push(self.said.len());
        }
    }

    pub fn comment(&mut self, line: &str) {
        self.said.extend(line.as_bytes());
        if line.ends_with("\r\n") {
            self.boundaries.push(self.said.len() - 1);
        }
        self.boundaries.push(self.said.len());
    }

    pub fn line(&mut self, line: &str) {
        self.said.extend(line.as_bytes());
        self.contents.push(self.said.len());
        self.boundaries.push(self.said.len());
    }

    pub fn bytes(&mut self, bytes: &str) {
        self.said.extend(bytes.as_bytes());
        self.opaque = true;
    }

    pub fn cut_off(&mut self, at: usize) {
        let at = if self.bom { at.max(BOM.len()) } else { at };
        self.said.truncate(at);
        self.boundaries.retain(|&boundary| boundary <= at);
        self.half = !self.opaque && self.boundaries.last().copied().unwrap_or(0) != at;
    }

    /// It ends inside an event.
    pub fn is_half(&self) -> bool {
        self.half
    }
}

/// How far a client has got in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// So many of the handler's bytes.
    pub said: usize,
    pub beats: usize,
    /// What came behind them, between two events: a goodbye, or the beginning of a beat.
    pub rest: &'a [u8],
}

/// Reads what came, with beats between events taken out. `Err`: where it is not what was said.
pub fn read<'a>(text: &Text, beat: &[u8], got: &'a [u8]) -> Result<Read<'a>, String> {
    let mut segments: Vec<usize> = text.boundaries.clone();
    if segments.last() != Some(&text.said.len()) && !text.said.is_empty() {
        segments.push(text.said.len());
    }
    let mut read = Read { said: 0, beats: 0, rest: got };
    let mut segments = segments.into_iter();
    'events: while let Some(mut end) = segments.next() {
        loop {
            let event = &text.said[read.said..end];
            // Half a comment may look like the beginning of a beat.
            if let Some(rest) = read.rest.strip_prefix(beat).filter(|_| !event.starts_with(beat)) {
                (read.beats, read.rest) = (read.beats + 1, rest);
                // The mark can only be first, and a beat was.
                if text.bom && read.said == 0 && !read.rest.starts_with(BOM) {
                    read.said = BOM.len();
                    match segments.next() {
                        Some(next) => end = next,
                        None => break 'events,
                    }
                }
                continue;
            }
            if let Some(rest) = read.rest.strip_prefix(event) {
                (read.said, read.rest) = (end, rest);
                continue 'events;
            }
            if event.starts_with(read.rest) {
                read.said += read.rest.len();
                read.rest = &[];
                return Ok(read);
            }
            return behind(text, read);
        }
    }
    while let Some(rest) = read.rest.strip_prefix(beat).filter(|_| !text.half) {
        (read.beats, read.rest) = (read.beats + 1, rest);
    }
    behind(text, read)
}

fn behind<'a>(text: &Text, read: Read<'a>) -> Result<Read<'a>, String> {
    let at_end_of_half = text.half && read.said == text.said.len();
    if !read.rest.is_empty() && at_end_of_half {
        return Err(format!("{:?} inside an event, at {}", lossy(read.rest), read.said));
    }
    Ok(read)
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_events() -> Text {
        let mut text = Text::default();
        text.event("data: a\n", "\n");
        text.event("id: 1\ndata: b\ndata: c\n", "\n");
        text
    }

    #[track_caller]
    fn check(text: &Text, got: &str, expected: (usize, usize, &str)) {
        let read = read(text, b":\n", got.as_bytes()).unwrap();
        assert_eq!((read.said, read.beats, std::str::from_utf8(read.rest).unwrap()), expected, "{got:?}");
    }

    #[test]
    fn beats_between_events_are_taken_out() {
        let text = two_events();
        let whole = text.said.len();
        check(&text, "data: a\n\nid: 1\ndata: b\ndata: c\n\n", (whole, 0, ""));
        check(&text, ":\n:\ndata: a\n\n:\nid: 1\ndata: b\ndata: c\n\n:\n", (whole, 4, ""));
        check(&text, "data: a\n\n:\nid: 1\nda", (17, 1, ""));
        check(&text, "data: a\n\n:\n:", (9, 1, ":"));
        check(&text, "data: a\n\nretry: 5\n\n", (9, 0, "retry: 5\n\n"));
        check(&text, "", (0, 0, ""));
    }

    #[test]
    fn anything_inside_an_event_is_found() {
        let text = two_events();
        // All that follows is left, and no goodbye begins like this.
        check(&text, "data: a\n:\n\nid: 1\n", (0, 0, "data: a\n:\n\nid: 1\n"));
        check(&text, "data: a\n\nid: 1\n:\ndata: b\n", (9, 0, "id: 1\n:\ndata: b\n"));
        check(&text, "data: a\n\ndata: b\n", (9, 0, "data: b\n"));
        check(&text, "id: 1\ndata: b", (0, 0, "id: 1\ndata: b"));
        check(&text, "data: a\n\ndata: a\n\n", (9, 0, "data: a\n\n"));
        let mut half = two_events();
        half.cut_off(12);
        assert!(half.is_half());
        check(&half, "data: a\n\nid:", (12, 0, ""));
        assert!(read(&half, b":\n", b"data: a\n\nid::\n").is_err());
        let mut half = Text::default();
        half.comment(": a\n");
        half.cut_off(1);
        check(&half, ":\n:\n:", (1, 2, ""));
    }

    #[test]
    fn a_byte_order_mark_is_lost_behind_a_beat_and_nowhere_else() {
        let mut text = Text::default();
        text.begin_with_bom();
        text.event("data: a\n", "\n");
        check(&text, "\u{feff}data: a\n\n", (12, 0, ""));
        check(&text, ":\ndata: a\n\n", (12, 1, ""));
        check(&text, ":\n:\ndata: a\n\n:\n", (12, 3, ""));
        check(&text, "data: a\n\n", (0, 0, "data: a\n\n"));
    }

    #[test]
    fn a_carriage_return_ends_an_event_and_its_line_feed_may_come_later() {
        let mut text = Text::default();
        text.event("data: a\r\n", "\r\n");
        check(&text, "data: a\r\n\r:\n\n", (11, 1, ""));
        check(&text, "data: a\r:\n\n", (0, 0, "data: a\r:\n\n"));
    }
}
