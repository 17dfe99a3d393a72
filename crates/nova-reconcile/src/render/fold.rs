//! Windows folded into as many columns as there is room for, on one axis of time for all streams.
//!
//! Invariant: every window is in exactly one cell of its stream, a cell is never better than the worst of its windows,
//! and cells of a stream do not overlap.

use std::ops::Range;

use crate::{StreamReport, Tally, Window};

/// Columns of a heat map on a page.
pub(crate) const COLUMNS: usize = 96;

/// How bad a window or cell is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Both sides are equal.
    Equal,
    /// All differences are explained by dead letters.
    Explained,
    /// Not read to the end on both sides.
    NotCompared,
    /// One difference that nothing explains.
    One,
    /// 2 to 9.
    Few,
    /// 10 to 99.
    Many,
    /// 100 and more.
    Lots,
}

impl Level {
    pub(crate) const ALL: [Self; 7] =
        [Self::Equal, Self::Explained, Self::NotCompared, Self::One, Self::Few, Self::Many, Self::Lots];

    /// For legends.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Explained => "explained",
            Self::NotCompared => "not compared",
            Self::One => "1",
            Self::Few => "2–9",
            Self::Many => "10–99",
            Self::Lots => "100+",
        }
    }

    fn of_count(unexplained: u64) -> Self {
        match unexplained {
            0 => Self::Equal,
            1 => Self::One,
            2..=9 => Self::Few,
            10..=99 => Self::Many,
            _ => Self::Lots,
        }
    }
}

/// Windows that share a place on the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Columns of the axis that it covers.
    pub(crate) columns: Range<usize>,
    /// Its windows, as indices into the stream's.
    pub(crate) windows: Range<usize>,
    /// Rows in PostgreSQL.
    pub(crate) postgres_rows: i64,
    /// Rows in ClickHouse.
    pub(crate) clickhouse_rows: i64,
    /// Differences of its windows.
    pub(crate) tally: Tally,
    /// Windows that were not compared.
    pub(crate) not_compared: usize,
    /// The worst of its windows and of their sum.
    pub(crate) level: Level,
}

/// All streams on one axis.
#[derive(Debug)]
pub(crate) struct Folded {
    /// Where columns begin, in milliseconds since 1970, and where the last one ends; empty without windows.
    pub(crate) boundaries: Vec<i64>,
    /// The cells of each stream.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// How bad a window is.
pub(crate) fn level(window: &Window) -> Level {
    let Tally { explained, .. } = window.tally;
    let total = window.tally.total();
    if total > explained {
        return Level::of_count(total - explained);
    }
    if !window.compared() {
        return Level::NotCompared;
    }
    if total > 0 {
        return Level::Explained;
    }
    // Sides that differ without a listed or counted difference: the run ended before it looked closer.
    if window.postgres == window.clickhouse { Level::Equal } else { Level::One }
}

/// Folds all windows into at most `limit` columns; columns hold about the same number of windows, not the same time.
pub(crate) fn fold(streams: &[StreamReport], limit: usize) -> Folded {
    let boundaries = boundaries(streams, limit.max(1));
    let rows = streams.iter().map(|stream| cells(&stream.windows, &boundaries)).collect();
    Folded { boundaries, rows }
}

fn boundaries(streams: &[StreamReport], limit: usize) -> Vec<i64> {
    let windows = streams.iter().flat_map(|stream| &stream.windows);
    let mut all: Vec<i64> = windows.flat_map(|window| [window.from_ms, window.to_ms]).collect();
    all.sort_unstable();
    all.dedup();
    let intervals = all.len().saturating_sub(1);
    if intervals <= limit {
        return all;
    }
    (0..=limit).filter_map(|column| all.get(column * intervals / limit).copied()).collect()
}

/// A window belongs to the column in which it begins, and covers the columns up to the next one's.
fn cells(windows: &[Window], boundaries: &[i64]) -> Vec<Cell> {
    let column = |ms: i64| boundaries.partition_point(|boundary| *boundary <= ms).saturating_sub(1);
    let mut cells: Vec<Cell> = Vec::new();
    for (index, window) in windows.iter().enumerate() {
        let start = column(window.from_ms);
        let end = column(window.to_ms.saturating_sub(1)) + 1;
        if let Some(last) = cells.last_mut() {
            if last.columns.start == start {
                last.take(index, window);
                last.columns.end = last.columns.end.max(end);
                continue;
            }
            last.columns.end = last.columns.end.min(start);
        }
        let mut cell = Cell {
            columns: start..end.max(start + 1),
            windows: index..index,
            postgres_rows: 0,
            clickhouse_rows: 0,
            tally: Tally::default(),
            not_compared: 0,
            level: Level::Equal,
        };
        cell.take(index, window);
        cells.push(cell);
    }
    cells
}

impl Cell {
    fn take(&mut self, index: usize, window: &Window) {
        self.windows.end = index + 1;
        self.postgres_rows = self.postgres_rows.saturating_add(window.postgres.rows);
        self.clickhouse_rows = self.clickhouse_rows.saturating_add(window.clickhouse.rows);
        self.tally += window.tally;
        self.not_compared += usize::from(!window.compared());
        let unexplained = self.tally.total().saturating_sub(self.tally.explained);
        self.level = self.level.max(level(window)).max(Level::of_count(unexplained));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Side, Verdict};

