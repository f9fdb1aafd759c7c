//! An event stream as a client reads it (WHATWG HTML, section 9.2.6).

/// What has reached a client, and what it keeps for its next attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) events: Vec<Event>,
    pub(crate) last_event_id: String,
    pub(crate) retry: Option<u64>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) last_event_id: String,
}

/// Everything that these bytes dispatch.
pub(crate) fn events(bytes: &[u8]) -> Vec<Event> {
    read(bytes).events
}

/// A client that has read these bytes.
pub(crate) fn read(bytes: &[u8]) -> Client {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut client = Client::default();
    let (mut kind, mut data, mut id) = (String::new(), String::new(), String::new());
    // A last line without an end is never looked at.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" if line.is_empty() => {
                client.last_event_id.clone_from(&id);
                let kind = std::mem::take(&mut kind);
                let data = std::mem::take(&mut data);
                if let Some(data) = data.strip_suffix('\n') {
                    client.events.push(Event {
                        kind: if kind.is_empty() { "message".to_owned() } else { kind },
                        data: data.to_owned(),
                        last_event_id: id.clone(),
                    });
                }
            }
            "event" => value.clone_into(&mut kind),
            "data" => data = data + value + "\n",
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                client.retry = value.parse().ok().or(client.retry);
            }
            _ => {}
        }
    }
    client
}

/// The parser's own corner cases: a test that relies on it fails here first when it is wrong.
#[test]
fn the_parser_reads_what_the_standard_says() {
    let data = |bytes: &[u8]| events(bytes).into_iter().map(|event| event.data).collect::<Vec<_>>();
    assert_eq!(data(b"data: a\ndata: b\n\n"), ["a\nb"]);
    assert_eq!(data(b"\xEF\xBB\xBFdata:a\r\rdata\r\n\r\ndata: c"), ["a", ""]);
    assert_eq!(data(b"event: x\n\n: hb\nid: 7\n\n"), [""; 0]);
    let client = read(b"id: 7\nevent: x\nretry: 10\ndata: a\n\ndata: b\n\nid: 8\n");
    let event = |kind: &str, data: &str| Event {
        kind: kind.to_owned(),
        data: data.to_owned(),
        last_event_id: "7".to_owned(),
    };
    assert_eq!(client.events, [event("x", "a"), event("message", "b")]);
    assert_eq!((client.last_event_id.as_str(), client.retry), ("7", Some(10)));
}
