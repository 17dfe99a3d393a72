//! Rows and checksums by window.

use std::collections::BTreeMap;

use crate::report::Side;

/// One side of a window or of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: i64,
    pub(crate) checksum: i128,
}

impl Sum {
    pub(crate) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }

    pub(crate) fn side(&self) -> Side {
        Side { rows: self.rows, checksum: self.checksum.to_string() }
    }
}

/// One side, by window; a window that is not in it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sums(BTreeMap<i64, Sum>);

impl Sums {
    pub(crate) fn add(&mut self, window: i64, sum: Sum) {
        self.0.entry(window).or_default().add(&sum);
    }

    pub(crate) fn of(&self, window: i64) -> Sum {
        self.0.get(&window).copied().unwrap_or_default()
    }
}
