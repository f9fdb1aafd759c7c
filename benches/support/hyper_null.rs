//! hyper's HTTP/1 server without a network: requests come in, and what goes out is counted and forgotten.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use tokio::runtime::Runtime;

use super::{Load, Moved};

pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
pub(crate) const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// What stands in the head of the response to the last request, and not in others.
pub(crate) const LAST_HEAD: &str = "connection: close\r\n";

/// Serves so many requests on one connection. How many bytes came out?
pub(super) fn serve<S, B>(runtime: &Runtime, requests: usize, service: S) -> usize
where
    S: HttpService<Incoming, ResBody = B, Future: Send> + Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let written = Arc::new(AtomicUsize::new(0));
    let null = Null { requests, written: Arc::clone(&written) };
    let connection = http1::Builder::new().serve_connection(null, service);
    runtime.block_on(async { tokio::spawn(connection).await.expect("no panic").expect("no error") });
    written.load(Ordering::Relaxed)
}

/// Serves one response with this body and takes the chunked encoding off the count again.
pub(super) fn served<B>(runtime: &Runtime, body: B, load: &Load) -> Moved
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let body = Mutex::new(Some(body));
    let answer = service_fn(move |_: Request<Incoming>| {
        let body = body.lock().expect("no panic").take().expect("one request");
        async { Ok::<_, Infallible>(Response::builder().header("date", "then").body(body).expect("a head")) }
    });
    let written = serve(runtime, 1, answer);

    let head = "HTTP/1.1 200 OK\r\ndate: then\r\ntransfer-encoding: chunked\r\n\r\n";
    let around = format!("{:X}\r\n\r\n", load.chunk.len()).len();
    let bytes = written - head.len() - LAST_HEAD.len() - "0\r\n\r\n".len();
    Moved { frames: bytes / (around + load.chunk.len()), bytes: bytes - load.frames * around }
}

struct Null {
    requests: usize,
    written: Arc<AtomicUsize>,
}

impl Read for Null {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let request = match self.requests {
            0 => return Poll::Pending,
            1 => LAST_REQUEST,
            _ => REQUEST,
        };
        self.requests -= 1;
        buffer.put_slice(request);
        Poll::Ready(Ok(()))
    }
}

impl Null {
    fn swallow(&self, bytes: usize) -> Poll<io::Result<usize>> {
        self.written.fetch_add(bytes, Ordering::Relaxed);
        Poll::Ready(Ok(bytes))
    }
}

impl Write for Null {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.swallow(bytes.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.swallow(pieces.iter().map(|piece| piece.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
