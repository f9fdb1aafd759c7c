//! Names for labels: however many a caller invents, only so many are kept.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use super::inference::shortened;

#[derive(Debug)]
pub(super) struct Names {
    most: usize,
    known: RwLock<HashSet<Arc<str>>>,
    others: Arc<str>,
}

impl Names {
    pub(super) fn at_most(most: usize) -> Self {
        Self { most, known: RwLock::default(), others: "others".into() }
    }

    /// This name, shared; or `others` when there are too many already.
    pub(super) fn get(&self, name: &str) -> Arc<str> {
        let name = shortened(name);
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most && !known.contains(name) {
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
        let names = Names::at_most(256);
        let first = names.get("first");
        for number in 0..1_000_000 {
            names.get(&format!("name {number}"));
        }
        assert!(Arc::ptr_eq(&first, &names.get("first")));
        assert_eq!(&*names.get("name 999999"), "others");
        assert_eq!(names.known.read().unwrap().len(), 256);
    }

    #[test]
    fn long_names_are_cut_between_two_characters() {
        let names = Names::at_most(256);
        assert_eq!(names.get(&"a".repeat(1_000)).len(), 64);
        assert_eq!(&*names.get(&"€".repeat(100)), "€".repeat(21));
    }
}
