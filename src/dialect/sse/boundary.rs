//! Decides: after these bytes, are we between events, at a line start inside one, or inside a line?

use crate::dialect::Place;

/// Where an event stream stands. One byte, carried from chunk to chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// Nothing has come; a BOM may.
    Start,
    /// The first byte of a BOM has come.
    Bom1,
    /// Two bytes of a BOM have come.
    Bom2,
    /// At a line start with nothing pending: between two events.
    Between,
    /// The same, but the last byte was a CR, and an LF that comes next belongs to it. Written after something of ours
    /// such an LF is one more blank line with nothing pending, which dispatches nothing.
    BetweenCr,
    /// At a line start with a field pending.
    Pending,
    /// The same after a CR. An LF that comes next belongs to it; after anything of ours it would be a blank line, which
    /// dispatches half an event.
    PendingCr,
    /// Inside a comment with nothing pending.
    Comment,
    /// Inside any other line, or inside one whose beginning was not looked at.
    Line,
}

/// How far back a chunk is searched for the beginning of a comment at its end. Longer ones are taken for fields, which
/// can delay a beat but never corrupt an event.
const LOOK_BACK: usize = 256;

impl Boundary {
    pub(crate) fn place(self) -> Place {
        match self {
            Self::Start | Self::Between | Self::BetweenCr => Place::Between,
            Self::Pending => Place::LineStart,
            // Nothing can be put in front of the rest of a BOM, of an LF that may belong to a CR, or of a line.
            Self::Bom1 | Self::Bom2 | Self::PendingCr | Self::Comment | Self::Line => Place::Inside,
        }
    }

    /// The grammar, byte by byte. `advance` must never know better than this.
    fn step(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Start, 0xEF) => Self::Bom1,
            (Self::Bom1, 0xBB) => Self::Bom2,
            (Self::Bom2, 0xBF) => Self::Between,

            (Self::BetweenCr, b'\n') => Self::Between,
            (Self::PendingCr, b'\n') => Self::Pending,

            (Self::Bom1 | Self::Bom2 | Self::Line, b'\n') => Self::Pending,
            (Self::Bom1 | Self::Bom2 | Self::Line, b'\r') => Self::PendingCr,

            // A comment leaves nothing pending, and a blank line leaves nothing pending any more.
            (_, b'\n') => Self::Between,
            (_, b'\r') => Self::BetweenCr,

