//! A request body that waits for the upstream to ask for it: `Expect: 100-continue` (RFC 9110, section 10.1.1).
//!
//! A server of hyper's asks its client for the body when that is first polled, and a client of hyper's polls it at once. So it is
//! held back in between until the upstream says 100, which then goes on to the client by itself.

use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::timeout;

/// Servers need not answer an expectation, so nobody may wait for that for ever.
const PATIENCE: Duration = Duration::from_secs(1);

/// What its other half is to call for each interim response.
pub(crate) type Interim = watch::Sender<Option<StatusCode>>;

/// A request body, held back or not.
pub(crate) struct Expected<B> {
    body: B,
    held: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<B> Expected<B> {
    pub(crate) fn at_once(body: B) -> (Self, Option<Interim>) {
        (Self { body, held: None }, None)
    }

    pub(crate) fn on_continue(body: B) -> (Self, Option<Interim>) {
        let (interim, mut seen) = watch::channel(None);
        let held = async move {
            let told = async {
                // Nobody is left to tell: there was a response instead, and the client must not be asked any more. When
                // this is over the response has gone out, and then hyper does not.
                if seen.wait_for(|status| *status == Some(StatusCode::CONTINUE)).await.is_err() {
                    pending().await
                }
            };
            let _ = timeout(PATIENCE, told).await;
        };
        (Self { body, held: Some(Box::pin(held)) }, Some(interim))
    }
}

impl<B> Body for Expected<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(held) = &mut self.held {
            ready!(held.as_mut().poll(cx));
            self.held = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
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
    use tokio::time::Instant;

    use super::*;

    async fn waited(tell: impl FnOnce(Interim)) -> Duration {
        let began = Instant::now();
        let (body, interim) = Expected::on_continue(Full::new(Bytes::from_static(b"body")));
        tell(interim.unwrap());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "body");
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_100_alone_and_not_for_ever() {
        let later = |interim: Interim, millis, status| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                interim.send(Some(status)).unwrap_or_default();
                tokio::time::sleep(Duration::from_secs(60)).await;
            });
        };
        let told = waited(|interim| later(interim, 200, StatusCode::CONTINUE)).await;
        assert_eq!(told, Duration::from_millis(200));
        let hints = waited(|interim| later(interim, 200, StatusCode::EARLY_HINTS)).await;
        assert_eq!(hints, PATIENCE);
        assert_eq!(waited(drop).await, PATIENCE);
    }
}
