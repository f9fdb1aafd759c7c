//! Writes JSON: a few flat objects, always on one line.

use std::fmt::Write;

pub(crate) enum Value<'a> {
    Text(&'a str),
    Number(i64),
    True,
    Null,
    Object(&'a [(&'a str, Self)]),
}

/// An object without any line end, so that it is whole in a line of NDJSON and in a `data:` line of an event.
pub(crate) fn object(members: &[(&str, Value<'_>)]) -> String {
    let mut out = String::with_capacity(160);
    push_object(&mut out, members);
    out
}

fn push_object(out: &mut String, members: &[(&str, Value<'_>)]) {
    out.push('{');
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        match value {
            Value::Text(text) => push_text(out, text),
            Value::Number(number) => push(out, format_args!("{number}")),
            Value::True => out.push_str("true"),
            Value::Null => out.push_str("null"),
            Value::Object(members) => push_object(out, members),
        }
    }
    out.push('}');
}

fn push_text(out: &mut String, text: &str) {
    // In runs: most texts are plain from end to end.
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.as_bytes().iter().position(|byte| !plain(byte)) {
        out.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        if let Some(c) = chars.next() {
            push_char(out, c);
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        // JSON allows the last two and U+0085 as they are, but there are readers of lines that end one at them.
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
            push(out, format_args!("\\u{:04x}", u32::from(c)));
        }
        c => out.push(c),
    }
}

/// Writing into a `String` cannot fail.
fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written() {
        let check = |members: &[(&str, Value<'_>)], json: &str| assert_eq!(object(members), json);
        check(&[], "{}");
        check(&[("a", Value::Text(""))], r#"{"a":""}"#);
        check(&[("a", Value::Number(-32001)), ("b", Value::Text("c"))], r#"{"a":-32001,"b":"c"}"#);
        check(&[("a", Value::True), ("b", Value::Null)], r#"{"a":true,"b":null}"#);
        check(
            &[("a", Value::Object(&[("b", Value::Number(i64::MAX))]))],
            r#"{"a":{"b":9223372036854775807}}"#,
        );
        check(&[("a", Value::Text("\"\\/é\u{1F600}"))], "{\"a\":\"\\\"\\\\/é\u{1F600}\"}");
        check(
            &[("a", Value::Text("\0\n\r\t\u{7f}\u{85}\u{2028}"))],
            r#"{"a":"\u0000\u000a\u000d\u0009\u007f\u0085\u2028"}"#,
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_stays_on_one_line(text in ".*|\\PC*|[\\x00-\\x20\"\\\\\\x7f-\\xa0\u{2028}\u{2029}]*") {
            let json = object(&[(&text, Value::Text(&text))]);
            let back: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&back[&text], &text);
            prop_assert!(!json.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}'), "{json:?}");
        }
    }
}
