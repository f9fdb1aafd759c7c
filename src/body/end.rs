//! Decides: has the body ended, and how?

use crate::BoxError;
use crate::drain::DrainError;
use crate::timeout::{Phase, TimeoutError};

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamEnd {
    /// The body said all it had to say. hyper drops such a body without asking for its end when it can tell: the body says
    /// so (`is_end_stream`), or as many bytes as were announced have gone out. That is finished too.
    Finished,
    /// The inner body failed.
    Failed,
    /// A limit was reached, in this phase.
    TimedOut(Phase),
    /// The server is about to stop.
    Drained,
    /// The stream has reached the age at which it makes room for a new one.
    Aged,
    /// The body was dropped before its end: the client left, or the server gave up.
    Dropped,
}

impl StreamEnd {
    /// What a drop means, by whether anybody waited for more.
    pub(crate) fn of_drop(is_at_its_end: bool) -> Self {
        if is_at_its_end { Self::Finished } else { Self::Dropped }
    }
}

/// Why a part ends a stream before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Timeout(TimeoutError),
    Drain(DrainError),
}

impl Fault {
    pub(crate) fn end(&self) -> StreamEnd {
        match self {
            Self::Timeout(error) => StreamEnd::TimedOut(error.phase()),
            Self::Drain(error) => error.end(),
        }
    }
}

impl From<Fault> for BoxError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Timeout(error) => error.into(),
            Fault::Drain(error) => error.into(),
        }
    }
}
