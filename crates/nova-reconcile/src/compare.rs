//! One stream, both sides, as of one snapshot: sums by window, then buckets of windows that differ, then rows.
//!
//! Invariant: what is compared on both sides is the same set of rows: those of the scope that the snapshot sees.

use nova_clickhouse::{Client, TableInfo};
use nova_streams::{ColumnSource, ColumnType, Format, LINEAGE_COLUMNS, Mapping, Stream};
use uuid::Uuid;

use crate::ReconcileError;
use crate::buckets::{Buckets, Place, differing};
use crate::clickhouse_side::{ClickHouseSide, TimeColumn};
use crate::grid::Grid;
use crate::hash::RowHash;
use crate::listing::Listing;
use crate::outbox::{self, Retained};
use crate::postgres_side::PostgresSide;
use crate::report::{Scope, StreamReport, TableRow, Tally, Verdict, Window};
use crate::snapshot::Snapshot;
use crate::source_table::{SourceTable, time_column};
use crate::span::postgres_span;
use crate::sql::{pg_literal, pg_name};
use crate::sums::{Sum, Sums};

/// Rows that one listing asks for, about.
const LISTED_ROWS: i64 = 20_000;
/// Keys that one look-up in PostgreSQL names.
const LOOKED_UP: usize = 500;

/// What to compare, and how much to list.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// Which rows.
    pub scope: Scope,
    /// Differences to list; the others are counted.
    pub max_listed: usize,
    /// Threads in ClickHouse.
    pub parallel: usize,
    /// Only windows that the last good run did not see as they are now.
    pub touched: Option<Touched>,
}

/// What may have changed since a run that found both sides equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// When that run's snapshot was taken, in milliseconds since 1970. Windows that reach beyond it count as touched,
    /// and those into which ClickHouse has taken rows since.
    pub since_ms: i64,
}

/// By how much the clocks of the two servers may differ, in milliseconds.
const CLOCKS_MS: i64 = 600_000;

/// Compares one stream as of `snapshot`, whose slot and consumer group have passed it.
///
/// # Errors
/// A server that cannot be asked, or a stream that cannot be compared; a difference is none.
pub async fn compare(
    client: &Client,
    snapshot: &mut Snapshot,
    stream: &Stream,
    options: &CompareOptions,
) -> Result<StreamReport, ReconcileError> {
    match stream.format {
        Format::Debezium => pass(client, snapshot, stream, options, None).await,
        Format::Envelope => outbox::compare(client, snapshot, stream, options).await,
    }
}

/// Compares once; of events those that the outbox can speak for.
pub(crate) async fn pass(
    client: &Client,
    snapshot: &mut Snapshot,
    stream: &Stream,
    options: &CompareOptions,
    retained: Option<&Retained>,
) -> Result<StreamReport, ReconcileError> {
    let refuse = |reason: String| ReconcileError::Refused { stream: stream.name.clone(), reason };
    let table = TableInfo::read(client, &stream.table).await?;
    let mapping = Mapping::compile(stream, &table.schema).map_err(|error| refuse(error.to_string()))?;
    let declared = mapping.columns().len().saturating_sub(LINEAGE_COLUMNS.len());
    let columns: Vec<(String, ColumnType)> = mapping.columns().iter().take(declared).cloned().collect();
    let time = TimeColumn::of(stream, &columns)?;
    let [leader, ..] = snapshot.readers.as_mut_slice() else {
        return Err(refuse("no connection reads the snapshot".to_owned()));
    };
    let mut source = SourceTable::read(leader, stream).await?;
    let mut visible = snapshot.visibility.condition();
    if let Some(retained) = retained {
        outbox::check(stream, &columns)?;
        source.pieces = retained.pieces();
        visible = retained.condition(&snapshot.taken);
    }
    let hash = RowHash::of(stream, &source, &columns)?;
    let clickhouse = ClickHouseSide {
        client,
        stream,
        columns: &columns,
        time: &time,
        hash: &hash,
        visible,
        parallel: options.parallel,
    };
    let span = match (clickhouse.span().await?, source.by_time) {
        (Some(found), false) => Some(found),
        (found, _) => join(found, postgres_span(leader, stream, &source).await?),
    };
    let (first, last) = span.unwrap_or_default();
    let grid = Grid::over(first, last, &options.scope);
    let postgres = PostgresSide { stream, source: &source, grid: &grid, hash: hash.postgres() };
    let mut work = Work {
        stream,
        mapping: &mapping,
        grid: &grid,
        postgres,
        clickhouse,
        max_listed: options.max_listed,
        numbers: (0..grid.count).collect(),
        listing: Listing::default(),
        unlisted: Vec::new(),
    };
    let windows = match options.touched {
        Some(_) if table.schema.column("ingested_at").is_none() => {
            return Err(refuse(
                "a run over touched windows needs the column `ingested_at`; run it without --incremental"
                    .to_owned(),
            ));
        }
        Some(Touched { since_ms }) => work.touched(snapshot, since_ms - CLOCKS_MS).await?,
        None => work.windows(snapshot).await?,
    };
    work.drill(snapshot, &windows).await?;
    work.report(snapshot, windows).await
}

