//! The pieces of a backfill: ranges of time with about as many rows each.
//!
//! Invariant: windows follow each other without a gap, and every row lies in exactly one of them, rows without a time in
//! the first.

use serde::{Deserialize, Serialize};

/// A range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its first moment, in milliseconds since 1970; `None`: from the first row on.
    pub from_ms: Option<i64>,
    /// The moment after its last; `None`: to the last row.
    pub to_ms: Option<i64>,
    /// The rows that it had when the plan was made.
    pub rows: u64,
}

impl Window {
    pub(super) fn range(&self) -> (Option<i64>, Option<i64>) {
        (self.from_ms, self.to_ms)
    }
}

/// Neighbours together, as long as they have at most so many rows.
pub(super) fn joined(cells: impl IntoIterator<Item = Window>, most: u64) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for cell in cells {
        match windows.last_mut() {
            Some(last) if last.rows == 0 || cell.rows == 0 || last.rows + cell.rows <= most => {
                last.to_ms = cell.to_ms;
                last.rows += cell.rows;
            }
            _ => windows.push(cell),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rows: &[u64]) -> Vec<Window> {
        let cell = |(at, rows): (i64, &u64)| Window { from_ms: Some(at), to_ms: Some(at + 1), rows: *rows };
        (0..).zip(rows).map(cell).collect()
    }

    #[test]
    fn windows_are_as_large_as_they_may_be_and_leave_no_gap() {
        let found = joined(cells(&[0, 3, 4, 4, 0, 12, 0, 1, 0]), 10);
        let each: Vec<_> = found.iter().map(|window| (window.from_ms, window.to_ms, window.rows)).collect();
        let window = |from, to, rows| (Some(from), Some(to), rows);
        assert_eq!(each, [window(0, 3, 7), window(3, 5, 4), window(5, 7, 12), window(7, 9, 1)]);
        assert_eq!(joined(cells(&[]), 10), []);
        assert_eq!(joined(cells(&[0, 0]), 10), [Window { from_ms: Some(0), to_ms: Some(2), rows: 0 }]);
    }
}
