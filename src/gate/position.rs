//! What a request that waits may know of its place in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// In the extensions of a request: where it stands in a gate's queue.
///
/// Anybody outside of a [`GateLayer`](super::GateLayer) can put one into a request and keep a clone. The gate fills it
/// while the request waits, and a request without one costs it nothing.
/// [`EarlyLayer::queue_position`](crate::EarlyLayer::queue_position) tells it to the client.
///
/// The gate looks when the request's future is polled. Nobody is woken because somebody further ahead has left, so whoever
/// wants to see the place change has to poll now and then, as a stream with heartbeats does. A look takes time in
/// proportion to the place, under the gate's lock.
///
/// ```
/// use tower_lifeline::gate::QueuePosition;
///
/// let mut request = http::Request::new(());
/// let position = QueuePosition::new();
/// request.extensions_mut().insert(position.clone());
/// assert_eq!(position.get(), None); // it does not wait
/// ```
#[derive(Clone, Debug, Default)]
pub struct QueuePosition(Arc<AtomicUsize>);

impl QueuePosition {
    /// Of a request that does not wait.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which one in line it was when its future was last polled; the next one is 1. `None` when it does not wait, or not
    /// any more.
    #[must_use]
    pub fn get(&self) -> Option<usize> {
        Some(self.0.load(Relaxed)).filter(|&place| place > 0)
    }

    pub(super) fn set(&self, place: Option<usize>) {
        self.0.store(place.unwrap_or(0), Relaxed);
    }
}
