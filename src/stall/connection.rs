//! A connection that can be ended from outside, and that ends itself when nothing can be written for a limit.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::ConfigError;
use crate::body::{Timer, now};
use crate::error::{at_least_a_millisecond, valid};
use crate::sync::{AtomicBool, Mutex, Ordering::SeqCst};

/// Ends the connection that a request came in on, whatever it is busy with.
///
/// [`AbortableIo::handle`] makes it. Among the extensions of a request it is found by a
/// [`StallLayer`](super::StallLayer); with the feature `serve` [`Connections`](super::Connections) puts it there.
/// Clones are handles to the same connection, and to drop them all does nothing to it.
#[derive(Clone)]
pub struct ConnectionHandle(Arc<Line>);

/// Between handle and connection.
struct Line {
    aborted: AtomicBool,
    tasks: Mutex<[Option<Waker>; 2]>,
}

/// Which of the two tasks that a connection can have.
#[derive(Clone, Copy)]
enum Task {
    Reads,
    Writes,
}

impl ConnectionHandle {
    /// Reads and writes fail from now on, the pending ones included; so do a flush and a shutdown that have to wait. What
    /// has been written before may still reach the client.
    pub fn abort(&self) {
        let tasks = {
            let mut tasks = self.0.lock();
            self.0.aborted.store(true, SeqCst);
            std::mem::take(&mut *tasks)
        };
        // A waker may run anything, so not under the lock.
        tasks.into_iter().flatten().for_each(Waker::wake);
    }

    #[cfg(feature = "serve")]
    pub(super) fn of_nothing() -> Self {
        Self(Arc::new(Line::new()))
    }

    /// Whether it has been aborted, or its write limit has been reached.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.aborted.load(SeqCst)
    }
}

impl fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionHandle").field("aborted", &self.is_aborted()).finish()
    }
}

impl Line {
    fn new() -> Self {
        Self { aborted: AtomicBool::new(false), tasks: Mutex::new([None, None]) }
    }

