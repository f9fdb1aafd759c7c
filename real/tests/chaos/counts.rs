//! What was done in a run, and what became of it.

use std::collections::BTreeMap;
use std::fmt;

use crate::judge::{Outcome, Seen, Told};
use crate::script::Script;

/// Counts for the table of a run.
#[derive(Debug, Default)]
pub struct Counts {
    faults: BTreeMap<&'static str, u64>,
    causes: BTreeMap<String, u64>,
    seen: BTreeMap<&'static str, u64>,
    pub drains: u64,
    /// Failures that came before what was said right before them.
    pub overtaken: u64,
    /// How late the runtime was at most, in milliseconds, in each round.
    pub late: Vec<u64>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.faults {
            writeln!(f, "fault  {count:>7}  {name}")?;
        }
        for (name, count) in &self.causes {
            writeln!(f, "cause  {count:>7}  {name}")?;
        }
        for (name, count) in &self.seen {
            writeln!(f, "seen   {count:>7}  {name}")?;
        }
        writeln!(f, "overtaken {:>4}", self.overtaken)?;
        writeln!(f, "drains {:>7}\nthe runtime was late by at most {:?} ms", self.drains, self.late)
    }
}

impl Counts {
    pub fn add(&mut self, script: &Script, told: &[Told], outcome: &Outcome) {
        for fault in script.faults() {
            *self.faults.entry(fault).or_default() += 1;
        }
        let cause = told.first().map_or("none: it never came".into(), |told| told.cause.to_string());
        *self.causes.entry(cause).or_default() += 1;
        let seen = match outcome.seen {
            Seen::Finished => "a whole response",
            Seen::Cut => "a response that broke off, or none",
            Seen::Left => "left",
            Seen::NoConnection => "no connection",
            Seen::Nonsense(_) | Seen::Hung => "what must not be",
        };
        *self.seen.entry(seen).or_default() += 1;
    }
}
