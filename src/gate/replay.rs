//! ReplayBody: a request body of which the beginning may have been read while its request waited.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The request body that a handler behind a [`GateLayer`](super::GateLayer) gets: the same frames, trailers and errors
    /// as they came. To drop it drops what has been read ahead, and the caller's body.
    pub struct ReplayBody<B: Body> {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B: Body> {
        /// Its request did not wait.
        Untouched { #[pin] body: B },
        /// Its request waited. Boxed, because it was polled and is moved to the handler then.
        Replayed { replay: Pin<Box<Replay<B>>> },
        Over,
    }
}

pin_project! {
    struct Replay<B: Body> {
        read: VecDeque<Result<Frame<Bytes>, B::Error>>,
        kept: usize,
        #[pin]
        rest: Option<B>,
    }
}

impl<B: Body<Data = Bytes>> ReplayBody<B> {
    pub(super) fn untouched(body: B) -> Self {
        Self { state: State::Untouched { body } }
    }

    pub(super) fn to_be_read(body: B) -> Self {
        let replay = Box::pin(Replay { read: VecDeque::new(), kept: 0, rest: Some(body) });
        Self { state: State::Replayed { replay } }
    }

    /// Reads what is there, until `most` bytes are kept. The task is woken when there is more, or when the client has
    /// gone, which is the point.
    pub(super) fn poll_read(&mut self, most: usize, cx: &mut Context<'_>) {
        let State::Replayed { replay } = &mut self.state else {
            return;
        };
        let mut replay = replay.as_mut().project();
        // One frame for each byte would be as bad as too many bytes.
        while *replay.kept < most && replay.read.len() < most.div_ceil(64) {
            let Some(body) = replay.rest.as_mut().as_pin_mut() else {
                return;
            };
            match body.poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => replay.rest.set(None),
                Poll::Ready(Some(item)) => {
                    if item.is_err() {
                        replay.rest.set(None);
                    }
                    *replay.kept += item.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
                    replay.read.push_back(item);
                }
            }
        }
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Untouched { body } => f.debug_tuple("ReplayBody").field(body).finish(),
            State::Replayed { replay } => {
                let Replay { kept, rest, .. } = &**replay;
                f.debug_struct("ReplayBody").field("kept", kept).field("rest", rest).finish_non_exhaustive()
            }
            State::Over => f.write_str("ReplayBody"),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ReplayBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut state = self.project().state;
        let polled = match state.as_mut().project() {
            StateProj::Untouched { body } => body.poll_frame(cx),
            StateProj::Replayed { replay } => {
                let replay = replay.as_mut().project();
                match (replay.read.pop_front(), replay.rest.as_pin_mut()) {
                    (Some(item), _) => Poll::Ready(Some(item)),
                    (None, Some(body)) => body.poll_frame(cx),
                    (None, None) => Poll::Ready(None),
                }
            }
            StateProj::Over => return Poll::Ready(None),
        };
        if let Poll::Ready(Some(Err(_)) | None) = polled {
            state.set(State::Over);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Untouched { body } => body.is_end_stream(),
            State::Replayed { replay } => {
                let Replay { read, rest, .. } = &**replay;
                read.is_empty() && rest.as_ref().is_none_or(|body| body.is_end_stream())
            }
            State::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Untouched { body } => body.size_hint(),
            State::Replayed { replay } => {
                let Replay { read, rest, .. } = &**replay;
                let frames = read.iter().filter_map(|item| item.as_ref().ok()?.data_ref());
                let kept: u64 = frames.map(|data| data.len() as u64).sum();
                let rest = rest.as_ref().map_or(SizeHint::with_exact(0), |body| body.size_hint());
                let mut hint = SizeHint::new();
                if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(kept)) {
                    hint.set_upper(upper);
                }
                hint.set_lower(rest.lower().saturating_add(kept));
                hint
            }
            State::Over => SizeHint::with_exact(0),
        }
    }
}
