//! Time lines as text, both ways.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Error(String),
}

/// Reads `time=what` items. The error is a sentence.
pub(super) fn read(text: &str) -> Result<Vec<(Duration, What)>, String> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (item, after) = split_item(rest);
        items.push(read_item(item).ok_or_else(|| format!("an item is like 0s=a or 1.5s=end, got {item:?}"))?);
        rest = after.trim_start();
    }
    if !items.is_sorted_by_key(|(at, _)| *at) {
        return Err(format!("the times of a script never go back, got {text:?}"));
    }
    Ok(items)
}

/// Up to the first white space outside of quotes and parentheses.
fn split_item(text: &str) -> (&str, &str) {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            c if c.is_whitespace() && !quoted && depth == 0 => return text.split_at(at),
            _ => {}
        }
    }
    (text, "")
}

fn read_item(item: &str) -> Option<(Duration, What)> {
    let (time, what) = item.split_once('=')?;
    Some((read_time(time)?, read_what(what)?))
}

fn read_time(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

fn read_what(text: &str) -> Option<What> {
    let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if text == "end" {
        return Some(What::End);
    }
    if let Some(message) = inside("error") {
        return Some(What::Error(message.to_owned()));
    }
    if let Some(field) = inside("trailers") {
        let (name, value) = field.split_once(':')?;
        let mut trailers = HeaderMap::new();
        trailers.insert(name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?);
        return Some(What::Trailers(trailers));
    }
    if let Some(raw) = text.strip_prefix('\'') {
        return Some(What::Data(read_raw(raw.strip_suffix('\'')?)?.into()));
    }
    let mut data = String::new();
    for piece in text.split('+') {
        match piece.strip_prefix(':') {
            Some("") => data.push_str(":\n"),
            Some(comment) => writeln!(data, ": {comment}").ok()?,
            None if is_word(piece) => write!(data, "data: {piece}\n\n").ok()?,
            None => return None,
        }
    }
    Some(What::Data(data.into()))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn read_raw(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match chars.next()? {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            'x' => {
                let digits = [chars.next()?, chars.next()?];
                u8::from_str_radix(&String::from_iter(digits), 16).ok()?
            }
            c @ ('\\' | '\'') => c as u8,
            _ => return None,
        });
    }
    Some(bytes)
}

/// Draws one item.
pub(super) fn draw(at: Duration, what: &What) -> String {
    let what = match what {
        What::Data(data) => draw_data(data),
        What::Trailers(trailers) => {
            let fields: Vec<_> = trailers
                .iter()
                .map(|(name, value)| format!("{name}:{}", value.as_bytes().escape_ascii()))
                .collect();
            format!("trailers({})", fields.join(","))
        }
        What::End => "end".to_owned(),
        What::Error(message) => format!("error({message})"),
    };
    format!("{}={what}", draw_time(at))
}

pub(super) fn draw_time(at: Duration) -> String {
    match at.as_millis() {
        ms @ 1..=999 => format!("{ms}ms"),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{}s", ms as f64 / 1000.0),
    }
}

fn draw_data(data: &[u8]) -> String {
    draw_pieces(data).unwrap_or_else(|| {
        let mut raw = String::from("'");
        for byte in data {
            match byte {
                b'\r' => raw.push_str("\\r"),
                b'\n' => raw.push_str("\\n"),
                b'\\' => raw.push_str("\\\\"),
                b'\'' => raw.push_str("\\'"),
                b' '..=b'~' => raw.push(char::from(*byte)),
                _ => write!(raw, "\\x{byte:02X}").unwrap_or_default(),
            }
        }
        raw + "'"
    })
}

/// `None` when the bytes are not made of plain events and comment lines.
fn draw_pieces(data: &[u8]) -> Option<String> {
    let mut rest = std::str::from_utf8(data).ok()?;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        if let Some(event) = rest.strip_prefix("data: ") {
            let (word, after) = event.split_once("\n\n")?;
            if !is_word(word) || matches!(word, "end" | "open") {
                return None;
            }
            pieces.push(word.to_owned());
            rest = after;
        } else {
            let (comment, after) = rest.strip_prefix(':')?.split_once('\n')?;
            match comment.strip_prefix(' ') {
                None if comment.is_empty() => pieces.push(":".to_owned()),
                Some(word) if is_word(word) => pieces.push(format!(":{word}")),
                _ => return None,
            }
            rest = after;
        }
    }
    (!pieces.is_empty()).then(|| pieces.join("+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_reads_the_same() {
        let check = |text: &str| {
            let items = read(text).unwrap();
            let drawn: Vec<_> = items.iter().map(|(at, what)| draw(*at, what)).collect();
            assert_eq!(drawn.join(" "), text);
        };
        check("");
        check("0s=a 250ms=: 1.5s=:hb 31s=b+:+c 32s=end");
        check("0s='data: a\\r\\n' 1s='\\xEF\\xBB\\xBF' 2s=error(no luck)");
        check("0s='it\\'s \\\\ 1' 1s=trailers(grpc-status:0) 1s=end");
        check(r"0s=': \n' 1s='data: open\n\n' 2s='data: end\n\n' 3s=''");
    }

    #[test]
    fn other_spellings() {
        assert_eq!(read("2m=a").unwrap(), read("120s=a").unwrap());
        assert_eq!(read("0s='data: a\\n\\n'").unwrap(), read("0s=a").unwrap());
    }

    #[test]
    fn what_cannot_be_read() {
        let check = |text: &str, sentence: &str| assert_eq!(read(text).unwrap_err(), sentence);
        check("a", "an item is like 0s=a or 1.5s=end, got \"a\"");
        check("5=a", "an item is like 0s=a or 1.5s=end, got \"5=a\"");
        check("0s=a 1s=<", "an item is like 0s=a or 1.5s=end, got \"1s=<\"");
        check("0s=", "an item is like 0s=a or 1.5s=end, got \"0s=\"");
        check("2s=a 1s=b", "the times of a script never go back, got \"2s=a 1s=b\"");
    }
}
