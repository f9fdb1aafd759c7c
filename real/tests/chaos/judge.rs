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

use tower_lifeline::observe::{EndCause, StreamReport};
use tower_lifeline::{Phase, Shed};

use crate::heard::Heard;
use crate::says::End;
use crate::script::{Answer, How, Leaves, NEVER, Reading, Script, Upload, Version};
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
        Seen::Cut if script.version == Version::Http1 && story.lost_before_a_failure(cause, &said) => {
            Err(format!("the body failed, and {said:?} is all that came of what it said before"))
        }
        Seen::Cut | Seen::Left if outcome.came.body.len() as u64 > told.bytes => {
            Err(format!("{} bytes came and {} were sent", outcome.came.body.len(), told.bytes))
        }
        _ => Ok(()),
    }
}

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

    /// Over HTTP/2 a failure may overtake the frame before it when the thread of the connection does not run for 5 ms:
    /// hyper then has both at once. On a machine with nothing else to do it never happens.
    pub fn is_overtaken(&self) -> bool {
        let (Some(told), Seen::Cut, Version::Http2) =
            (self.told.first(), &self.outcome.seen, self.script.version)
        else {
            return false;
        };
        self.said(told).is_ok_and(|said| self.lost_before_a_failure(told.cause, &said))
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
}

#[cfg(test)]
mod tests;
