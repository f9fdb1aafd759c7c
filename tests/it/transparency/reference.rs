//! "Interpreting an event stream" (WHATWG HTML, section 9.2.6), sentence by sentence, over a whole byte string.

/// Everything that a stream does to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Event {
        kind: String,
        data: String,
        id: String,
    },
    /// A blank line has moved the place from which a client resumes.
    Id(String),
    Retry(String),
}

pub(crate) const BOM: &[u8] = b"\xEF\xBB\xBF";

pub(crate) fn effects(bytes: &[u8]) -> Vec<Effect> {
    let text = String::from_utf8_lossy(bytes.strip_prefix(BOM).unwrap_or(bytes));
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    // What follows the last line end is no line yet.
    let lines = text.rsplit_once('\n').map(|(lines, _)| lines.split('\n')).into_iter().flatten();

    let mut effects = Vec::new();
    let (mut kind, mut data, mut id) = ("", String::new(), "");
    let mut last_id = "";
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" if line.is_empty() => {
                if id != last_id {
                    last_id = id;
                    effects.push(Effect::Id(id.to_owned()));
                }
                if data.pop().is_some() {
                    let kind = if kind.is_empty() { "message" } else { kind };
                    effects.push(Effect::Event { kind: kind.to_owned(), data, id: id.to_owned() });
                }
                (kind, data) = ("", String::new());
            }
            "event" => kind = value,
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => id = value,
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                effects.push(Effect::Retry(value.to_owned()));
            }
            _ => {}
        }
    }
    effects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str, id: &str) -> Effect {
        Effect::Event { kind: kind.to_owned(), data: data.to_owned(), id: id.to_owned() }
    }

    #[test]
    fn the_examples_of_the_standard() {
        let check =
            |text: &str, expected: &[Effect]| assert_eq!(effects(text.as_bytes()), expected, "{text:?}");
        check("data: YHOO\ndata: +2\ndata: 10\n\n", &[event("message", "YHOO\n+2\n10", "")]);
        check(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &[
                Effect::Id("1".to_owned()),
                event("message", "first event", "1"),
                Effect::Id(String::new()),
                event("message", "second event", ""),
                event("message", " third event", ""),
            ],
        );
        check("data\n\ndata\ndata\n\ndata:", &[event("message", "", ""), event("message", "\n", "")]);
        check("data:test\n\ndata: test\n\n", &[event("message", "test", ""), event("message", "test", "")]);
        check("\u{feff}event: add\r\ndata: 1\r\r", &[event("add", "1", "")]);
        check(
            "event: add\n\ndata: 1\n\nretry: 5\nretry: x\n",
            &[event("message", "1", ""), Effect::Retry("5".to_owned())],
        );
    }
}
