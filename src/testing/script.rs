//! Bodies that do what is written.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::notation::{self, What};

/// A body that does what is written, in the [notation](super#the-notation) of this module.
///
/// # Panics
///
/// When the text cannot be read, with a sentence that says what was wanted.
#[must_use]
#[track_caller]
pub fn script(text: &str) -> Script {
    match notation::read(text) {
        Ok(items) => Script { items: items.into(), began: None, sleep: None, hints: Hints::None },
        Err(sentence) => panic!("{sentence}"),
    }
}

/// The body that [`script`] makes.
#[derive(Debug)]
pub struct Script {
    items: VecDeque<(Duration, What)>,
    began: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    hints: Hints,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hints {
    None,
    End,
    Length,
}

impl Script {
    /// `is_end_stream` says so as soon as only the end is left, as it does for most bodies that are not streams.
    /// Without this it never does.
    #[must_use]
    pub fn reports_end(mut self) -> Self {
        self.hints = Hints::End;
        self
    }

    /// [`reports_end`](Self::reports_end), and `size_hint` is exact.
    #[must_use]
    pub fn knows_length(mut self) -> Self {
        self.hints = Hints::Length;
        self
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let Some((at, _)) = self.items.front() else {
            return Poll::Pending;
        };
        let at = began + *at;
        if Instant::now() < at {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(match self.items.pop_front() {
            Some((_, What::Data(data))) => Some(Ok(Frame::data(data))),
            Some((_, What::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
            Some((_, What::Error(message))) => Some(Err(ScriptError { message })),
            Some((_, What::End)) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.hints != Hints::None && matches!(self.items.front(), None | Some((_, What::End)))
    }

    fn size_hint(&self) -> SizeHint {
        if self.hints != Hints::Length {
            return SizeHint::new();
        }
        let length = |(_, what): &(Duration, What)| match what {
            What::Data(data) => data.len() as u64,
            What::Trailers(_) | What::End | What::Error(_) => 0,
        };
        SizeHint::with_exact(self.items.iter().map(length).sum())
    }
}

/// The error that a script ends in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScriptError {}
