//! Decides: may this have become of a stream, by what was done to it?
//!
//! | reported | only when |
//! |---|---|
//! | finished | the handler's body ends by itself |
//! | abandoned | the client leaves or sends no HTTP, its connection is cut, or the server gives up in a drain |
//! | failed | the handler or its body fails, or the upload does |
//! | upstream failed | the same of a relayed body |
//! | timed out: request gap, request total | the handler reads an upload |
//! | timed out: headers | the same, or it thinks for longer than the limit |
//! | timed out: first byte, inter-chunk | the body hangs, or is silent for so long that a busy machine makes it longer |
//! | timed out: total | the body has a total of its own |
//! | stalled | the client does not read as it can |
//! | shed | there are fewer permits than streams |
//! | drained, cut by drain | its server's drain has begun |
//! | aged | it is as old |
//! | panicked, anything else | never |

use std::time::Duration;

use serde_json::Value;
use tower_lifeline::observe::{EndCause, StreamReport};
use tower_lifeline::{Phase, Shed};

use crate::script::{Answer, End, How, Leaves, NEVER, Reading, Script, Upload};
use crate::text::{self, Text, lossy};
use crate::wire::Came;
use crate::world::{self, World};

/// What a client has seen.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub came: Came,
    pub seen: Seen,
    /// Its request has been sent, all of it.
    pub sent: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Finished,
    /// The response broke off, or did not come.
    Cut,
    /// It has left by itself, or its connection was cut on its own side.
    Left,
    NoConnection,
    Nonsense(String),
    Hung,
}

impl Outcome {
    pub fn of(seen: Seen) -> Self {
        Self { came: Came::default(), seen, sent: false }
    }
}

/// What of a report is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub cause: EndCause,
    pub bytes: u64,
    pub beats: u32,
    pub age: Duration,
    /// Its server's drain had begun.
    pub drains: bool,
}

impl Told {
    pub fn of(report: &StreamReport, drains: bool) -> Self {
        let StreamReport { cause, bytes, beats, age, .. } = report;
        Self { cause: *cause, bytes: *bytes, beats: beats.sent, age: *age, drains }
    }
}

/// All that is known of a stream when it is over.
#[derive(Clone, Debug)]
pub struct Story<'a> {
    pub script: &'a Script,
    pub world: &'a World,
    /// So many requests of it have come to the stack.
    pub arrived: u32,
    pub told: &'a [Told],
    pub outcome: &'a Outcome,
    /// Its server has given up connections.
    pub aborted: bool,
}

/// `Err`: a sentence that says what must not be.
pub fn judge(story: &Story) -> Result<(), String> {
    let Story { script, arrived, told, outcome, .. } = *story;
    let (arrived_so, reports) = (arrived as usize, told.len());
    if reports != arrived_so || arrived > 1 {
        return Err(format!("{reports} reports of {arrived} requests"));
    }
    match &outcome.seen {
        Seen::Nonsense(wrong) => return Err(format!("no HTTP: {wrong}")),
        Seen::Hung => return Err("it hangs".into()),
        _ => {}
    }
    let Some(told) = told.first() else {
        // hyper answers what is no request by itself.
        let ours = outcome.came.status.is_some() && script.upload != Upload::Garbage;
        return if ours { Err("an answer, and no request".into()) } else { Ok(()) };
    };
    let cause = told.cause;
    if !story.allows(told) {
        return Err(format!("{cause:?} is not among what may become of it"));
    }
    let said = story.said(told)?;
    match outcome.seen {
        Seen::Finished => story.ended_well(told, &said),
        Seen::Cut if cause == EndCause::Finished && !story.may_be_cut() => {
            Err("finished, and the client has not got all of it".into())
        }
        Seen::Cut if story.lost_before_a_failure(cause, &said) => {
            Err(format!("the body failed, and {said:?} is all that came of what it said before"))
        }
        Seen::Cut | Seen::Left if outcome.came.body.len() as u64 > told.bytes => {
            Err(format!("{} bytes came and {} were sent", outcome.came.body.len(), told.bytes))
        }
        _ => Ok(()),
    }
}

