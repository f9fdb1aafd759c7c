use std::convert::Infallible;

use eventsource_stream::{Event, Eventsource};
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::dialect::{Dialect, grpc as messages};

const EVENTS: Dialect = Dialect::EventStream;

fn goodbye() -> Goodbye {
    Goodbye::timeout("inter-chunk", Duration::from_secs(90))
}

fn mcp(id: impl Into<RequestId>) -> Ending {
    Ending::Mcp { id: Some(id.into()) }
}

/// What is said after these bytes: its text, its trailers, or nothing.
fn said(goodbye: &Goodbye, ending: &Ending, mut tracker: Tracker, before: &[u8]) -> String {
    tracker.advance(before);
    match goodbye.say(ending, tracker) {
        Said::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Said::Trailers(trailers) => format!("{trailers:?}"),
        Said::Nothing => "nothing".to_owned(),
        Said::Abort => "abort".to_owned(),
    }
}

/// The events that a client gets from these bytes.
fn events(bytes: &str) -> Vec<Event> {
    let body = stream::iter([Ok::<_, Infallible>(bytes.to_owned())]);
    let events = body.eventsource().map(Result::unwrap).collect();
    events.now_or_never().unwrap()
}

#[test]
fn what_each_ending_says() {
    let check = |ending: Ending, dialect, text: &str| {
        assert_eq!(said(&goodbye(), &ending, Tracker::new(dialect), b""), text);
    };
    check(
        Ending::EventSource,
        EVENTS,
        "event: timeout\ndata: {\"phase\":\"inter-chunk\",\"limit_ms\":90000}\n\n",
    );
    check(
        Ending::Llm,
        EVENTS,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\
         \"message\":\"The inter-chunk limit of 90s has passed.\"}}\n\n",
    );
    check(
        mcp(7),
        EVENTS,
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32001,\
         \"message\":\"The inter-chunk limit of 90s has passed.\"}}\n\n",
    );
    check(
        Ending::NdJson,
        Dialect::NdJson,
        "{\"error\":\"The inter-chunk limit of 90s has passed.\",\"phase\":\"inter-chunk\",\"limit_ms\":90000}\n",
    );
    check(Ending::Mcp { id: None }, EVENTS, "abort");
    check(Ending::Abort, EVENTS, "abort");
}

#[test]
fn an_event_source_is_told_when_to_come_back() {
    let goodbye = goodbye().with_retry(Duration::from_micros(2_345_678));
    let text = said(&goodbye, &Ending::EventSource, Tracker::new(EVENTS), b"");
    assert_eq!(text, "retry: 2345\nevent: timeout\ndata: {\"phase\":\"inter-chunk\",\"limit_ms\":90000}\n\n");
    let [event] = &events(&text)[..] else { panic!("{text}") };
    assert_eq!(event.retry, Some(Duration::from_millis(2_345)));
    assert_eq!(event.event, "timeout");
}

#[test]
fn where_nothing_has_failed_an_event_source_is_told_when_to_come_back_and_nothing_else() {
    let elsewhere = Goodbye::elsewhere("The server restarts.");
    let check = |goodbye: &Goodbye, ending: Ending, text: &str| {
        assert_eq!(said(goodbye, &ending, Tracker::new(EVENTS), b""), text);
    };
    check(&elsewhere, Ending::EventSource, "nothing");
    check(
        &elsewhere.clone().with_retry(Duration::from_millis(2_345)),
        Ending::EventSource,
        "retry: 2345\n\n",
    );
    check(&elsewhere, Ending::Mcp { id: None }, "nothing");
    check(&elsewhere, Ending::NdJson, "nothing");
    check(&elsewhere, Ending::Abort, "abort");
    let text = said(&elsewhere, &Ending::Llm, Tracker::new(EVENTS), b"");
    assert!(text.contains("The server restarts."), "{text}");
    assert_eq!(said(&elsewhere, &Ending::Llm, Tracker::new(EVENTS), b"data: a"), "abort");
}

