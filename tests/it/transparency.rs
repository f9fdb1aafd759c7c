//! No stream is changed: properties over any stream, any cutting, any silences and any settings.

mod case;
mod laws;
pub(crate) mod reference;

use std::convert::Infallible;
use std::fmt::Debug;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::EventStream;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use http_body::{Body, Frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestError, TestRunner};
use sse_stream::SseByteStream;
use tokio::time::{Sleep, sleep};
use tower_lifeline::{HeartbeatBody, MidEvent, Rhythm};

use case::{Case, Ending, INTERVAL, Settings, beats};
use laws::{Broken, Producer, Trace, equal};

/// Lines of every kind, with every line end, some junk, and an end anywhere.
fn event_stream() -> impl Strategy<Value = Vec<u8>> {
    const BOMS: &[&[u8]] = &[b"", b"", b"\xEF\xBB\xBF", b"\xEF\xBB\xBF", b"\xEF\xBB"];
    const NAMES: &[&str] =
        &["data", "data:", "data: ", "event:", "event: ", "id", "id: ", "retry: ", "dat: "];
    const TEXTS: &[&str] =
        &["", "a", " a", "7", "2500", "ping", "é", "😀 b: c", "\u{feff}", "\0", "x:y", ": z"];
    let line = prop_oneof![
        6 => (select(NAMES), select(TEXTS)).prop_map(|(name, text)| format!("{name}{text}").into_bytes()),
        2 => select(&["", " hb", ": é", "data: a"][..]).prop_map(|text| format!(":{text}").into_bytes()),
        4 => Just(Vec::new()),
        1 => Just("\u{feff}data: a".as_bytes().to_vec()),
        1 => vec(prop_oneof![any::<u8>(), select(&b"\xEF\xBB\xBF:\r\n"[..])], 0..8),
        1 => (100_usize..300).prop_map(|length| [b":".as_slice(), &vec![b'-'; length]].concat()),
    ];
    let ends = prop_oneof![
        3 => Just(&["\n"][..]),
        2 => Just(&["\r\n"][..]),
        2 => Just(&["\r"][..]),
        2 => Just(&["\n", "\r", "\r\n"][..]),
    ];
    let line = (line, any::<Index>());
    let lines = prop_oneof![vec(line.clone(), 0..3), vec(line, 0..16)];
    let missing = prop_oneof![2 => Just(0), 1 => 0_usize..8];
    (select(BOMS), ends, lines, missing).prop_map(|(bom, ends, lines, missing)| {
        let mut bytes = bom.to_vec();
        for (line, end) in lines {
            bytes.extend_from_slice(&line);
            bytes.extend_from_slice(end.get(ends).as_bytes());
        }
        bytes.truncate(bytes.len() - missing.min(bytes.len()));
        bytes
    })
}

fn silence() -> impl Strategy<Value = Duration> {
    let interval = INTERVAL.as_millis() as u64;
    let millis =
        prop_oneof![4 => Just(0), 3 => 1..interval, 1 => Just(interval), 3 => interval..5 * interval];
    millis.prop_map(Duration::from_millis)
}

fn settings(among: usize) -> impl Strategy<Value = Settings> {
    let jitter = (0..=INTERVAL.as_micros() as u64 / 2).prop_map(Duration::from_micros);
    (
        select(beats()[..among].to_vec()),
        select(&[Rhythm::Silence, Rhythm::Periodic][..]),
        select(&[MidEvent::Hold, MidEvent::CommentLine][..]),
        prop_oneof![Just(Duration::ZERO), jitter],
        any::<bool>(),
        select(&[0, 0, 64, 2048][..]),
    )
        .prop_map(|(beat, rhythm, mid_event, jitter, at_once, pad_first)| Settings {
            beat,
            rhythm,
            mid_event,
            jitter,
            at_once,
            pad_first,
        })
}

/// How many of [`beats`], counted from the first, are nothing but comments.
const COMMENTS: usize = 4;

/// Few cuts or many, anywhere or only behind a CR or LF.
fn cut(
    bytes: impl Strategy<Value = Vec<u8>>,
    settings: impl Strategy<Value = Settings>,
) -> impl Strategy<Value = Case> {
    let cuts = (prop_oneof![vec(any::<Index>(), 0..8), vec(any::<Index>(), 0..200)], any::<bool>());
    let ending = (silence(), select(&[Ending::End, Ending::End, Ending::Error, Ending::Trailers][..]));
    (bytes, settings, cuts, vec(silence(), 201), ending).prop_map(
        |(bytes, settings, cuts, silences, ending)| {
            let (cuts, anywhere) = cuts;
            let is_place = |&at: &usize| anywhere || at == 0 || matches!(bytes[at - 1], b'\r' | b'\n');
            let places: Vec<usize> = (0..=bytes.len()).filter(is_place).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&places)).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut from = 0;
            let frames = cuts.into_iter().zip(silences).map(|(to, silence)| {
                let frame = Bytes::copy_from_slice(&bytes[from..to]);
                from = to;
                (silence, frame)
            });
            Case { settings, frames: frames.collect(), ending }
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    cut(event_stream(), settings(beats().len()))
}

fn case_with_comments() -> impl Strategy<Value = Case> {
    cut(event_stream(), settings(COMMENTS))
}

/// What eventsource-stream 0.2 can read: it panics at a BOM, and gives up at what is not UTF-8.
fn case_in_plain_text() -> impl Strategy<Value = Case> {
    let text = event_stream().prop_map(|bytes| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.trim_start_matches('\u{feff}').to_owned().into_bytes()
    });
    cut(text, settings(COMMENTS))
}

