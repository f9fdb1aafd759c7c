//! What the layers of one exchange have decided, written down for the one that reports it.
//!
//! Each layer is a shell of its own, so an observing one outside sees a timeout only as an end like any other. It puts a
//! journal into the request's extensions; the others look it up once and note what they do. Where there is none, nothing
//! is noted and nothing is paid. No layer knows who reads it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Extensions, StatusCode};

use crate::gate::Shed;
use crate::heartbeat::Beats;
use crate::observe::Upstream;
use crate::timeout::Phase;

/// One exchange's journal. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Notes>>);

/// All that was noted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notes {
    /// Who ended it, if one of our layers did. The first to say so is right: what comes after is how it ended.
    pub(crate) verdict: Option<Verdict>,
    /// It waits in a gate's queue.
    pub(crate) queued: bool,
    /// How long it has waited there, whatever came of it.
    pub(crate) waited: Duration,
    pub(crate) beats: Beats,
    /// The shortest of the heartbeats' intervals.
    pub(crate) interval: Option<Duration>,
    /// How long its client did not read, all together.
    pub(crate) stalled: Duration,
    /// When the head was sent without waiting for the handler's.
    pub(crate) committed: Option<Instant>,
    /// When the handler's own head was there, if that was after the one that was sent.
    pub(crate) answered: Option<Instant>,
    /// What it said, and whose it was.
    pub(crate) status: Option<StatusCode>,
    pub(crate) upstream: Option<Upstream>,
    /// There was none, or its body broke off, and the client was told in the stream.
    pub(crate) failed: bool,
    /// An idle timer on the way: not to be noted by layers, but told to those whom it helps.
    pub(crate) idle_timer: Option<Duration>,
}

/// Which layer ended an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    TimedOut(Phase),
    Shed(Shed),
    Stalled,
    Drained,
    /// The same, but there was no time or place for a goodbye.
    DrainCut,
    /// The stream was old enough.
    Aged,
}

impl Journal {
    /// That of the request with these extensions, from now on at the latest.
    pub(crate) fn open(extensions: &mut Extensions) -> Self {
        Self::of(extensions).unwrap_or_else(|| {
            let journal = Self::default();
            extensions.insert(journal.clone());
            journal
        })
    }

    /// There is an idle timer on the way. The first to say so is right.
    pub(crate) fn knows_of(&self, idle_timer: Option<Duration>) {
        if let Some(idle_timer) = idle_timer {
            self.notes().idle_timer.get_or_insert(idle_timer);
        }
    }

    /// That of the request with these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// A limit was reached.
    pub(crate) fn timed_out(&self, phase: Phase) {
        self.ended(Verdict::TimedOut(phase));
    }

    /// A gate refused it.
    pub(crate) fn shed(&self, reason: Shed) {
        self.ended(Verdict::Shed(reason));
    }

    /// It waits for a permit.
    pub(crate) fn queued(&self) {
        self.notes().queued = true;
    }

    /// It has its permit.
    pub(crate) fn admitted(&self) {
        self.notes().queued = false;
    }

    /// It has waited for a permit for so long, and does not any more.
    pub(crate) fn waited(&self, time: Duration) {
        let mut notes = self.notes();
        notes.waited = notes.waited.saturating_add(time);
    }

    /// A heartbeat with this interval has ended.
    pub(crate) fn beaten(&self, beats: Beats, interval: Duration) {
        let mut notes = self.notes();
        notes.beats.sent = notes.beats.sent.saturating_add(beats.sent);
        notes.beats.held = notes.beats.held.saturating_add(beats.held);
        notes.beats.late = notes.beats.late.saturating_add(beats.late);
        notes.beats.unread = notes.beats.unread.saturating_add(beats.unread);
        notes.interval = notes.interval.into_iter().chain([interval]).min();
    }

    /// The client did not read for so long, and has read on.
    pub(crate) fn stalled(&self, time: Duration) {
        let mut notes = self.notes();
        notes.stalled = notes.stalled.saturating_add(time);
    }

    /// The client did not read for so long that it was given up.
    pub(crate) fn stall_cut(&self, time: Duration) {
        self.stalled(time);
        self.ended(Verdict::Stalled);
    }

    /// The server stops, and the stream has said goodbye.
    pub(crate) fn drained(&self) {
        self.ended(Verdict::Drained);
    }

