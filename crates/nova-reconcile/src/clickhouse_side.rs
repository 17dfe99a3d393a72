//! ClickHouse's half of a comparison: the same questions as PostgreSQL's, over the rows that a snapshot sees.
//!
//! Invariant: a state's weight is `sum(sign)` over the visible rows of the stream's topic, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use nova_clickhouse::Client;
use nova_streams::{ColumnSource, ColumnType, Stream};
use serde::Deserialize;
use uuid::Uuid;

use crate::ReconcileError;
use crate::buckets::{Buckets, Place};
use crate::cell_text::{column_text, holds_bytes, normal};
use crate::grid::Grid;
use crate::hash::RowHash;
use crate::report::{Column, TableRow};
use crate::source_table::time_column;
use crate::sql::{ch_literal, ch_name};
use crate::sums::{Sum, Sums};

/// The column that holds a stream's time.
#[derive(Debug, Clone)]
pub(crate) struct TimeColumn {
    name: String,
    column_type: ColumnType,
}

/// A window's states are grouped to list those of some buckets; beyond so many bytes ClickHouse groups on its disk. A
/// bulk import can put all rows of a table into one window.
const STATES_BYTES: u64 = 256 << 20;

/// What is asked of ClickHouse.
pub(crate) struct ClickHouseSide<'a> {
    pub(crate) client: &'a Client,
    pub(crate) stream: &'a Stream,
    /// The declared columns, in the mapping's order.
    pub(crate) columns: &'a [(String, ColumnType)],
    pub(crate) time: &'a TimeColumn,
    pub(crate) hash: &'a RowHash,
    /// Which rows the snapshot sees.
    pub(crate) visible: String,
    pub(crate) parallel: usize,
}

/// A state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) source_key: Uuid,
    pub(crate) window: i64,
    pub(crate) row: TableRow,
}

#[derive(Deserialize)]
struct StateRow {
    nova_w: i64,
    source_key: Uuid,
    total: i64,
    nova_values: Vec<Option<String>>,
    messages: Vec<String>,
}

