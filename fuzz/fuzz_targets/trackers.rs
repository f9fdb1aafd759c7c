//! Where a stream stands, however it is cut, against a reading of the whole of it: event streams, lines of JSON, gRPC.
//!
//! The first byte chooses the dialect, the second how many cuts there are, and as many bytes as that say where.

#![no_main]

#[path = "../../src/dialect/mod.rs"]
#[allow(dead_code, unused_imports)]
mod dialect;
#[path = "../../tests/it/transparency/reference.rs"]
mod reference;

use dialect::{Dialect, Place, Tracker, grpc};
use libfuzzer_sys::{Corpus, fuzz_target};
use reference::{Effect, effects};

/// What the included source expects at the root of its crate.
struct ConfigError;

impl ConfigError {
    fn new(_: impl Into<String>) -> Self {
        Self
    }
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((&[choice, cuts], rest)) = bytes.split_first_chunk() else {
        return Corpus::Reject;
    };
    let Some((cuts, stream)) = rest.split_at_checked(usize::from(cuts % 16)) else {
        return Corpus::Reject;
    };
    let mut cuts: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut).min(stream.len())).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let chunks: Vec<&[u8]> = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
    match choice % 3 {
        0 => event_stream(&chunks),
        1 => lines(&chunks),
        _ => messages(&chunks),
    }
    Corpus::Keep
});

/// The type of an event that is not the stream's.
const OWN: &str = "a-beat";

/// Calls `look` with the tracker and the bytes so far, behind each chunk.
fn follow(mut tracker: Tracker, chunks: &[&[u8]], mut look: impl FnMut(Tracker, &[u8])) {
    let mut stream = Vec::new();
    for chunk in chunks {
        tracker.advance(chunk);
        stream.extend_from_slice(chunk);
        look(tracker, &stream);
    }
}

fn event_stream(chunks: &[&[u8]]) {
    let whole = chunks.concat();
    let untouched = effects(&whole);
    if whole.windows(OWN.len()).any(|bytes| bytes == OWN.as_bytes()) {
        return;
    }
    let start = Tracker::new(Dialect::EventStream);
    follow(start, chunks, |tracker, stream| {
        let beats: &[&str] = match tracker.place() {
            Place::Between => &[":\n", ": hb\n\n", "event: a-beat\ndata: {}\n\n"],
            Place::LineStart => &[":\n"],
            Place::Inside => &[],
        };
        // A byte order mark behind a beat is dropped elsewhere, and nothing else here may depend on it.
        if stream.is_empty() && whole.starts_with(b"\xEF") {
            return;
        }
        for beat in beats {
            let with = [stream, beat.as_bytes(), &whole[stream.len()..]].concat();
            let mut seen = effects(&with);
            seen.retain(|effect| !matches!(effect, Effect::Event { kind, .. } if kind == OWN));
            assert_eq!(
                seen,
                untouched,
                "{beat:?} behind \"{}\" of \"{}\"",
                stream.escape_ascii(),
                whole.escape_ascii()
            );
        }
    });
    content(chunks);
}

/// The first content is found in the chunk that it is in, and not before.
fn content(chunks: &[&[u8]]) {
    let first = |chunks: &[&[u8]]| {
        let mut tracker = Tracker::new(Dialect::EventStream);
        let mut progress = tracker.progress();
        let mut read = 0;
        chunks.iter().find_map(|chunk| {
            let found = progress.advance(tracker, chunk);
            tracker.advance(chunk);
            let began = read;
            read += chunk.len();
            found.then_some((began, read))
        })
    };
    let whole = chunks.concat();
    let by_byte = first(&whole.chunks(1).collect::<Vec<_>>());
    let by_chunk = first(chunks);
    match (by_byte, by_chunk) {
        (None, None) => {}
        (Some((at, _)), Some((from, to))) if (from..to).contains(&at) => {}
        other => panic!("{other:?}: {chunks:?}"),
    }
}

fn lines(chunks: &[&[u8]]) {
    follow(Tracker::new(Dialect::NdJson), chunks, |tracker, stream| {
        let whole = stream.is_empty() || stream.ends_with(b"\n");
        let place = if whole { Place::Between } else { Place::Inside };
        assert_eq!(tracker.place(), place, "{chunks:?}");
        assert_eq!(tracker.is_between(), whole, "{chunks:?}");
    });
}

fn messages(chunks: &[&[u8]]) {
    follow(Tracker::Grpc(grpc::Boundary::Between), chunks, |tracker, mut stream| {
        while let Some((head, rest)) = stream.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some(next) = rest.get(length..) else { break };
            stream = next;
        }
        assert_eq!(tracker.is_between(), stream.is_empty(), "{chunks:?}");
        assert_eq!(tracker.place(), Place::Inside, "nothing is ever written into gRPC");
    });
}
