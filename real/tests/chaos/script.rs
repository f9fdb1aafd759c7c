//! What happens to one stream, from its seed and its index alone.

use std::time::Duration;

use bytes::Bytes;
use real::streams::Chance;

use crate::says::{End, Said, WORDS, events, plain};

/// So many streams that follow each other share a protocol and, over HTTP/2, a connection.
pub const FAMILY: u64 = 4;

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Longer than any limit.
pub const NEVER: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http1,
    Http2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub index: u64,
    pub version: Version,
    /// How long behind the first of its family it comes.
    pub comes: Duration,
    /// It may be answered early.
    pub accepts_events: bool,
    pub upload: Upload,
    pub reading: Reading,
    pub leaves: Option<Leaves>,
    /// When its whole HTTP/2 connection ends.
    pub connection: Option<Cut>,
    pub handler: Handler,
}

/// What the client sends behind its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    Nothing,
    Known(usize),
    Chunked(usize),
    /// In [`PIECES`](Self::PIECES), with a silence behind each.
    Slow(usize, Duration),
    /// Half of it, and then nothing more.
    Stuck(usize),
    /// A chunk whose length is no number. HTTP/1 only.
    Malformed,
    /// No HTTP at all. HTTP/1 only.
    Garbage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Eager,
    /// So many bytes at a time, and so long between them.
    Slow(usize, Duration),
    /// Behind so many bytes it does not read for so long.
    Stalls(usize, Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaves {
    pub when: When,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In the middle of its head. HTTP/1 only.
    InHead,
    /// When all has been sent.
    Sent,
    /// When so many bytes have come.
    Read(usize),
    After(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Fin,
    Rst,
    /// It sends no more, and reads on. HTTP/1 only. `true`: the server is told to go on for such clients.
    HalfClose(bool),
    /// HTTP/2 only.
    StreamReset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub at: Duration,
    pub rst: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    pub reads: bool,
    /// It keeps the request's body as long as it answers, if it does not read it.
    pub keeps: bool,
    pub thinks: Duration,
    pub relayed: bool,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Events(Said),
    Lines(Said),
    Bytes(Said),
    /// All there, with this status; whether its length is known.
    Json {
        status: u16,
        text: String,
        exact: bool,
    },
    Empty,
    /// The service fails.
    Error,
}

impl Upload {
    pub const PIECES: usize = 5;

    pub fn bytes(self) -> Bytes {
        match self {
            Self::Nothing | Self::Malformed | Self::Garbage => Bytes::new(),
            Self::Known(count) | Self::Chunked(count) | Self::Slow(count, _) | Self::Stuck(count) => {
                (0..count).map(|place| b"abcdefghijklmnopqrstuvwxy"[place % 25]).collect()
            }
        }
    }

    /// All of it is sent as soon as the client runs.
    pub fn is_at_once(self) -> bool {
        matches!(self, Self::Nothing | Self::Known(_) | Self::Chunked(_))
    }
}

/// That of this stream.
pub fn script(seed: u64, index: u64) -> Script {
    let mut family = Chance::new(mixed(seed, index / FAMILY, 1));
    let version = if family.one_in(2) { Version::Http2 } else { Version::Http1 };
    let connection =
        family.one_in(12).then(|| Cut { at: ms(family.below(300) as u64), rst: family.one_in(2) });
    let chance = &mut Chance::new(mixed(seed, index, 2));
    let upload = upload(chance, version);
    let handler = handler(chance, index, upload);
    Script {
        index,
        version,
        comes: if index % FAMILY == 0 { ms(0) } else { ms(chance.below(40) as u64) },
        accepts_events: chance.below(3) > 0,
        upload,
        reading: reading(chance, &handler),
        leaves: leaves(chance, version),
        connection: connection.filter(|_| version == Version::Http2),
        handler,
    }
}

/// A seed for each purpose.
pub fn mixed(seed: u64, number: u64, purpose: u64) -> u64 {
    let mut chance = Chance::new(seed ^ number.wrapping_mul(0xA24B_AED4_963E_E407) ^ purpose.rotate_left(40));
    (0..3).fold(purpose, |all, _| all.rotate_left(24) ^ chance.below(usize::MAX) as u64)
}

fn upload(chance: &mut Chance, version: Version) -> Upload {
    let size = [20, 1_000, 9_000][chance.below(3)] + chance.below(100);
    let is_http1 = version == Version::Http1;
    match chance.below(40) {
        0..26 => Upload::Nothing,
        26..30 => Upload::Known(size),
        30..33 => Upload::Chunked(size),
        33..35 => Upload::Slow(size, ms([10, 110][chance.below(2)])),
        35..37 => Upload::Stuck(size),
        37..39 if is_http1 => Upload::Malformed,
        39 if is_http1 => Upload::Garbage,
        _ => Upload::Chunked(size),
    }
}

fn reading(chance: &mut Chance, handler: &Handler) -> Reading {
    let long = matches!(&handler.answer, Answer::Events(said) if said.text.said.len() > 20_000);
    match chance.below(if long { 6 } else { 12 }) {
        0 => Reading::Slow(512 << chance.below(4), ms(2 + chance.below(6) as u64)),
        1 => Reading::Stalls(chance.below(4_000), ms([30, 150, 1_000][chance.below(3)])),
        2 if long => Reading::Stalls(chance.below(8_000), ms(1_200)),
        _ => Reading::Eager,
    }
}

fn leaves(chance: &mut Chance, version: Version) -> Option<Leaves> {
    if chance.below(5) > 1 {
        return None;
    }
    let how = match (version, chance.below(3)) {
        (_, 0) => How::Fin,
        (_, 1) => How::Rst,
        (Version::Http1, _) => How::HalfClose(chance.one_in(2)),
        (Version::Http2, _) => How::StreamReset,
    };
    let when = match chance.below(10) {
        0 if version == Version::Http1 => When::InHead,
        0 | 1 => When::Sent,
        2..6 => When::Read(chance.below(1_500)),
        _ => When::After(ms(chance.below(250) as u64)),
    };
    Some(Leaves { when, how: if version == Version::Http2 { How::StreamReset } else { how } })
}

fn handler(chance: &mut Chance, index: u64, upload: Upload) -> Handler {
    let reads = upload != Upload::Nothing && chance.below(4) > 0;
    let thinks = match chance.below(20) {
        0..12 => ms(0),
        12..16 => ms(1 + chance.below(30) as u64),
        16..19 => ms(50 + chance.below(150) as u64),
        _ => NEVER,
    };
    let answer = match chance.below(20) {
        0..14 => Answer::Events(events(chance, index)),
        14 => Answer::Lines(plain(chance, index, true)),
        15 => Answer::Bytes(plain(chance, index, false)),
        16 | 17 => {
            let status = [200, 200, 404, 500][chance.below(4)];
            let text = format!("{{\"stream\":{index},\"word\":\"{}\"}}", WORDS[chance.below(WORDS.len())]);
            Answer::Json { status, text, exact: chance.one_in(2) }
        }
        18 => Answer::Empty,
        _ => Answer::Error,
    };
    Handler { reads, keeps: chance.one_in(2), thinks, relayed: chance.one_in(4), answer }
}

impl Script {
    /// What is done to it, for a table.
    pub fn faults(&self) -> Vec<&'static str> {
        let Self { upload, reading, leaves, connection, handler, .. } = self;
        let mut faults = vec![];
        let mut add = |is: bool, name| faults.extend(is.then_some(name));
        let how = leaves.map(|leaves| leaves.how);
        add(how == Some(How::Fin), "client: FIN");
        add(how == Some(How::Rst), "client: RST");
        add(matches!(how, Some(How::HalfClose(_))), "client: half close");
        add(how == Some(How::StreamReset), "client: RST_STREAM");
        add(connection.is_some(), "client: HTTP/2 connection cut");
        add(matches!(reading, Reading::Slow(..)), "client: reads slowly");
        add(matches!(reading, Reading::Stalls(..)), "client: stops reading");
        add(matches!(upload, Upload::Slow(..)), "upload: slow");
        add(matches!(upload, Upload::Stuck(_)), "upload: stuck");
        add(*upload == Upload::Malformed, "upload: malformed chunk");
        add(*upload == Upload::Garbage, "request: garbage");
        add(handler.thinks == NEVER, "handler: never answers");
        add(handler.thinks > ms(0) && handler.thinks < NEVER, "handler: slow");
        add(handler.answer == Answer::Error, "handler: fails");
        if let Answer::Events(said) | Answer::Lines(said) | Answer::Bytes(said) = &handler.answer {
            add(said.end == End::Fails && !handler.relayed, "body: fails");
            add(said.end == End::Fails && handler.relayed, "body: upstream fails");
            add(said.end == End::Hangs, "body: hangs");
            add(said.end == End::Well && said.text.is_half(), "body: ends inside an event");
            add(said.total.is_some(), "body: total limit");
        }
        if faults.is_empty() {
            faults.push("none");
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_script_is_the_same_each_time_and_another_for_another_seed() {
        let differ = (0..200).filter(|&index| script(7, index) != script(8, index)).count();
        assert!((0..200).all(|index| script(7, index) == script(7, index)));
        assert!(differ > 190, "{differ}");
    }

    #[test]
    fn a_family_shares_its_protocol_and_the_end_of_its_connection() {
        for index in 0..400 {
            let (first, this) = (script(7, index / FAMILY * FAMILY), script(7, index));
            assert_eq!((first.version, first.connection), (this.version, this.connection));
            assert!(this.version == Version::Http2 || this.connection.is_none());
        }
    }

    #[test]
    fn every_fault_comes_up_and_frames_are_all_that_is_said() {
        let mut faults = BTreeSet::new();
        for index in 0..4_000 {
            let script = script(1, index);
            faults.extend(script.faults());
            if let Answer::Events(said) | Answer::Lines(said) | Answer::Bytes(said) = script.handler.answer {
                let ends: Vec<_> = said.frames.iter().map(|frame| frame.1).collect();
                assert!(ends.is_sorted_by(|a, b| a < b));
                assert_eq!(ends.last().copied().unwrap_or(0), said.text.said.len());
                assert!(said.text.boundaries.iter().all(|&at| at <= said.text.said.len()));
            }
        }
        assert_eq!(faults.len(), 20, "{faults:?}");
    }
}