    fn window(from_ms: i64, to_ms: i64, missing: u64) -> Window {
        let side = |rows| Side { rows, checksum: rows.to_string() };
        let lost = i64::try_from(missing).unwrap();
        Window {
            from_ms,
            to_ms,
            snapshot: 0,
            postgres: side(100),
            clickhouse: side(100 - lost),
            tally: Tally { missing, ..Tally::default() },
        }
    }

    fn stream(windows: Vec<Window>) -> StreamReport {
        StreamReport {
            stream: "s".to_owned(),
            source: String::new(),
            table: String::new(),
            topic: String::new(),
            key: Vec::new(),
            time: String::new(),
            table_time: String::new(),
            verdict: Verdict::Equal,
            reason: None,
            note: None,
            snapshots: Vec::new(),
            windows,
            tally: Tally::default(),
            differences: Vec::new(),
            listed_all: true,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn every_window_is_in_one_cell_and_sums_are_kept() {
        for limit in [1, 2, 7, 96, 1000] {
            let minutes =
                stream((0..500).map(|n| window(n * 60, n * 60 + 60, u64::from(n == 333))).collect());
            let hours = stream((0..9).map(|n| window(n * 3600 - 7, n * 3600 + 3593, 0)).collect());
            let folded = fold(&[minutes, hours], limit);
            assert!(folded.boundaries.len() <= limit + 1);
            for (cells, count) in folded.rows.iter().zip([500, 9]) {
                let mut next = 0;
                let mut column = 0;
                for cell in cells {
                    assert_eq!(cell.windows.start, next);
                    assert!(cell.columns.start >= column && cell.columns.end > cell.columns.start);
                    assert!(cell.columns.end < folded.boundaries.len());
                    (next, column) = (cell.windows.end, cell.columns.end);
                }
                assert_eq!(next, count);
                assert_eq!(
                    cells.iter().map(|cell| cell.postgres_rows).sum::<i64>(),
                    i64::try_from(count).unwrap() * 100
                );
            }
            let bad: Vec<&Cell> = folded.rows[0].iter().filter(|cell| cell.level > Level::Equal).collect();
            assert!(matches!(bad[..], [cell] if cell.windows.contains(&333) && cell.level == Level::One));
        }
    }

    #[test]
    fn coarse_windows_cover_many_columns_without_being_joined() {
        let fine = stream((0..96).map(|n| window(n, n + 1, 0)).collect());
        let coarse = stream(vec![window(0, 31, 0), window(31, 62, 4), window(62, 96, 0)]);
        let folded = fold(&[fine, coarse], 20);
        assert_eq!(folded.rows[1].len(), 3);
        assert_eq!(folded.rows[1][1].level, Level::Few);
        assert_eq!(folded.rows[1][2].columns.end, 20);
    }

    #[test]
    fn a_window_that_was_not_compared_is_not_equal() {
        let mut open = window(0, 1, 0);
        open.clickhouse = Side::default();
        assert_eq!(level(&open), Level::NotCompared);
        let mut explained = window(0, 1, 2);
        explained.tally.explained = 2;
        assert_eq!(level(&explained), Level::Explained);
        explained.tally.explained = 1;
        assert_eq!(level(&explained), Level::One);
        let mut unexamined = window(0, 1, 0);
        unexamined.clickhouse.checksum = "7".to_owned();
        assert_eq!(level(&unexamined), Level::One);
        assert!(fold(&[stream(Vec::new())], 10).boundaries.is_empty());
    }
}
