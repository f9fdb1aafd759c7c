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
    /// as they came.
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
        Replayed { read: VecDeque<Result<Frame<Bytes>, B::Error>>, kept: usize, rest: Option<Pin<Box<B>>> },
        Over,
    }
}

impl<B: Body<Data = Bytes>> ReplayBody<B> {
    pub(super) fn untouched(body: B) -> Self {
        Self { state: State::Untouched { body } }
    }

    pub(super) fn to_be_read(body: B) -> Self {
        Self { state: State::Replayed { read: VecDeque::new(), kept: 0, rest: Some(Box::pin(body)) } }
    }

    /// Reads what is there, until `most` bytes are kept. The task is woken when there is more, or when the client has
    /// gone, which is the point.
    pub(super) fn poll_read(&mut self, most: usize, cx: &mut Context<'_>) {
        let State::Replayed { read, kept, rest } = &mut self.state else {
            return;
        };
        // One frame for each byte would be as bad as too many bytes.
        while *kept < most && read.len() < most.div_ceil(64) {
            let Some(body) = rest else {
                return;
            };
            match body.as_mut().poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => *rest = None,
                Poll::Ready(Some(item)) => {
                    if item.is_err() {
                        *rest = None;
                    }
                    *kept += item.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
                    read.push_back(item);
                }
            }
        }
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Untouched { body } => f.debug_tuple("ReplayBody").field(body).finish(),
            State::Replayed { kept, rest, .. } => {
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
            StateProj::Replayed { read, rest, .. } => match (read.pop_front(), rest) {
                (Some(item), _) => Poll::Ready(Some(item)),
                (None, Some(body)) => body.as_mut().poll_frame(cx),
                (None, None) => Poll::Ready(None),
            },
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
            State::Replayed { read, rest, .. } => {
                read.is_empty() && rest.as_ref().is_none_or(|body| body.is_end_stream())
            }
            State::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Untouched { body } => body.size_hint(),
            State::Replayed { read, rest, .. } => {
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