impl TimeColumn {
    /// The column that the stream fills from its time.
    pub(crate) fn of(stream: &Stream, columns: &[(String, ColumnType)]) -> Result<Self, ReconcileError> {
        let found = columns.iter().find(|(name, column_type)| {
            let source = stream.columns.get(name).map(|declaration| &declaration.source);
            let from_time =
                matches!(source, Some(ColumnSource::Field(field)) if field.field == time_column(stream));
            let bare = if let ColumnType::Nullable(inner) = column_type { inner } else { column_type };
            from_time
                && matches!(
                    bare,
                    ColumnType::DateTime | ColumnType::DateTime64(_) | ColumnType::Date | ColumnType::Date32
                )
        });
        let (name, column_type) = found.ok_or_else(|| ReconcileError::Refused {
            stream: stream.name.clone(),
            reason: format!(
                "no column of `{}` holds `{}`, by which windows are cut; map it to a DateTime64",
                stream.table,
                time_column(stream)
            ),
        })?;
        Ok(Self { name: name.clone(), column_type: column_type.clone() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Milliseconds since 1970, `Int64`.
    pub(crate) fn milliseconds(&self) -> String {
        let name = ch_name(&self.name);
        if let ColumnType::Nullable(inner) = &self.column_type {
            return format!("ifNull({}, toInt64(-9223372036854775808))", milliseconds(&name, inner));
        }
        milliseconds(&name, &self.column_type)
    }

    /// A condition for rows whose time PostgreSQL has between two milliseconds since 1970; it has more digits.
    pub(crate) fn near(&self, first_ms: i64, last_ms: i64) -> String {
        let has_clock = matches!(&self.column_type, ColumnType::DateTime | ColumnType::DateTime64(_));
        let cut = if has_clock { 1_000 } else { 86_400_000 };
        let range = (Some(first_ms.saturating_sub(cut)), Some(last_ms.saturating_add(1)));
        format!("1{}", self.between(range))
    }

    /// A condition that the primary key can use, to follow others.
    pub(crate) fn between(&self, (from, to): (Option<i64>, Option<i64>)) -> String {
        let has_clock = matches!(&self.column_type, ColumnType::DateTime | ColumnType::DateTime64(_));
        let (column, instant): (String, fn(i64) -> String) = if has_clock {
            (ch_name(&self.name), |ms| format!("fromUnixTimestamp64Milli(toInt64({ms}), 'UTC')"))
        } else {
            (self.milliseconds(), |ms| ms.to_string())
        };
        let from = from.map(|from| format!(" AND {column} >= {}", instant(from)));
        let to = to.map(|to| format!(" AND {column} < {}", instant(to)));
        format!("{}{}", from.unwrap_or_default(), to.unwrap_or_default())
    }
}

fn milliseconds(name: &str, column_type: &ColumnType) -> String {
    let ticks = format!("reinterpretAsInt64({name})");
    match column_type {
        ColumnType::DateTime64(precision @ 0..=3) => {
            format!("({ticks} * {})", 10_i64.pow(3 - u32::from(*precision)))
        }
        ColumnType::DateTime64(precision) => {
            let per = 10_i64.pow(u32::from(*precision) - 3);
            format!("intDiv({ticks} - positiveModulo({ticks}, {per}), {per})")
        }
        ColumnType::DateTime => format!("(toInt64(toUnixTimestamp({name})) * 1000)"),
        _ => format!("(toInt64(toInt32({name})) * 86400000)"),
    }
}

impl ClickHouseSide<'_> {
    /// The times of the first and the last visible row, in milliseconds; `None` without rows.
    pub(crate) async fn span(&self) -> Result<Option<(i64, i64)>, ReconcileError> {
        let time = self.time.milliseconds();
        let sql = format!("SELECT count(), min({time}), max({time}) FROM {}", self.rows((None, None)));
        let text = self.client.query_text(&sql, &[]).await?;
        let found = numbers::<3>(text.trim_end_matches('\n'))?;
        Ok((found[0] > 0).then_some((clamp(found[1]), clamp(found[2]))))
    }

    /// Rows and checksum of every window that has rows.
    pub(crate) async fn windows(&self, grid: &Grid) -> Result<Sums, ReconcileError> {
        let inner = self.hashed(grid, (0, grid.count - 1), &[]);
        let sql = format!(
            "SELECT nova_w, sum(sign), sum(toInt128(sign) * row_hash) FROM ({inner}) GROUP BY nova_w{}",
            self.settings()
        );
        let mut sums = Sums::default();
        for line in self.client.query_text(&sql, &[]).await?.lines() {
            let [window, rows, checksum] = numbers::<3>(line)?;
            sums.add(clamp(window), Sum { rows: clamp(rows), checksum });
        }
        Ok(sums)
    }

    /// The windows into which rows came since a time; also rows that the snapshot does not see.
    pub(crate) async fn touched(&self, grid: &Grid, since_ms: i64) -> Result<BTreeSet<i64>, ReconcileError> {
        let sql = format!(
            "SELECT DISTINCT {} FROM {} WHERE topic = {} \
             AND ingested_at >= fromUnixTimestamp64Milli(toInt64({since_ms}), 'UTC'){}{}",
            grid.clickhouse(&self.time.milliseconds()),
            ch_name(&self.stream.table),
            ch_literal(&self.stream.topic),
            self.time.between(grid.range(0, grid.count - 1)),
            self.settings()
        );
        let text = self.client.query_text(&sql, &[]).await?;
        text.lines().map(|line| Ok(clamp(numbers::<1>(line)?[0]))).collect()
    }

    /// Rows and checksum of every bucket of these windows that has rows.
    pub(crate) async fn buckets(
        &self,
        grid: &Grid,
        buckets: &Buckets,
    ) -> Result<BTreeMap<Place, Sum>, ReconcileError> {
        let inner = self.hashed(grid, (buckets.first(), buckets.last()), &[]);
        let sql = format!(
            "SELECT nova_w, bitAnd(row_hash, {}) AS nova_b, sum(sign), sum(toInt128(sign) * row_hash) FROM ({inner}) \
             WHERE nova_w IN ({}) GROUP BY nova_w, nova_b{}",
            buckets.mask,
            list(&buckets.windows),
            self.settings()
        );
        let mut sums = BTreeMap::new();
        for line in self.client.query_text(&sql, &[]).await?.lines() {
            let [window, bucket, rows, checksum] = numbers::<4>(line)?;
            let place = Place { window: clamp(window), bucket: clamp(bucket) };
            sums.insert(place, Sum { rows: clamp(rows), checksum });
        }
        Ok(sums)
    }

    /// The states in these places whose weight is not 0.
    pub(crate) async fn listed(
        &self,
        grid: &Grid,
        buckets: &Buckets,
        places: &[Place],
    ) -> Result<Vec<State>, ReconcileError> {
        let codes: Vec<i64> = places.iter().map(|place| buckets.code(*place)).collect();
        let inner = self.hashed(grid, (buckets.first(), buckets.last()), &self.state());
        // By a filter the server would push the hash down through all levels, which takes gigabytes; what is made of an
        // aggregate stays where it is. All rows of a state have the same hash.
        let condition = format!(
            "nova_w * {} + bitAnd(any(row_hash), {}) IN ({})",
            buckets.mask + 1,
            buckets.mask,
            list(&codes)
        );
        let windows: BTreeSet<i64> = places.iter().map(|place| place.window).collect();
        let windows: Vec<i64> = windows.into_iter().collect();
        self.states(&inner, &format!("nova_w IN ({})", list(&windows)), &condition).await
    }

    /// All states of these keys whose weight is not 0, whatever their time.
    pub(crate) async fn found(&self, grid: &Grid, keys: &[Uuid]) -> Result<Vec<State>, ReconcileError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = keys.iter().map(Uuid::to_string).collect();
        let mut carried = self.carried(grid);
        carried.extend(self.state());
        let fields: Vec<String> = carried.iter().map(|(name, field)| format!("{field} AS {name}")).collect();
        let inner = format!(
            "SELECT {} FROM {} AND source_key IN (SELECT toUUID(arrayJoin(splitByChar(',', '{}'))))",
            fields.join(", "),
            self.rows((None, None)),
            keys.join(",")
        );
        self.states(&inner, "1", "1").await
    }

    async fn states(&self, inner: &str, rows: &str, states: &str) -> Result<Vec<State>, ReconcileError> {
        let sql = format!(
            "SELECT nova_w, source_key, nova_values, toInt64(sum(sign)) AS total, \
             groupUniqArray(10)(nova_message) AS messages FROM ({inner}) WHERE {rows} \
             GROUP BY nova_w, source_key, nova_values HAVING total != 0 AND {states}{}, \
             max_bytes_before_external_group_by = {STATES_BYTES}",
            self.settings()
        );
        let rows: Vec<StateRow> = self.client.query_rows(&sql, &[]).await?;
        let state = |StateRow { nova_w, source_key, total, nova_values, mut messages }: StateRow| {
            messages.sort_unstable();
            let columns = self.columns.iter().zip(nova_values).map(|((name, column_type), value)| Column {
                name: name.clone(),
                value: value.map(|text| normal(text, column_type)),
            });
            let row = TableRow { sum: total, columns: columns.collect(), messages };
            State { source_key, window: nova_w, row }
        };
        Ok(rows.into_iter().map(state).collect())
    }

    /// What a state is made of.
    fn state(&self) -> Vec<(&'static str, String)> {
        let texts: Vec<String> = self
            .columns
            .iter()
            .map(|(name, column_type)| column_text(name, column_type, holds_bytes(self.stream, name)))
            .collect();
        vec![
            ("source_key", "source_key".to_owned()),
            ("nova_values", format!("CAST([{}], 'Array(Nullable(String))')", texts.join(", "))),
            (
                "nova_message",
                "concat(topic, '/', toString(kafka_partition), '/', toString(kafka_offset))".to_owned(),
            ),
        ]
    }

    fn carried(&self, grid: &Grid) -> Vec<(&'static str, String)> {
        vec![("nova_w", grid.clickhouse(&self.time.milliseconds())), ("sign", "sign".to_owned())]
    }

    /// Window, sign, hash and `further` columns of the visible rows of these windows.
    fn hashed(&self, grid: &Grid, (first, last): (i64, i64), further: &[(&'static str, String)]) -> String {
        let mut carried = self.carried(grid);
        carried.extend_from_slice(further);
        self.hash.clickhouse(&carried, &self.rows(grid.range(first, last)))
    }

    /// The visible rows of the topic between two times.
    fn rows(&self, range: (Option<i64>, Option<i64>)) -> String {
        rows_between(self.stream, &self.visible, self.time, range)
    }

    fn settings(&self) -> String {
        format!(" SETTINGS select_sequential_consistency = 1, max_threads = {}", self.parallel.max(1))
    }
}

/// The stream's rows between two times (milliseconds since 1970) that satisfy `visible`, as what stands behind FROM.
pub(crate) fn rows_between(
    stream: &Stream,
    visible: &str,
    time: &TimeColumn,
    range: (Option<i64>, Option<i64>),
) -> String {
    format!(
        "{} WHERE topic = {} AND {visible}{}",
        ch_name(&stream.table),
        ch_literal(&stream.topic),
        time.between(range)
    )
}

fn list(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

/// The numbers of a line.
fn numbers<const N: usize>(line: &str) -> Result<[i128; N], ReconcileError> {
    let found: Option<Vec<i128>> = line.split('\t').map(|text| text.parse().ok()).collect();
    found.and_then(|found| found.try_into().ok()).ok_or_else(|| ReconcileError::Answer {
        server: "ClickHouse",
        found: line.chars().take(80).collect(),
    })
}

fn clamp(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}
