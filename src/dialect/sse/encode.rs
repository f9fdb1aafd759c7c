//! Writes events and comments. What an operator chose and would end a line early is refused, not repaired: CR, LF, and
//! NUL, which makes a parser ignore an `id`. What a handler said is written on as many lines as it has.

use bytes::{BufMut, BytesMut};

use crate::ConfigError;

/// `: text` and one line end.
pub(crate) fn comment_line(text: &str) -> Result<String, ConfigError> {
    one_line("a comment", text)?;
    Ok(if text.is_empty() { ":\n".to_owned() } else { format!(": {text}\n") })
}

/// `: text` and a blank line.
pub(crate) fn comment_block(text: &str) -> Result<String, ConfigError> {
    let mut block = comment_line(text)?;
    block.push('\n');
    Ok(block)
}

/// An event, with a type unless it is the default one.
pub(crate) fn event(name: Option<&str>, data: &str) -> Result<String, ConfigError> {
    one_line("event data", data)?;
    if data.is_empty() {
        return Err(ConfigError::new(
            "event data is at least one character, got none: an empty event reaches clients as \"\"",
        ));
    }
    let name = name.map(event_name).transpose()?.unwrap_or_default();
    Ok(format!("{name}data: {data}\n\n"))
}

/// A line of an event that names its type.
pub(crate) fn event_name(name: &str) -> Result<String, ConfigError> {
    one_line("an event name", name)?;
    if name.is_empty() {
        return Err(ConfigError::new("an event name is at least one character, got none"));
    }
    Ok(format!("event: {name}\n"))
}

/// Writes a text that comes in pieces as the data of one event: each of its lines, whichever way it ends, is a `data:`
/// line. A line end at the end of the text ends its last line and begins no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DataLines {
    place: InText,
    /// The last byte was a CR, so an LF that comes next belongs to it.
    cr: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum InText {
    /// Nothing has come.
    #[default]
    Start,
    InLine,
    /// Behind a line end that may be the last.
    Ended,
}

impl DataLines {
    /// One more piece of the text.
    pub(crate) fn push(&mut self, text: &[u8], out: &mut BytesMut) {
        let mut rest = text;
        if let (true, [b'\n', after @ ..]) = (self.cr, rest) {
            rest = after;
        }
        if !text.is_empty() {
            self.cr = false;
        }
        while !rest.is_empty() {
            match self.place {
                InText::Start => out.put_slice(b"data: "),
                InText::InLine => {}
                InText::Ended => out.put_slice(b"\ndata: "),
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let Some(end) = end else {
                out.put_slice(rest);
                self.place = InText::InLine;
                return;
            };
            out.put_slice(&rest[..end]);
            self.place = InText::Ended;
            self.cr = rest.ends_with(b"\r") && end + 1 == rest.len();
            let width = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
            rest = &rest[end + width..];
        }
    }

    /// The text has ended, and so does the event. A text without a byte is no event.
    pub(crate) fn finish(self, out: &mut BytesMut) {
        if self.place != InText::Start {
            out.put_slice(b"\n\n");
        }
    }
}

fn one_line(what: &str, text: &str) -> Result<(), ConfigError> {
    match text.chars().find(|c| matches!(c, '\r' | '\n' | '\0')) {
        None => Ok(()),
        Some(found) => Err(ConfigError::new(format!(
            "{what} is one line without CR, LF or NUL, got {found:?} in {text:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The event that these pieces of a text become.
    fn lines(pieces: &[&[u8]]) -> String {
        let (mut lines, mut out) = (DataLines::default(), BytesMut::new());
        for piece in pieces {
            lines.push(piece, &mut out);
        }
        lines.finish(&mut out);
        String::from_utf8(out.into()).unwrap()
    }

    #[test]
    fn any_form_of_a_line_end_makes_a_data_line() {
        let check = |text: &str, event: &str| {
            for cut in 0..=text.len() {
                let (left, right) = text.as_bytes().split_at(cut);
                assert_eq!(lines(&[left, b"", right]), event, "{text:?} cut at {cut}");
            }
            let single: Vec<_> = text.as_bytes().chunks(1).collect();
            assert_eq!(lines(&single), event, "{text:?} byte by byte");
        };
        check("", "");
        check("{}", "data: {}\n\n");
        check("{}\n", "data: {}\n\n");
        check("{}\r\n", "data: {}\n\n");
        check("a\nb\rc\r\nd", "data: a\ndata: b\ndata: c\ndata: d\n\n");
        check("a\n\nb", "data: a\ndata: \ndata: b\n\n");
        check("a\r\rb", "data: a\ndata: \ndata: b\n\n");
        check("a\r\n\r\nb", "data: a\ndata: \ndata: b\n\n");
        check("a\n\rb", "data: a\ndata: \ndata: b\n\n");
        check("\na", "data: \ndata: a\n\n");
        check("\n", "data: \n\n");
        check("a\n\n", "data: a\ndata: \n\n");
        check(" a: b", "data:  a: b\n\n");
    }

    proptest! {
        #[test]
        fn a_client_reads_the_text_that_was_written(text in "[a-c:\r\n ]{0,24}", cuts in (0_usize..25, 0_usize..25)) {
            let (first, second) = (cuts.0.min(cuts.1).min(text.len()), cuts.0.max(cuts.1).min(text.len()));
            let bytes = text.as_bytes();
            let event = lines(&[&bytes[..first], &bytes[first..second], &bytes[second..]]);
            let whole = text.replace("\r\n", "\n").replace('\r', "\n");
            let whole = whole.strip_suffix('\n').unwrap_or(&whole);
            match event.strip_suffix("\n\n") {
                None => prop_assert!(event.is_empty() && text.is_empty()),
                Some(event) => {
                    let data: Vec<_> = event.split('\n').map(|line| line.strip_prefix("data: ").unwrap()).collect();
                    prop_assert_eq!(data.join("\n"), whole);
                }
            }
        }
    }

    #[test]
    fn what_is_written() {
        assert_eq!(comment_line("").unwrap(), ":\n");
        assert_eq!(comment_line("hb").unwrap(), ": hb\n");
        assert_eq!(comment_block("hb").unwrap(), ": hb\n\n");
        assert_eq!(event(None, "{}").unwrap(), "data: {}\n\n");
        assert_eq!(event(Some("ping"), "{}").unwrap(), "event: ping\ndata: {}\n\n");
    }

    #[test]
    fn what_is_refused() {
        let check = |result: Result<String, ConfigError>, sentence: &str| {
            assert_eq!(result.unwrap_err().to_string(), sentence);
        };
        check(comment_line("a\rb"), "a comment is one line without CR, LF or NUL, got '\\r' in \"a\\rb\"");
        check(comment_block("a\nb"), "a comment is one line without CR, LF or NUL, got '\\n' in \"a\\nb\"");
        check(event(None, "a\0b"), "event data is one line without CR, LF or NUL, got '\\0' in \"a\\0b\"");
        check(
            event(Some("p\r"), "{}"),
            "an event name is one line without CR, LF or NUL, got '\\r' in \"p\\r\"",
        );
        check(event(Some(""), "{}"), "an event name is at least one character, got none");
        check(
            event(None, ""),
            "event data is at least one character, got none: an empty event reaches clients as \"\"",
        );
    }
}