/// What a client has read.
#[derive(Debug)]
struct Heard {
    /// The handler's own bytes, and how many they would be. `None`: of an answer that is not his.
    said: Option<(usize, usize)>,
    beats: Option<usize>,
    ending: Option<Ending>,
}

/// What a stream says that is neither the handler's nor a beat.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    /// Come back later.
    Retry,
    /// This limit has passed.
    Limit(String),
    /// The same without its name.
    LlmLimit,
    LlmElsewhere,
    /// Behind an early head, instead of an answer with this status.
    Error(u16),
    /// An answer of ours: its status.
    Refusal(u16),
    /// Its beginning, of somebody who did not read on.
    Part,
}

const NO_BEAT: &[u8] = b"\0";

impl Story<'_> {
    fn allows(&self, told: &Told) -> bool {
        let Script { upload, leaves, connection, handler, reading, .. } = self.script;
        let (stream, events_end) = match &handler.answer {
            Answer::Events(said) | Answer::Lines(said) | Answer::Bytes(said) => (Some(said), said.end),
            _ => (None, End::Well),
        };
        let waits = handler.reads && !upload.is_at_once();
        let broken = *upload == Upload::Malformed || leaves.is_some() || connection.is_some();
        let uploads = handler.reads && *upload != Upload::Nothing;
        let upload_fails = uploads && (broken || told.drains);
        let silent = |limit| {
            stream.is_some_and(|said| said.end == End::Hangs || said.silence() + world::BUSY >= limit)
        };
        match told.cause {
            EndCause::Finished => (events_end == End::Well || self.is_no_answer()) && handler.thinks < NEVER,
            EndCause::Abandoned => broken || told.drains || waits,
            EndCause::Failed => {
                handler.answer == Answer::Error
                    || upload_fails
                    || events_end == End::Fails && !handler.relayed
            }
            EndCause::UpstreamFailed => handler.relayed && events_end == End::Fails,
            EndCause::TimedOut(Phase::RequestGap | Phase::RequestTotal) => uploads,
            EndCause::TimedOut(Phase::Headers) => uploads || handler.thinks > world::HEADERS,
            EndCause::TimedOut(Phase::FirstByte) => silent(world::FIRST_BYTE),
            EndCause::TimedOut(Phase::InterChunk) => {
                silent(world::INTER_CHUNK) && stream.is_some_and(|said| !said.frames.is_empty())
            }
            EndCause::TimedOut(Phase::Total) => stream.is_some_and(|said| said.total.is_some()),
            EndCause::Stalled => {
                *reading != Reading::Eager
                    || leaves.is_some_and(|leaves| matches!(leaves.how, How::HalfClose(_)))
            }
            EndCause::Shed(Shed::QueueFull | Shed::QueueTimeout) => self.world.tight.is_some(),
            EndCause::Drained | EndCause::DrainCut => told.drains,
            // Up to a tenth earlier, by chance.
            EndCause::Aged => self.world.ages && told.age >= world::AGE * 9 / 10,
            _ => false,
        }
    }

    /// Behind an early head nothing can be made of it, and nobody looks at its end.
    fn is_no_answer(&self) -> bool {
        let early = self.world.early && self.script.accepts_events;
        early && matches!(self.script.handler.answer, Answer::Lines(_) | Answer::Bytes(_))
    }

    /// The server may take away what has been said and not read.
    fn may_be_cut(&self) -> bool {
        let Script { upload, leaves, connection, handler, reading, .. } = self.script;
        let unread = !upload.is_at_once() || *upload != Upload::Nothing && !handler.reads;
        let closes_its_half = matches!(leaves, Some(Leaves { how: How::HalfClose(_), .. }));
        let slow = *reading != Reading::Eager;
        connection.is_some() || unread || closes_its_half || self.aborted && slow
    }

    /// What a body says right before it fails comes, if nobody is in the way of it.
    fn lost_before_a_failure(&self, cause: EndCause, heard: &Heard) -> bool {
        // More than that may still be with the server.
        const MOST: usize = 4_000;
        let Script { upload, leaves, connection, reading, .. } = self.script;
        let in_the_way = *upload != Upload::Nothing || leaves.is_some() || connection.is_some();
        matches!(cause, EndCause::Failed | EndCause::UpstreamFailed)
            && !in_the_way
            && *reading == Reading::Eager
            && heard.said.is_some_and(|(said, whole)| said < whole && whole < MOST)
    }

    /// Compares what came with what was said.
    fn said(&self, told: &Told) -> Result<Heard, String> {
        let Came { status, media_type, body } = &self.outcome.came;
        let nothing = Heard { said: Some((0, 0)), beats: None, ending: None };
        let Some(status) = *status else {
            return Ok(Heard { said: None, ..nothing });
        };
        let answer = &self.script.handler.answer;
        match (answer, status, media_type.as_str()) {
            (_, _, "application/problem+json") => {
                Ok(Heard { said: None, ending: self.refusal(status)?, ..nothing })
            }
            (Answer::Events(said), 200, "text/event-stream") => self.heard(&said.text, body),
            (_, 200, "text/event-stream") if !self.world.early || !self.script.accepts_events => {
                Err("an early head that nobody has asked for".into())
            }
            (Answer::Json { status: 200, text, .. }, 200, "text/event-stream") => {
                let mut event = Text::default();
                event.event(&format!("data: {text}\n"), "\n");
                let heard = self.heard(&event, body)?;
                // Or it is refused, and then the answer is missing.
                let refused = heard.ending.is_some();
                Ok(if refused { Heard { said: None, ..heard } } else { heard })
            }
            (_, 200, "text/event-stream") => {
                let heard = self.heard(&Text::default(), body)?;
                let failed = heard.ending.is_some() || told.cause != EndCause::Finished || self.is_empty();
                if failed { Ok(heard) } else { self.end_is_missing(heard) }
            }
            (Answer::Lines(said), 200, "application/x-ndjson") => self.lines(&said.text, body),
            (Answer::Bytes(said), 200, "application/octet-stream") => self.plain(&said.text.said, body),
            (Answer::Json { status: own, text, .. }, status, "application/json") if *own == status => {
                self.plain(text.as_bytes(), body)
            }
            (Answer::Empty, 204, "") => Ok(nothing),
            _ => Err(format!("a response that nobody gives: {status} {media_type} {}", lossy(body))),
        }
    }

    fn end_is_missing(&self, heard: Heard) -> Result<Heard, String> {
        match self.outcome.seen {
            Seen::Finished => Err("an answer is missing behind an early head".into()),
            _ => Ok(heard),
        }
    }

    /// There is nothing to say behind an early head.
    fn is_empty(&self) -> bool {
        match &self.script.handler.answer {
            Answer::Empty => true,
            Answer::Lines(said) | Answer::Bytes(said) => said.text.said.is_empty(),
            _ => false,
        }
    }

    fn plain(&self, said: &[u8], body: &[u8]) -> Result<Heard, String> {
        if !said.starts_with(body) {
            return Err(format!("other bytes than were said: {}", lossy(body)));
        }
        Ok(Heard { said: Some((body.len(), said.len())), beats: Some(0), ending: None })
    }

    fn lines(&self, text: &Text, body: &[u8]) -> Result<Heard, String> {
        let read = text::read(text, NO_BEAT, body)?;
        let ending = match read.rest {
            [] => None,
            rest => Some(self.line(rest)?),
        };
        Ok(Heard { said: Some((read.said, text.said.len())), beats: Some(0), ending })
    }

    /// `{"error":"…","phase":"total","limit_ms":100}`, or without a limit.
    fn line(&self, rest: &[u8]) -> Result<Ending, String> {
        let wrong = || format!("a line that nobody says: {}", lossy(rest));
        let Some(line) = rest.strip_suffix(b"\n") else {
            return if self.read_on() { Err(wrong()) } else { Ok(Ending::Part) };
        };
        let line: Value = serde_json::from_slice(line).map_err(|_| wrong())?;
        line["error"].as_str().ok_or_else(wrong)?;
        Ok(line["phase"].as_str().map_or(Ending::Retry, |phase| Ending::Limit(phase.to_owned())))
    }

    fn heard(&self, text: &Text, body: &[u8]) -> Result<Heard, String> {
        let beat = self.world.beat.as_bytes();
        let read = text::read(text, beat, body)?;
        let ending = match read.rest {
            [] => None,
            // The client did not read on.
            rest if beat.starts_with(rest) && !self.read_on() => None,
            rest => Some(self.goodbye(rest).ok_or_else(|| {
                format!("behind {} of {} bytes comes {:?}", read.said, text.said.len(), lossy(rest))
            })?),
        };
        Ok(Heard { said: Some((read.said, text.said.len())), beats: Some(read.beats), ending })
    }

    fn read_on(&self) -> bool {
        self.outcome.seen == Seen::Finished
    }

    /// The one event that may stand behind all others, whole.
    fn goodbye(&self, rest: &[u8]) -> Option<Ending> {
        let rest = std::str::from_utf8(rest).ok()?;
        if !self.read_on() && !rest.ends_with("\n\n") {
            let begins = ["retry: ", "event: timeout\ndata: {", "event: error\ndata: {"];
            let is = begins.iter().any(|begin| begin.starts_with(rest) || rest.starts_with(begin));
            return is.then_some(Ending::Part);
        }
        let mut event = rest.strip_suffix("\n\n")?;
        let mut retry = false;
        if let Some(after) = event.strip_prefix("retry: ") {
            let (millis, behind) = after.split_once('\n').unwrap_or((after, ""));
            millis.parse::<u64>().ok()?;
            retry = true;
            event = behind;
        }
        if event.is_empty() {
            return retry.then_some(Ending::Retry);
        }
        let data = |event: &str| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok();
        if let Some(timeout) = event.strip_prefix("event: timeout\n") {
            return Some(Ending::Limit(data(timeout)?["phase"].as_str()?.to_owned()));
        }
        let error = data(event.strip_prefix("event: error\n")?)?;
        match (error["status"].as_u64(), error["error"]["type"].as_str()) {
            (Some(status), None) => Some(Ending::Error(status as u16)),
            (None, Some("overloaded_error")) => Some(Ending::LlmElsewhere),
            (None, Some("timeout_error")) => Some(Ending::LlmLimit),
            _ => None,
        }
    }

    fn refusal(&self, status: u16) -> Result<Option<Ending>, String> {
        let Came { body, .. } = &self.outcome.came;
        let wrong = || format!("a refusal that nobody gives: {status} {}", lossy(body));
        if !self.read_on() {
            const BEGINS: &[u8] = b"{\"type\":\"urn:tower-lifeline:";
            let is = body.starts_with(BEGINS) || BEGINS.starts_with(body);
            return if is { Ok(Some(Ending::Part)) } else { Err(wrong()) };
        }
        let problem: Value = serde_json::from_slice(body).map_err(|_| wrong())?;
        let ours = problem["type"].as_str().is_some_and(|text| text.starts_with("urn:tower-lifeline:"));
        if !ours || problem["status"] != status {
            return Err(wrong());
        }
        Ok(Some(Ending::Refusal(status)))
    }

    /// The client has got a whole response.
    fn ended_well(&self, told: &Told, heard: &Heard) -> Result<(), String> {
        let cause = told.cause;
        let length = self.outcome.came.body.len() as u64;
        if length != told.bytes {
            return Err(format!("{length} bytes came and {} were sent", told.bytes));
        }
        if heard.beats.is_some_and(|beats| beats != told.beats as usize) {
            return Err(format!("{:?} beats came and {} were sent", heard.beats, told.beats));
        }
        let leaves = matches!(cause, EndCause::Drained | EndCause::Aged);
        let fits = match &heard.ending {
            None => {
                let whole = heard.said.is_some_and(|(said, whole)| said == whole);
                // A line of JSON is no form of an LLM's error, and the end between two lines is honest.
                let lines = matches!(self.script.handler.answer, Answer::Lines(_));
                whole && cause == EndCause::Finished || leaves && lines && self.world.llm
            }
            Some(Ending::Retry) => leaves,
            Some(Ending::Limit(phase)) => {
                matches!(cause, EndCause::TimedOut(limit) if limit.to_string() == *phase)
            }
            Some(Ending::LlmLimit) => matches!(cause, EndCause::TimedOut(_)),
            Some(Ending::LlmElsewhere) => leaves,
            Some(Ending::Error(status)) => self.is_own_failure(*status, cause) || refused(*status, cause),
            Some(Ending::Refusal(status)) => refused(*status, cause),
            Some(Ending::Part) => false,
        };
        if fits { Ok(()) } else { Err(format!("{cause:?}, and the client has read {heard:?}")) }
    }

    /// The handler's own answer as an in-stream error.
    fn is_own_failure(&self, status: u16, cause: EndCause) -> bool {
        match (&self.script.handler.answer, cause) {
            (Answer::Json { status: own, .. }, EndCause::Finished) => *own == status && status >= 400,
            (Answer::Lines(_) | Answer::Bytes(_), EndCause::Finished) => status == 500,
            (_, EndCause::Failed) => status == 500,
            _ => false,
        }
    }
}

