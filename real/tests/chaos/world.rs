//! What all streams of a round have in common, from the seed and the round alone.

use std::time::Duration;

use real::streams::Chance;
use tower_lifeline::Beat;

use crate::script::mixed;

/// So many streams share a gate, and each has a report's labels of its own: there are 256 routes and 64 classes.
pub const ROUND: u64 = 2_000;

pub const HEADERS: Duration = Duration::from_millis(450);
pub const FIRST_BYTE: Duration = Duration::from_millis(600);
pub const INTER_CHUNK: Duration = Duration::from_millis(620);
/// Nobody gets here.
pub const TOTAL: Duration = Duration::from_secs(45);
pub const REQUEST_GAP: Duration = Duration::from_millis(250);
pub const REQUEST_TOTAL: Duration = Duration::from_millis(380);
pub const STALL: Duration = Duration::from_millis(600);
/// By so much a busy machine may stretch what a handler does, all together.
pub const BUSY: Duration = Duration::from_millis(350);
pub const AGE: Duration = Duration::from_secs(1);
pub const EARLY: Duration = Duration::from_millis(40);

#[derive(Clone, Debug)]
pub struct World {
    pub llm: bool,
    pub beat: Beat,
    pub every: Duration,
    pub early: bool,
    /// Permits and places in the queue. `None`: more than there are streams at a time.
    pub tight: Option<(usize, usize)>,
    pub ages: bool,
    pub blocks: bool,
    /// A new server takes over when so many streams have come, and the one before drains.
    pub drains: Vec<u64>,
}

pub fn world(seed: u64, round: u64) -> World {
    let chance = &mut Chance::new(mixed(seed, round, 3));
    let beat = match chance.below(4) {
        0 => Beat::comment_block("alive"),
        1 => Beat::event("ping", "{}"),
        _ => Beat::comment_line(""),
    };
    World {
        llm: chance.one_in(2),
        beat,
        every: Duration::from_millis(15 + chance.below(40) as u64),
        early: chance.below(4) > 0,
        tight: chance.one_in(2).then(|| (20 + chance.below(100), chance.below(100))),
        ages: chance.one_in(3),
        blocks: chance.below(4) > 0,
        drains: (0..chance.below(4)).map(|_| chance.below(ROUND as usize) as u64).collect(),
    }
}