fn join(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

struct Work<'a> {
    stream: &'a Stream,
    mapping: &'a Mapping,
    grid: &'a Grid,
    postgres: PostgresSide<'a>,
    clickhouse: ClickHouseSide<'a>,
    max_listed: usize,
    /// The windows that are compared, by their numbers in the grid, ascending.
    numbers: Vec<i64>,
    listing: Listing,
    /// Windows or buckets that are only counted, with both sides.
    unlisted: Vec<(i64, Sum, Sum)>,
}

impl Work<'_> {
    async fn windows(&self, snapshot: &mut Snapshot) -> Result<Vec<Window>, ReconcileError> {
        let (postgres, clickhouse) = tokio::try_join!(
            self.postgres.windows(&mut snapshot.readers),
            self.clickhouse.windows(self.grid)
        )?;
        let window = |number: &i64| window(self.grid, *number, &postgres, &clickhouse);
        Ok(self.numbers.iter().map(window).collect())
    }

    /// The same for windows that may have changed since a time, and those alone.
    async fn touched(
        &mut self,
        snapshot: &mut Snapshot,
        since_ms: i64,
    ) -> Result<Vec<Window>, ReconcileError> {
        let mut numbers = self.clickhouse.touched(self.grid, since_ms).await?;
        numbers.extend((0..self.grid.count).filter(|number| self.grid.bounds(*number).1 > since_ms));
        self.numbers = numbers.into_iter().collect();
        let (mut postgres, mut clickhouse) = (Sums::default(), Sums::default());
        if !self.numbers.is_empty() {
            let whole = Buckets { windows: self.numbers.clone(), mask: 0 };
            let (source, target) = tokio::try_join!(
                self.postgres.buckets(&mut snapshot.readers, &whole),
                self.clickhouse.buckets(self.grid, &whole)
            )?;
            source.iter().for_each(|(place, sum)| postgres.add(place.window, *sum));
            target.iter().for_each(|(place, sum)| clickhouse.add(place.window, *sum));
        }
        let window = |number: &i64| window(self.grid, *number, &postgres, &clickhouse);
        Ok(self.numbers.iter().map(window).collect())
    }

    /// Where a window of the grid stands in the report; for one that was not compared, the next that was.
    fn place(&self, number: i64) -> usize {
        self.numbers.partition_point(|known| *known < number).min(self.numbers.len().saturating_sub(1))
    }

    /// Lists what differs, window by window, until there is enough.
    async fn drill(&mut self, snapshot: &mut Snapshot, windows: &[Window]) -> Result<(), ReconcileError> {
        let unequal: Vec<(i64, i64)> = windows
            .iter()
            .zip(&self.numbers)
            .filter(|(window, _)| window.postgres != window.clickhouse)
            .map(|(window, number)| (*number, window.postgres.rows.max(window.clickhouse.rows)))
            .collect();
        for buckets in Buckets::split(&unequal) {
            if self.is_full() {
                self.count(&buckets.windows, windows);
                continue;
            }
            let (postgres, clickhouse) = tokio::try_join!(
                self.postgres.buckets(&mut snapshot.readers, &buckets),
                self.clickhouse.buckets(self.grid, &buckets)
            )?;
            self.list(snapshot, &buckets, differing(&postgres, &clickhouse)).await?;
        }
        Ok(())
    }

    async fn list(
        &mut self,
        snapshot: &mut Snapshot,
        buckets: &Buckets,
        differing: Vec<(Place, Sum, Sum)>,
    ) -> Result<(), ReconcileError> {
        let mut left = differing.into_iter().peekable();
        while left.peek().is_some() && !self.is_full() {
            let (mut places, mut rows) = (Vec::new(), 0);
            while let Some((place, postgres, clickhouse)) = left.next_if(|_| rows < LISTED_ROWS) {
                rows += postgres.rows.max(0) + clickhouse.rows.max(0) + 1;
                places.push(place);
            }
            let (postgres, clickhouse) = tokio::try_join!(
                self.postgres.listed(&mut snapshot.readers, self.mapping, buckets, &places),
                self.clickhouse.listed(self.grid, buckets, &places)
            )?;
            self.listing.add(postgres, clickhouse);
        }
        self.unlisted.extend(left.map(|(place, postgres, clickhouse)| (place.window, postgres, clickhouse)));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.listing.len() >= self.max_listed
    }

    /// Leaves windows at their sums.
    fn count(&mut self, numbers: &[i64], windows: &[Window]) {
        for number in numbers {
            if let Some(Window { postgres, clickhouse, .. }) = windows.get(self.place(*number)) {
                let sum = |rows: i64| Sum { rows, checksum: 0 };
                self.unlisted.push((*number, sum(postgres.rows), sum(clickhouse.rows)));
            }
        }
    }

    /// Asks both sides for all that they have of the listed keys: a version may lie where nothing differs, or outside of
    /// the scope.
    async fn complete(&mut self, snapshot: &mut Snapshot) -> Result<(), ReconcileError> {
        self.listing.complete(self.clickhouse.found(self.grid, &self.listing.keys()).await?);
        let conditions: Vec<String> =
            self.listing.without_row().filter_map(|(key, state)| self.condition(key, state)).collect();
        let Some(leader) = snapshot.readers.first_mut() else { return Ok(()) };
        for some in conditions.chunks(LOOKED_UP) {
            let rows = self.postgres.found(leader, self.mapping, some).await?;
            self.listing.add_rows(rows);
        }
        Ok(())
    }

    /// PostgreSQL's condition for a key that ClickHouse has, if its columns are known.
    fn condition(&self, source_key: Uuid, state: &TableRow) -> Option<String> {
        let source = |key: &String| self.postgres.source.column(key);
        if let [key] = self.stream.key.as_slice()
            && source(key).is_some_and(|column| column.type_name == "uuid")
        {
            return Some(format!("{} = '{source_key}'", pg_name(key)));
        }
        let part = |key: &String| {
            let column =
                self.stream.columns.iter().find_map(|(name, declaration)| match &declaration.source {
                    ColumnSource::Field(field) if field.field == *key => Some(name),
                    _ => None,
                })?;
            let value = state.columns.iter().find(|found| found.name == *column)?.value.as_deref()?;
            // A time may have been cut: it does not name the row.
            let is_exact = source(key).is_some_and(|column| {
                matches!(column.type_name.as_str(), "uuid" | "text" | "varchar" | "int2" | "int4" | "int8")
            });
            is_exact.then(|| format!("{} = {}", pg_name(key), pg_literal(value)))
        };
        let parts: Option<Vec<String>> = self.stream.key.iter().map(part).collect();
        parts.map(|parts| format!("({})", parts.join(" AND ")))
    }

    async fn report(
        mut self,
        snapshot: &mut Snapshot,
        mut windows: Vec<Window>,
    ) -> Result<StreamReport, ReconcileError> {
        self.complete(snapshot).await?;
        let mut differences = std::mem::take(&mut self.listing).differences();
        let mut tally = Tally::default();
        for difference in &mut differences {
            difference.window = self.place(i64::try_from(difference.window).unwrap_or_default());
            if let Some(window) = windows.get_mut(difference.window) {
                window.tally.add(difference.kind, 1);
            }
            tally.add(difference.kind, 1);
        }
        for (number, postgres, clickhouse) in &self.unlisted {
            let found = counted(postgres, clickhouse);
            tally += found;
            if let Some(window) = windows.get_mut(self.place(*number)) {
                window.tally += found;
            }
        }
        let listed_all = self.unlisted.is_empty() && differences.len() <= self.max_listed;
        differences.truncate(self.max_listed);
        let (verdict, reason) = verdict(&windows, &tally);
        Ok(StreamReport {
            stream: self.stream.name.clone(),
            source: self.stream.source.clone(),
            table: self.stream.table.clone(),
            topic: self.stream.topic.clone(),
            key: self.stream.key.clone(),
            time: time_column(self.stream).to_owned(),
            table_time: self.clickhouse.time.name().to_owned(),
            verdict,
            reason,
            note: None,
            snapshots: vec![snapshot.taken.clone()],
            windows,
            tally,
            differences,
            listed_all,
            left_out: Vec::new(),
        })
    }
}

