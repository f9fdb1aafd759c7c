//! The thirty rules of writing into somebody else's event stream, one test each.
//!
//! `scripts/controls` breaks each rule in the source, one at a time, and sees its test fail.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::io::{Read as _, Write as _};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::sleep;
use tower::{Layer as _, service_fn};
use tower_lifeline::testing::{ImpatientProxy, Script, ScriptError, script, timeline, timeline_for};
use tower_lifeline::{
    Beat, ConfigError, Dialect, Heartbeat, HeartbeatBody, HeartbeatEvent, HeartbeatLayer, MidEvent, Rhythm,
    StreamEnd,
};

use crate::support::streams::{BEATEN, EVENTS, SLOW, answer, drawn, look, secs, slow};
use crate::support::whatwg;

const COMMENT_LINES: [&str; 2] = ["", "hb"];

/// Every form of a beat that is more than one comment line.
fn longer_beats() -> [Beat; 5] {
    [
        Beat::comment_block("hb"),
        Beat::event("ping", "{}"),
        Beat::json_rpc("$/keepalive"),
        Beat::bytes(": a\n: b\n"),
        Beat::bytes("\n: hb\n"),
    ]
}

fn every_beat() -> impl Iterator<Item = Beat> {
    COMMENT_LINES.map(Beat::comment_line).into_iter().chain(longer_beats())
}

/// Each form of a beat, in all ways that could bring it into the middle of an event.
fn every_heartbeat() -> impl Iterator<Item = Heartbeat> {
    every_beat().flat_map(|beat| {
        [MidEvent::Hold, MidEvent::CommentLine].into_iter().flat_map(move |mid_event| {
            [Rhythm::Silence, Rhythm::Periodic]
                .map(|rhythm| Heartbeat::default().beat(beat.clone()).mid_event(mid_event).rhythm(rhythm))
        })
    })
}

/// The forms and ways that let nothing into an event.
fn every_heartbeat_that_holds() -> impl Iterator<Item = Heartbeat> {
    let hold = every_beat().map(|beat| Heartbeat::default().beat(beat));
    let too_long =
        longer_beats().map(|beat| Heartbeat::default().beat(beat).mid_event(MidEvent::CommentLine));
    hold.chain(too_long)
}

fn comment_lines_in_events() -> Heartbeat {
    Heartbeat::default().mid_event(MidEvent::CommentLine)
}

/// All bytes that go out for a script, up to its end or error.
async fn wire(inner: &str, heartbeat: Heartbeat) -> Vec<u8> {
    bytes_of(HeartbeatBody::new(script(inner), heartbeat)).await
}

async fn bytes_of<B: Body<Data = Bytes>>(body: B) -> Vec<u8> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
    }
    bytes
}

/// The data of all events that reach a client.
async fn events(inner: &str, heartbeat: Heartbeat) -> Vec<String> {
    whatwg::events(&wire(inner, heartbeat).await).into_iter().map(|event| event.data).collect()
}

