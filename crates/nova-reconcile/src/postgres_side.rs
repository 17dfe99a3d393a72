//! PostgreSQL's half of a comparison: sums per window, sums per bucket of a window, rows of buckets.
//!
//! A whole table is read once per question, in pieces that the readers share: page ranges, or ranges of time where an
//! index begins with it or the table is partitioned.
//!
//! Invariant: every row of the scope is in exactly one piece.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use nova_streams::{Mapping, Stream};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use crate::ReconcileError;
use crate::buckets::{Buckets, Place};
use crate::error::Doing as _;
use crate::grid::Grid;
use crate::row_json::{self, SourceRow};
use crate::source_table::{SourceTable, time_column};
use crate::sums::{Sum, Sums};

/// Pages of a piece at most: half a gigabyte.
const PIECE_PAGES: i64 = 65_536;
/// Pieces per reader, so that none waits long for another.
const PIECES_EACH: i64 = 4;

/// Window, the key's texts, the image.
type Listed = (i64, Vec<Option<String>>, Vec<String>);

/// What is asked of PostgreSQL.
pub(crate) struct PostgresSide<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) source: &'a SourceTable,
    pub(crate) grid: &'a Grid,
    /// The row's hash.
    pub(crate) hash: String,
}

impl PostgresSide<'_> {
    /// Rows and checksum of every window that has rows.
    pub(crate) async fn windows(&self, readers: &mut [PgConnection]) -> Result<Sums, ReconcileError> {
        let number = self.grid.postgres_number("w");
        let sql = |piece: &str| {
            format!(
                "SELECT {number}, n, s::text FROM (SELECT w, count(*) AS n, sum(h) AS s FROM ({}) AS q GROUP BY w) AS g",
                self.rows(0, self.grid.count - 1, piece, "")
            )
        };
        let pieces: Vec<String> = self.pieces(readers.len()).iter().map(|piece| sql(piece)).collect();
        let mut sums = Sums::default();
        ask(readers, pieces, "summing up the table", |(window, rows, checksum): (i64, i64, String)| {
            sums.add(window, Sum { rows, checksum: number_of(&checksum)? });
            Ok(())
        })
        .await?;
        Ok(sums)
    }

    /// Rows and checksum of every bucket of these windows that has rows.
    pub(crate) async fn buckets(
        &self,
        readers: &mut [PgConnection],
        buckets: &Buckets,
    ) -> Result<BTreeMap<Place, Sum>, ReconcileError> {
        let (number, mask) = (self.grid.postgres_number("w"), buckets.mask);
        let sql = |piece: &str| {
            format!(
                "SELECT {number}, b, n, s::text FROM (SELECT w, h & {mask} AS b, count(*) AS n, sum(h) AS s \
                 FROM ({}) AS q WHERE w = ANY({}) GROUP BY w, h & {mask}) AS g",
                self.rows(buckets.first(), buckets.last(), piece, ""),
                self.grid.postgres_begins(&buckets.windows)
            )
        };
        let pieces: Vec<String> = self.pieces(readers.len()).iter().map(|piece| sql(piece)).collect();
        let mut sums: BTreeMap<Place, Sum> = BTreeMap::new();
        let add = |(window, bucket, rows, checksum): (i64, i64, i64, String)| {
            let sum = Sum { rows, checksum: number_of(&checksum)? };
            sums.entry(Place { window, bucket }).or_default().add(&sum);
            Ok(())
        };
        ask(readers, pieces, "summing up parts of windows", add).await?;
        Ok(sums)
    }

    /// The rows of these places, with their windows.
    pub(crate) async fn listed(
        &self,
        readers: &mut [PgConnection],
        mapping: &Mapping,
        buckets: &Buckets,
        places: &[Place],
    ) -> Result<Vec<(i64, SourceRow)>, ReconcileError> {
        let (number, mask) = (self.grid.postgres_number("w"), buckets.mask);
        let wanted: Vec<String> = places.iter().map(|place| buckets.code(*place).to_string()).collect();
        let sql = |piece: &str| {
            format!(
                "SELECT {number}, k, i FROM ({}) AS q WHERE w = ANY({}) \
                 AND {number} * {} + (h & {mask}) = ANY('{{{}}}'::int8[])",
                self.rows(buckets.first(), buckets.last(), piece, &self.image()),
                self.grid.postgres_begins(&buckets.windows),
                mask + 1,
                wanted.join(",")
            )
        };
        let pieces: Vec<String> = self.pieces(readers.len()).iter().map(|piece| sql(piece)).collect();
        self.read(readers, mapping, pieces, "listing rows").await
    }

    /// The rows that these conditions name, whatever their time.
    pub(crate) async fn found(
        &self,
        reader: &mut PgConnection,
        mapping: &Mapping,
        conditions: &[String],
    ) -> Result<Vec<(i64, SourceRow)>, ReconcileError> {
        if conditions.is_empty() {
            return Ok(Vec::new());
        }
        let (number, begin) = (self.grid.postgres_number("w"), self.grid.postgres(time_column(self.stream)));
        let sql = format!(
            "SELECT {number}, k, i FROM (SELECT {begin} AS w{} FROM {} WHERE {}) AS q",
            self.image(),
            self.source.name,
            conditions.join(" OR ")
        );
        self.read(std::slice::from_mut(reader), mapping, vec![sql], "looking for rows by key").await
    }

    async fn read(
        &self,
        readers: &mut [PgConnection],
        mapping: &Mapping,
        questions: Vec<String>,
        doing: &'static str,
    ) -> Result<Vec<(i64, SourceRow)>, ReconcileError> {
        let mut rows = Vec::new();
        ask(readers, questions, doing, |(window, key, image): Listed| {
            rows.push((window, row_json::read(self.stream, mapping, &image, key)));
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    fn image(&self) -> String {
        format!(", {} AS k, {} AS i", row_json::key(self.stream), row_json::image(self.stream, self.source))
    }

    /// Begin of the window, hash and `further` columns of the rows of a piece that lie in these windows.
    fn rows(&self, first: i64, last: i64, piece: &str, further: &str) -> String {
        format!(
            "SELECT {} AS w, {} AS h{further} FROM {} WHERE {} AND {piece}",
            self.grid.postgres(time_column(self.stream)),
            self.hash,
            self.source.name,
            self.grid.postgres_rows(time_column(self.stream), first, last)
        )
    }

    /// Conditions that share the table out.
    fn pieces(&self, readers: usize) -> Vec<String> {
        if !self.source.pieces.is_empty() {
            return self.source.pieces.clone();
        }
        let wanted = i64::try_from(readers).unwrap_or(1) * PIECES_EACH;
        if self.source.by_time {
            let each = (self.grid.count / wanted).max(1);
            let begins = (0..self.grid.count).step_by(usize::try_from(each).unwrap_or(1));
            let piece = |first| self.grid.postgres_rows(time_column(self.stream), first, first + each - 1);
            return begins.map(piece).collect();
        }
        let pages = (self.source.pages / wanted).clamp(1, PIECE_PAGES);
        let count = (self.source.pages / pages).max(1);
        let piece = |number: i64| {
            let (from, to) = (number * pages, (number + 1) * pages);
            // The last one has no end: the table may have grown meanwhile.
            let end =
                if number == count - 1 { String::new() } else { format!(" AND ctid < '({to},0)'::tid") };
            format!("(ctid >= '({from},0)'::tid{end})")
        };
        (0..count).map(piece).collect()
    }
}

fn number_of(text: &str) -> Result<i128, ReconcileError> {
    text.parse()
        .map_err(|_| ReconcileError::Answer { server: "PostgreSQL", found: text.chars().take(80).collect() })
}

/// Puts the questions to whichever reader is free, and takes the answers row by row: all pieces together may answer many
/// times what is kept of them.
async fn ask<T>(
    readers: &mut [PgConnection],
    questions: Vec<String>,
    doing: &'static str,
    take: impl FnMut(T) -> Result<(), ReconcileError> + Send,
) -> Result<(), ReconcileError>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let (left, take) = (Mutex::new(VecDeque::from(questions)), Mutex::new(take));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = readers.iter_mut().map(|reader| async {
        while let Some(sql) = next() {
            let mut rows = sqlx::query_as(AssertSqlSafe(sql)).persistent(false).fetch(&mut *reader);
            while let Some(row) = rows.try_next().await.doing(doing)? {
                take.lock().unwrap_or_else(PoisonError::into_inner)(row)?;
            }
        }
        Ok::<_, ReconcileError>(())
    });
    try_join_all(work).await.map(drop)
}
