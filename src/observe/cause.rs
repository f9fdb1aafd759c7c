//! Decides: who ended a stream, why, and when?

use std::fmt;

use crate::StreamEnd;
use crate::body::{Notes, Verdict};
use crate::gate::Shed;
use crate::timeout::Phase;

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndCause {
    /// It said all it had to say: the body has ended, or as many bytes as were announced have gone out, or it is a response
    /// that has no body.
    Finished,
    /// It was dropped before its end, and nobody here has said why: the client left, or something on the way did.
    Abandoned,
    /// The handler or its body failed.
    Failed,
    /// The same, and [`Upstream`] says that another server is to blame.
    UpstreamFailed,
    /// The handler or its body panicked.
    Panicked,
    /// A limit of a [`TimeoutLayer`](crate::TimeoutLayer) or a [`RequestBodyTimeoutLayer`](crate::RequestBodyTimeoutLayer)
    /// was reached.
    TimedOut(Phase),
    /// The client has not read for too long.
    Stalled,
    /// A [`GateLayer`](crate::GateLayer) refused it.
    Shed(Shed),
    /// The server is about to stop, and the stream has said goodbye.
    Drained,
    /// The server is about to stop, and there was no time or place for a goodbye.
    DrainCut,
    /// It was old enough to make room for a new one.
    Aged,
}

/// Who ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndedBy {
    /// Nobody: it came to its own end.
    Itself,
    /// The client, or something between it and this server.
    Client,
    /// The handler.
    Server,
    /// A server behind this one.
    Upstream,
    /// A limit.
    Timer,
    /// A drain.
    Drain,
    /// A gate.
    Gate,
}

/// How far a stream had got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum When {
    /// It waited for a permit, or was refused one.
    Queue,
    /// There was no response head yet.
    Head,
    /// There was a head and no content.
    FirstByte,
    /// There was content.
    Streaming,
}

/// In a response's extensions: what another server has to do with it, so that its failures are not billed to this one.
///
/// ```
/// use tower_lifeline::observe::Upstream;
///
/// let mut relayed = http::Response::new("a body that comes from there");
/// relayed.extensions_mut().insert(Upstream::Relayed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upstream {
    /// The body comes from there: when it fails, the upstream has failed.
    Relayed,
    /// It has failed, and this is the answer that says so.
    Failed,
}

impl EndCause {
    /// Who that was.
    #[must_use]
    pub fn by(self) -> EndedBy {
        match self {
            Self::Finished => EndedBy::Itself,
            Self::Abandoned => EndedBy::Client,
            Self::Failed | Self::Panicked => EndedBy::Server,
            Self::UpstreamFailed => EndedBy::Upstream,
            Self::TimedOut(_) | Self::Stalled => EndedBy::Timer,
            Self::Shed(_) => EndedBy::Gate,
            Self::Drained | Self::DrainCut | Self::Aged => EndedBy::Drain,
        }
    }

    /// One word for a label. Which limit it was, and why a gate refused, is not in it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
            Self::UpstreamFailed => "upstream_failed",
            Self::Panicked => "panicked",
            Self::TimedOut(_) => "timed_out",
            Self::Stalled => "stalled",
            Self::Shed(_) => "shed",
            Self::Drained => "drained",
            Self::DrainCut => "drain_cut",
            Self::Aged => "aged",
        }
    }
}

impl EndedBy {
    /// For a label, and its first letter is that of the [code](super#codes); `-` for a stream that ended by itself.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Itself => "-",
            Self::Client => "client",
            Self::Server => "server",
            Self::Upstream => "upstream",
            Self::Timer => "timer",
            Self::Drain => "drain",
            Self::Gate => "gate",
        }
    }
}

impl When {
    /// For a label. Its first letter is that of the [code](super#codes), but `first_byte` has a `B`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Head => "head",
            Self::FirstByte => "first_byte",
            Self::Streaming => "streaming",
        }
    }
}

/// Two letters: who, and when.
pub(super) fn code(cause: EndCause, when: When) -> &'static str {
    use When::{FirstByte, Head, Queue, Streaming};
    match (cause.by(), when) {
        (EndedBy::Itself, _) => "--",
        (EndedBy::Client, Queue) => "CQ",
        (EndedBy::Client, Head) => "CH",
        (EndedBy::Client, FirstByte) => "CB",
        (EndedBy::Client, Streaming) => "CS",
        (EndedBy::Server, Queue) => "SQ",
        (EndedBy::Server, Head) => "SH",
        (EndedBy::Server, FirstByte) => "SB",
        (EndedBy::Server, Streaming) => "SS",
        (EndedBy::Upstream, Queue) => "UQ",
        (EndedBy::Upstream, Head) => "UH",
        (EndedBy::Upstream, FirstByte) => "UB",
        (EndedBy::Upstream, Streaming) => "US",
        (EndedBy::Timer, Queue) => "TQ",
        (EndedBy::Timer, Head) => "TH",
        (EndedBy::Timer, FirstByte) => "TB",
        (EndedBy::Timer, Streaming) => "TS",
        (EndedBy::Drain, Queue) => "DQ",
        (EndedBy::Drain, Head) => "DH",
        (EndedBy::Drain, FirstByte) => "DB",
        (EndedBy::Drain, Streaming) => "DS",
        (EndedBy::Gate, Queue) => "GQ",
        (EndedBy::Gate, Head) => "GH",
        (EndedBy::Gate, FirstByte) => "GB",
        (EndedBy::Gate, Streaming) => "GS",
    }
}

