//! An inner body that watches how it is treated.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower_lifeline::testing::{Script, ScriptError};

/// A script that counts as open until it is dropped, and fails the test when it is polled after its end.
pub(crate) struct Probe {
    script: Script,
    ended: bool,
    open: Arc<AtomicUsize>,
}

/// How many probes have been made and not dropped.
#[derive(Clone, Default)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Open {
    pub(crate) fn probe(&self, script: Script) -> Probe {
        self.0.fetch_add(1, Ordering::SeqCst);
        Probe { script, ended: false, open: Arc::clone(&self.0) }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Body for Probe {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        assert!(!self.ended, "polled after its end");
        let item = Pin::new(&mut self.script).poll_frame(cx);
        self.ended = matches!(item, Poll::Ready(None | Some(Err(_))));
        item
    }

    fn is_end_stream(&self) -> bool {
        self.script.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.script.size_hint()
    }
}