fn refusal<T: Debug>(result: Result<T, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

/// What the default layer makes of a response to a GET, drawn.
async fn layered(response: Response<Script>) -> String {
    timeline(answer(&HeartbeatLayer::default(), Request::new(()), response).await.into_body()).await
}

/// A layer that would write into everything, were it not for the rules that no setting overrules.
fn greedy() -> HeartbeatLayer {
    HeartbeatLayer::default().select(|_| Some(Dialect::EventStream))
}

/// What a greedy layer makes of a response to a GET, drawn.
async fn greedily(response: Response<Script>) -> String {
    timeline(answer(&greedy(), Request::new(()), response).await.into_body()).await
}

/// The bodies of the answers that a real HTTP/1.1 server writes to these requests on one connection, byte for byte as a
/// client that trusts the end of each head finds them.
async fn over_http1(requests: &str, respond: fn(&Request<Incoming>) -> Response<Script>) -> Vec<String> {
    let (client, server) = duplex(64 * 1024);
    let service = HeartbeatLayer::default()
        .layer(service_fn(move |request| ready(Ok::<_, Infallible>(respond(&request)))));
    let serve =
        http1::Builder::new().serve_connection(TokioIo::new(server), TowerToHyperService::new(service));
    let talk = async {
        let (mut reader, mut writer) = tokio::io::split(client);
        writer.write_all(requests.as_bytes()).await.unwrap();
        let mut answers = String::new();
        reader.read_to_string(&mut answers).await.unwrap();
        answers
    };
    let (served, answers) = tokio::join!(serve, talk);
    served.unwrap();
    answers
        .split("HTTP/1.1 200 OK\r\n")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap().1.to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn rule_01_nothing_is_written_inside_a_line() {
    let line = r#"0s='data: {"a":"he' 40s='llo"}\n\n' 40s=end"#;
    for heartbeat in every_heartbeat() {
        assert_eq!(drawn(line, heartbeat.clone()).await, line, "{heartbeat:?}");
    }
    assert_eq!(
        drawn(r#"0s='data: {"a":"he' 20s='llo"}\n\n' 36s=end"#, comment_lines_in_events()).await,
        r#"0s='data: {"a":"he' 20s='llo"}\n\n' 35s=: 36s=end"#
    );
}

#[tokio::test(start_paused = true)]
async fn rule_02_a_line_feed_in_front_of_a_beat_does_not_let_it_into_a_line_or_an_event() {
    let rescue = || comment_lines_in_events().beat(Beat::bytes("\n: hb\n"));

    let line = r#"0s='data: {"a":"he' 40s='llo"}\n\n' 40s=end"#;
    assert_eq!(drawn(line, rescue()).await, line);
    assert_eq!(events(line, rescue()).await, [r#"{"a":"hello"}"#]);

    let line = r"0s='data: a\n' 40s='data: b\n\n' 40s=end";
    assert_eq!(events(line, rescue()).await, ["a\nb"]);
}

#[tokio::test(start_paused = true)]
async fn rule_03_no_blank_line_is_written_behind_an_event_type() {
    let line = r#"0s='event: delta\n' 20s='data: {"x":1}\n\n' 20s=end"#;
    for heartbeat in every_heartbeat_that_holds() {
        assert_eq!(drawn(line, heartbeat.clone()).await, line, "{heartbeat:?}");
    }
    assert_eq!(
        drawn(line, comment_lines_in_events()).await,
        r#"0s='event: delta\n' 15s=: 20s='data: {"x":1}\n\n' 20s=end"#
    );
    for heartbeat in every_heartbeat() {
        let seen = whatwg::events(&wire(line, heartbeat.clone()).await);
        assert_eq!((seen[0].kind.as_str(), seen.len()), ("delta", 1), "{heartbeat:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_04_no_blank_line_is_written_between_two_data_lines() {
    let line = r"0s='data: a\n' 20s='data: b\n\n' 20s=end";
    for heartbeat in every_heartbeat_that_holds() {
        let as_it_came = r"0s='data: a\n' 20s=b 20s=end";
        assert_eq!(drawn(line, heartbeat.clone()).await, as_it_came, "{heartbeat:?}");
    }
    for text in COMMENT_LINES {
        let heartbeat = comment_lines_in_events().beat(Beat::comment_line(text));
        let with_a_line = format!(r"0s='data: a\n' 15s=:{text} 20s=b 20s=end");
        assert_eq!(drawn(line, heartbeat).await, with_a_line);
    }
    for heartbeat in every_heartbeat() {
        assert_eq!(events(line, heartbeat.clone()).await, ["a\nb"], "{heartbeat:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_05_an_id_does_not_count_before_its_event_has_come() {
    let line = r"0s='id: 6\ndata: a\n\n' 1s='id: 7\n' 40s=error(lost)";
    for heartbeat in every_heartbeat_that_holds() {
        assert_eq!(drawn(line, heartbeat.clone()).await, line, "{heartbeat:?}");
    }
    for heartbeat in every_heartbeat() {
        let client = whatwg::read(&wire(line, heartbeat.clone()).await);
        assert_eq!(client.last_event_id, "6", "{heartbeat:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_06_a_cr_and_its_lf_stay_together_across_two_chunks() {
    let line = r"0s='data: a\r' 20s='\ndata: b\r\n\r\n' 20s=end";
    for heartbeat in every_heartbeat() {
        assert_eq!(drawn(line, heartbeat.clone()).await, line, "{heartbeat:?}");
        assert_eq!(events(line, heartbeat).await, ["a\nb"]);
    }
}

#[tokio::test(start_paused = true)]
async fn rule_07_a_cr_alone_ends_a_line_and_an_event() {
    let line = r"0s='data: a\r\r' 20s='data: b\r\r' 20s=end";
    assert_eq!(drawn(line, Heartbeat::default()).await, r"0s='data: a\r\r' 15s=: 20s='data: b\r\r' 20s=end");
    // Its LF may still come; behind a beat that is a blank line with nothing pending.
    let late_lf = r"0s='data: a\r\n\r' 20s='\ndata: b\r\n\r\n' 20s=end";
    for text in COMMENT_LINES {
        let heartbeat = Heartbeat::default().beat(Beat::comment_line(text));
        assert_eq!(
            drawn(late_lf, heartbeat.clone()).await,
            format!(r"0s='data: a\r\n\r' 15s=:{text} 20s='\ndata: b\r\n\r\n' 20s=end")
        );
        assert_eq!(events(line, heartbeat.clone()).await, ["a", "b"]);
        assert_eq!(events(late_lf, heartbeat).await, ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn rule_08_a_byte_order_mark_is_first_or_not_there() {
    let check = async |inner: &str, outer: &str| {
        assert_eq!(drawn(inner, Heartbeat::default()).await, outer);
        for heartbeat in every_heartbeat() {
            let whole = wire(inner, heartbeat.clone()).await;
            let seen = whatwg::events(&whole);
            assert!(seen.iter().any(|event| event.data == "x"), "{heartbeat:?}: {}", whole.escape_ascii());
        }
    };
    check(r"20s='\xEF\xBB\xBFdata: x\n\n' 20s=end", "15s=: 20s=x 20s=end").await;
    check(r"20s='\xEF' 21s='\xBB' 60s='\xBFdata: x\n\n' 60s=end", "15s=: 60s=x 60s=end").await;
    check(r"0s='\xEF\xBB\xBF' 20s='data: x\n\n' 20s=end", r"0s='\xEF\xBB\xBF' 15s=: 20s=x 20s=end").await;
    let in_pieces = r"0s='\xEF' 20s='\xBB' 40s='\xBFdata: x\n\n' 40s=end";
    check(in_pieces, in_pieces).await;
}

#[tokio::test(start_paused = true)]
async fn rule_09_nothing_is_written_inside_a_character() {
    let line = r"0s='data: caf\xC3' 40s='\xA9\n\n' 40s=end";
    for heartbeat in every_heartbeat() {
        assert_eq!(drawn(line, heartbeat.clone()).await, line, "{heartbeat:?}");
        assert_eq!(events(line, heartbeat).await, ["café"]);
    }
}

#[tokio::test(start_paused = true)]
async fn rule_10_half_an_event_is_never_completed() {
    for half in [r"data: 10", r"data: 10\n", r"data: 10\r", r"data: 10\r\n", r"event: x\ndata: 10\n: y\n"] {
        for end in ["end", "error(lost)", "trailers(a:b)"] {
            let line = format!("0s='{half}' 40s={end} 40s=end");
            for heartbeat in every_heartbeat() {
                let seen = events(&line, heartbeat.clone()).await;
                assert_eq!(seen, [""; 0], "{line} {heartbeat:?}");
            }
        }
    }
}

#[test]
fn rule_11_a_beat_never_carries_an_id() {
    for id in ["id\n\n", "id: 7\n\n", "id:\ndata: {}\n\n", "data: {}\nid\n\n"] {
        assert_eq!(
            refusal(Beat::try_bytes(id)),
            format!("a heartbeat has comments, event and data lines only, got {id:?}")
        );
    }
    let behind_an_event = |beat: &Beat| whatwg::read(&[b"id: 7\ndata: a\n\n", beat.as_bytes()].concat());
    assert!(every_beat().all(|beat| behind_an_event(&beat).last_event_id == "7"));
}

#[test]
fn rule_12_a_beat_never_carries_a_retry() {
    for retry in ["retry: 1\n\n", "retry: 1\n", "event: ping\nretry: 1\ndata: {}\n\n"] {
        assert_eq!(
            refusal(Beat::try_bytes(retry)),
            format!("a heartbeat has comments, event and data lines only, got {retry:?}")
        );
    }
    assert!(every_beat().all(|beat| whatwg::read(beat.as_bytes()).retry.is_none()));
}

#[test]
fn rule_13_a_beat_never_carries_empty_data() {
    for empty in ["data\n\n", "data:\n\n", "data: \n\n", "event: ping\ndata:\n\n", "data: a\ndata:\n\n"] {
        assert_eq!(
            refusal(Beat::try_bytes(empty)),
            format!("the data of a heartbeat is not empty, got {empty:?}")
        );
    }
    assert_eq!(
        refusal(Beat::try_event("ping", "")),
        "event data is at least one character, got none: an empty event reaches clients as \"\""
    );
    assert!(
        every_beat().all(|beat| whatwg::events(beat.as_bytes()).iter().all(|event| !event.data.is_empty()))
    );
}

#[test]
fn rule_14_no_text_of_a_beat_can_end_its_line() {
    for (text, found) in [("hb\rdata: evil", r"'\r'"), ("hb\n\ndata: evil", r"'\n'"), ("a\0", r"'\0'")] {
        let sentence =
            |what: &str| format!("{what} is one line without CR, LF or NUL, got {found} in {text:?}");
        assert_eq!(refusal(Beat::try_comment_line(text)), sentence("a comment"));
        assert_eq!(refusal(Beat::try_comment_block(text)), sentence("a comment"));
        assert_eq!(refusal(Beat::try_event(text, "{}")), sentence("an event name"));
        assert_eq!(refusal(Beat::try_event("ping", text)), sentence("event data"));
        assert_eq!(
            refusal(Beat::try_json_rpc(text)),
            format!(
                "a JSON-RPC method has no control character, quote or backslash, got {found} in {text:?}"
            )
        );
    }
    for own in [": hb\r", ": hb\rdata: evil\r\r\n", ": a\0\n"] {
        let sentence = if own.ends_with('\r') { "no CR" } else { "no CR, no NUL" };
        assert!(refusal(Beat::try_bytes(own)).starts_with(&format!("a heartbeat has {sentence}")));
    }
}

#[test]
fn rule_15_a_beat_is_never_a_type_without_data() {
    for bare in ["event: ping\n\n", "event\n\n", "event: ping\n: hb\n\n", "data: {}\n\nevent: ping\n\n"] {
        assert_eq!(refusal(Beat::try_bytes(bare)), format!("an event of a heartbeat has data, got {bare:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn rule_16_an_encoded_body_is_left_alone() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"data: a\n\n").unwrap();
    gzip.flush().unwrap();
    let flushed = gzip.get_ref().len();
    gzip.write_all(b"data: b\n\n").unwrap();
    let gzip = gzip.finish().unwrap();
    let raw = |bytes: &[u8]| bytes.iter().map(|byte| format!(r"\x{byte:02X}")).collect::<String>();
    let line = format!("20s='{}' 40s='{}' 41s=end", raw(&gzip[..flushed]), raw(&gzip[flushed..]));

    let response = slow(200, &[EVENTS, ("content-encoding", "gzip")]).map(|_| script(&line));
    let wire = bytes_of(answer(&greedy(), Request::new(()), response).await.into_body()).await;
    let mut text = String::new();
    GzDecoder::new(&wire[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "data: a\n\ndata: b\n\n");

    for coding in ["br", "zstd", "identity, gzip", "aws-chunked"] {
        let response = || slow(200, &[EVENTS, ("content-encoding", coding)]);
        assert_eq!(layered(response()).await, SLOW, "{coding}");
        assert_eq!(greedily(response()).await, SLOW, "{coding}");
    }
    assert_eq!(layered(slow(200, &[EVENTS, ("content-encoding", "Identity")])).await, BEATEN);
    assert_eq!(greedily(slow(200, &[EVENTS, ("transfer-encoding", "gzip, chunked")])).await, SLOW);
    assert_eq!(layered(slow(200, &[EVENTS, ("transfer-encoding", "chunked")])).await, BEATEN);
}

#[tokio::test(start_paused = true)]
async fn rule_17_a_body_whose_length_has_been_announced_keeps_it() {
    assert_eq!(greedily(slow(200, &[EVENTS, ("content-length", "18")])).await, SLOW);
    assert_eq!(greedily(slow(200, &[EVENTS]).map(Script::knows_length)).await, SLOW);

    let twice = "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nconnection: close\r\n\r\n";
    let both = ["data: a\n\ndata: b\n\n"; 2];
    assert_eq!(over_http1(twice, |_| slow(200, &[EVENTS, ("content-length", "18")])).await, both);
    assert_eq!(over_http1(twice, |_| slow(200, &[EVENTS]).map(Script::knows_length)).await, both);
}

#[tokio::test(start_paused = true)]
async fn rule_18_a_response_that_has_no_body_gets_none() {
    let check = async |method: Method, status: u16, expected: &str| {
        let request = Request::builder().method(method.clone()).body(()).unwrap();
        let response = slow(status, &[EVENTS]).map(|_| script("20s=end"));
        let body = answer(&greedy(), request, response).await.into_body();
        assert_eq!(timeline(body).await, expected, "{method} {status}");
    };
    for status in [200, 404] {
        check(Method::HEAD, status, "20s=end").await;
    }
    for status in [100, 101, 103, 204, 205, 304] {
        check(Method::GET, status, "20s=end").await;
    }
    check(Method::CONNECT, 200, "20s=end").await;
    check(Method::CONNECT, 404, "15s=: 20s=end").await;
    check(Method::POST, 200, "15s=: 20s=end").await;

    // A client that asks for the next response on the same connection finds it where the head ended.
    let head_then_get = "HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nconnection: close\r\n\r\n";
    let respond = |request: &Request<Incoming>| match *request.method() {
        Method::HEAD => slow(200, &[EVENTS]),
        _ => slow(200, &[("content-length", "18")]),
    };
    assert_eq!(over_http1(head_then_get, respond).await, ["", "data: a\n\ndata: b\n\n"]);
}

#[tokio::test(start_paused = true)]
async fn rule_19_only_a_200_is_written_into_unless_the_operator_says_otherwise() {
    assert_eq!(layered(slow(200, &[EVENTS])).await, BEATEN);
    for status in [201, 202, 400, 404, 429, 500, 503] {
        assert_eq!(layered(slow(status, &[EVENTS])).await, SLOW, "{status}");
        assert_eq!(greedily(slow(status, &[EVENTS])).await, BEATEN, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_20_the_content_type_of_the_response_decides() {
    let check = async |content_type: &str, expected: &str| {
        let request = Request::builder().header("accept", "application/json, text/event-stream");
        let response = slow(200, &[("content-type", content_type)]);
        let answer = answer(&HeartbeatLayer::default(), request.body(()).unwrap(), response).await;
        assert_eq!(timeline(answer.into_body()).await, expected, "{content_type}");
    };
    check("text/event-stream", BEATEN).await;
    check("Text/Event-Stream", BEATEN).await;
    check("text/event-stream;charset=UTF-8", BEATEN).await;
    check("text/event-stream ; charset=utf-8", BEATEN).await;
    check("application/json", SLOW).await;
    check("text/plain; note=text/event-stream", SLOW).await;
    check("text/event-stream-like", SLOW).await;
    assert_eq!(layered(slow(200, &[])).await, SLOW);
    assert_eq!(layered(slow(200, &[("accept", "text/event-stream")])).await, SLOW);
    assert_eq!(layered(slow(200, &[EVENTS, ("content-type", "application/json")])).await, SLOW);
}

#[tokio::test(start_paused = true)]
async fn rule_21_bytes_that_somebody_has_vouched_for_are_left_alone() {
    for sealed in [
        ("content-range", "bytes 0-17/100"),
        ("repr-digest", "sha-256=:AAAA:"),
        ("content-digest", "sha-256=:AAAA:"),
        ("digest", "sha-256=AAAA"),
        ("content-md5", "AAAA"),
        ("etag", "\"strong\""),
        ("trailer", "Grpc-Status, Repr-Digest"),
    ] {
        assert_eq!(layered(slow(200, &[EVENTS, sealed])).await, SLOW, "{sealed:?}");
        assert_eq!(greedily(slow(200, &[EVENTS, sealed])).await, SLOW, "{sealed:?}");
    }
    assert_eq!(greedily(slow(206, &[EVENTS])).await, SLOW);
    for open in [("etag", "W/\"weak\""), ("trailer", "grpc-status")] {
        assert_eq!(layered(slow(200, &[EVENTS, open])).await, BEATEN, "{open:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_22_nothing_follows_trailers_or_the_end() {
    let line = "0s=a 1s=trailers(grpc-status:0) 40s=end";
    for heartbeat in every_heartbeat() {
        assert_eq!(drawn(line, heartbeat.clone()).await, line, "{heartbeat:?}");
    }
    let said_all = HeartbeatBody::new(script("0s=a 40s=end").reports_end(), Heartbeat::default());
    assert_eq!(timeline(said_all).await, "0s=a 40s=end");

    let mut ended = pin!(HeartbeatBody::new(script("0s=end"), Heartbeat::default()));
    assert!(ended.frame().await.is_none());
    sleep(secs(40)).await;
    assert!(ended.frame().await.is_none());
}

/// A body with a hint of its own.
struct Hinted(Script, SizeHint);

impl Body for Hinted {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.1
    }
}

#[tokio::test(start_paused = true)]
async fn rule_23_a_body_promises_neither_an_end_nor_a_length_that_beats_would_break() {
    let mut hint = SizeHint::new();
    hint.set_lower(9);
    hint.set_upper(100);
    let inner = Hinted(script("0s=a 20s=end").reports_end(), hint);
    let mut body = pin!(HeartbeatBody::new(inner, Heartbeat::default()));

    // A BOM that would have to go behind a first beat may be among the nine.
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (6, None));
    assert!(!body.is_end_stream());
    assert!(body.frame().await.is_some());
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().upper(), None);

    // Behind a beat, what may be half a BOM is kept back; the inner body has nothing more, but this one has.
    let inner = script(r"20s='\xEF\xBB' 21s=end").reports_end();
    let mut body = pin!(HeartbeatBody::new(inner, Heartbeat::default()));
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ":\n");
    sleep(secs(5)).await;
    assert_eq!(look(body.as_mut()), None);
    assert!(!body.is_end_stream());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), &b"\xEF\xBB"[..]);
    assert!(body.frame().await.is_none());
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn rule_24_beats_are_never_queued() {
    for rhythm in [Rhythm::Silence, Rhythm::Periodic] {
        let inner = script("200s=b 300s=end");
        let mut body = pin!(HeartbeatBody::new(inner, Heartbeat::default().rhythm(rhythm)));
        assert_eq!(look(body.as_mut()), None);
        for away in [75, 15] {
            sleep(secs(away)).await;
            assert_eq!(look(body.as_mut()).as_deref(), Some(&b":\n"[..]), "{rhythm:?}");
            assert_eq!(look(body.as_mut()), None, "{rhythm:?}");
        }
        sleep(secs(150)).await;
        assert_eq!(look(body.as_mut()).as_deref(), Some(&b"data: b\n\n"[..]), "{rhythm:?}");
        // The silence was broken, so its beats are not owed any more.
        let owed = (rhythm == Rhythm::Periodic).then(|| Bytes::from(":\n"));
        assert_eq!(look(body.as_mut()), owed, "{rhythm:?}");
        assert_eq!(look(body.as_mut()), None, "{rhythm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_25_beats_are_no_progress_and_do_not_hide_a_dead_producer() {
    let capped = || Heartbeat::default().most_in_a_row(2);
    let dead = HeartbeatBody::new(script("0s=a"), capped());
    let proxy = ImpatientProxy::new().idle(secs(60));
    assert_eq!(
        timeline_for(proxy.carry_body(dead), secs(600)).await,
        "0s=a 15s=: 30s=: 90s=error(proxy: silent for 60s)"
    );

    // Signs of life from within are no progress either; data is.
    assert_eq!(
        drawn("0s=a 20s=:x 40s='id: 1\\n\\n' 60s=:x 80s=b 100s=end", capped()).await,
        "0s=a 15s=: 20s=:x 35s=: 40s='id: 1\\n\\n' 60s=:x 80s=b 95s=: 100s=end"
    );
}

#[tokio::test(start_paused = true)]
async fn rule_26_a_beat_can_take_the_head_to_the_wire() {
    let at_once = || Heartbeat::default().at_once();
    assert_eq!(drawn("20s=a 21s=end", at_once()).await, "0s=: 15s=: 20s=a 21s=end");
    assert_eq!(drawn("0s=a 20s=b 21s=end", at_once()).await, "0s=a 15s=: 20s=b 21s=end");
    assert_eq!(drawn("20s=a 21s=end", Heartbeat::default()).await, "15s=: 20s=a 21s=end");

    // A proxy that holds the beginning of a response back lets it go at once.
    let proxy = ImpatientProxy::new().buffer(2048);
    let padded = HeartbeatBody::new(script("20s=a 21s=end"), at_once().pad_first(2048));
    let seen = timeline_for(proxy.carry_body(padded), secs(1)).await;
    assert_eq!(seen, format!("0s=':{}\\n' 1s=open", ".".repeat(2046)));
}

#[tokio::test(start_paused = true)]
async fn rule_27_an_inner_body_that_beats_gets_beats_only_when_it_is_silent() {
    let inner = |interval, beat| {
        let beats = Heartbeat::every(secs(interval)).beat(beat);
        HeartbeatBody::new(script("0s=a 50s=end"), beats)
    };
    for beat in every_beat() {
        let alone = timeline(inner(15, beat.clone())).await;
        let twice = timeline(HeartbeatBody::new(inner(15, beat.clone()), Heartbeat::default())).await;
        assert_eq!(twice, alone);
    }
    let slower = inner(40, Beat::comment_line("inner"));
    assert_eq!(
        timeline(HeartbeatBody::new(slower, Heartbeat::default())).await,
        "0s=a 15s=: 30s=: 40s=:inner 50s=end"
    );
}

#[tokio::test(start_paused = true)]
async fn rule_28_a_format_without_comments_is_never_written_into() {
    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web-text",
        "application/connect+json",
        "application/octet-stream",
        "application/json",
        "multipart/mixed; boundary=x",
        "multipart/x-mixed-replace; boundary=x",
        "text/plain",
    ] {
        for layer in [HeartbeatLayer::default(), HeartbeatLayer::default().nd_json()] {
            let response = slow(200, &[("content-type", content_type)]);
            let body = answer(&layer, Request::new(()), response).await.into_body();
            assert_eq!(timeline(body).await, SLOW, "{content_type}");
        }
    }
    let upgraded = slow(101, &[("connection", "upgrade"), ("upgrade", "websocket")]);
    assert_eq!(greedily(upgraded).await, SLOW);
}

#[tokio::test(start_paused = true)]
async fn rule_29_newline_delimited_json_is_written_into_only_on_request() {
    let check = async |layer: &HeartbeatLayer, content_type, inner: &str, outer: &str| {
        let response = slow(200, &[("content-type", content_type)]).map(|_| script(inner));
        let body = answer(layer, Request::new(()), response).await.into_body();
        assert_eq!(timeline(body).await, outer, "{content_type}");
    };
    let lines = r#"0s='{}\n' 20s='{"a":' 60s='1}\n' 61s=end"#;
    let beaten = lines.replace(" 20s=", r" 15s='\n' 20s=");
    for content_type in ["application/x-ndjson", "application/jsonl; charset=utf-8"] {
        check(&HeartbeatLayer::default(), content_type, lines, lines).await;
        check(&HeartbeatLayer::default().nd_json(), content_type, lines, &beaten).await;
    }
    let value = r"20s='[1' 60s=',2]' 61s=end";
    check(&HeartbeatLayer::default().nd_json(), "application/json", value, value).await;
    check(&HeartbeatLayer::default().nd_json(), "text/event-stream", "20s=end", "15s=: 20s=end").await;
}

#[tokio::test(start_paused = true)]
async fn rule_30_the_beats_of_a_stream_are_told_apart_from_its_bytes() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heartbeat = Heartbeat::default().on_event({
        let told = Arc::clone(&told);
        move |event| told.lock().unwrap().push(event.clone())
    });
    for (inner, expected, sent) in [
        ("0s=a 50s=end", StreamEnd::Finished, 3),
        ("0s=a 20s=error(broken)", StreamEnd::Failed, 1),
        ("0s=a 1s=end", StreamEnd::Finished, 0),
    ] {
        let wire = wire(inner, heartbeat.clone()).await;
        let ended = told.lock().unwrap().pop();
        let Some(HeartbeatEvent::Ended { end, beats, .. }) = ended else {
            panic!("{inner}: {ended:?}");
        };
        assert_eq!((end, beats.sent), (expected, sent), "{inner}");
        // What is left when the beats are taken away is what the inner body gave.
        assert_eq!(wire.len() - beats.sent as usize * Beat::default().as_bytes().len(), 9);
    }
}
