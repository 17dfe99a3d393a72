//! What a backfill asks PostgreSQL: how many rows lie where, how wide they are, and the rows of a window.
//!
//! A condition of the user stands in a subquery of its own, and every statement goes through the extended protocol, which
//! takes one statement at a time, in a transaction that can only read.
//!
//! Invariant: the rows of a window come in the order of time and key, a piece at a time, from a cursor; so memory and the
//! time of each statement are bounded, however many rows share one moment.

use nova_streams::Stream;
use sqlx::{AssertSqlSafe, PgConnection};

use super::check::{identity, refused};
use super::range::Range;
use super::window::{Window, joined};
use crate::ReconcileError;
use crate::error::Doing as _;
use crate::grid::{Grid, between};
use crate::postgres_side::PostgresSide;
use crate::report::Scope;
use crate::row_json;
use crate::source_table::SourceTable;
use crate::span::postgres_span;
use crate::sql::pg_name;

/// Rows of a window where an index finds them: one insert.
const INDEXED_ROWS: u64 = 50_000;
/// Rows of a window where each takes a pass over the table.
const SCANNED_ROWS: u64 = 500_000;

/// The texts of a row's key, its image, and its time in milliseconds since 1970.
pub(super) type Fetched = (Vec<Option<String>>, Vec<String>, Option<i64>);

/// A stream's table, cut to the rows that are meant.
pub(super) struct Source<'a> {
    stream: &'a Stream,
    range: &'a Range,
    pub(super) table: SourceTable,
}

impl<'a> Source<'a> {
    /// Looks at the table, and lets PostgreSQL plan the condition.
    ///
    /// # Errors
    /// [`ReconcileError::Refused`] for a table or a condition that cannot be used.
    pub(super) async fn open(
        reader: &mut PgConnection,
        stream: &'a Stream,
        range: &'a Range,
    ) -> Result<Self, ReconcileError> {
        let mut table = SourceTable::read(reader, stream).await?;
        identity(reader, stream).await?;
        if let Some(condition) = &range.condition {
            // The line ends keep a comment in the condition from taking the bracket along.
            table.name = format!("(SELECT ctid, * FROM {} WHERE (\n{condition}\n)) AS nova_rows", table.name);
        }
        let source = Self { stream, range, table };
        source.width(reader).await?;
        Ok(source)
    }

    /// The mean width of a row's mapped columns in bytes, as PostgreSQL's statistics have it.
    pub(super) async fn width(&self, reader: &mut PgConnection) -> Result<u64, ReconcileError> {
        let columns: Vec<String> = self.stream.source_columns().into_iter().map(pg_name).collect();
        let sql = format!("EXPLAIN SELECT {} FROM {}", columns.join(", "), self.table.name);
        let planned = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_all(reader).await;
        let lines: Vec<String> = planned.map_err(|error| match (&self.range.condition, &error) {
            (Some(condition), sqlx::Error::Database(reason)) => refused(
                self.stream,
                format!(
                    "PostgreSQL cannot use the condition `{condition}`: {reason}; --where takes what stands behind WHERE, \
                     on the columns of {}",
                    self.stream.source
                ),
            ),
            _ => ReconcileError::Postgres { doing: "planning to read the table", source: error },
        })?;
        Ok(lines.first().and_then(|line| width_in(line)).unwrap_or_default())
    }

    /// The windows, each with at most so many rows, if that can be had by whole minutes.
    pub(super) async fn windows(
        &self,
        readers: &mut [PgConnection],
        most: u64,
    ) -> Result<Vec<Window>, ReconcileError> {
        let Some(leader) = readers.first_mut() else { return Ok(Vec::new()) };
        let span = postgres_span(leader, self.stream, &self.table).await?;
        let (first, last) = span.unwrap_or_default();
        let scope = self.range.scope();
        let mut windows = Vec::new();
        for cell in self.cells(readers, first, last, &scope).await? {
            match cell.range() {
                (Some(from), Some(to)) if cell.rows > most => {
                    let inner = Scope { since_ms: Some(from), until_ms: Some(to), incremental: false };
                    windows.extend(self.cells(readers, from, to, &inner).await?);
                }
                _ => windows.push(cell),
            }
        }
        Ok(joined(windows, most))
    }

    /// Rows that a window should have.
    pub(super) fn window_rows(&self) -> u64 {
        if self.table.by_time { INDEXED_ROWS } else { SCANNED_ROWS }
    }

    /// Equal pieces of time, with their rows.
    async fn cells(
        &self,
        readers: &mut [PgConnection],
        first: i64,
        last: i64,
        scope: &Scope,
    ) -> Result<Vec<Window>, ReconcileError> {
        let grid = Grid::over(first, last, scope);
        // Rows are counted, not hashed.
        let side = PostgresSide {
            stream: self.stream,
            source: &self.table,
            grid: &grid,
            hash: "0::int8".to_owned(),
        };
        let sums = side.windows(readers).await?;
        let cell = |number: i64| {
            let (from_ms, to_ms) = grid.range(number, number);
            Window { from_ms, to_ms, rows: sums.of(number).rows.unsigned_abs() }
        };
        Ok((0..grid.count).map(cell).collect())
    }

    /// Opens the cursor over a window's rows.
    pub(super) async fn declare(
        &self,
        reader: &mut PgConnection,
        window: &Window,
    ) -> Result<(), ReconcileError> {
        let time = pg_name(&self.stream.time);
        let order: Vec<String> = std::iter::once(&self.stream.time)
            .chain(self.stream.key.iter().filter(|key| **key != self.stream.time))
            .map(|name| pg_name(name))
            .collect();
        let sql = format!(
            "DECLARE nova_backfill NO SCROLL CURSOR FOR SELECT {}, {}, \
             CASE WHEN isfinite({time}) THEN floor(extract(epoch FROM {time}::timestamptz) * 1000)::int8 END \
             FROM {} WHERE {} ORDER BY {}",
            row_json::key(self.stream),
            row_json::image(self.stream, &self.table),
            self.table.name,
            between(&self.stream.time, window.range()),
            order.join(", ")
        );
        let declared = sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(reader).await;
        declared.doing("opening a cursor over a window").map(drop)
    }

    /// The cursor's next rows, none at its end.
    pub(super) async fn fetch(
        &self,
        reader: &mut PgConnection,
        rows: usize,
    ) -> Result<Vec<Fetched>, ReconcileError> {
        let sql = format!("FETCH FORWARD {rows} FROM nova_backfill");
        let fetched = sqlx::query_as(AssertSqlSafe(sql)).persistent(false).fetch_all(reader).await;
        fetched.doing("reading a window")
    }

    /// Closes the cursor.
    pub(super) async fn close(&self, reader: &mut PgConnection) -> Result<(), ReconcileError> {
        sqlx::query("CLOSE nova_backfill").execute(reader).await.doing("closing a cursor").map(drop)
    }
}

/// `Seq Scan on likes  (cost=0.00..14.50 rows=450 width=56)`
fn width_in(line: &str) -> Option<u64> {
    line.rsplit_once("width=")?.1.trim_end_matches(')').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_read_from_the_plan() {
        assert_eq!(width_in("Seq Scan on likes  (cost=0.00..14.50 rows=450 width=56)"), Some(56));
        assert_eq!(width_in("Result"), None);
    }
}