fn window(grid: &Grid, number: i64, postgres: &Sums, clickhouse: &Sums) -> Window {
    let (from_ms, to_ms) = grid.bounds(number);
    Window {
        from_ms,
        to_ms,
        snapshot: 0,
        postgres: postgres.of(number).side(),
        clickhouse: clickhouse.of(number).side(),
        tally: Tally::default(),
    }
}

/// Sums that differ are never called equal, even if no row was found that does: it may have bytes that texts do not show.
fn verdict(windows: &[Window], tally: &Tally) -> (Verdict, Option<String>) {
    if tally.total() > 0 {
        return (Verdict::Different, None);
    }
    match windows.iter().filter(|window| window.postgres != window.clickhouse).count() {
        0 => (Verdict::Equal, None),
        unequal => {
            let reason = format!("the checksums of {unequal} windows differ, and no row was found that does");
            (Verdict::Incomplete, Some(reason))
        }
    }
}

/// What can be said without looking at rows.
fn counted(postgres: &Sum, clickhouse: &Sum) -> Tally {
    let more = (postgres.rows - clickhouse.rows).unsigned_abs();
    let mut tally = Tally::default();
    match postgres.rows.cmp(&clickhouse.rows) {
        std::cmp::Ordering::Greater => tally.missing = more,
        std::cmp::Ordering::Less => tally.extra = more,
        std::cmp::Ordering::Equal => tally.different = 1,
    }
    tally
}
