//! What a stream can have, each optional, and who wins in one turn.
//!
//! A part answers a question with a wish and knows no other part. Only the shell writes bytes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::end::StreamEnd;
use super::facts::Facts;
use crate::heartbeat::{Due, Plan, Pulse};

/// What each part was told when it was set up. Off is `None`.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) heartbeat: Option<Arc<Plan>>,
}

/// What each part remembers of a stream that waits.
#[derive(Debug)]
pub(crate) struct Memory {
    pulse: Pulse,
}

/// A part's answer to "what now?", asked while the inner body is pending.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Nothing before this instant, or nothing at all before something is written.
    Nothing(Option<Instant>),
    /// These bytes, which are whole in themselves.
    Beat(Bytes),
}

impl Parts {
    /// Whether any part needs to follow the bytes and the time.
    pub(crate) fn is_empty(&self) -> bool {
        self.heartbeat.is_none()
    }

    pub(crate) fn may_add_bytes(&self) -> bool {
        self.heartbeat.is_some()
    }

    /// The stream waits for the first time.
    pub(crate) fn first_wait(&self, facts: &Facts, now: Instant) -> Option<Memory> {
        let plan = self.heartbeat.as_ref()?;
        Some(Memory { pulse: Pulse::new(&plan.settings, plan.seeds.next(), facts.spoken, now) })
    }

    /// Tells the end, once: what has been told is gone.
    pub(crate) fn ended(&mut self, memory: Option<&Memory>, end: StreamEnd) {
        if let Some(plan) = self.heartbeat.take() {
            plan.ended(end, memory.map(|memory| memory.pulse.beats()).unwrap_or_default());
        }
    }
}

impl Memory {
    /// The stream waits again after bytes of anybody.
    pub(crate) fn waits_again(&mut self, content: bool, now: Instant) {
        self.pulse.waits_again(content, now);
    }

    pub(crate) fn wish(&mut self, parts: &Parts, facts: &Facts, now: Instant) -> Wish {
        let Some(plan) = &parts.heartbeat else {
            return Wish::Nothing(None);
        };
        let (due, event) = self.pulse.due(&plan.settings, facts.place(), now);
        if let Some(event) = event {
            plan.tell(&event);
        }
        match due {
            Due::At(at) => Wish::Nothing(at),
            Due::Beat => {
                let beat = plan.bytes(facts.tracker(), self.pulse.beats().sent == 0);
                self.pulse.beaten(&plan.settings, now);
                Wish::Beat(beat)
            }
        }
    }
}
