//! What the judge must catch.

use super::*;
use crate::says::Said;
use crate::script::{Handler, Version};
use crate::text::Text;
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

    fn story(&self) -> Story<'_> {
        let Self { script, world, told, outcome, arrived } = self;
        Story { script, world, arrived: *arrived, told, outcome, aborted: false }
    }

    #[track_caller]
    fn is(&self, expected: &str) {
        let sentence = judge(&self.story()).err().unwrap_or_default();
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

    let over_http_2 = |body| failed(body).with(|case| case.script.version = Version::Http2);
    over_http_2("data: a\n\n").is("");
    assert!(over_http_2("data: a\n\n").story().is_overtaken());
    assert!(!over_http_2(WHOLE).story().is_overtaken());
    assert!(!failed("data: a\n\n").story().is_overtaken());
    // Who reads nothing more has not been overtaken.
    let slow =
        over_http_2("data: a\n\n").with(|case| case.script.reading = Reading::Stalls(1, Duration::ZERO));
    assert!(!slow.story().is_overtaken());
}

#[test]
fn a_last_line_in_place_of_half_a_line() {
    let limited = |body: &str| {
        let mut text = Text::default();
        text.line("{\"n\":1}\n");
        text.line("{\"error\":1}\n");
        text.cut_off(text.said.len() - 5);
        let frames = vec![(Duration::ZERO, text.said.len())];
        let said = Said { text, frames, end: End::Hangs, knows: false, total: None };
        Case::new().reading(body).because(EndCause::TimedOut(Phase::InterChunk), 0).with(|case| {
            case.script.handler.answer = Answer::Lines(said);
            case.script.accepts_events = false;
            case.outcome.came.media_type = "application/x-ndjson".into();
        })
    };
    let ending = |phase: &str| format!("{{\"error\":\"late\",\"phase\":\"{phase}\",\"limit_ms\":100}}\n");
    limited(&format!("{{\"n\":1}}\n{}", ending("inter-chunk"))).is("");
    limited(&format!("{{\"n\":1}}\n{}", ending("total"))).is("has read");
    limited(&format!("{{\"n\":2}}\n{}", ending("inter-chunk"))).is("a line that nobody says");
    limited(&format!("{{\"n\":1}}\n{{\"error{}", ending("inter-chunk"))).is("inside an event");
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
        let body = format!("data: a\n\nevent: timeout\ndata: {{\"phase\":\"{phase}\",\"limit_ms\":5}}\n\n");
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
