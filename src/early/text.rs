//! Decides: what is written of a body that becomes an event, or the text of one?

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::sse::encode::DataLines;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What has come of a body, and not been given on.
#[derive(Debug)]
pub(super) struct Text {
    kept: BytesMut,
    /// So that one of empty frames, or of a byte each, is bounded too.
    frames: usize,
    most: usize,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// One event, behind this line. It is kept until it is whole, so that it can still become an error.
    Event(&'static str),
    /// An event that is too long for that, and is written as it comes.
    Lines(DataLines),
    /// The beginning of a text.
    Beginning,
}

/// What to do with one more piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Kept,
    /// Give these bytes.
    Part(Bytes),
    /// There is no room for more.
    Full,
}

impl Text {
    pub(super) fn event(name_line: &'static str, most: usize) -> Self {
        Self { kept: BytesMut::new(), frames: 0, most, form: Form::Event(name_line) }
    }

    pub(super) fn beginning(most: usize) -> Self {
        Self { kept: BytesMut::new(), frames: 0, most, form: Form::Beginning }
    }

    pub(super) fn push(&mut self, data: &[u8]) -> Pushed {
        self.frames = self.frames.saturating_add(1);
        match &mut self.form {
            Form::Event(name_line) => {
                self.kept.extend_from_slice(data);
                if self.kept.len().max(self.frames) <= self.most {
                    return Pushed::Kept;
                }
                // There is nothing to write yet, and nothing to take back. But it was read for long enough in one turn.
                if BOM.starts_with(&self.kept) {
                    return Pushed::Part(Bytes::new());
                }
                let (lines, event) = begin(name_line, &self.kept);
                self.kept.clear();
                self.form = Form::Lines(lines);
                Pushed::Part(event.freeze())
            }
            Form::Lines(lines) => {
                lines.push(data, &mut self.kept);
                Pushed::Part(self.kept.split().freeze())
            }
            Form::Beginning => {
                let room = self.most - self.kept.len();
                self.kept.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room || self.frames > self.most { Pushed::Full } else { Pushed::Kept }
            }
        }
    }

    pub(super) fn is_event(&self) -> bool {
        !matches!(self.form, Form::Beginning)
    }

    /// Half of an event is out, and can neither be taken back nor completed.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.form, Form::Lines(_))
    }

    /// What is left to give when the body has ended.
    pub(super) fn finish(&mut self) -> Bytes {
        match &self.form {
            Form::Event(name_line) => {
                let (lines, mut event) = begin(name_line, &self.kept);
                lines.finish(&mut event);
                event.freeze()
            }
            Form::Lines(lines) => {
                lines.finish(&mut self.kept);
                self.kept.split().freeze()
            }
            Form::Beginning => self.kept.split().freeze(),
        }
    }
}

/// A BOM is none in the middle of a stream.
fn begin(name_line: &str, text: &[u8]) -> (DataLines, BytesMut) {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let mut event = BytesMut::with_capacity(name_line.len() + text.len() + 8);
    let mut lines = DataLines::default();
    if !text.is_empty() {
        event.put_slice(name_line.as_bytes());
    }
    lines.push(text, &mut event);
    (lines, event)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is given of these pieces, one string a turn.
    fn given(mut text: Text, pieces: &[&str]) -> Vec<String> {
        let mut given = Vec::new();
        let mut give = |bytes: Bytes| given.push(String::from_utf8(bytes.into()).unwrap());
        for piece in pieces {
            match text.push(piece.as_bytes()) {
                Pushed::Kept => {}
                Pushed::Part(part) => give(part),
                Pushed::Full => break,
            }
        }
        give(text.finish());
        given
    }

    #[test]
    fn an_event_comes_whole_as_long_as_there_is_room() {
        let event = |most| Text::event("", most);
        assert_eq!(given(event(8), &["{\"a\"", ":1}\n"]), ["data: {\"a\":1}\n\n"]);
        assert_eq!(given(event(7), &["{\"a\"", ":1}\n"]), ["data: {\"a\":1}", "\n\n"]);
        assert_eq!(
            given(event(2), &["{", "\r", "\n", "", "}"]),
            ["data: {", "", "\ndata: }", "\n\n"],
            "three frames of a byte each are too many for two"
        );
        assert_eq!(given(event(8), &[]), [""]);
        assert_eq!(given(event(8), &["\u{feff}{}"]), ["data: {}\n\n"]);
        assert_eq!(given(event(8), &["\u{feff}"]), [""]);
        assert_eq!(given(Text::event("event: message\n", 8), &["{}"]), ["event: message\ndata: {}\n\n"]);
        assert_eq!(
            given(Text::event("event: message\n", 1), &["{}", ""]),
            ["event: message\ndata: {}", "", "\n\n"]
        );
    }

    #[test]
    fn an_event_is_out_when_its_first_part_is() {
        let mut text = Text::event("", 2);
        assert_eq!(text.push(b"ab"), Pushed::Kept);
        assert!(!text.is_out() && text.is_event());
        assert_eq!(text.push(b"c"), Pushed::Part(Bytes::from_static(b"data: abc")));
        assert!(text.is_out() && text.is_event());
        assert!(!Text::beginning(2).is_event());
    }

    #[test]
    fn an_event_that_has_no_bytes_yet_has_not_begun() {
        let event = || Text::event("event: message\n", 1);
        assert_eq!(given(event(), &["", "", "{}"]), ["", "event: message\ndata: {}", "\n\n"]);
        let mut text = event();
        assert_eq!(text.push(b"\xEF"), Pushed::Kept);
        for piece in [b"\xBB", b"\xBF"] {
            assert_eq!(text.push(piece), Pushed::Part(Bytes::new()));
            assert!(!text.is_out());
        }
        assert_eq!(text.push(b"{}"), Pushed::Part(Bytes::from_static(b"event: message\ndata: {}")));
    }

    #[test]
    fn of_a_text_only_the_beginning_is_kept() {
        assert_eq!(given(Text::beginning(4), &["ab", "cd"]), ["abcd"]);
        assert_eq!(given(Text::beginning(4), &["ab", "cde", "f"]), ["abcd"]);
        let mut text = Text::beginning(4);
        assert_eq!([text.push(b"abcd"), text.push(b"e")], [Pushed::Kept, Pushed::Full]);
        assert_eq!(Text::beginning(4).push(b"abcdef"), Pushed::Full);
        let mut text = Text::beginning(2);
        assert_eq!(
            [text.push(b""), text.push(b""), text.push(b"")],
            [Pushed::Kept, Pushed::Kept, Pushed::Full]
        );
    }
}
