//! What is measured: a request through an in-process stack, its body read to the end.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::{Layer, Service};
use tower_http::metrics::InFlightRequestsLayer;
use tower_lifeline::{Gate, GateLayer};

pub(crate) const ADMITTING: [&str; 6] =
    ["gate-untimed", "gate", "in-flight-requests", "concurrency-limit", "load-shed", "semaphore"];
pub(crate) const REFUSING: [&str; 3] = ["gate-refuses", "gate-untimed-refuses", "load-shed-refuses"];

/// More than any variant needs.
const PERMITS: usize = 100;
const ANSWER: &[u8] = b"data: 01234567890123456789012345678901234567890123456789012345\n\n";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Of each thread.
    pub(crate) requests: usize,
    pub(crate) threads: usize,
}

/// What came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    served: usize,
    refused: usize,
    /// Of the bodies of those who were served.
    bytes: usize,
    /// Refusals that were responses, with something to say.
    answers: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) moved: Moved,
    /// For the slowest thread.
    pub(crate) took: Duration,
}

impl Load {
    /// What has to come out.
    pub(crate) fn moved(self, variant: &str) -> Moved {
        let all = self.requests * self.threads;
        match variant {
            "load-shed-refuses" => Moved { refused: all, ..Moved::default() },
            _ if REFUSING.contains(&variant) => Moved { refused: all, answers: all, ..Moved::default() },
            _ => Moved { served: all, bytes: all * ANSWER.len(), ..Moved::default() },
        }
    }
}

/// Carries the load once through a variant.
pub(crate) fn carry(variant: &str, load: Load) -> Carried {
    let gate = |untimed: bool| {
        let gate = Gate::new(PERMITS).queue(0);
        if untimed { gate.untimed() } else { gate }
    };
    match variant {
        "bare" => each(Handler, load),
        "gate" => each(GateLayer::new(&gate(false)).layer(Handler), load),
        "gate-untimed" => each(GateLayer::new(&gate(true)).layer(Handler), load),
        "in-flight-requests" => each(InFlightRequestsLayer::pair().0.layer(Handler), load),
        "concurrency-limit" => each(ConcurrencyLimit::new(Handler, PERMITS), load),
        "load-shed" => each(LoadShed::new(ConcurrencyLimit::new(Handler, PERMITS)), load),
        "semaphore" => each(Permitted { inner: Handler, semaphore: Arc::new(Semaphore::new(PERMITS)) }, load),
        "gate-refuses" | "gate-untimed-refuses" => {
            let gate = gate(variant != "gate-refuses");
            gate.resize(1);
            let service = GateLayer::new(&gate).layer(Handler);
            let held = answer(&mut service.clone());
            let carried = each(service, load);
            drop(held);
            carried
        }
        "load-shed-refuses" => {
            let mut parked = ConcurrencyLimit::new(Handler, 1);
            let service = LoadShed::new(parked.clone());
            // A clone that was asked keeps a permit, called or not.
            let asked = Service::<Request<Empty<Bytes>>>::poll_ready(&mut parked, &mut context());
            assert!(asked.is_ready());
            let carried = each(service, load);
            drop(parked);
            carried
        }
        unknown => panic!("a variant is one of {ADMITTING:?} and {REFUSING:?}, got {unknown:?}"),
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Every thread has a clone, as every connection has.
fn each<S, B>(service: S, load: Load) -> Carried
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>> + Clone + Send,
    B: Body<Data = Bytes>,
{
    let start = Barrier::new(load.threads);
    let one = |mut service: S| {
        start.wait();
        #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
        let began = Instant::now();
        let mut moved = Moved::default();
        for _ in 0..load.requests {
            request(&mut service, &mut moved);
        }
        Carried { moved, took: began.elapsed() }
    };
    if load.threads == 1 {
        return one(service);
    }
    thread::scope(|scope| {
        let one = &one;
        let start = |service| scope.spawn(move || one(service));
        let threads: Vec<_> = (0..load.threads).map(|_| start(service.clone())).collect();
        let mut all = Carried { moved: Moved::default(), took: Duration::ZERO };
        for thread in threads {
            let Carried { moved, took } = thread.join().expect("no panic");
            all.moved.served += moved.served;
            all.moved.refused += moved.refused;
            all.moved.bytes += moved.bytes;
            all.moved.answers += moved.answers;
            all.took = all.took.max(took);
        }
        all
    })
}

fn answer<S, B>(service: &mut S) -> Result<Response<B>, S::Error>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
{
    let Poll::Ready(asked) = service.poll_ready(&mut context()) else { panic!("never busy") };
    asked?;
    let future = pin!(service.call(black_box(Request::new(Empty::new()))));
    match future.poll(&mut context()) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("nobody waits"),
    }
}

fn request<S, B>(service: &mut S, moved: &mut Moved)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    let Ok(response) = answer(service) else {
        moved.refused += 1;
        return;
    };
    let served = response.status() == 200;
    let mut bytes = 0;
    let mut body = pin!(response.into_body());
    // As hyper does: who says that nothing follows is not asked again.
    while !body.is_end_stream() {
        let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context()) else { break };
        bytes += black_box(&frame).data_ref().map_or(0, Bytes::len);
    }
    if served {
        moved.served += 1;
        moved.bytes += bytes;
    } else {
        moved.refused += 1;
        moved.answers += usize::from(bytes > 0);
    }
}

/// Answers at once.
#[derive(Clone)]
struct Handler;

impl<B> Service<Request<B>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::new(Full::new(Bytes::from_static(ANSWER)))))
    }
}

/// The least that one would write by hand: a permit of tokio's semaphore in the response body, and nothing else.
#[derive(Clone)]
struct Permitted<S> {
    inner: S,
    semaphore: Arc<Semaphore>,
}

impl<S, R, B> Service<R> for Permitted<S>
where
    S: Service<R, Response = Response<B>, Future = Ready<Result<Response<B>, Infallible>>>,
{
    type Response = Response<PermitBody<B>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let permit = Arc::clone(&self.semaphore).try_acquire_owned().expect("one is free");
        let Ok(response) = self.inner.call(request).into_inner();
        ready(Ok(response.map(|inner| PermitBody { inner, _permit: permit })))
    }
}

pin_project! {
    struct PermitBody<B> {
        #[pin]
        inner: B,
        _permit: OwnedSemaphorePermit,
    }
}

impl<B: Body> Body for PermitBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
