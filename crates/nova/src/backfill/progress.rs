//! How far a backfill is: windows that are done, and what became of their rows.
//!
//! Invariant: what it says of windows is what was durable when they were done. Rows of a window that is not done count as
//! progress, and are read again by whoever goes on.

use std::collections::BTreeMap;

use nova_reconcile::backfill::Filled;
use serde::{Deserialize, Serialize};

use crate::job::Sums;

/// A backfill's checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    /// All windows before this one are done.
    before: usize,
    /// Those behind it that are, ascending.
    also: Vec<usize>,
    /// What became of their rows.
    pub(super) filled: Filled,
    /// Rows of windows that are not done.
    #[serde(skip)]
    pending: BTreeMap<usize, Filled>,
}

impl Done {
    pub(super) fn has(&self, window: usize) -> bool {
        window < self.before || self.also.binary_search(&window).is_ok()
    }

    /// Takes note of rows of a window.
    pub(super) fn fill(&mut self, window: usize, filled: &Filled) {
        *self.pending.entry(window).or_default() += filled.clone();
    }

    /// Takes note of the end of a window.
    pub(super) fn end(&mut self, window: usize) {
        self.filled += self.pending.remove(&window).unwrap_or_default();
        if let Err(place) = self.also.binary_search(&window) {
            self.also.insert(place, window);
        }
        while self.also.first() == Some(&self.before) {
            self.also.remove(0);
            self.before += 1;
        }
    }

    /// All rows that were handled.
    pub(super) fn sums(&self) -> Sums {
        let mut all = self.filled.clone();
        self.pending.values().for_each(|filled| all += filled.clone());
        Sums {
            done: all.read,
            written: all.written + all.completed,
            already_there: all.there,
            skipped: all.read.saturating_sub(all.written + all.there + all.refused),
            letters: all.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(read: u64, written: u64) -> Filled {
        Filled { read, written, there: read - written, ..Filled::default() }
    }

    #[test]
    fn windows_end_in_any_order_and_what_is_not_done_is_not_in_the_checkpoint() {
        let mut done = Done::default();
        for (window, read) in [(1, 10), (0, 20), (3, 30), (3, 5)] {
            done.fill(window, &filled(read, 1));
        }
        done.end(1);
        assert!(done.has(1) && !done.has(0) && !done.has(3));
        done.end(0);
        assert_eq!((done.before, done.also.as_slice()), (2, &[][..]));
        let sums = done.sums();
        assert_eq!((sums.done, sums.written, sums.already_there, sums.skipped), (65, 4, 61, 0));
        let text = serde_json::to_string(&done).unwrap();
        let again: Done = serde_json::from_str(&text).unwrap();
        assert!(again.has(0) && again.has(1) && !again.has(2));
        assert_eq!((again.filled.read, again.sums().done), (30, 30), "the third window is read again");
    }
}
