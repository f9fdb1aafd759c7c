//! So many requests for each key, and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many requests of each key are in flight or in the queue. A key that has none is not in it, so it is never larger
/// than the gate and its queue together.
#[derive(Debug, Default)]
pub(super) struct Keys(Mutex<HashMap<u64, usize>>);

impl Keys {
    /// Counts one more, unless that would be more than `cap`, which is at least one.
    pub(super) fn enter(self: &Arc<Self>, key: u64, cap: usize) -> Option<KeyGuard> {
        let mut counts = self.lock();
        let count = counts.entry(key).or_insert(0);
        if *count >= cap {
            return None;
        }
        *count += 1;
        Some(KeyGuard { keys: Arc::clone(self), key })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request of a key. To drop it takes it off.
#[derive(Debug)]
pub(super) struct KeyGuard {
    keys: Arc<Keys>,
    key: u64,
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        let mut counts = self.keys.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_cap_and_leaves_nothing_behind() {
        let keys = Arc::new(Keys::default());
        let first = keys.enter(7, 2).unwrap();
        let second = keys.enter(7, 2).unwrap();
        assert!(keys.enter(7, 2).is_none());
        let other = keys.enter(8, 2).unwrap();
        drop(first);
        let third = keys.enter(7, 2).unwrap();
        drop((second, other, third));
        assert_eq!(keys.len(), 0);
    }
}