#[test]
fn grpc_is_told_in_trailers() {
    let Said::Trailers(trailers) = goodbye().say(&Ending::Grpc, Tracker::Grpc(messages::Boundary::Between))
    else {
        panic!("no trailers");
    };
    assert_eq!(trailers["grpc-status"], "4");
    assert_eq!(trailers["grpc-message"], "The inter-chunk limit of 90s has passed.");
    assert_eq!(trailers.len(), 2);
}

#[test]
fn nothing_is_said_inside_a_message() {
    let check = |ending: Ending, tracker, before: &[u8], speaks| {
        let text = said(&goodbye(), &ending, tracker, before);
        assert_eq!(text != "abort", speaks, "{ending:?} {}", before.escape_ascii());
    };
    let grpc = Tracker::Grpc(messages::Boundary::Between);
    let nd_json = Tracker::new(Dialect::NdJson);
    for ending in [Ending::EventSource, Ending::Llm, mcp("a")] {
        let check = |before: &[u8], speaks| check(ending.clone(), Tracker::new(EVENTS), before, speaks);
        check(b"data: a\n\n", true);
        check(b"data: a\r\r", true);
        check(b": a\n", true);
        check(b"\xef\xbb\xbf", true);
        check(b"data: a", false);
        check(b"data: a\n", false);
        check(b"data: a\r", false);
        check(b"id: 7\n", false);
        check(b": a", false);
        check(b"\xef\xbb", false);
    }
    check(Ending::NdJson, nd_json, b"{}\n", true);
    check(Ending::NdJson, nd_json, b"{", false);
    check(Ending::Grpc, grpc, b"\0\0\0\0\x01a", true);
    check(Ending::Grpc, grpc, b"\0\0\0\0\x01", false);
    check(Ending::Grpc, grpc, b"\0", false);
}

#[test]
fn an_ending_is_said_in_its_own_format_only() {
    let trackers = [
        (Tracker::Opaque, &[][..]),
        (Tracker::new(EVENTS), &[Ending::EventSource, Ending::Llm, mcp(1)]),
        (Tracker::new(Dialect::NdJson), &[Ending::NdJson]),
        (Tracker::Grpc(messages::Boundary::Between), &[Ending::Grpc]),
    ];
    let all = [Ending::EventSource, Ending::Llm, mcp(1), Ending::NdJson, Ending::Grpc, Ending::Abort];
    for (tracker, own) in trackers {
        for ending in &all {
            let speaks = !matches!(goodbye().say(ending, tracker), Said::Abort);
            assert_eq!(speaks, own.contains(ending), "{ending:?} {tracker:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_words_one_event_or_line_says_them(message in ".*|[\\x00-\\x20\"\\\\:\u{2028}]*", limit: u64) {
        let goodbye = Goodbye {
            message: message.clone().into(),
            limit: Some(("inter-chunk", Duration::from_millis(limit))),
            ..goodbye().with_retry(Duration::from_millis(limit))
        };
        let error = json!({ "type": "error", "error": { "type": "timeout_error", "message": &message } });
        let answer = json!({ "jsonrpc": "2.0", "id": &message, "error": { "code": -32001, "message": &message } });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let facts = json!({ "phase": "inter-chunk", "limit_ms": limit });

        for (ending, name, data) in [
            (Ending::EventSource, "timeout", facts),
            (Ending::Llm, "error", error),
            (mcp(message.clone()), "message", answer),
        ] {
            let text = said(&goodbye, &ending, Tracker::new(EVENTS), b"data: before\n\n");
            let mut after = Tracker::new(EVENTS);
            after.advance(text.as_bytes());
            prop_assert_eq!(after.place(), Place::Between);
            let events = events(&text);
            prop_assert_eq!(events.len(), 1);
            prop_assert_eq!(&*events[0].event, name);
            prop_assert_eq!(serde_json::from_str::<Json>(&events[0].data).unwrap(), data);
        }

        let line = said(&goodbye, &Ending::NdJson, Tracker::new(Dialect::NdJson), b"");
        prop_assert_eq!(line.lines().count(), 1);
        let data = json!({ "error": &message, "phase": "inter-chunk", "limit_ms": limit });
        prop_assert_eq!(serde_json::from_str::<Json>(&line).unwrap(), data);
    }
}
