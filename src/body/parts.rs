//! What a stream can have, each optional, and who wins in one turn.
//!
//! A part answers a question with a wish and knows no other part. Only the shell writes bytes.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::end::{Fault, StreamEnd};
use super::facts::Facts;
use super::journal::Journal;
use super::timer;
use crate::dialect::Tracker;
use crate::drain::{self, Stay};
use crate::heartbeat::{self, Plan, Pulse};
use crate::observe::Draft;
use crate::reject::Said;
use crate::stall::Above;
use crate::timeout::{self, Bounds, Schedule};

/// What each part was told when it was set up. Off is `None`.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) heartbeat: Option<Arc<Plan>>,
    pub(crate) timeouts: Option<Bounds>,
    pub(crate) more: Option<Box<More>>,
}

/// Parts that need little on the way of a frame, behind one pointer for all of them.
#[derive(Debug, Default)]
pub(crate) struct More {
    pub(crate) drain: Option<Box<Stay>>,
    /// Where somebody outside wants to know what the parts decide.
    pub(crate) journal: Option<Journal>,
    pub(crate) report: Option<Box<Draft>>,
    /// What the client still waits for, where it knows how much that is.
    pub(crate) owed: Option<u64>,
    /// Where somebody beneath the shell has to know what the reader has been given.
    pub(crate) above: Option<Above>,
}

impl More {
    /// What most parts have: at most a journal.
    pub(crate) fn with(journal: Option<Journal>) -> Option<Box<Self>> {
        journal.map(|journal| Box::new(Self { journal: Some(journal), ..Self::default() }))
    }
}

/// What each part remembers of a stream that waits.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Since when nobody has written anything.
    silent_since: Instant,
    pulse: Option<Pulse>,
    schedule: Option<Schedule>,
}

/// A part's answer to "what now?", asked while the inner body is pending. The later variant wins.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Nothing before this instant, if there is one. `settled`: bytes can only move it later.
    Nothing { until: Option<Instant>, settled: bool },
    /// These bytes, which are whole in themselves.
    Beat(Bytes),
    /// The end.
    End(Cut),
}

/// Why a stream is over before its end, and what is said about it.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) fault: Fault,
    pub(crate) said: Said,
}

impl Parts {
    /// Those of two bodies around one response. What both have is the outer one's.
    #[inline]
    pub(crate) fn and_inner(&mut self, inner: &mut Self) {
        either(&mut self.heartbeat, &mut inner.heartbeat);
        either(&mut self.timeouts, &mut inner.timeouts);
        if let (Some(ours), Some(inner)) = (&mut self.more, &mut inner.more) {
            either(&mut ours.drain, &mut inner.drain);
            either(&mut ours.journal, &mut inner.journal);
            either(&mut ours.report, &mut inner.report);
            either(&mut ours.owed, &mut inner.owed);
            either(&mut ours.above, &mut inner.above);
        }
        either(&mut self.more, &mut inner.more);
        // Nobody is told an end of what is left in there.
        *inner = Self::default();
    }

    /// Whether no part wants to know how the stream ends.
    #[inline]
    pub(crate) fn has_nobody_to_tell(&self) -> bool {
        self.heartbeat.is_none() && self.more.is_none()
    }

    /// Whether any part has something to say. A report only listens.
    pub(crate) fn is_empty(&self) -> bool {
        self.heartbeat.is_none() && self.timeouts.is_none() && self.drain().is_none()
    }

    fn drain(&self) -> Option<&Stay> {
        self.more.as_ref()?.drain.as_deref()
    }

    fn drain_mut(&mut self) -> Option<&mut Stay> {
        self.more.as_mut()?.drain.as_deref_mut()
    }

    fn journal(&self) -> Option<&Journal> {
        self.more.as_ref()?.journal.as_ref()
    }

    /// A frame goes out, after which the wire stands here.
    #[inline]
    pub(crate) fn passed(&mut self, frame: &Frame<Bytes>, tracker: &Tracker) {
        let Some(more) = &mut self.more else {
            return;
        };
        if let Some(report) = &mut more.report {
            report.seen.passed(frame, tracker);
        }
        if let Some(owed) = &mut more.owed {
            *owed = owed.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
    }

    /// Whether the client has all that it waits for.
    pub(crate) fn has_delivered(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.owed == Some(0))
    }

