//! What has gone by, worked out once for all parts.

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use crate::dialect::sse::Boundary;
use crate::dialect::{Progress, Tracker};

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// So many frames may go by without a look at the clock.
const PATIENCE: u8 = 63;

/// The patience of those who never look.
const ENDLESS: u8 = u8::MAX;

/// From here on a frame counts for several.
const LARGE: usize = 4096;

/// What the parts of a stream want to know of its bytes, beside where the wire stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Nothing,
    Content,
    AnyByte,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    tracker: Tracker,
    progress: Progress,
    /// Not every byte is content.
    choosy: bool,
    /// What comes has to be looked at for content, because there has been none since the last wait.
    seeks: bool,
    /// Frames that went out since the last wait: one bit for each, up to eight.
    written: u8,
    /// The same when that was last asked: nobody can have flushed them before the turn is over.
    pub(crate) fresh: bool,
    /// One of those was a beat: no wait has two.
    beat: bool,
    /// The inner body has given bytes.
    pub(crate) spoken: bool,
    /// A part has wanted the end while the inner body was ready.
    called: bool,
    /// Nothing can follow: trailers have passed, or the inner body says that it is at its end.
    over: bool,
    /// How many frames may still go by before the clock is read again, where large ones count for several.
    left: u8,
    /// The same behind a wait or a look.
    patience: u8,
    /// Empty frames that went by while every other is looked at.
    empty: u8,
    /// A beat went out before the inner body's first byte, so a BOM is not at the start any more and has to go.
    bom: Bom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bom {
    Passes,
    /// So many bytes of it have been kept back.
    Dropped(u8),
}

impl Facts {
    #[inline]
    pub(crate) fn new(tracker: Tracker, watch: Watch) -> Self {
        let progress = if watch == Watch::Content { tracker.progress() } else { Progress::AnyByte };
        let choosy = progress != Progress::AnyByte;
        Self {
            tracker,
            progress,
            choosy,
            seeks: choosy,
            written: 0,
            fresh: false,
            beat: false,
            spoken: false,
            called: false,
            over: false,
            left: ENDLESS,
            patience: ENDLESS,
            empty: 0,
            bom: Bom::Passes,
        }
    }

    /// Of two bodies around one response that nobody has polled: those of the one that looks closer. What they look for
    /// follows from the response, so they differ in nothing else.
    #[inline]
    pub(crate) fn or_closer(self, other: Self) -> Self {
        let closeness = |facts: &Self| (facts.choosy, facts.tracker != Tracker::Opaque);
        if closeness(&other) > closeness(&self) { other } else { self }
    }

    pub(crate) fn tracker(&self) -> Tracker {
        self.tracker
    }

    #[inline]
    pub(crate) fn tracker_ref(&self) -> &Tracker {
        &self.tracker
    }

    /// What may still be written is a question to this one.
    pub(crate) fn standing(&self) -> Tracker {
        if self.over || self.keeps_bytes() { Tracker::Opaque } else { self.tracker }
    }

    /// The most that a body may fall short of the inner body's own lower bound.
    pub(crate) fn may_drop(&self) -> u64 {
        match self.bom {
            // A beat may still come first, and be shorter than the BOM for which there is no place then.
            Bom::Passes if self.tracker == Tracker::EventStream(Boundary::Start) => BOM.len() as u64,
            Bom::Passes => 0,
            Bom::Dropped(kept) => BOM.len() as u64 - u64::from(kept),
        }
    }

    #[inline]
    pub(crate) fn passed(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref() else {
            self.over = true;
            return;
        };
        // An empty frame puts nothing on the wire, so it breaks no silence.
        if data.is_empty() {
            return;
        }
        self.written = (self.written << 1) | 1;
        self.spoken = true;
        if self.seeks {
            self.seeks = !self.progress.advance(self.tracker, data);
        }
        self.tracker.advance(data);
    }

    /// So many frames or bytes in a row without a look at the clock that it is time for one: 64, or 256 KiB.
    #[inline]
    pub(crate) fn runs_long(&mut self, frame: &Frame<Bytes>) -> bool {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if self.left == 0 || bytes >= LARGE {
            return self.weighs(bytes);
        }
        self.left -= 1;
        false
    }