    /// The same, without a goodbye.
    pub(crate) fn drain_cut(&self) {
        self.ended(Verdict::DrainCut);
    }

    /// The stream was old enough to leave.
    pub(crate) fn aged(&self) {
        self.ended(Verdict::Aged);
    }

    /// The head was sent without waiting for the handler's.
    pub(crate) fn committed_early(&self, now: Instant) {
        self.notes().committed.get_or_insert(now);
    }

    /// The handler's own head is there, behind one that was sent early.
    pub(crate) fn answered_late(&self, now: Instant) {
        self.notes().answered.get_or_insert(now);
    }

    /// What the handler's own head says.
    pub(crate) fn answer_is(&self, status: StatusCode, upstream: Option<Upstream>) {
        let mut notes = self.notes();
        notes.status = Some(status);
        notes.upstream = upstream;
    }

    /// The handler or its body failed, and the stream says so and ends.
    pub(crate) fn answer_failed(&self) {
        self.notes().failed = true;
    }

    /// An idle timer on the way, if one has been inferred.
    pub(crate) fn idle_timer(&self) -> Option<Duration> {
        self.notes().idle_timer
    }

    pub(crate) fn read(&self) -> Notes {
        *self.notes()
    }

    fn ended(&self, verdict: Verdict) {
        self.notes().verdict.get_or_insert(verdict);
    }

    // Nothing in here panics while the lock is held, and the notes are whole at every step.
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_end_it_has_ended_it() {
        let check = |note: fn(&Journal), verdict| {
            let journal = Journal::default();
            note(&journal);
            journal.timed_out(Phase::Total);
            journal.shed(Shed::Closed);
            assert_eq!(journal.read().verdict, Some(verdict));
        };
        check(|journal| journal.timed_out(Phase::InterChunk), Verdict::TimedOut(Phase::InterChunk));
        check(|journal| journal.shed(Shed::QueueFull), Verdict::Shed(Shed::QueueFull));
        check(|journal| journal.stall_cut(Duration::ZERO), Verdict::Stalled);
        check(Journal::drained, Verdict::Drained);
        check(Journal::drain_cut, Verdict::DrainCut);
        check(Journal::aged, Verdict::Aged);
    }

    #[test]
    fn several_layers_of_a_kind_add_up() {
        let journal = Journal::default();
        let seconds = Duration::from_secs;
        let beats = |sent, held, late| Beats { sent, held, late, unread: 0 };
        journal.beaten(beats(3, 1, 0), seconds(15));
        journal.beaten(beats(u32::MAX, 0, 2), seconds(20));
        journal.queued();
        journal.waited(seconds(2));
        journal.admitted();
        journal.stalled(seconds(1));
        journal.stall_cut(seconds(30));
        let notes = journal.read();
        assert_eq!(notes.beats, beats(u32::MAX, 1, 2));
        assert_eq!(notes.interval, Some(seconds(15)));
        assert_eq!((notes.queued, notes.waited, notes.stalled), (false, seconds(2), seconds(31)));
    }

    #[test]
    fn both_heads_of_an_early_commit_are_kept() {
        let journal = Journal::default();
        let now = crate::body::now();
        journal.committed_early(now);
        journal.answered_late(now + Duration::from_secs(9));
        journal.answer_is(StatusCode::BAD_GATEWAY, Some(Upstream::Failed));
        journal.answer_failed();
        let notes = journal.read();
        assert_eq!((notes.status, notes.failed), (Some(StatusCode::BAD_GATEWAY), true));
        assert_eq!(notes.upstream, Some(Upstream::Failed));
        assert_eq!((notes.committed, notes.answered), (Some(now), Some(now + Duration::from_secs(9))));
    }

    #[test]
    fn a_request_without_one_notes_nothing() {
        let mut extensions = Extensions::new();
        assert!(Journal::of(&extensions).is_none());
        Journal::open(&mut extensions).knows_of(Some(Duration::from_secs(60)));
        let journal = Journal::of(&extensions).unwrap();
        assert_eq!(journal.idle_timer(), Some(Duration::from_secs(60)));
        journal.queued();
        assert!(Journal::of(&extensions).unwrap().read().queued, "clones are the same one");
    }
}
