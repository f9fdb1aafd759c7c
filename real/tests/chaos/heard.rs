//! Decides: is what a client has read what its stream has said, and does its end have the cause that was reported?

use serde_json::Value;
use tower_lifeline::Phase;
use tower_lifeline::observe::EndCause;

use crate::judge::{Seen, Story, Told};
use crate::script::Answer;
use crate::text::{self, Text, lossy};
use crate::wire::Came;

/// What a client has read.
#[derive(Debug)]
pub struct Heard {
    /// The handler's own bytes, and how many they would be. `None`: of an answer that is not his.
    pub said: Option<(usize, usize)>,
    pub beats: Option<usize>,
    pub ending: Option<Ending>,
}

/// What a stream says that is neither the handler's nor a beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
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
    /// Compares what came with what was said.
    pub fn said(&self, told: &Told) -> Result<Heard, String> {
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
        let whole = text.said.len();
        let read = match text::read(text, NO_BEAT, body) {
            Ok(read) => read,
            // What the handler would have said next may begin like what came in its place.
            Err(wrong) => {
                let lines = body.strip_suffix(b"\n").unwrap_or(body);
                let begins = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let (said, rest) = body.split_at(begins);
                let ending = self.line(rest).ok().filter(|_| text.said.starts_with(said));
                let ending = Some(ending.ok_or(wrong)?);
                return Ok(Heard { said: Some((begins, whole)), beats: Some(0), ending });
            }
        };
        let ending = match read.rest {
            [] => None,
            rest => Some(self.line(rest)?),
        };
        Ok(Heard { said: Some((read.said, whole)), beats: Some(0), ending })
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
    pub fn ended_well(&self, told: &Told, heard: &Heard) -> Result<(), String> {
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
