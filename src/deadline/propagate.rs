//! PropagateDeadlineLayer: tells the next server how much is left.

use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::budget::Deadline;
use super::header::DeadlineHeader;

/// Writes what is left of a request's [`Deadline`] into a header, around any client that is a `Service<http::Request<_>>`.
///
/// The deadline is the one in the *outgoing* request's extensions. It does not get there by itself: whoever makes the
/// request puts it there. [`deadline`](Self::deadline) sets one for all requests of a client. The earlier of both counts;
/// without any, requests pass untouched.
///
/// What is left is rounded down to what the header can say. When nothing is left, the request is sent nevertheless, with
/// the smallest value that the header can say (1 ns, or 1 ms): the error type of the client has no room for our own. Ask
/// [`is_past`](Deadline::is_past) before, or bound the call. A header that is there already stays when it can be read and
/// asks for no more than is left; otherwise it is replaced.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::convert::Infallible;
/// use std::time::Duration;
/// use http::Request;
/// use tower::{Layer, Service, service_fn};
/// use tower_lifeline::{Deadline, DeadlineHeader, PropagateDeadlineLayer};
///
/// let client = service_fn(async |request: Request<()>| {
///     assert_eq!(request.headers()["grpc-timeout"], "20000000u");
///     Ok::<_, Infallible>(())
/// });
/// let mut client = PropagateDeadlineLayer::new(DeadlineHeader::GrpcTimeout).layer(client);
///
/// let deadline = Deadline::after(Duration::from_secs(20));
/// let request = Request::builder().extension(deadline).body(()).unwrap();
/// client.call(request).await.unwrap();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PropagateDeadlineLayer {
    header: DeadlineHeader,
    deadline: Option<Deadline>,
    margin: Duration,
}

impl PropagateDeadlineLayer {
    /// A layer that writes this header.
    #[must_use]
    pub fn new(header: DeadlineHeader) -> Self {
        Self { header, deadline: None, margin: Duration::ZERO }
    }

    /// A deadline for all requests, for a client that is made for one task. Default: none.
    #[must_use]
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Says so much less than there is, for the way there and back. Default: zero.
    #[must_use]
    pub fn margin(mut self, kept: Duration) -> Self {
        self.margin = kept;
        self
    }

    fn write<B>(&self, request: &mut Request<B>) {
        let own = request.extensions().get::<Deadline>().copied();
        let Some(deadline) = own.into_iter().chain(self.deadline).min() else {
            return;
        };
        let left = deadline.remaining().saturating_sub(self.margin);
        let strict = matches!(self.header.read(request.headers()), Ok(Some(asked)) if asked <= left);
        if !strict {
            request.headers_mut().insert(self.header.name().clone(), self.header.write(left));
        }
    }
}

impl<S> Layer<S> for PropagateDeadlineLayer {
    type Service = PropagateDeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PropagateDeadlineService { inner, layer: self.clone() }
    }
}

/// The service that [`PropagateDeadlineLayer`] makes. It adds nothing to the inner service's future.
#[derive(Clone, Debug)]
pub struct PropagateDeadlineService<S> {
    inner: S,
    layer: PropagateDeadlineLayer,
}

impl<S, B> Service<Request<B>> for PropagateDeadlineService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.layer.write(&mut request);
        self.inner.call(request)
    }
}