    #[cold]
    fn weighs(&mut self, bytes: usize) -> bool {
        // Where the stream stands is not changed by an empty frame.
        if bytes == 0 && self.patience == 0 && self.empty < PATIENCE {
            self.empty += 1;
            return false;
        }
        self.empty = 0;
        let left = u8::try_from(1 + bytes / LARGE).ok().and_then(|weight| self.left.checked_sub(weight));
        self.left = left.unwrap_or(self.patience);
        left.is_none() && self.patience != ENDLESS
    }

    /// There is something that a body that is always ready must not outrun.
    pub(crate) fn look_now_and_then(&mut self) {
        self.patience = PATIENCE;
        self.left = PATIENCE;
    }

    /// A part waits for the next place between two messages.
    pub(crate) fn look_at_every_frame(&mut self) {
        self.patience = 0;
        self.left = 0;
    }

    /// A part wants the end, and the next frame is the last. Whether one has wanted it before.
    pub(crate) fn is_called(&mut self) -> bool {
        self.look_at_every_frame();
        std::mem::replace(&mut self.called, true)
    }

    pub(crate) fn is_over(&mut self) {
        self.over = true;
    }

    pub(crate) fn over(&self) -> bool {
        self.over
    }

    /// Nobody wants to know of further content.
    #[inline]
    pub(crate) fn seek_no_more(&mut self) {
        (self.choosy, self.seeks) = (false, false);
    }

    /// The producer has said something since the last wait.
    pub(crate) fn has_content(&self) -> bool {
        self.written != 0 && !self.seeks
    }

    /// A beat goes out.
    pub(crate) fn beaten(&mut self) {
        self.written = (self.written << 1) | 1;
        self.beat = true;
        self.seeks = true;
        if self.tracker == Tracker::EventStream(Boundary::Start) && self.bom == Bom::Passes {
            self.bom = Bom::Dropped(0);
        }
    }

    /// The producer has given bytes since the last wait, whatever they say.
    pub(crate) fn has_bytes(&self) -> bool {
        self.written.count_ones() > u32::from(self.beat)
    }

    /// How many frames went out since the last wait, up to eight.
    pub(crate) fn frames_written(&self) -> u32 {
        self.written.count_ones()
    }

    /// Whether bytes went out since the last wait, and whether there was content among them.
    pub(crate) fn take_written(&mut self) -> Option<bool> {
        self.left = self.patience;
        self.beat = false;
        let written = std::mem::take(&mut self.written) != 0;
        let seeks = std::mem::replace(&mut self.seeks, self.choosy);
        self.fresh = written;
        written.then_some(!seeks)
    }

    /// Bytes of the inner body are kept back.
    pub(crate) fn keeps_bytes(&self) -> bool {
        matches!(self.bom, Bom::Dropped(1..))
    }

    #[inline]
    pub(crate) fn drops_bom(&self) -> bool {
        self.bom != Bom::Passes
    }

    /// What is left of a chunk when a BOM at the start of the inner body is taken away. It may come in pieces, and what
    /// only begins like one is given back.
    #[cold]
    pub(crate) fn drop_bom(&mut self, mut data: Bytes) -> Bytes {
        let Bom::Dropped(kept) = self.bom else {
            return data;
        };
        let kept = usize::from(kept);
        let more = BOM[kept..].iter().zip(&data).take_while(|(bom, byte)| bom == byte).count();
        if kept + more == BOM.len() {
            self.bom = Bom::Passes;
            self.tracker = Tracker::EventStream(Boundary::Between);
            return data.split_off(more);
        }
        if more == data.len() {
            self.bom = Bom::Dropped((kept + more) as u8);
            return Bytes::new();
        }
        let mut given_back = BytesMut::from(&*self.give_back_bom());
        given_back.extend_from_slice(&data);
        given_back.freeze()
    }

    /// The inner body has ended, or turned out to begin otherwise: what was kept back was no BOM.
    pub(crate) fn give_back_bom(&mut self) -> Bytes {
        match std::mem::replace(&mut self.bom, Bom::Passes) {
            Bom::Passes => Bytes::new(),
            Bom::Dropped(kept) => Bytes::from_static(&BOM[..usize::from(kept)]),
        }
    }
}