fn beating(case: &Case) -> Result<Trace, Broken> {
    Trace::of(case, |producer| HeartbeatBody::new(producer, case.settings.heartbeat()))
}

/// Compares what a published parser reads with and without the beats.
fn reads_the_same<T: PartialEq + Debug>(
    case: &Case,
    read: impl Fn(Vec<Bytes>) -> Vec<T>,
) -> Result<(), Broken> {
    let trace = beating(case)?;
    let wire = trace.wire.iter().map(|written| written.bytes.clone()).collect();
    let given = trace.given.iter().map(|(_, bytes)| bytes.clone()).collect();
    equal("what the parser reads", &read(wire), &read(given))
}

fn frames(frames: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(frames.into_iter().map(Ok))
}

/// 256 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn without_the_beats_the_bytes_are_the_inner_bodys(case in any_case()) {
        beating(&case)?.bytes_are_the_same(&case)?;
    }

    #[test]
    fn a_client_sees_the_same_events_and_those_of_the_beats_in_their_places(case in any_case()) {
        beating(&case)?.effects_are_the_same(&case)?;
    }

    #[test]
    fn no_silence_is_longer_than_the_interval_where_a_beat_may_be_written(case in any_case()) {
        beating(&case)?.silences_are_short(&case)?;
    }

    #[test]
    fn eventsource_stream_sees_no_comments(case in case_in_plain_text()) {
        reads_the_same(&case, |mut bytes| {
            // It does not believe a CR before it has seen what follows.
            bytes.push(Bytes::from_static(b"\n"));
            EventStream::new(frames(bytes)).collect::<Vec<_>>().now_or_never().unwrap()
        })?;
    }

    #[test]
    fn sse_stream_sees_no_comments(case in case_with_comments()) {
        reads_the_same(&case, |bytes| {
            let blocks = SseByteStream::new(frames(bytes)).map(|block| block.map_err(|error| error.to_string()));
            blocks.collect::<Vec<_>>().now_or_never().unwrap()
        })?;
    }
}

#[test]
fn the_seeds_of_the_fuzz_target_hold() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/event_stream");
    let mut beaten = 0;
    for seed in fs::read_dir(seeds).unwrap() {
        let path = seed.unwrap().path();
        // What the fuzzer finds has a hash for a name and may vanish while it runs.
        if path.file_name().unwrap().len() == 40 {
            continue;
        }
        let case = Case::from_bytes(&fs::read(&path).unwrap()).unwrap();
        let trace = beating(&case).unwrap();
        trace.all(&case).unwrap_or_else(|broken| panic!("{}: {broken}\n{case:?}", path.display()));
        beaten += usize::from(trace.wire.len() > case.frames.len());
    }
    assert!(beaten > 5, "most seeds are long enough for a beat: {beaten}");
}

/// An injector by a rule of thumb: it beats in every silence behind bytes that the rule likes.
struct Naive {
    inner: Producer,
    beat: Bytes,
    likes: fn(&[u8]) -> bool,
    passed: Vec<u8>,
    sleep: Pin<Box<Sleep>>,
}

impl Body for Naive {
    type Data = Bytes;
    type Error = laws::Failed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, laws::Failed>>> {
        let this = &mut *self;
        let Poll::Ready(item) = Pin::new(&mut this.inner).poll_frame(cx) else {
            if this.beat.is_empty() || !(this.likes)(&this.passed) {
                return Poll::Pending;
            }
            ready!(this.sleep.as_mut().poll(cx));
            this.sleep = Box::pin(sleep(INTERVAL));
            return Poll::Ready(Some(Ok(Frame::data(this.beat.clone()))));
        };
        if let Some(Ok(frame)) = &item {
            if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
                this.passed.extend_from_slice(data);
                this.sleep = Box::pin(sleep(INTERVAL));
            }
        }
        Poll::Ready(item)
    }
}

#[test]
fn rules_of_thumb_are_found_out() {
    let check = |likes: fn(&[u8]) -> bool, law: fn(&Trace, &Case) -> Result<(), Broken>| {
        // It does not pad, and that is not what it shall be found out by.
        let cases = any_case().prop_map(|mut case| {
            case.settings.pad_first = 0;
            case
        });
        let outcome =
            TestRunner::new(ProptestConfig { max_shrink_iters: 0, ..config() }).run(&cases, |case| {
                let beat = Bytes::copy_from_slice(case.settings.beat.as_bytes());
                let naive = |inner| Naive {
                    inner,
                    beat,
                    likes,
                    passed: Vec::new(),
                    sleep: Box::pin(sleep(INTERVAL)),
                };
                Ok(law(&Trace::of(&case, naive)?, &case)?)
            });
        assert!(matches!(outcome, Err(TestError::Fail(..))), "{outcome:?}");
    };
    let anywhere = |passed: &[u8]| !passed.is_empty();
    let behind_a_line = |passed: &[u8]| passed.ends_with(b"\n") || passed.ends_with(b"\r");
    let behind_an_event =
        |passed: &[u8]| passed.is_empty() || passed.ends_with(b"\n\n") || passed.ends_with(b"\r\n\r\n");
    check(anywhere, |trace, case| trace.effects_are_the_same(case));
    check(behind_a_line, |trace, case| trace.effects_are_the_same(case));
    // Right but for a BOM behind a beat, for streams with CR, and for an upstream's own comments.
    check(behind_an_event, |trace, case| trace.bytes_are_the_same(case));
    check(behind_an_event, |trace, case| trace.silences_are_short(case));
}
