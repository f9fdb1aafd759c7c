//! How refusals become responses: in the caller's protocol, or as the operator wants it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::Response;

use super::caller::Caller;
use super::refusal::Refusal;
use super::render::write_retry_after;

#[derive(Clone, Default)]
pub(crate) struct Renderer(Option<Arc<Render>>);

type Render = dyn Fn(Refusal, &Caller) -> Response<Bytes> + Send + Sync;

impl Renderer {
    pub(crate) fn of(render: impl Fn(Refusal, &Caller) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(render)))
    }

    pub(crate) fn answer(&self, refusal: Refusal, caller: &Caller) -> Response<Bytes> {
        caller.fitted(match &self.0 {
            Some(render) => render(refusal, caller),
            None => refusal.into_response(caller),
        })
    }
}

/// The answer to a refusal that is always the same but for the time to come back, made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Prepared(OnceLock<Response<Bytes>>);

impl Prepared {
    /// As [`Renderer::answer`]. Whoever is refused while everybody is must cost as little as can be.
    pub(crate) fn answer(&self, refusal: Refusal, caller: &Caller, renderer: &Renderer) -> Response<Bytes> {
        if renderer.0.is_some() || !caller.reads_problems() {
            return renderer.answer(refusal, caller);
        }
        let retry_after = refusal.retry_after();
        let mut answer = self.0.get_or_init(|| refusal.into_response(caller)).clone();
        if let Some(after) = retry_after {
            write_retry_after(answer.headers_mut(), after);
        }
        caller.fitted(answer)
    }
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Renderer(custom)" } else { "Renderer(default)" })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, Request};

    use super::*;

    #[test]
    fn an_answer_that_was_prepared_is_no_different() {
        let check = |prepared: &Prepared, renderer: &Renderer, caller: &Caller, seconds| {
            let refusal = || Refusal::queue_full().with_retry_after(Duration::from_secs(seconds));
            let (ours, theirs) =
                (prepared.answer(refusal(), caller, renderer), renderer.answer(refusal(), caller));
            assert_eq!(ours.status(), theirs.status());
            assert_eq!(ours.headers(), theirs.headers());
            assert_eq!(ours.body(), theirs.body());
        };
        let callers: Vec<_> = [
            Request::get("/"),
            Request::builder().method(Method::HEAD),
            Request::get("/").header("accept", "text/plain"),
            Request::post("/").header("content-type", "application/grpc"),
            Request::get("/").header("mcp-protocol-version", "2025-11-25"),
        ]
        .map(|request| Caller::of_request(&request.body(()).unwrap()))
        .into();
        let own = Renderer::of(|refusal, _| Response::new(Bytes::from(refusal.title())));
        for renderer in [Renderer::default(), own] {
            // Each of them is the first once.
            for first in 0..callers.len() {
                let prepared = Prepared::default();
                for (place, caller) in callers.iter().cycle().skip(first).take(callers.len()).enumerate() {
                    check(&prepared, &renderer, caller, place as u64 + 1);
                }
            }
        }
    }
}