/// What is known of an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// How the body, or the future in front of it, has ended.
    pub(super) end: StreamEnd,
    /// When one of our layers had already ended it at its head, the head is that layer's.
    pub(super) head: Option<Head>,
    /// There was content.
    pub(super) content: bool,
    pub(super) panicking: bool,
}

/// What is known of a response head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Somebody had ended the exchange, and this is how it is told.
    pub(super) is_the_end: bool,
    pub(super) upstream: Option<Upstream>,
}

pub(super) fn decide(known: &Known, notes: &Notes) -> (EndCause, When) {
    let cause = match notes.verdict {
        Some(Verdict::TimedOut(phase)) => EndCause::TimedOut(phase),
        Some(Verdict::Shed(reason)) => EndCause::Shed(reason),
        Some(Verdict::Stalled) => EndCause::Stalled,
        Some(Verdict::Drained) => EndCause::Drained,
        Some(Verdict::DrainCut) => EndCause::DrainCut,
        Some(Verdict::Aged) => EndCause::Aged,
        None => without_verdict(known, notes),
    };
    let when =
        match known.head {
            _ if matches!(cause, EndCause::Shed(_)) || notes.queued => When::Queue,
            Some(Head { is_the_end: false, upstream }) if upstream != Some(Upstream::Failed) => {
                if known.content { When::Streaming } else { When::FirstByte }
            }
            Some(_) | None => When::Head,
        };
    (cause, when)
}

