//! Decides: does the producer say something, or is only the wire kept warm?
//!
//! Content is a `data` field whose value is not empty. Comments, `id`, `retry`, empty data, a type without data, and
//! the whole of an event of type `ping` (an idiom of LLM APIs) are not.

use super::Boundary;

/// What is known of the current line, carried from chunk to chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    line: Line,
    /// The event that is pending is of type `ping`.
    ping: bool,
    /// The last byte was a CR, so an LF that comes next is no blank line.
    cr: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Start,
    /// So many bytes of `data:` or `event:` have come.
    Data(u8),
    Event(u8),
    /// Right behind the colon, where one space does not count; and behind that space.
    DataColon,
    DataSpace,
    EventColon,
    /// So many bytes of the type `ping` have come.
    Ping(u8),
    /// Nothing in this line can be content.
    Other,
    /// An earlier chunk was content and was not read on, so this line may well be data.
    Unknown,
}

const DATA: &[u8] = b"data:";
const EVENT: &[u8] = b"event:";
const PING: &[u8] = b"ping";

impl Content {
    /// Reads one chunk up to its first byte of content. `before` is where the stream stood in front of it, which tells
    /// where to begin when the chunk before was not read to its end.
    pub(crate) fn advance(&mut self, before: Boundary, chunk: &[u8]) -> bool {
        if before == Boundary::Between && begins_with_content(chunk) {
            *self = Self { line: Line::Unknown, ..Self::default() };
            return true;
        }
        self.read(before, chunk)
    }

    #[inline(never)]
    fn read(&mut self, before: Boundary, chunk: &[u8]) -> bool {
        if self.line == Line::Unknown && before != Boundary::Line {
            let line = if before == Boundary::Comment { Line::Other } else { Line::Start };
            let cr = matches!(before, Boundary::BetweenCr | Boundary::PendingCr);
            *self = Self { line, cr, ping: false };
        }
        for &byte in chunk {
            if self.step(byte) {
                self.line = Line::Unknown;
                return true;
            }
        }
        false
    }

    fn step(&mut self, byte: u8) -> bool {
        let half_of_crlf = self.cr && byte == b'\n';
        self.cr = byte == b'\r';
        if matches!(byte, b'\r' | b'\n') {
            match self.line {
                Line::Start if !half_of_crlf => self.ping = false,
                Line::Event(5) => self.ping = false,
                Line::Ping(4) => self.ping = true,
                _ => {}
            }
            self.line = Line::Start;
            return false;
        }
        self.line = match (self.line, byte) {
            (Line::Start, b'd') => Line::Data(1),
            (Line::Start, b'e') => Line::Event(1),
            // A BOM in front of the first line.
            (Line::Start, 0xEF | 0xBB | 0xBF) => Line::Start,
            (Line::Data(4), b':') => Line::DataColon,
            (Line::Data(n), _) if DATA[usize::from(n)] == byte => Line::Data(n + 1),
            (Line::Event(5), b':') => {
                // The last type of an event is the one that counts.
                self.ping = false;
                Line::EventColon
            }
            (Line::Event(n), _) if EVENT[usize::from(n)] == byte => Line::Event(n + 1),
            (Line::EventColon, b' ') => Line::Ping(0),
            (Line::EventColon, b'p') => Line::Ping(1),
            (Line::Ping(n), _) if PING.get(usize::from(n)) == Some(&byte) => Line::Ping(n + 1),
            (Line::DataColon, b' ') => Line::DataSpace,
            (Line::DataColon | Line::DataSpace, _) if !self.ping => return true,
            (Line::Unknown, _) => return true,
            _ => Line::Other,
        };
        false
    }
}

/// What most chunks of most streams begin with: data that is not empty.
fn begins_with_content(chunk: &[u8]) -> bool {
    let data = chunk.strip_prefix(b"data: ").unwrap_or_default();
    data.first().is_some_and(|byte| !matches!(byte, b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the text says anything, at the start of a stream and later, for every way of cutting it in two.
    fn check(text: &str, content: bool) {
        let bytes = text.as_bytes();
        for before in [Boundary::Start, Boundary::Between] {
            for cut in 0..=bytes.len() {
                let (left, right) = bytes.split_at(cut);
                let mut state = Content::default();
                let first = state.advance(before, left);
                let second = state.advance(before.advance(left), right);
                assert_eq!(first || second, content, "{text:?} cut at {cut} behind {before:?}");
            }
        }
    }

    #[test]
    fn only_data_that_is_not_empty_is_content() {
        check("data: a\n\n", true);
        check("data:a", true);
        check("\u{feff}data: a", true);
        check("event: delta\ndata: a\n\n", true);
        check("id: 1\nretry: 5\ndata: a\n\n", true);
        check(": hb\rdata: a\r", true);
        check("data:\n\n", false);
        check("data: \r\n\r\n", false);
        check("data\n\n", false);
        check("data", false);
        check("database: a\n\n", false);
        check("dada: a\n\n", false);
        check("event: delta\n\n", false);
        check("id: 1\nretry: 5\n\n", false);
        check(": hb\n: hb\r\n\r\n", false);
        check("", false);
    }

    #[test]
    fn an_event_of_type_ping_is_no_content() {
        check("event: ping\ndata: {}\n\n", false);
        check("event:ping\r\ndata: {}\r\n\r\n", false);
        check("event: ping\rdata: {}\rdata: {}\r\r", false);
        check("event: ping\ndata: {}\n\ndata: a\n\n", true);
        check("event: pings\ndata: {}\n\n", true);
        check("event: pin\ndata: {}\n\n", true);
        check("event: pong\ndata: {}\n\n", true);
        check("evens: ping\ndata: {}\n\n", true);
        check("event: ping\nevent: delta\ndata: a\n\n", true);
        check("event: ping\nevent\ndata: a\n\n", true);
        check("event: delta\nevent: ping\ndata: a\n\n", false);
    }

    #[test]
    fn a_chunk_behind_content_is_read_from_its_first_line_start() {
        let mut state = Content::default();
        assert!(state.advance(Boundary::Between, b"data: a\n\n: h"));
        assert!(state.advance(Boundary::Line, b"b\n"), "the rest of a line that may be data");
        assert!(!state.advance(Boundary::Pending, b": hb\n"));
        assert!(!state.advance(Boundary::Pending, b"\n"));
    }

    #[test]
    fn a_comment_whose_beginning_was_not_looked_at_is_still_one() {
        let mut state = Content::default();
        assert!(state.advance(Boundary::Between, b"data: a\n\n"));
        let unread = Boundary::Between.advance(b": h");
        assert!(!state.advance(unread, b"data: b\n"));
        assert!(state.advance(unread.advance(b"data: b\n"), b"data: c\n"));
    }
}
