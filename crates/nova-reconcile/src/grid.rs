//! The windows of a run: equal pieces of time, whole UTC minutes, hours or days, cut the same way by both servers.
//!
//! Invariant: every row is in exactly one window. The first window also holds what is before it (and rows without a
//! time), the last what is behind it, each as far as the run's scope reaches.

use crate::report::Scope;
use crate::sql::pg_name;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Widths to choose from, in milliseconds.
const WIDTHS: [i64; 9] =
    [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 10 * DAY, 100 * DAY, 1_000 * DAY];
/// More windows say no more to a person, and cost memory on both servers.
const MOST: i64 = 1_500;

/// Windows of one width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) from_ms: i64,
    pub(crate) width_ms: i64,
    pub(crate) count: i64,
    scope: Scope,
}

impl Grid {
    /// Windows over what lies between the first and the last row, `(0, 0)` if there is none, within `scope`.
    pub(crate) fn over(first_ms: i64, last_ms: i64, scope: &Scope) -> Self {
        let first = scope.since_ms.unwrap_or(first_ms);
        let last = scope.until_ms.map_or(last_ms, |until| until - 1).max(first);
        let needed = |width: i64| last.div_euclid(width) - first.div_euclid(width) + 1;
        let width_ms = WIDTHS.into_iter().find(|width| needed(*width) <= MOST).unwrap_or(WIDTHS[8]);
        let from_ms = first.div_euclid(width_ms) * width_ms;
        Self { from_ms, width_ms, count: needed(width_ms), scope: scope.clone() }
    }

    /// First millisecond of a window, and the one after its last.
    pub(crate) fn bounds(&self, window: i64) -> (i64, i64) {
        let from = self.from_ms + window * self.width_ms;
        (from, from + self.width_ms)
    }

    /// PostgreSQL's expression for the number of a row's window, `bigint`.
    pub(crate) fn postgres(&self, time: &str) -> String {
        let (start, seconds) = (instant(self.from_ms), self.width_ms / 1_000);
        let last = instant(self.bounds(self.count - 1).0);
        let time = format!("{}::timestamptz", pg_name(time));
        let begin = format!("date_bin('{seconds} seconds', {time}, {start})");
        // greatest() passes over NULL.
        format!("least(greatest({begin}, {start}), {last})")
    }

    /// The number of the window that begins where [`Self::postgres`] says, from a column of that.
    pub(crate) fn postgres_number(&self, begin: &str) -> String {
        format!(
            "((extract(epoch FROM {begin})::int8 - {}) / {})",
            self.from_ms / 1_000,
            self.width_ms / 1_000
        )
    }

    /// ClickHouse's expression for the number of a row's window; `milliseconds` is one of type `Int64`.
    pub(crate) fn clickhouse(&self, milliseconds: &str) -> String {
        let Self { from_ms, width_ms, count, .. } = self;
        let last = self.bounds(count - 1).0;
        format!("intDiv(least(greatest({milliseconds}, {from_ms}), {last}) - {from_ms}, {width_ms})")
    }

    /// From when to when the rows of the windows `first` to `last` lie, in milliseconds; `None`: without end.
    pub(crate) fn range(&self, first: i64, last: i64) -> (Option<i64>, Option<i64>) {
        let from = if first <= 0 { self.scope.since_ms } else { Some(self.bounds(first).0) };
        let to = if last >= self.count - 1 { self.scope.until_ms } else { Some(self.bounds(last).1) };
        (from, to)
    }

    /// PostgreSQL's condition for rows of the windows from `first` to `last`, by the bare column, so that an index or
    /// the bounds of partitions can be used. A `timestamp` or `date` is compared in the session's time zone, UTC.
    pub(crate) fn postgres_rows(&self, time: &str, first: i64, last: i64) -> String {
        between(time, self.range(first, last))
    }

    /// The windows' begins as an array of PostgreSQL.
    pub(crate) fn postgres_begins(&self, windows: &[i64]) -> String {
        let begins: Vec<String> = windows.iter().map(|window| instant(self.bounds(*window).0)).collect();
        format!("ARRAY[{}]", begins.join(", "))
    }
}

/// PostgreSQL's condition for rows between two times, in milliseconds; `None`: without end. A row without a time lies
/// before the first one.
pub(crate) fn between(time: &str, range: (Option<i64>, Option<i64>)) -> String {
    let time = pg_name(time);
    match range {
        (Some(from), Some(to)) => format!("{time} >= {} AND {time} < {}", instant(from), instant(to)),
        (Some(from), None) => format!("{time} >= {}", instant(from)),
        (None, Some(to)) => format!("({time} < {} OR {time} IS NULL)", instant(to)),
        (None, None) => "true".to_owned(),
    }
}

/// A point in time as a literal of PostgreSQL.
pub(crate) fn instant(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    format!("timestamptz '{}'", time.format("%Y-%m-%d %H:%M:%S%.3f+00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_units_that_cover_all_rows_and_are_not_too_many() {
        for (first, last) in
            [(0, 0), (1, 2), (1_700_000_000_123, 1_700_000_000_124), (-5, 90 * DAY), (0, 9_999 * DAY)]
        {
            let grid = Grid::over(first, last, &Scope::default());
            assert!(grid.count <= MOST, "{grid:?}");
            assert_eq!(grid.from_ms.rem_euclid(grid.width_ms), 0);
            assert!(grid.bounds(0).0 <= first && last < grid.bounds(grid.count - 1).1, "{grid:?}");
            let narrower = WIDTHS.iter().rev().find(|width| **width < grid.width_ms);
            if let Some(width) = narrower {
                assert!((last - first) / width + 2 > MOST, "{grid:?} could be finer");
            }
        }
    }

    #[test]
    fn a_scope_bounds_the_windows_and_the_rows() {
        let scope = Scope { since_ms: Some(90_000), until_ms: Some(200_000), incremental: false };
        let grid = Grid::over(0, 10 * DAY, &scope);
        assert_eq!((grid.from_ms, grid.width_ms, grid.count), (60_000, MINUTE, 3));
        assert_eq!(grid.range(0, 2), (Some(90_000), Some(200_000)));
        let all = grid.postgres_rows("at", 0, 2);
        assert_eq!(
            all,
            "\"at\" >= timestamptz '1970-01-01 00:01:30.000+00' AND \"at\" < timestamptz '1970-01-01 00:03:20.000+00'"
        );
        let last = grid.postgres_rows("at", 1, 1);
        assert!(last.contains("00:02:00") && last.contains("00:03:00"), "{last}");
    }
}
