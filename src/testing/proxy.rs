//! What stands between a server and its clients, without the patience.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::BoxError;

/// An intermediary that cuts a response when it is silent or old, and holds bytes back: what a response goes through in
/// production, in memory and on tokio's clock.
///
/// Without settings it passes everything on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImpatientProxy {
    idle: Option<Duration>,
    lifetime: Option<Duration>,
    buffer: usize,
}

impl ImpatientProxy {
    /// A proxy that lets everything pass.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts a response that gives no bytes for so long, like nginx's `proxy_read_timeout` (60 s).
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// Cuts a response that is so old, whatever it does, like Cloud Run (300 s).
    #[must_use]
    pub fn lifetime(mut self, limit: Duration) -> Self {
        self.lifetime = Some(limit);
        self
    }

    /// Holds bytes back until it has so many of them or the response ends, like nginx's `proxy_buffering`.
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }

    /// Carries a response. It does not buffer one that says `X-Accel-Buffering: no`.
    pub fn carry<B>(self, response: Response<B>) -> Response<ProxiedBody<B>>
    where
        B: Body<Data = Bytes>,
    {
        let unbuffered = response.headers().get("x-accel-buffering").is_some_and(|value| value == "no");
        let buffer = if unbuffered { 0 } else { self.buffer };
        response.map(|body| Self { buffer, ..self }.carry_body(body))
    }

    /// Carries a body.
    pub fn carry_body<B>(self, inner: B) -> ProxiedBody<B>
    where
        B: Body<Data = Bytes>,
    {
        ProxiedBody { inner, proxy: self, held: BytesMut::new(), next: None, clocks: None, over: false }
    }
}

pin_project! {
    /// The body that [`ImpatientProxy`] makes. Its errors are the inner body's, or a [`ProxyCut`].
    #[derive(Debug)]
    pub struct ProxiedBody<B> {
        #[pin]
        inner: B,
        proxy: ImpatientProxy,
        held: BytesMut,
        next: Option<Item>,
        clocks: Option<Clocks>,
        over: bool,
    }
}

type Item = Option<Result<Frame<Bytes>, BoxError>>;

#[derive(Debug)]
struct Clocks {
    began: Instant,
    last_bytes: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl<B> Body for ProxiedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item> {
        let mut this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        let clocks = this.clocks.get_or_insert_with(|| {
            let now = Instant::now();
            Clocks { began: now, last_bytes: now, sleep: Box::pin(sleep_until(now)) }
        });
        loop {
            let item = match this.next.take() {
                Some(item) => item,
                None => match this.inner.as_mut().poll_frame(cx) {
                    Poll::Ready(item) => item.map(|result| result.map_err(Into::into)),
                    Poll::Pending => {
                        let cut = ready!(clocks.poll_cut(*this.proxy, cx));
                        *this.over = true;
                        return Poll::Ready(Some(Err(cut.into())));
                    }
                },
            };
            let last = !matches!(&item, Some(Ok(frame)) if frame.is_data());
            if let Some(Ok(frame)) = &item {
                if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
                    clocks.last_bytes = Instant::now();
                    this.held.extend_from_slice(data);
                }
            }
            if !this.held.is_empty() && (last || this.held.len() >= this.proxy.buffer) {
                *this.next = last.then_some(item);
                return Poll::Ready(Some(Ok(Frame::data(this.held.split().freeze()))));
            }
            if last {
                *this.over = !matches!(item, Some(Ok(_)));
                return Poll::Ready(item);
            }
        }
    }
}

impl Clocks {
    fn poll_cut(&mut self, proxy: ImpatientProxy, cx: &mut Context<'_>) -> Poll<ProxyCut> {
        let after = |from: Instant, limit, cut: fn(_) -> _| Some((from.checked_add(limit)?, cut(limit)));
        let idle = proxy.idle.and_then(|limit| after(self.last_bytes, limit, ProxyCut::Silent));
        let age = proxy.lifetime.and_then(|limit| after(self.began, limit, ProxyCut::TooOld));
        let Some((at, cut)) = idle.into_iter().chain(age).min_by_key(|(at, _)| *at) else {
            return Poll::Pending;
        };
        self.sleep.as_mut().reset(at);
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(cut)
    }
}

/// Why an [`ImpatientProxy`] cut a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyCut {
    /// It gave no bytes for so long.
    Silent(Duration),
    /// It was so old.
    TooOld(Duration),
}

impl fmt::Display for ProxyCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(limit) => write!(f, "proxy: silent for {limit:?}"),
            Self::TooOld(limit) => write!(f, "proxy: open for {limit:?}"),
        }
    }
}

impl std::error::Error for ProxyCut {}
