//! Decides: is there something to tell in place of a beat?

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

/// A number that a stream's client is told when it has changed. Zero is what it was before anybody looked.
pub(crate) struct News {
    number: Box<dyn Fn() -> usize + Send + Sync>,
    written: fn(usize) -> Bytes,
    told: AtomicUsize,
}

impl News {
    /// `written`: whole in itself between two events.
    pub(crate) fn new(
        number: impl Fn() -> usize + Send + Sync + 'static,
        written: fn(usize) -> Bytes,
    ) -> Self {
        Self { number: Box::new(number), written, told: AtomicUsize::new(0) }
    }

    /// What to write, if the number is not what was told last.
    pub(crate) fn changed(&self) -> Option<Bytes> {
        let number = (self.number)();
        (self.told.swap(number, Relaxed) != number).then(|| (self.written)(number))
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").field("told", &self.told).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn only_what_has_changed_is_told() {
        let number = Arc::new(AtomicUsize::new(0));
        let read = Arc::clone(&number);
        let news = News::new(move || read.load(Relaxed), |number| number.to_string().into());
        let told = |now| {
            number.store(now, Relaxed);
            news.changed()
        };
        assert_eq!(told(0), None);
        assert_eq!(told(3).unwrap(), "3");
        assert_eq!(told(3), None);
        assert_eq!(told(1).unwrap(), "1");
        assert_eq!(told(0).unwrap(), "0");
        assert_eq!(told(0), None);
    }
}