    /// Ready when the connection has been aborted; else this task will be woken when it is.
    fn poll_aborted(&self, task: Task, cx: &Context<'_>) -> Poll<()> {
        let stale = {
            let mut tasks = self.lock();
            // Under the lock: whoever aborts it later finds the waker.
            if self.aborted.load(SeqCst) {
                return Poll::Ready(());
            }
            let waker = &mut tasks[task as usize];
            let known = waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if known { None } else { waker.replace(cx.waker().clone()) }
        };
        // To drop a waker may run anything, so not under the lock.
        drop(stale);
        Poll::Pending
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, [Option<Waker>; 2]> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket, or another IO, that its [`handle`](Self::handle) can end, and that ends itself when it has a
/// [`write_limit`](Self::write_limit).
///
/// To be used by hand with hyper; for `axum::serve` there is [`AbortableListener`](super::AbortableListener).
///
/// ```no_run
/// use std::convert::Infallible;
/// use std::time::Duration;
/// use http::Request;
/// use hyper::{body::Incoming, server::conn::http1};
/// use hyper_util::{rt::TokioIo, service::TowerToHyperService};
/// use tower::{Layer, Service, ServiceExt, service_fn};
/// use tower_lifeline::{StallLayer, stall::AbortableIo};
///
/// # async fn serve<S>(tcp: tokio::net::TcpStream, app: S) -> Result<(), hyper::Error>
/// # where
/// #     S: Service<Request<Incoming>, Response = http::Response<String>, Error = Infallible> + Clone + Send + 'static,
/// #     S::Future: Send,
/// # {
/// let io = AbortableIo::new(tcp).write_limit(Duration::from_secs(60));
/// let connection = io.handle();
/// let service = StallLayer::new(Duration::from_secs(60)).layer(app);
/// let service = service.map_request(move |mut request: Request<Incoming>| {
///     request.extensions_mut().insert(connection.clone());
///     request
/// });
/// http1::Builder::new().serve_connection(TokioIo::new(io), TowerToHyperService::new(service)).await
/// # }
/// ```
pub struct AbortableIo<IO> {
    io: IO,
    line: Arc<Line>,
    on_abort: Option<fn(&IO)>,
    limit: Option<Duration>,
    blocked_since: Option<Instant>,
    timer: Option<Pin<Box<Timer>>>,
}

impl<IO> AbortableIo<IO> {
    /// Ends when it is told to.
    pub fn new(io: IO) -> Self {
        Self {
            io,
            line: Arc::new(Line::new()),
            on_abort: None,
            limit: None,
            blocked_since: None,
            timer: None,
        }
    }

    /// Ends, too, when something is to be written and not a byte of it can be, for so long. Default: no limit.
    ///
    /// # Panics
    ///
    /// When it is shorter than a millisecond. [`try_write_limit`](Self::try_write_limit) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn write_limit(self, limit: Duration) -> Self {
        valid(self.try_write_limit(limit))
    }

    /// [`write_limit`](Self::write_limit) that returns what is wrong with the limit.
    ///
    /// # Errors
    ///
    /// When it is shorter than a millisecond.
    pub fn try_write_limit(mut self, limit: Duration) -> Result<Self, ConfigError> {
        self.limit = Some(at_least_a_millisecond("the write limit", limit)?);
        Ok(self)
    }

    #[cfg(feature = "serve")]
    pub(super) fn limited(self, limit: Option<Duration>) -> Self {
        Self { limit, ..self }
    }

    /// Called when it ends by its handle or its limit, before it is closed. To close a socket does not free it as long
    /// as the client lives and does not read; with `SO_LINGER` at zero the kernel forgets what is unsent and resets the
    /// connection.
    #[must_use]
    pub fn on_abort(mut self, hook: fn(&IO)) -> Self {
        self.on_abort = Some(hook);
        self
    }

    /// Ends it from anywhere.
    #[must_use]
    pub fn handle(&self) -> ConnectionHandle {
        ConnectionHandle(Arc::clone(&self.line))
    }

    /// The IO that it was made of.
    #[must_use]
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    fn poll_aborted(&mut self, task: Task, cx: &Context<'_>) -> Poll<io::Error> {
        self.line.poll_aborted(task, cx).map(|()| self.aborted())
    }

    #[cold]
    fn aborted(&mut self) -> io::Error {
        if let Some(hook) = self.on_abort.take() {
            hook(&self.io);
        }
        io::Error::new(ErrorKind::ConnectionAborted, "the server has ended the connection")
    }

    /// What was written, or why nothing will be.
    fn poll_written(
        &mut self,
        polled: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() {
            self.blocked_since = None;
            return polled;
        }
        if let Poll::Ready(error) = self.poll_aborted(Task::Writes, cx) {
            return Poll::Ready(Err(error));
        }
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let Some(at) = self.blocked_since.get_or_insert_with(now).checked_add(limit) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(Timer::new(at)));
        std::task::ready!(timer.as_mut().poll_at(at, cx));
        // The task that reads may be another one.
        self.handle().abort();
        let _ = self.aborted();
        let message = format!("nothing could be written for {limit:?}");
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, message)))
    }
}

impl<IO: fmt::Debug> fmt::Debug for AbortableIo<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortableIo")
            .field("io", &self.io)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for AbortableIo<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.line.aborted.load(SeqCst) {
            return Poll::Ready(Err(this.aborted()));
        }
        match Pin::new(&mut this.io).poll_read(cx, buffer) {
            Poll::Pending => this.poll_aborted(Task::Reads, cx).map(Err),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for AbortableIo<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.line.aborted.load(SeqCst) {
            return Poll::Ready(Err(this.aborted()));
        }
        let polled = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.poll_written(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.line.aborted.load(SeqCst) {
            return Poll::Ready(Err(this.aborted()));
        }
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, pieces);
        this.poll_written(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => self.poll_aborted(Task::Writes, cx).map(Err),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Pending => self.poll_aborted(Task::Writes, cx).map(Err),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

#[cfg(all(test, lifeline_loom))]
mod loom_models {
    use super::*;

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Fails when a task looks whether the connection is aborted before it has the lock, and when `abort` says so after
    /// it had it.
    #[test]
    fn a_connection_that_is_aborted_while_its_task_falls_asleep_is_woken_or_fails() {
        loom::model(|| {
            let line = Arc::new(Line::new());
            let handle = ConnectionHandle(Arc::clone(&line));
            let aborts = loom::thread::spawn(move || handle.abort());
            let wakes = Arc::<Wakes>::default();
            let waker = Waker::from(Arc::clone(&wakes));
            let asleep = line.poll_aborted(Task::Reads, &Context::from_waker(&waker)).is_pending();
            aborts.join().unwrap();
            assert_eq!(wakes.0.load(Ordering::SeqCst), usize::from(asleep));
        });
    }
}
