//! How refusals become responses: in the caller's protocol, or as the operator wants it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use super::caller::Caller;
use super::refusal::Refusal;

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

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Renderer(custom)" } else { "Renderer(default)" })
    }
}
