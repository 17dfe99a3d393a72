//! Memory of blocks that are done with, kept for the next ones. Fresh memory costs a page fault for every 4 KiB that is written,
//! and vectors that double leave holes which other allocations keep from closing.
//!
//! Invariant: at most [`KEPT`] vectors are kept, the largest that were given; what they held is gone.

use std::sync::{Mutex, PoisonError};

/// The rows of a batch being written, the same as columns, and one to spare. The batch being filled has its own.
const KEPT: usize = 3;

/// Vectors without content.
#[derive(Debug)]
pub(crate) struct Spare<T>(Mutex<Vec<Vec<T>>>);

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Spare<T> {
    /// An empty vector, with the memory of an earlier one if there is any.
    pub(crate) fn take(&self) -> Vec<T> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_default()
    }

    /// Keeps the memory of this one.
    pub(crate) fn give(&self, mut vector: Vec<T>) {
        vector.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(vector);
        kept.sort_by_key(Vec::capacity);
        if kept.len() > KEPT {
            kept.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_come_back_empty() {
        let spare = Spare::default();
        assert_eq!(spare.take().capacity(), 0);
        for capacity in [10, 40, 20, 30, 0] {
            let mut vector = Vec::with_capacity(capacity);
            vector.resize(capacity, 7_u8);
            spare.give(vector);
        }
        let taken: Vec<Vec<u8>> = (0..4).map(|_| spare.take()).collect();
        assert_eq!(taken.iter().map(Vec::capacity).collect::<Vec<_>>(), [40, 30, 20, 0]);
        assert!(taken.iter().all(Vec::is_empty));
    }
}
