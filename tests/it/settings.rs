//! Every setting that cannot work, and the sentence that says so.

use std::fmt::Debug;
use std::panic::{self, UnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tower_lifeline::{Beat, ConfigError, Heartbeat, HeartbeatLayer, HeartbeatOverride};

/// Both halves of an `x` / `try_x` pair refuse with the same sentence.
fn check<T: Debug, U: Debug>(
    tried: Result<T, ConfigError>,
    made: impl FnOnce() -> U + UnwindSafe,
    sentence: &str,
) {
    assert_eq!(tried.unwrap_err().to_string(), sentence);
    let panic = catch_unwind(made).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), sentence);
}

const MIB: usize = 1024 * 1024;

#[test]
fn an_interval_is_at_least_a_millisecond() {
    for (interval, got) in [(Duration::ZERO, "0ns"), (Duration::from_micros(999), "999µs")] {
        let sentence = format!("a heartbeat interval is at least 1ms, got {got}");
        check(Heartbeat::try_every(interval), || Heartbeat::every(interval), &sentence);
        check(HeartbeatLayer::try_every(interval), || HeartbeatLayer::every(interval), &sentence);
        let wish = HeartbeatOverride::new;
        check(wish().try_interval(interval), || wish().interval(interval), &sentence);
    }
    let shortest = Duration::from_millis(1);
    assert_eq!(Heartbeat::every(shortest).interval(), shortest);
    assert_eq!(Heartbeat::every(Duration::MAX).interval(), Duration::MAX);
}

#[test]
fn jitter_is_at_most_half_of_the_interval() {
    let heartbeat = || Heartbeat::every(Duration::from_secs(15));
    let most = Duration::from_millis(7_501);
    check(
        heartbeat().try_jitter(most),
        || heartbeat().jitter(most),
        "heartbeat jitter is at most half of the interval of 15s, got 7.501s",
    );
    assert!(heartbeat().try_jitter(Duration::from_millis(7_500)).is_ok());
}

#[test]
fn padding_has_a_limit() {
    check(
        Heartbeat::default().try_pad_first(MIB),
        || Heartbeat::default().pad_first(MIB),
        "a heartbeat is padded to at most 65536 bytes, got 1048576",
    );
    assert!(Heartbeat::default().try_pad_first(65_536).is_ok());
}

#[test]
fn a_cap_of_no_beats_at_all_is_said_otherwise() {
    check(
        Heartbeat::default().try_most_in_a_row(0),
        || Heartbeat::default().most_in_a_row(0),
        "the cap on heartbeats in a row is at least 1, got 0: Beat::none() is how to have none",
    );
}

#[test]
fn texts_are_one_line() {
    for (text, got) in [("a\rb", r"'\r'"), ("a\nb", r"'\n'"), ("a\0b", r"'\0'")] {
        let sentence = |what| format!("{what} is one line without CR, LF or NUL, got {got} in {text:?}");
        let comment = sentence("a comment");
        check(Beat::try_comment_line(text), || Beat::comment_line(text), &comment);
        check(Beat::try_comment_block(text), || Beat::comment_block(text), &comment);
        check(Beat::try_event(text, "{}"), || Beat::event(text, "{}"), &sentence("an event name"));
        check(Beat::try_event("ping", text), || Beat::event("ping", text), &sentence("event data"));
    }
}

#[test]
fn an_event_has_a_name_and_data() {
    check(
        Beat::try_event("", "{}"),
        || Beat::event("", "{}"),
        "an event name is at least one character, got none",
    );
    check(
        Beat::try_event("ping", ""),
        || Beat::event("ping", ""),
        "event data is at least one character, got none: an empty event reaches clients as \"\"",
    );
}

#[test]
fn a_json_rpc_method_needs_no_escapes() {
    check(
        Beat::try_json_rpc(""),
        || Beat::json_rpc(""),
        "a JSON-RPC method is at least one character, got none",
    );
    for (method, got) in [("a\"b", r#"'"'"#), ("a\\b", r"'\\'"), ("a\nb", r"'\n'"), ("a\u{7f}", r"'\u{7f}'")]
    {
        let sentence = format!(
            "a JSON-RPC method has no control character, quote or backslash, got {got} in {method:?}"
        );
        check(Beat::try_json_rpc(method), || Beat::json_rpc(method), &sentence);
    }
}

#[test]
fn own_bytes_are_whole_comments_and_events() {
    for (bytes, wrong) in [
        ("", "a heartbeat is at least one byte; Beat::none() is the one without"),
        (": hb\r\n", "a heartbeat has no CR, no NUL and no BOM"),
        (": \0\n", "a heartbeat has no CR, no NUL and no BOM"),
        ("\u{feff}: hb\n", "a heartbeat has no CR, no NUL and no BOM"),
        (": hb", "a heartbeat ends in a line feed"),
        ("data: {}\n", "an event of a heartbeat ends in a blank line"),
        ("event: ping\n", "an event of a heartbeat ends in a blank line"),
        ("event: ping\n\n", "an event of a heartbeat has data"),
        ("data:\n\n", "the data of a heartbeat is not empty"),
        ("id: 7\n\n", "a heartbeat has comments, event and data lines only"),
        ("retry: 1\n\n", "a heartbeat has comments, event and data lines only"),
        ("junk\n\n", "a heartbeat has comments, event and data lines only"),
    ] {
        check(Beat::try_bytes(bytes), || Beat::bytes(bytes), &format!("{wrong}, got {bytes:?}"));
    }
    check(
        Beat::try_bytes(&b": \xff\n"[..]),
        || Beat::bytes(&b": \xff\n"[..]),
        "a heartbeat is UTF-8, got invalid utf-8 sequence of 1 bytes from index 2",
    );
}

#[test]
fn a_beat_has_a_limit() {
    let long = "x".repeat(MIB);
    let long = long.as_str();
    let sentence = |length: usize| format!("a heartbeat is at most 65536 bytes long, got {length}");
    check(Beat::try_comment_line(long), || Beat::comment_line(long), &sentence(MIB + 3));
    check(Beat::try_comment_block(long), || Beat::comment_block(long), &sentence(MIB + 4));
    check(Beat::try_event("ping", long), || Beat::event("ping", long), &sentence(MIB + 20));
    check(Beat::try_json_rpc(long), || Beat::json_rpc(long), &sentence(MIB + 37));
    check(Beat::try_bytes(vec![b'\n'; 65_537]), || Beat::bytes(vec![b'\n'; 65_537]), &sentence(65_537));
    assert!(Beat::try_bytes(vec![b'\n'; 65_536]).is_ok());
}

#[test]
fn a_panic_points_at_the_line_that_made_the_setting() {
    let seen = Arc::new(Mutex::new(None));
    let hook = Arc::clone(&seen);
    let this_test = thread::current().id();
    let other_panics = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == this_test {
            *hook.lock().unwrap() = info.location().map(|at| (at.file().to_owned(), at.line()));
        } else {
            other_panics(info);
        }
    }));
    let line = line!() + 1;
    let outcome = catch_unwind(|| Heartbeat::every(Duration::ZERO));
    assert!(outcome.is_err());
    let place = seen.lock().unwrap().take();
    // A failure from here on is to be seen.
    drop(panic::take_hook());
    assert_eq!(place, Some((file!().to_owned(), line)));
}