    #[inline]
    pub(crate) fn report(&mut self) -> Option<&mut Draft> {
        self.more.as_mut()?.report.as_deref_mut()
    }

    /// To be told the end, once.
    pub(crate) fn take_report(&mut self) -> Option<Box<Draft>> {
        self.more.as_mut()?.report.take()
    }

    /// Whether there is something that a body that is always ready must not outrun.
    #[inline]
    pub(crate) fn is_absolute(&self) -> bool {
        self.drain().is_some() || self.timeouts.as_ref().is_some_and(Bounds::is_absolute)
    }

    /// Whether what the producer has said counts for the limits, which may ask for less than others do.
    #[inline]
    pub(crate) fn is_progress(&self, content: bool, bytes: bool) -> bool {
        content || bytes && self.timeouts.as_ref().is_some_and(Bounds::counts_any_byte)
    }

    /// Whether somebody outside has something to say that the parts have not heard.
    pub(crate) fn is_told(&self) -> bool {
        self.drain().is_some_and(Stay::is_told)
    }

    /// Whoever speaks from outside wakes this task from now on.
    pub(crate) fn listen(&mut self, waker: &Waker) {
        if let Some(stay) = self.drain_mut() {
            stay.listen(waker);
        }
    }

    /// What the inner body's hint is worth when bytes may be added, or the end may come early.
    #[inline]
    pub(crate) fn widened(&self, hint: SizeHint, facts: &Facts) -> SizeHint {
        let limited = self.timeouts.as_ref().is_some_and(|bounds| bounds.may_end_well(facts.tracker()));
        if limited || self.drain().is_some_and(Stay::may_end_well) {
            return SizeHint::new();
        }
        if self.heartbeat.is_none() {
            return hint;
        }
        let mut open = SizeHint::new();
        open.set_lower(hint.lower().saturating_sub(facts.may_drop()));
        open
    }

    /// Asked now and then while the inner body is always ready.
    pub(crate) fn outrun(&mut self, facts: &mut Facts, now: Instant) -> Option<Cut> {
        let over = |bounds: &Bounds| Some(bounds.cut(bounds.total()?.over(now)?, facts.standing()));
        if let Some(cut) = self.timeouts.as_ref().and_then(over) {
            return Some(cut);
        }
        match self.drain_mut()?.due(facts.standing(), now) {
            drain::Due::Over(cut) => Some(cut),
            drain::Due::At(_) => None,
            drain::Due::Boundary { .. } => {
                facts.look_at_every_frame();
                None
            }
        }
    }

    /// Notes that a part ends the stream.
    pub(crate) fn note(&self, cut: &Cut) {
        let Some(journal) = self.journal() else {
            return;
        };
        match (cut.fault, &cut.said) {
            (Fault::Timeout(error), _) => journal.timed_out(error.phase()),
            (Fault::Drain(error), _) if error.end() == StreamEnd::Aged => journal.aged(),
            (Fault::Drain(_), Said::Abort) => journal.drain_cut(),
            (Fault::Drain(_), _) => journal.drained(),
        }
    }

    /// A beat goes out, of which nobody beneath the shell would know.
    pub(crate) fn beat_is_given(&self, beat: &Bytes) {
        if let Some(above) = self.more.as_ref().and_then(|more| more.above.as_ref()) {
            above.gives(beat.len());
        }
    }

    /// Somebody waits for the stream, behind bytes or for the first time.
    #[inline]
    pub(crate) fn wait_is_seen(&mut self, written: Option<bool>, now: impl FnOnce() -> Instant) {
        if let Some(report) = self.report() {
            if written.is_some() || !report.seen.has_waited() {
                report.waits(written, now());
            }
        }
    }

