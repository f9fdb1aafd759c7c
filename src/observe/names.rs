//! Names for labels: however many a caller invents, only so many are kept.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use super::inference::shortened;

#[derive(Debug)]
pub(super) struct Names {
    known: RwLock<HashSet<Arc<str>>>,
    others: Arc<str>,
}

const MOST: usize = 256;

impl Default for Names {
    fn default() -> Self {
        Self { known: RwLock::default(), others: "others".into() }
    }
}

impl Names {
    /// This name, shared; or `others` when there are too many already.
    pub(super) fn get(&self, name: &str) -> Arc<str> {
        let name = shortened(name);
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains(name) {
            return Arc::clone(&self.others);
        }
        let name: Arc<str> = name.into();
        known.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_names_are_few() {
        let names = Names::default();
        let first = names.get("first");
        for number in 0..1_000_000 {
            names.get(&format!("name {number}"));
        }
        assert!(Arc::ptr_eq(&first, &names.get("first")));
        assert_eq!(&*names.get("name 999999"), "others");
        assert_eq!(names.known.read().unwrap().len(), MOST);
    }

    #[test]
    fn long_names_are_cut_between_two_characters() {
        let names = Names::default();
        assert_eq!(names.get(&"a".repeat(1_000)).len(), 64);
        assert_eq!(&*names.get(&"€".repeat(100)), "€".repeat(21));
    }
}