fn without_verdict(known: &Known, notes: &Notes) -> EndCause {
    // Behind an early head the handler's own is nowhere else.
    let upstream = known.head.and_then(|head| head.upstream).or(notes.upstream);
    match known.end {
        _ if upstream == Some(Upstream::Failed) => EndCause::UpstreamFailed,
        _ if notes.failed && upstream.is_some() => EndCause::UpstreamFailed,
        _ if notes.failed => EndCause::Failed,
        StreamEnd::Finished => EndCause::Finished,
        StreamEnd::Failed if upstream.is_some() => EndCause::UpstreamFailed,
        StreamEnd::Failed => EndCause::Failed,
        StreamEnd::TimedOut(phase) => EndCause::TimedOut(phase),
        StreamEnd::Drained => EndCause::Drained,
        StreamEnd::Aged => EndCause::Aged,
        StreamEnd::Dropped if known.panicking => EndCause::Panicked,
        StreamEnd::Dropped => EndCause::Abandoned,
    }
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(phase) => write!(f, "timed out ({phase})"),
            Self::Shed(reason) => write!(f, "shed ({})", reason.word()),
            Self::UpstreamFailed => f.write_str("upstream failed"),
            Self::DrainCut => f.write_str("cut by drain"),
            other => f.write_str(other.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Head = Head { is_the_end: false, upstream: None };
    const OURS: Head = Head { is_the_end: true, upstream: None };

    /// Words are labels of metrics and values of logs: who changes one breaks dashboards.
    #[test]
    fn words() {
        let causes = [
            (EndCause::Finished, "finished by -: finished"),
            (EndCause::Abandoned, "abandoned by client: abandoned"),
            (EndCause::Failed, "failed by server: failed"),
            (EndCause::UpstreamFailed, "upstream_failed by upstream: upstream failed"),
            (EndCause::Panicked, "panicked by server: panicked"),
            (EndCause::TimedOut(Phase::FirstByte), "timed_out by timer: timed out (first byte)"),
            (EndCause::Stalled, "stalled by timer: stalled"),
            (EndCause::Shed(Shed::QueueFull), "shed by gate: shed (queue_full)"),
            (EndCause::Drained, "drained by drain: drained"),
            (EndCause::DrainCut, "drain_cut by drain: cut by drain"),
            (EndCause::Aged, "aged by drain: aged"),
        ];
        for (cause, words) in causes {
            assert_eq!(format!("{} by {}: {cause}", cause.word(), cause.by().word()), words);
        }
        let whens = [When::Queue, When::Head, When::FirstByte, When::Streaming];
        assert_eq!(whens.map(When::word), ["queue", "head", "first_byte", "streaming"]);
    }

    #[track_caller]
    fn check(verdict: Option<Verdict>, known: Known, cause: EndCause, letters: &str) {
        let notes = Notes { verdict, ..Notes::default() };
        let (decided, when) = decide(&known, &notes);
        assert_eq!((decided, code(decided, when)), (cause, letters), "{known:?} {verdict:?}");
    }

    fn known(end: StreamEnd, head: Option<Head>, content: bool) -> Known {
        Known { end, head, content, panicking: false }
    }

    #[test]
    fn without_anybodys_word_the_body_tells() {
        use EndCause::*;
        let dropped = |head, content| known(StreamEnd::Dropped, head, content);
        check(None, known(StreamEnd::Finished, Some(PLAIN), true), Finished, "--");
        check(None, dropped(None, false), Abandoned, "CH");
        check(None, dropped(Some(PLAIN), false), Abandoned, "CB");
        check(None, dropped(Some(PLAIN), true), Abandoned, "CS");
        check(None, known(StreamEnd::Failed, None, false), Failed, "SH");
        check(None, known(StreamEnd::Failed, Some(PLAIN), false), Failed, "SB");
        check(None, known(StreamEnd::Failed, Some(PLAIN), true), Failed, "SS");
        check(None, Known { panicking: true, ..dropped(None, false) }, Panicked, "SH");
        check(None, Known { panicking: true, ..dropped(Some(PLAIN), true) }, Panicked, "SS");
    }

    #[test]
    fn an_upstream_is_blamed_when_it_was_named() {
        let relayed = Head { upstream: Some(Upstream::Relayed), ..PLAIN };
        let failed = Head { upstream: Some(Upstream::Failed), ..PLAIN };
        check(None, known(StreamEnd::Failed, Some(relayed), true), EndCause::UpstreamFailed, "US");
        check(None, known(StreamEnd::Failed, Some(relayed), false), EndCause::UpstreamFailed, "UB");
        check(None, known(StreamEnd::Finished, Some(failed), true), EndCause::UpstreamFailed, "UH");
        check(None, known(StreamEnd::Dropped, Some(relayed), true), EndCause::Abandoned, "CS");
        check(None, known(StreamEnd::Finished, Some(relayed), true), EndCause::Finished, "--");
    }

    #[test]
    fn whoever_of_us_has_ended_it_has_ended_it_however_it_looks() {
        let timed_out = |phase| Some(Verdict::TimedOut(phase));
        let cut = |phase| EndCause::TimedOut(phase);
        for end in [StreamEnd::Finished, StreamEnd::Failed, StreamEnd::Dropped] {
            check(timed_out(Phase::Headers), known(end, Some(OURS), true), cut(Phase::Headers), "TH");
            check(timed_out(Phase::FirstByte), known(end, Some(PLAIN), false), cut(Phase::FirstByte), "TB");
            check(timed_out(Phase::Total), known(end, Some(PLAIN), true), cut(Phase::Total), "TS");
            let shed = Shed::QueueFull;
            check(Some(Verdict::Shed(shed)), known(end, Some(OURS), true), EndCause::Shed(shed), "GQ");
            check(Some(Verdict::Stalled), known(end, Some(PLAIN), true), EndCause::Stalled, "TS");
            check(Some(Verdict::Drained), known(end, Some(PLAIN), true), EndCause::Drained, "DS");
            check(Some(Verdict::DrainCut), known(end, Some(OURS), true), EndCause::DrainCut, "DH");
            check(Some(Verdict::Aged), known(end, Some(PLAIN), true), EndCause::Aged, "DS");
        }
    }

    #[test]
    fn what_failed_behind_an_early_head_has_failed_however_well_the_stream_ends() {
        let behind = |notes: Notes| decide(&known(StreamEnd::Finished, Some(PLAIN), true), &notes).0;
        let relayed = Some(Upstream::Relayed);
        assert_eq!(behind(Notes { failed: true, ..Notes::default() }), EndCause::Failed);
        assert_eq!(
            behind(Notes { failed: true, upstream: relayed, ..Notes::default() }),
            EndCause::UpstreamFailed
        );
        assert_eq!(
            behind(Notes { upstream: Some(Upstream::Failed), ..Notes::default() }),
            EndCause::UpstreamFailed
        );
        assert_eq!(behind(Notes { upstream: relayed, ..Notes::default() }), EndCause::Finished);
    }

    #[test]
    fn a_client_that_leaves_the_queue_is_told_from_one_that_leaves_a_handler() {
        let waiting = Notes { queued: true, ..Notes::default() };
        let (cause, when) = decide(&known(StreamEnd::Dropped, None, false), &waiting);
        assert_eq!(code(cause, when), "CQ");
    }
}
