//! `Expect: 100-continue` (RFC 9110, section 10.1.1): a request body that waits for the upstream to ask for it.
//!
//! A server of hyper's asks its client for the body when that is first polled, and a client of hyper's polls it at once. So
//! it is held back in between. When the upstream answers instead, the client is never asked, and what it would have sent
//! is given up; the connection to the upstream, which cannot be used again, ends with the answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::timeout;
use tower_lifeline::BoxError;

/// Servers need not answer an expectation, so nobody may wait for that for ever.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the upstream has said. When all of these are gone the exchange is over.
pub(crate) type Said = watch::Sender<Option<StatusCode>>;

/// The upstream says this. What has been asked for stays so, although nobody may have seen that yet.
pub(crate) fn says(said: &Said, status: StatusCode) {
    said.send_if_modified(|last| {
        let asked = *last == Some(StatusCode::CONTINUE);
        if !asked {
            *last = Some(status);
        }
        !asked
    });
}

/// A request body, held back or not.
pub(crate) enum Expected<B> {
    Nothing,
    Going(B),
    Held {
        body: Option<B>,
        until: Pin<Box<dyn Future<Output = Go> + Send>>,
        seen: watch::Receiver<Option<StatusCode>>,
    },
    GivenUp(Pin<Box<dyn Future<Output = ()> + Send>>),
}

pub(crate) enum Go {
    On,
    Nowhere,
}

impl<B> Expected<B> {
    pub(crate) fn on_continue(self) -> (Self, Option<Said>) {
        match self {
            Self::Going(body) => {
                let (said, seen) = watch::channel(None);
                let until = Box::pin(decided(seen.clone()));
                (Self::Held { body: Some(body), until, seen }, Some(said))
            }
            other => (other, None),
        }
    }
}

async fn decided(mut seen: watch::Receiver<Option<StatusCode>>) -> Go {
    let counts = |said: &Option<StatusCode>| {
        said.is_some_and(|status| status == StatusCode::CONTINUE || !status.is_informational())
    };
    match timeout(PATIENCE, seen.wait_for(counts)).await {
        Err(_) => Go::On,
        Ok(Ok(said)) if *said == Some(StatusCode::CONTINUE) => Go::On,
        Ok(_) => Go::Nowhere,
    }
}

async fn over(mut seen: watch::Receiver<Option<StatusCode>>) {
    while seen.changed().await.is_ok() {}
}

impl<B> Body for Expected<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Self::Held { body, until, seen } = this {
            let go = ready!(until.as_mut().poll(cx));
            *this = match (go, body.take()) {
                (Go::On, Some(body)) => Self::Going(body),
                _ => Self::GivenUp(Box::pin(over(seen.clone()))),
            };
        }
        match this {
            Self::Going(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Nothing => Poll::Ready(None),
            Self::Held { .. } => Poll::Pending,
            Self::GivenUp(over) => {
                ready!(over.as_mut().poll(cx));
                Poll::Ready(Some(Err("the upstream has answered without it".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Going(body) | Self::Held { body: Some(body), .. } => body.is_end_stream(),
            Self::Nothing => true,
            Self::Held { .. } | Self::GivenUp(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Going(body) | Self::Held { body: Some(body), .. } => body.size_hint(),
            Self::Nothing => SizeHint::with_exact(0),
            Self::Held { .. } | Self::GivenUp(_) => SizeHint::default(),
        }
    }
}

/// A response body that says by its end, or its drop, that the exchange is over.
#[derive(Debug)]
pub(crate) struct Answered<B> {
    pub(crate) body: B,
    pub(crate) said: Option<Said>,
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            self.said = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// When the body came, or that it did not, of an upstream that says this after a while.
    async fn came(says: Option<StatusCode>) -> (Duration, bool) {
        let began = Instant::now();
        let (body, said) = Expected::Going(Full::new(Bytes::from_static(b"body"))).on_continue();
        let said = said.unwrap();
        tokio::spawn(async move {
            sleep(Duration::from_millis(200)).await;
            said.send(says).unwrap_or_default();
            sleep(Duration::from_secs(60)).await;
        });
        let came = body.collect().await.is_ok_and(|body| body.to_bytes() == "body");
        (began.elapsed(), came)
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_100_alone_and_not_for_ever() {
        assert_eq!(came(Some(StatusCode::CONTINUE)).await, (Duration::from_millis(200), true));
        assert_eq!(came(Some(StatusCode::EARLY_HINTS)).await, (PATIENCE, true));
        assert_eq!(came(None).await, (PATIENCE, true));
        let over = Duration::from_millis(60_200);
        assert_eq!(came(Some(StatusCode::EXPECTATION_FAILED)).await, (over, false));
    }

    #[tokio::test(start_paused = true)]
    async fn the_clients_body_is_given_up_when_there_is_an_answer_and_not_before() {
        let (body, said) = Expected::Going(Full::new(Bytes::from_static(b"body"))).on_continue();
        let said = said.unwrap();
        let mut body = Box::pin(body);
        let poll = async |body: &mut Pin<Box<Expected<_>>>| {
            timeout(Duration::from_millis(1), body.frame())
                .await
                .map(|frame| frame.is_some_and(|frame| frame.is_ok()))
        };
        assert!(poll(&mut body).await.is_err());
        assert!(matches!(*body, Expected::Held { .. }));
        said.send(Some(StatusCode::OK)).unwrap();
        assert!(poll(&mut body).await.is_err());
        assert!(matches!(*body, Expected::GivenUp(_)));
        drop(Answered { body: Full::new(Bytes::new()), said: Some(said) });
        assert_eq!(poll(&mut body).await, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_right_behind_100_takes_it_not_back() {
        for next in [StatusCode::EARLY_HINTS, StatusCode::OK] {
            let began = Instant::now();
            let (body, said) = Expected::Going(Full::new(Bytes::from_static(b"body"))).on_continue();
            let said = said.unwrap();
            says(&said, StatusCode::CONTINUE);
            says(&said, next);
            let came = timeout(Duration::from_secs(60), body.collect()).await;
            let came = came.is_ok_and(|came| came.is_ok_and(|body| body.to_bytes() == "body"));
            assert_eq!((began.elapsed(), came), (Duration::ZERO, true), "{next}");
        }
    }
}