fn refused(status: u16, cause: EndCause) -> bool {
    match cause {
        EndCause::Shed(_) | EndCause::Drained | EndCause::DrainCut => status == 503,
        EndCause::TimedOut(Phase::Headers | Phase::Total) => status == 504,
        EndCause::TimedOut(Phase::RequestGap | Phase::RequestTotal) => status == 408,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Handler, Said, Version};
    use tower_lifeline::Beat;

    /// Two events, and a client that reads all.
    struct Case {
        script: Script,
        world: World,
        told: Vec<Told>,
        outcome: Outcome,
        arrived: u32,
    }

    const WHOLE: &str = "data: a\n\n:\nid: 1\ndata: b\n\n";

    impl Case {
        fn new() -> Self {
            let mut text = Text::default();
            text.event("data: a\n", "\n");
            text.event("id: 1\ndata: b\n", "\n");
            let frames = vec![(Duration::ZERO, text.said.len())];
            let said = Said { text, frames, end: End::Well, knows: false, total: None };
            let handler = Handler {
                reads: false,
                keeps: false,
                thinks: Duration::ZERO,
                relayed: false,
                answer: Answer::Events(said),
            };
            let script = Script {
                index: 0,
                version: Version::Http1,
                comes: Duration::ZERO,
                accepts_events: true,
                upload: Upload::Nothing,
                reading: Reading::Eager,
                leaves: None,
                connection: None,
                handler,
            };
            let world = World {
                llm: false,
                beat: Beat::default(),
                every: Duration::from_millis(20),
                early: true,
                tight: None,
                ages: false,
                blocks: false,
                drains: vec![],
            };
            let came = Came { status: Some(200), media_type: "text/event-stream".into(), body: vec![] };
            let outcome = Outcome { came, seen: Seen::Finished, sent: true };
            let told = Told {
                cause: EndCause::Finished,
                bytes: 0,
                beats: 1,
                age: Duration::from_millis(20),
                drains: false,
            };
            Self { script, world, told: vec![told], outcome, arrived: 1 }.reading(WHOLE)
        }

        fn reading(mut self, body: &str) -> Self {
            self.outcome.came.body = body.as_bytes().to_vec();
            self.told[0].bytes = body.len() as u64;
            self
        }

        fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
            change(&mut self);
            self
        }

        fn because(self, cause: EndCause, beats: u32) -> Self {
            self.with(|case| (case.told[0].cause, case.told[0].beats) = (cause, beats))
        }

        #[track_caller]
        fn is(&self, expected: &str) {
            let Self { script, world, told, outcome, arrived } = self;
            let story = Story { script, world, arrived: *arrived, told, outcome, aborted: false };
            let sentence = judge(&story).err().unwrap_or_default();
            assert!(sentence.contains(expected) && expected.is_empty() == sentence.is_empty(), "{sentence}");
        }
    }

    #[test]
    fn a_stream_that_is_as_it_should_be() {
        Case::new().is("");
        Case::new().reading("data: a\n\nid: 1\ndata: b\n\n").because(EndCause::Finished, 0).is("");
    }

    #[test]
    fn a_corrupted_event() {
        for body in [
            "data: a\n\n:\nid: 1\ndata: x\n\n",
            "data: a\n:\n\nid: 1\ndata: b\n\n",
            "data: a\n\nid: 1\n:\ndata: b\n\n",
            "data: a\n\n:\nid: 1\ndata: b\n\nx",
            "data: a\n\ndata: a\n\n:\nid: 1\ndata: b\n\n",
            "id: 1\ndata: b\n\n:\ndata: a\n\n",
        ] {
            Case::new().reading(body).is("bytes comes");
            // Nor for one that has left.
            Case::new()
                .reading(body)
                .with(|case| {
                    case.outcome.seen = Seen::Left;
                    case.script.leaves = Some(Leaves { when: crate::script::When::Sent, how: How::Fin });
                })
                .is("bytes comes");
        }
    }

    #[test]
    fn a_lost_event_or_a_lost_beat() {
        Case::new().reading("data: a\n\n:\n").is("the client has read");
        Case::new().reading("").because(EndCause::Finished, 0).is("the client has read");
        Case::new().because(EndCause::Finished, 2).is("beats came and 2");
        Case::new().with(|case| case.told[0].bytes += 1).is("bytes came and");
        let cut = |case: &mut Case| case.outcome.seen = Seen::Cut;
        Case::new().reading("data: a\n\n").with(cut).is("has not got all of it");
    }

    #[test]
    fn what_was_said_before_a_failure() {
        let failed = |body| {
            Case::new().reading(body).because(EndCause::Failed, 0).with(|case| {
                case.outcome.seen = Seen::Cut;
                if let Answer::Events(said) = &mut case.script.handler.answer {
                    said.end = End::Fails;
                }
            })
        };
        failed(WHOLE).is("");
        failed("data: a\n\n").is("all that came");
    }

    #[test]
    fn a_report_too_many_or_too_few() {
        Case::new().with(|case| case.told.push(case.told[0])).is("2 reports of 1");
        Case::new().with(|case| case.told.clear()).is("0 reports of 1");
        Case::new().with(|case| case.arrived = 0).is("1 reports of 0");
    }

    #[test]
    fn a_wrong_cause() {
        for cause in [
            EndCause::Abandoned,
            EndCause::Failed,
            EndCause::UpstreamFailed,
            EndCause::Panicked,
            EndCause::TimedOut(Phase::Headers),
            EndCause::TimedOut(Phase::InterChunk),
            EndCause::TimedOut(Phase::Total),
            EndCause::Stalled,
            EndCause::Shed(Shed::QueueFull),
            EndCause::Drained,
            EndCause::DrainCut,
            EndCause::Aged,
        ] {
            Case::new().because(cause, 1).is("is not among");
        }
        // It was drained, and has ended by itself.
        Case::new().because(EndCause::Drained, 1).with(|case| case.told[0].drains = true).is("has read");
    }

    #[test]
    fn an_ending_has_its_cause() {
        let drained = |body| {
            Case::new().reading(body).because(EndCause::Drained, 0).with(|case| case.told[0].drains = true)
        };
        drained("data: a\n\nretry: 500\n\n").is("");
        drained("data: a\n\nretry: 500\n\nretry: 500\n\n").is("bytes comes");
        drained("data: a\n\nid: 1\nretry: 500\n\n").is("bytes comes");
        drained("data: a\n\nevent: timeout\ndata: {\"phase\":\"total\",\"limit_ms\":5}\n\n").is("has read");
        Case::new().reading("data: a\n\nretry: 500\n\n").because(EndCause::Finished, 0).is("has read");

        let limited = |phase: &str| {
            let body =
                format!("data: a\n\nevent: timeout\ndata: {{\"phase\":\"{phase}\",\"limit_ms\":5}}\n\n");
            Case::new().reading(&body).because(EndCause::TimedOut(Phase::InterChunk), 0).with(|case| {
                if let Answer::Events(said) = &mut case.script.handler.answer {
                    said.end = End::Hangs;
                }
            })
        };
        limited("inter-chunk").is("");
        limited("first byte").is("has read");
    }

    #[test]
    fn a_refusal_has_its_cause() {
        let refused = |status: u16, cause| {
            let body = format!("{{\"type\":\"urn:tower-lifeline:queue-full\",\"status\":{status}}}");
            Case::new().reading(&body).because(cause, 0).with(|case| {
                case.outcome.came.status = Some(status);
                case.outcome.came.media_type = "application/problem+json".into();
                case.world.tight = Some((1, 1));
            })
        };
        refused(503, EndCause::Shed(Shed::QueueFull)).is("");
        refused(504, EndCause::Shed(Shed::QueueFull)).is("has read");
        refused(503, EndCause::Finished).is("has read");
    }
}
