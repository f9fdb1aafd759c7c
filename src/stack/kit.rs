//! Kit: what the shells of nested bodies hold, taken out of them for one shell around the innermost body.

use bytes::Bytes;
use http_body::Body;

use crate::body::{Facts, Parts, Shell, Watch};
use crate::dialect::Tracker;
use crate::stall::Slot;

/// Filled from the outermost shell to the innermost.
pub(super) struct Kit {
    facts: Facts,
    parts: Parts,
}

impl Kit {
    pub(super) fn new() -> Self {
        Self { facts: Facts::new(Tracker::Opaque, Watch::Nothing), parts: Parts::default() }
    }

    /// Takes what is around an inner body that nobody has polled. `Err`: a refusal of the layer that made it, and no inner
    /// body.
    // In place, because bodies around bodies are hundreds of bytes that would be moved once for each.
    #[inline]
    pub(super) fn strip<'a, B>(&mut self, shell: &'a mut Shell<B>) -> Result<&'a mut B, Bytes>
    where
        B: Body<Data = Bytes>,
    {
        let (inner, facts, parts) = shell.strip()?;
        self.facts = self.facts.or_closer(facts);
        self.parts.and_inner(parts);
        Ok(inner)
    }

    /// [`strip`](Self::strip) for the innermost shell.
    #[inline]
    pub(super) fn take<B: Body<Data = Bytes>>(&mut self, shell: &mut Shell<B>) -> Result<B, Bytes> {
        self.strip(shell)?;
        shell.take_inner().ok_or_else(Bytes::new)
    }

    /// The slot beneath this shell hears of its beats: each may be the last thing that a client makes room for, and a
    /// slot that only saw its own frames would take the stream for one that waits for its producer.
    #[inline]
    pub(super) fn beats_above<B>(&mut self, slot: &Slot<B>)
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        if self.parts.heartbeat.is_some() {
            self.parts.more.get_or_insert_default().above = Some(slot.above());
        }
    }

    #[inline]
    pub(super) fn shell<B: Body<Data = Bytes>>(self, inner: B) -> Shell<B> {
        Shell::new(inner, self.facts, self.parts)
    }
}
