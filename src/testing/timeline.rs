//! Reads a body and draws what came when.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Instant, timeout};

use super::notation::{What, draw, draw_time};

/// Reads a body to its end and draws it, in the [notation](super#the-notation) of this module.
///
/// It waits for as long as the body takes. A body that never ends is drawn with [`timeline_for`].
pub fn timeline<B>(body: B) -> impl Future<Output = String>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    read(body, None)
}

/// Reads a body for so long at the most. When it has not ended by then, the last item is `open`.
pub fn timeline_for<B>(body: B, most: Duration) -> impl Future<Output = String>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    read(body, Some(most))
}

async fn read<B>(body: B, most: Option<Duration>) -> String
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    let began = Instant::now();
    let mut body = pin!(body);
    let mut drawn = Vec::new();
    loop {
        let frame = poll_fn(|cx| body.as_mut().poll_frame(cx));
        let frame = match most {
            None => frame.await,
            Some(most) => match timeout(most.saturating_sub(began.elapsed()), frame).await {
                Ok(frame) => frame,
                Err(_) => {
                    drawn.push(format!("{}=open", draw_time(most)));
                    break;
                }
            },
        };
        let what = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => What::Data(data),
                Err(frame) => What::Trailers(frame.into_trailers().unwrap_or_default()),
            },
            Some(Err(error)) => What::Error(error.to_string()),
            None => What::End,
        };
        drawn.push(draw(began.elapsed(), &what));
        if matches!(what, What::End | What::Error(_)) {
            break;
        }
    }
    drawn.join(" ")
}