            (Self::Start | Self::Between | Self::BetweenCr, b':') => Self::Comment,
            (Self::Comment, _) => Self::Comment,
            _ => Self::Line,
        }
    }

    /// Where the stream stands after one more chunk, however the stream was cut.
    ///
    /// The cost of a chunk that ends in a blank line or inside a line does not depend on its size: its last three bytes
    /// tell. Comments at the beginning of a chunk are read one by one, because an upstream whose beats are lone comment
    /// lines would otherwise look like an event that never ends.
    #[inline]
    pub(crate) fn advance(self, chunk: &[u8]) -> Self {
        // Two line feeds leave nothing pending, wherever the chunk began.
        if chunk.ends_with(b"\n\n") { Self::Between } else { self.advance_to_any_end(chunk) }
    }

    #[inline(never)]
    fn advance_to_any_end(self, chunk: &[u8]) -> Self {
        match (self, chunk) {
            (_, []) => self,
            (Self::Line | Self::Pending, [.., _, _, _]) => self.tail(chunk),
            (Self::Between, [first, _, _, ..]) if !matches!(first, b':' | b'\n' | b'\r') => self.tail(chunk),
            _ => self.read(chunk),
        }
    }

    /// Byte by byte as long as a comment may be told from a field, then by the tail.
    #[cold]
    #[inline(never)]
    fn read(self, chunk: &[u8]) -> Self {
        let mut at = self;
        for (read, &byte) in chunk.iter().enumerate() {
            if matches!(at, Self::Line | Self::Pending) {
                return at.tail(&chunk[read..]);
            }
            at = at.step(byte);
        }
        at
    }

    /// From the end of a chunk that does not begin with a comment.
    #[inline]
    fn tail(self, chunk: &[u8]) -> Self {
        let [head @ .., third, second, last] = chunk else {
            return chunk.iter().fold(self, |at, &byte| at.step(byte));
        };
        let text = |bytes| &chunk[..head.len() + bytes];
        match (third, second, last) {
            (_, b'\n', b'\n') | (b'\n' | b'\r', b'\r', b'\n') => Self::Between,
            (_, b'\n' | b'\r', b'\r') => Self::BetweenCr,
            (_, b'\r', b'\n') if self.ends_in_comments(text(1)) => Self::Between,
            (_, _, b'\n') if self.ends_in_comments(text(2)) => Self::Between,
            (_, _, b'\r') if self.ends_in_comments(text(2)) => Self::BetweenCr,
            (_, _, b'\n') => Self::Pending,
            (_, _, b'\r') => Self::PendingCr,
            _ => Self::Line,
        }
    }

    /// Whether all lines at the end of `text`, back to the last blank one, are comments. The last of them is not blank
    /// and has just been ended.
    #[cold]
    #[inline(never)]
    fn ends_in_comments(self, mut text: &[u8]) -> bool {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        loop {
            let far = text.len().saturating_sub(LOOK_BACK);
            let Some(end) = text[far..].iter().rposition(is_end) else {
                return false;
            };
            let (before, line) = text.split_at(far + end + 1);
            if line.first() != Some(&b':') {
                return false;
            }
            text = match before {
                [rest @ .., b'\r', b'\n'] | [rest @ .., _] => rest,
                [] => before,
            };
            match text.last() {
                None => return self.step(b'\n') == Self::Between,
                Some(byte) if is_end(byte) => return true,
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The grammar's answer for every way of cutting the bytes in two must never be more careful than ours.
    fn check(text: &str, place: Place) {
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            let at = Boundary::Start.advance(left).advance(right);
            assert_eq!(at.place(), place, "{text:?} cut at {cut}: {at:?}");
        }
    }

    #[test]
    fn where_something_may_be_written() {
        check("", Place::Between);
        check("d", Place::Inside);
        check("data: a", Place::Inside);
        check("data: a\n", Place::LineStart);
        check("data: a\n\n", Place::Between);
        check("data: a\r\n", Place::LineStart);
        check("data: a\r\n\r\n", Place::Between);
        check("data: a\r", Place::Inside);
        check("data: a\r\r", Place::Between);
        check("data: a\n\r", Place::Between);
        check("data: a\r\n\r", Place::Between);
        check("data: a\n\ndata: b\n", Place::LineStart);
        check("event: x\nid: 7\n", Place::LineStart);
        check("\u{feff}", Place::Between);
        check("\u{feff}data: a\n\n", Place::Between);
        check("data: caf\u{e9}", Place::Inside);
    }

    #[test]
    fn comments_leave_nothing_pending() {
        check(":\n", Place::Between);
        check(": hb\n", Place::Between);
        check(": hb", Place::Inside);
        check(": hb\r\n", Place::Between);
        check(": a\n: b\n\n: c\n", Place::Between);
        check(": a\ndata: x\n", Place::LineStart);
        check("data: x\n: a\n", Place::LineStart);
        check("\n: a\n", Place::Between);
    }

    #[test]
    fn a_comment_line_behind_an_event_in_one_chunk() {
        let after = |chunk: &[u8]| Boundary::Between.advance(chunk).place();
        assert_eq!(after(b"data: a\n\n: hb\n"), Place::Between);
        assert_eq!(after(b"data: a\n\n: hb\n: hb\r\n"), Place::Between);
        assert_eq!(after(b"data: a\r\r: hb\r: hb\r"), Place::Between);
        assert_eq!(after(b"data: a\n\ndata: b\n: hb\n"), Place::LineStart);
        assert_eq!(after(b"data: a\n: hb\n"), Place::LineStart);
        assert_eq!(Boundary::Pending.advance(b"\n: hb\n").place(), Place::Between);
        assert_eq!(Boundary::Line.advance(b"\n: hb\n").place(), Place::LineStart);
    }

    #[test]
    fn a_byte_order_mark_is_one_only_at_the_start() {
        assert_eq!(Boundary::Start.advance(b"\xef").place(), Place::Inside);
        assert_eq!(Boundary::Start.advance(b"\xef\xbb").place(), Place::Inside);
        assert_eq!(Boundary::Start.advance(b"\xef\xbb\xbf").place(), Place::Between);
        assert_eq!(Boundary::Start.advance(b"\xef\n").place(), Place::LineStart);
        assert_eq!(Boundary::Between.advance(b"\xef\xbb\xbf").place(), Place::Inside);
    }

    /// All strings over the letters that matter, each cut at every place: the fast answer is the grammar's own, or one
    /// that waits longer. It may wait only for a comment whose beginning lies in the middle of an earlier chunk.
    #[test]
    fn the_tail_knows_what_the_grammar_knows() {
        const LETTERS: [u8; 5] = *b"x:\r\n\xef";
        for length in 1..=6_u32 {
            for mut number in 0..LETTERS.len().pow(length) {
                let text: Vec<u8> = (0..length)
                    .map(|_| {
                        let letter = LETTERS[number % LETTERS.len()];
                        number /= LETTERS.len();
                        letter
                    })
                    .collect();
                let exact = text.iter().fold(Boundary::Start, |at, &byte| at.step(byte));
                for cut in 0..text.len() {
                    let (left, right) = text.split_at(cut);
                    let at = Boundary::Start.advance(left).advance(right);
                    let waits = match exact {
                        Boundary::Comment => at == Boundary::Line,
                        Boundary::Between => at == Boundary::Pending,
                        Boundary::BetweenCr => at == Boundary::PendingCr,
                        _ => false,
                    } && Boundary::Start.advance(left) == Boundary::Line
                        && left.contains(&b':')
                        || exact == Boundary::Comment && at == Boundary::Line;
                    assert!(at == exact || waits, "{text:?} cut at {cut}: {at:?}, not {exact:?}");
                }
            }
        }
    }
}
