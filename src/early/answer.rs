//! Reads an answer that becomes an event, or the text of one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use super::failure::{Failure, FailureKind, MOST_TOLD};
use super::late::Late;
use super::plan::Exchange;
use super::text::{Pushed, Text};
use crate::BoxError;

pin_project! {
    /// A body on its way into an event.
    pub(super) struct Reading<B> {
        #[pin]
        body: B,
        text: Text,
        exchange: Exchange,
        // What is told when the body breaks off or, of an error's body, when it has been read.
        failure: Option<Failure>,
    }
}

/// What is next.
pub(super) enum Read<E> {
    /// A part of the event.
    Part(Bytes),
    /// The last bytes, and what comes behind them.
    Last(Bytes, Option<HeaderMap>),
    /// The body failed, and half of an event is out.
    Failed(E),
}

impl<B> Reading<B> {
    pub(super) fn event(body: B, late: Late, mut exchange: Exchange) -> Self {
        let text = Text::event(exchange.event_name(), exchange.plan.buffer);
        let failure = Some(exchange.failed(FailureKind::Broken, late));
        Self { body, text, exchange, failure }
    }

    pub(super) fn failure(body: B, failure: Failure, exchange: Exchange) -> Self {
        Self { body, text: Text::beginning(MOST_TOLD), exchange, failure: Some(failure) }
    }
}

impl<B> Reading<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read<B::Error>> {
        loop {
            let this = self.as_mut().project();
            let frame = match ready!(this.body.poll_frame(cx)) {
                Some(Ok(frame)) => frame.into_data().map_err(Frame::into_trailers),
                None => return Poll::Ready(self.ended(None)),
                Some(Err(error)) => return Poll::Ready(self.broken(error)),
            };
            match frame.map(|data| this.text.push(&data)) {
                Ok(Pushed::Kept) => {}
                Ok(Pushed::Part(part)) => return Poll::Ready(Read::Part(part)),
                Ok(Pushed::Full) => return Poll::Ready(self.told(Cut::ByUs, None)),
                Err(trailers) => return Poll::Ready(self.ended(trailers.ok())),
            }
        }
    }

    fn ended(self: Pin<&mut Self>, trailers: Option<HeaderMap>) -> Read<B::Error> {
        if self.text.is_event() {
            return Read::Last(self.project().text.finish(), trailers);
        }
        self.told(Cut::No, trailers)
    }

    fn broken(self: Pin<&mut Self>, error: B::Error) -> Read<B::Error> {
        if self.text.is_out() { Read::Failed(error) } else { self.told(Cut::Broken(error.into()), None) }
    }

    fn told(self: Pin<&mut Self>, cut: Cut, trailers: Option<HeaderMap>) -> Read<B::Error> {
        let this = self.project();
        let said = this.failure.take().map(|failure| {
            // Half an answer is not told as if it were an error's text.
            let text = if this.text.is_event() { Bytes::new() } else { this.text.finish() };
            let failure = failure.with_body(text, !matches!(cut, Cut::No));
            this.exchange.render(&match cut {
                Cut::Broken(error) => failure.with_error(error),
                Cut::No | Cut::ByUs => failure,
            })
        });
        Read::Last(said.unwrap_or_default(), trailers)
    }
}

/// Whether an error's text is all there.
enum Cut {
    No,
    ByUs,
    Broken(BoxError),
}
