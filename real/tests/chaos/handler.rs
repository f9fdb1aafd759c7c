//! The handler: it answers as its script says.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};
use tower_lifeline::observe::Upstream;
use tower_lifeline::stack::LifelineRequestBody;
use tower_lifeline::{BoxError, Timeouts};

use crate::says::{End, Said};
use crate::script::{Answer, Handler, Script};

type Upload = LifelineRequestBody<Incoming>;

/// Uploads that came otherwise than they were sent.
pub type Wrong = Arc<Mutex<Vec<u64>>>;

pub async fn answer(
    script: Script,
    request: Request<Upload>,
    wrong: Wrong,
) -> Result<Response<Speaking>, BoxError> {
    let Script { index, upload, handler: Handler { reads, keeps, thinks, relayed, answer }, .. } = script;
    let mut held = Some(request.into_body());
    if reads {
        let came = held.take().expect("a body").collect().await?.to_bytes();
        if came != upload.bytes() {
            wrong.lock().unwrap().push(index);
        }
    } else if !keeps {
        held = None;
    }
    if thinks > Duration::ZERO {
        sleep(thinks).await;
    }
    let response = Response::builder();
    let mut response = match answer {
        Answer::Events(said) => response.header(CONTENT_TYPE, "text/event-stream").body(speak(said, held)),
        Answer::Lines(said) => response.header(CONTENT_TYPE, "application/x-ndjson").body(speak(said, held)),
        Answer::Bytes(said) => {
            response.header(CONTENT_TYPE, "application/octet-stream").body(speak(said, held))
        }
        Answer::Json { status, text, exact } => {
            let length = exact.then_some(text.len());
            let body = Speaking::new(vec![(Duration::ZERO, text.into())], End::Well, exact, length, held);
            response.status(status).header(CONTENT_TYPE, "application/json").body((body, None))
        }
        Answer::Empty => {
            response.status(204).body((Speaking::new(vec![], End::Well, true, None, None), None))
        }
        Answer::Error => return Err("the handler fails".into()),
    }?;
    if relayed {
        response.extensions_mut().insert(Upstream::Relayed);
    }
    if let Some(total) = response.body().1 {
        response.extensions_mut().insert(Timeouts::new().total(total));
    }
    Ok(response.map(|(body, _)| body))
}

fn speak(said: Said, held: Option<Upload>) -> (Speaking, Option<Duration>) {
    let Said { text, frames, end, knows, total } = said;
    let bytes = Bytes::from(text.said);
    let mut begin = 0;
    let frames = frames.into_iter().map(|(silence, end)| {
        let frame = bytes.slice(begin..end);
        begin = end;
        (silence, frame)
    });
    (Speaking::new(frames.collect(), end, knows, None, held), total)
}

/// A body that says its frames, each behind a silence.
#[derive(Debug)]
pub struct Speaking {
    frames: std::vec::IntoIter<(Duration, Bytes)>,
    next: Option<(Option<Pin<Box<Sleep>>>, Bytes)>,
    end: End,
    knows: bool,
    length: Option<usize>,
    _held: Option<Upload>,
}

impl Speaking {
    /// One that says nothing, and does not end.
    pub fn silent() -> Self {
        Self::new(vec![], End::Hangs, false, None, None)
    }

    fn new(
        frames: Vec<(Duration, Bytes)>,
        end: End,
        knows: bool,
        length: Option<usize>,
        held: Option<Upload>,
    ) -> Self {
        Self { frames: frames.into_iter(), next: None, end, knows, length, _held: held }
    }
}

impl Body for Speaking {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.next.is_none() {
            let next = self.frames.next();
            self.next = next.map(|(silence, frame)| {
                ((silence > Duration::ZERO).then(|| Box::pin(sleep(silence))), frame)
            });
        }
        match &mut self.next {
            Some((silence, _)) => {
                if let Some(silence) = silence {
                    ready!(silence.as_mut().poll(cx));
                }
                let frame = self.next.take().expect("just seen").1;
                self.length = self.length.map(|length| length - frame.len());
                Poll::Ready(Some(Ok(Frame::data(frame))))
            }
            None => match self.end {
                End::Well => Poll::Ready(None),
                End::Fails => {
                    self.end = End::Well;
                    Poll::Ready(Some(Err("the body fails".into())))
                }
                End::Hangs => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows && self.end == End::Well && self.next.is_none() && self.frames.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, |length| SizeHint::with_exact(length as u64))
    }
}