    /// Tells the end. What is told by being there is told by [`leave`](Self::leave), or when all of it is dropped.
    #[inline]
    pub(crate) fn ended(&mut self, memory: Option<&Memory>, end: StreamEnd) {
        if let Some(plan) = self.heartbeat.take() {
            let pulse = memory.and_then(|memory| memory.pulse.as_ref());
            let beats = pulse.map(Pulse::beats).unwrap_or_default();
            plan.ended(end, beats);
            if let Some(journal) = self.journal() {
                journal.beaten(beats, plan.settings.interval());
            }
        }
        self.timeouts = None;
        if let (Some(stay), StreamEnd::Dropped, Some(journal)) = (self.drain(), end, self.journal()) {
            // Nobody asks a stream whose client does not read: the server's end cuts it.
            if stay.is_overdue(timer::now()) {
                journal.drain_cut();
            }
        }
        if let Some(stay) = self.drain_mut() {
            stay.ended(end);
        }
    }

    /// There is nothing left for which a drain would have to wait.
    pub(crate) fn leave(&mut self) {
        if let Some(more) = &mut self.more {
            more.drain = None;
        }
    }
}

#[inline]
fn either<T>(outer: &mut Option<T>, inner: &mut Option<T>) {
    if outer.is_none() && inner.is_some() {
        *outer = inner.take();
    }
}

impl Memory {
    /// The stream waits for the first time.
    pub(crate) fn new(parts: &Parts, facts: &Facts, now: Instant) -> Self {
        let content = facts.has_content();
        let progress = parts.is_progress(content, facts.has_bytes());
        let pulse =
            |plan: &Arc<Plan>| Pulse::new(&plan.settings, plan.seeds.next(), facts.spoken, content, now);
        Self {
            silent_since: now,
            pulse: parts.heartbeat.as_ref().map(pulse),
            schedule: parts.timeouts.as_ref().map(|_| Schedule::new(progress, now)),
        }
    }

    /// The stream waits again after bytes of anybody.
    pub(crate) fn waits_again(&mut self, content: bool, progress: bool, now: Instant) {
        self.silent_since = now;
        if let Some(pulse) = &mut self.pulse {
            pulse.waits_again(content);
        }
        if let Some(schedule) = &mut self.schedule {
            schedule.waits_again(progress, now);
        }
    }

    /// The timer has gone off, and frames have gone out since somebody last waited.
    #[cold]
    pub(crate) fn asked_again(&mut self, parts: &Parts, frames: u32, now: Instant) {
        if let (Some(plan), Some(pulse)) = (&parts.heartbeat, &mut self.pulse) {
            if let Some(event) = pulse.asked_again(&plan.settings, frames, self.silent_since, now) {
                plan.tell(&event, now);
            }
        }
    }

    pub(crate) fn silent_since(&self) -> Instant {
        self.silent_since
    }

    /// An end goes before a beat, and a beat before nothing.
    pub(crate) fn wish(&mut self, parts: &mut Parts, facts: &mut Facts, now: Instant) -> Wish {
        let (mut until, mut settled) = (None, true);
        if let (Some(bounds), Some(schedule)) = (&parts.timeouts, &mut self.schedule) {
            match schedule.due(bounds.limits(), bounds.total(), now) {
                timeout::Due::Over(error) => return Wish::End(bounds.cut(error, facts.standing())),
                timeout::Due::At(at) => until = at,
            }
        }
        if let Some(stay) = parts.drain_mut() {
            match stay.due(facts.standing(), now) {
                drain::Due::Over(cut) => return Wish::End(cut),
                drain::Due::At(at) => until = until.into_iter().chain(at).min(),
                drain::Due::Boundary { at_the_latest } => {
                    facts.look_at_every_frame();
                    until = until.into_iter().chain(at_the_latest).min();
                    settled = false;
                }
            }
        }
        if let (Some(plan), Some(pulse), false) = (&parts.heartbeat, &mut self.pulse, facts.over()) {
            let (due, event) = pulse.due(&plan.settings, facts.standing().place(), self.silent_since, now);
            if let Some(event) = event {
                plan.tell(&event, now);
            }
            match due {
                heartbeat::Due::At(at) => until = until.into_iter().chain([at]).min(),
                heartbeat::Due::Written(at) => {
                    until = until.into_iter().chain(at).min();
                    settled = false;
                }
                heartbeat::Due::Beat => {
                    let beat = plan.bytes(facts.tracker(), pulse.beats().sent == 0);
                    pulse.beaten(&plan.settings, now);
                    return Wish::Beat(beat);
                }
            }
        }
        Wish::Nothing { until, settled }
    }
}
