//! One request's presence, given up exactly once.

use std::sync::Arc;
use std::task::{Context, Waker};

use super::guests::{Began, Key, Who};
use super::handle::Inner;
use super::report::{Stood, Unfinished, Went};
use crate::body::now;

/// A request that is here. To drop it says that it has gone, and how.
// Not `Clone`: it would go twice.
#[derive(Debug)]
pub(super) struct Guest {
    drain: Arc<Inner>,
    key: Key,
    listens: Option<Waker>,
    went: Went,
    stood: Stood,
}

impl Guest {
    /// `None` when the door is shut.
    pub(super) fn enter(drain: &Arc<Inner>, who: Who) -> Option<Self> {
        let key = drain.guests.enter(who, drain.admits_late()).ok()?;
        Some(Self {
            drain: Arc::clone(drain),
            key,
            listens: None,
            // Until anything else is known.
            went: Went::Abandoned,
            stood: Stood::Unanswered,
        })
    }

    pub(super) fn drain(&self) -> &Arc<Inner> {
        &self.drain
    }

    /// When it began; if it has not, this task is woken when it does.
    pub(super) fn listen(&mut self, waker: &Waker) -> Option<Began> {
        if self.drain.guests.is_begun() {
            return self.drain.guests.began();
        }
        if self.listens.as_ref().is_some_and(|listens| listens.will_wake(waker)) {
            return None;
        }
        self.listens = Some(waker.clone());
        self.drain.guests.listen(self.key, waker.clone())
    }

    /// The same for a future.
    pub(super) fn poll_began(&mut self, cx: &Context<'_>) -> Option<Began> {
        self.listen(cx.waker())
    }

    pub(super) fn stands(&mut self, stood: Stood) {
        self.stood = stood;
    }

    pub(super) fn goes(&mut self, went: Went) {
        self.went = went;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let tally = &self.drain.tally;
        let last = self.drain.guests.leave(self.key, |who| {
            if self.went == Went::Cut {
                tally.names(Unfinished::new(who, now(), self.stood));
            }
            tally.went(self.went);
        });
        if last {
            self.drain.tell();
        }
    }
}
