//! Reads `Accept` (RFC 9110, section 12.5.1).

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};

/// Whether the client asks for this media type by its name.
pub(crate) fn lists(headers: &HeaderMap, media_type: &str) -> bool {
    let long_enough = |field: &&HeaderValue| field.len() >= media_type.len();
    let mut fields =
        headers.get_all(ACCEPT).iter().filter(long_enough).filter_map(|field| field.to_str().ok());
    fields.any(|field| {
        ranges(field).any(|(range, weight)| weight > 0 && range.eq_ignore_ascii_case(media_type))
    })
}

/// Whether the client would rather read a sentence than JSON. `application/json` stands for what is written in JSON.
pub(super) fn prefers_plain(accept: &HeaderValue) -> bool {
    let Ok(accept) = accept.to_str() else {
        return false;
    };
    let plain = weight(accept, &["text/plain", "text/*", "*/*"]);
    plain > weight(accept, &["application/problem+json", "application/json", "application/*", "*/*"])
}

/// The weight of the first of these ranges that is there: the most specific one decides.
fn weight(accept: &str, by_precedence: &[&str]) -> u16 {
    let of = |name: &&str| ranges(accept).find(|(range, _)| range.eq_ignore_ascii_case(name));
    by_precedence.iter().find_map(of).map_or(0, |(_, weight)| weight)
}

/// Each media range with its weight in thousandths. One whose weight cannot be read is not there.
fn ranges(accept: &str) -> impl Iterator<Item = (&str, u16)> {
    split(accept, b',').filter_map(|element| {
        let mut parts = split(element, b';');
        let range = parts.next()?.trim();
        let weight = parts.filter_map(|parameter| parameter.split_once('=')).find(|(name, _)| is_q(name));
        Some((range, weight.map_or(Some(1_000), |(_, value)| thousandths(value.trim()))?))
    })
}

fn is_q(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case("q")
}

/// `qvalue` of RFC 9110, section 12.4.2.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = digits.bytes().chain([b'0'; 3]).take(3);
    let part = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1_000),
        _ => None,
    }
}

/// Splits outside of quoted strings only.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut left = Some(text);
    std::iter::from_fn(move || {
        let text = left?;
        let end = outside_quotes(text.as_bytes(), separator);
        left = end.map(|end| &text[end + 1..]);
        Some(end.map_or(text, |end| &text[..end]))
    })
}

fn outside_quotes(text: &[u8], wanted: u8) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.iter().position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => return byte == wanted && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_for_those_who_want_it_more_than_json() {
        let check = |accept: &'static str, plain| {
            assert_eq!(prefers_plain(&HeaderValue::from_static(accept)), plain, "{accept}");
        };
        check("text/plain", true);
        check("Text/*", true);
        check("text/plain; charset=utf-8", true);
        check("text/plain, */*;q=0.1", true);
        check("text/plain, application/json;q=0.9", true);
        check("text/plain, application/json;q=0", true);
        check("text/*;q=0.2 , application/*; Q=0.100", true);
        check("text/plain;a=\"b,c;q=0\"", true);
        check("text/plain;a=\"\\\",\";q=0.5, */*;q=0.4", true);
        check("application/json;a=\"\\\",\";q=0, text/plain;q=0.1", true);
        check("text/plain;q=1, */*;q=0.9", true);
        check("text/plain;q=1.000, */*;q=0.9", true);
        check("text/html, text/plain", true);
        check("", false);
        check("*/*", false);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false);
        check("application/json, text/plain, */*", false);
        check("text/plain;q=0.5, application/json", false);
        check("text/plain;q=0.5, application/problem+json;q=0.6", false);
        check("text/plain;q=0, */*", false);
        check("text/plain;q=0", false);
        check("text/plain;q=high", false);
        check("text/plain;q=1.5", false);
        check("text/plain;q=0.1234", false);
        check("text/html", false);
        check("text/event-stream", false);
        check("xtext/plain", false);
        check(";,;q=1,\"", false);
    }

    #[test]
    fn a_type_is_listed_by_its_name_only() {
        let check = |accept: &[&'static str], listed| {
            let mut headers = HeaderMap::new();
            for field in accept {
                headers.append(ACCEPT, HeaderValue::from_static(field));
            }
            assert_eq!(lists(&headers, "text/event-stream"), listed, "{accept:?}");
        };
        check(&["text/event-stream"], true);
        check(&["application/json", "TEXT/Event-Stream;q=0.001"], true);
        check(&["application/json,text/event-stream;charset=utf-8"], true);
        check(&[], false);
        check(&["text/event-stream;q=0"], false);
        check(&["text/event-stream;q=0.000"], false);
        check(&["text/*, */*"], false);
        check(&["a/b;c=\",text/event-stream,\""], false);
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_sends_makes_it_panic(accept in "[ -~\\x80-\\xff]{0,40}|[tex/plain*,;q=.01\" \\\\]{0,40}") {
            if let Ok(accept) = HeaderValue::from_bytes(accept.as_bytes()) {
                prefers_plain(&accept);
            }
        }
    }
}
