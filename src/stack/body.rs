//! LifelineBody: one shell for all layers, and beneath it the handler's body.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::answering::AnswerBody;
use super::kit::Kit;
use super::maybe::Maybe;
use super::origin::{Nested, Origin};
use crate::BoxError;
use crate::body::Shell;
use crate::drain::DrainBody;
use crate::early::{EarlyBody, Handling};
use crate::observe::{ObserveBody, Span};
use crate::stall::{Slot, Watching};

/// What the nested layers make of a response, if the head may be early.
pub(super) type MaybeEarly<F, B> = Maybe<EarlyBody<F>, Nested<B>>;
/// The same if streams may be told to leave.
type MaybeDrained<F, B> = Maybe<DrainBody<MaybeEarly<F, B>>, MaybeEarly<F, B>>;
/// The same with all layers.
pub(super) type Whole<F, B> = Maybe<ObserveBody<MaybeDrained<F, B>>, MaybeDrained<F, B>>;

pin_project! {
    /// The body of a response behind a [`Lifeline`](super::Lifeline).
    ///
    /// It gives the inner body's frames, trailers and errors as they come, beats in its silences, and ends as the layers that
    /// are on have it. Only an error that would follow a frame at once waits for 5 ms, or hyper would lose the frame. To drop
    /// it drops the handler's body, and gives the permit back.
    ///
    /// Its errors are the inner body's, boxed, or a [`TimeoutError`](crate::TimeoutError), a
    /// [`DrainError`](crate::DrainError) or a [`StallError`](crate::StallError). It must be polled inside a tokio runtime
    /// with its timer enabled.
    pub struct LifelineBody<B>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
        B: Send,
        B: 'static,
    {
        #[pin]
        shell: Shell<Watched<B>>,
        span: Span,
    }
}

/// Beneath the shell: what a watchdog takes out of it has the permit.
type Watched<B> = Maybe<Slot<Origin<B>>, Origin<B>>;

impl<B> LifelineBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    #[inline]
    pub(super) fn of<F>(mut whole: Whole<F, B>, watching: Option<Watching>) -> Self
    where
        F: Handling<Body = AnswerBody<B>> + Send + 'static,
    {
        let mut kit = Kit::new();
        let mut span = Span::none();
        let origin = origin(&mut whole, &mut kit, &mut span).unwrap_or_else(Origin::refusal);
        let watched = match (watching, origin) {
            // What is all there holds nothing.
            (Some(_), off @ Origin::Refusal { .. }) | (None, off) => Maybe::Off { off },
            (Some(watching), origin) => {
                let slot = watching.slot(origin);
                kit.beats_above(&slot);
                Maybe::On { on: slot }
            }
        };
        Self { shell: kit.shell(watched), span }
    }
}

/// `Err`: a layer has refused.
#[inline]
fn origin<F, B>(whole: &mut Whole<F, B>, kit: &mut Kit, span: &mut Span) -> Result<Origin<B>, Bytes>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    F: Handling<Body = AnswerBody<B>> + Send + 'static,
{
    let maybe_drained = match whole {
        Maybe::Off { off } => off,
        Maybe::On { on } => {
            *span = on.take_span();
            kit.strip(on.shell_mut())?
        }
    };
    let maybe_early = match maybe_drained {
        Maybe::Off { off } => off,
        Maybe::On { on } => kit.strip(on.shell_mut())?,
    };
    match maybe_early {
        Maybe::Off { off } => Origin::of(off, kit),
        Maybe::On { on } => {
            let shell = on.shell_mut();
            match kit.strip(shell)?.answer_mut() {
                Some(answer) => kit.take(answer.shell_mut()),
                None => {
                    let early = shell.take_inner().ok_or_else(Bytes::new)?;
                    Ok(Origin::Early { early: Box::pin(early) })
                }
            }
        }
    }
}

impl<B> fmt::Debug for LifelineBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    // The inner body may be polled by somebody else at this moment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifelineBody").finish_non_exhaustive()
    }
}

impl<B> Body for LifelineBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let _entered = this.span.enter();
        this.shell.poll_boxed_or_fault(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.shell.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shell.size_hint()
    }
}
