//! What the HTML page shows, as JSON: a report with its windows folded and its lists cut.
//!
//! Invariant: the size is bounded whatever the report holds, and what is left out is counted.

use serde::Serialize;
use serde_json::value::RawValue;

use super::fold::{COLUMNS, Cell, Level, fold};
use super::queries::{of_difference, of_range};
use super::words::{bounded, duration, lsn, rows, tally, time};
use crate::{Column, Difference, Report, SnapshotTaken, StreamReport, Tally};

/// Differences in the page, over all streams.
const DIFFERENCES: usize = 5_000;
/// Bytes of JSON for differences, over all streams.
const DIFFERENCE_BYTES: usize = 8 << 20;
/// Differing windows in the page, over all streams.
const WINDOWS: usize = 5_000;
/// Snapshots in the page, per stream.
const SNAPSHOTS: usize = 20;
/// Characters of a value.
const VALUE_CHARACTERS: usize = 500;

/// The whole page.
#[derive(Serialize)]
pub(super) struct Payload {
    /// Where columns begin, and where the last one ends, in milliseconds since 1970.
    boundaries: Vec<i64>,
    levels: Vec<&'static str>,
    streams: Vec<Stream>,
}

#[derive(Serialize)]
struct Stream {
    name: String,
    source: String,
    table: String,
    topic: String,
    verdict: &'static str,
    reason: Option<String>,
    rows: (i64, i64),
    windows: usize,
    snapshots: Vec<Snapshot>,
    more_snapshots: usize,
    tally: Tally,
    found: String,
    total: u64,
    cells: Vec<CellData>,
    differing: Vec<WindowData>,
    more_differing: usize,
    differences: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct Snapshot {
    taken: String,
    lsn: String,
    xmin: u64,
    xmax: u64,
    running: usize,
    waited: String,
}

#[derive(Serialize)]
struct CellData {
    /// First column, and the one after the last.
    at: (usize, usize),
    level: usize,
    from: i64,
    to: i64,
    windows: usize,
    not_compared: usize,
    rows: (i64, i64),
    found: String,
    /// For PostgreSQL and for ClickHouse.
    sql: (String, String),
}

#[derive(Serialize)]
struct WindowData {
    cell: usize,
    from: i64,
    to: i64,
    rows: (i64, i64),
    checksums: (String, String),
    found: String,
    compared: bool,
}

#[derive(Serialize)]
struct DifferenceData {
    kind: &'static str,
    cell: usize,
    from: i64,
    to: i64,
    key: Vec<(String, Option<String>)>,
    source_key: String,
    postgres: Option<Vec<(String, Option<String>)>>,
    clickhouse: Vec<State>,
    explained: Option<(String, String)>,
    sql: (String, String),
}

#[derive(Serialize)]
struct State {
    sum: i64,
    columns: Vec<(String, Option<String>)>,
    messages: Vec<String>,
}

/// The report as the page needs it.
pub(super) fn payload(report: &Report) -> Payload {
    let folded = fold(&report.streams, COLUMNS);
    let differing = report.streams.iter().filter(|stream| stream.tally.total() > 0).count().max(1);
    let share = Share {
        differences: DIFFERENCES / differing,
        bytes: DIFFERENCE_BYTES / differing,
        windows: WINDOWS / differing,
    };
    let streams = report.streams.iter().zip(&folded.rows);
    Payload {
        levels: Level::ALL.map(Level::label).to_vec(),
        streams: streams.map(|(stream, cells)| self::stream(stream, cells, &share)).collect(),
        boundaries: folded.boundaries,
    }
}

/// What each stream with differences may have of the page.
struct Share {
    differences: usize,
    bytes: usize,
    windows: usize,
}

fn stream(stream: &StreamReport, cells: &[Cell], share: &Share) -> Stream {
    let (differing, more_differing) = differing(stream, cells, share.windows);
    Stream {
        name: short(&stream.stream),
        source: short(&stream.source),
        table: short(&stream.table),
        topic: short(&stream.topic),
        verdict: stream.verdict.name(),
        reason: stream.reason.as_deref().map(short),
        rows: rows(stream),
        windows: stream.windows.len(),
        snapshots: stream.snapshots.iter().take(SNAPSHOTS).map(snapshot).collect(),
        more_snapshots: stream.snapshots.len().saturating_sub(SNAPSHOTS),
        tally: stream.tally,
        found: tally(&stream.tally),
        total: stream.tally.total(),
        cells: cells.iter().map(|cell| cell_data(stream, cell)).collect(),
        differing,
        more_differing,
        differences: differences(stream, cells, share),
    }
}

fn snapshot(snapshot: &SnapshotTaken) -> Snapshot {
    Snapshot {
        taken: time(snapshot.taken_ms),
        lsn: lsn(snapshot.lsn),
        xmin: snapshot.xmin,
        xmax: snapshot.xmax,
        running: snapshot.running.len(),
        waited: duration(snapshot.waited_ms),
    }
}

fn cell_data(stream: &StreamReport, cell: &Cell) -> CellData {
    let windows = stream.windows.get(cell.windows.clone()).unwrap_or_default();
    let from = windows.first().map_or(0, |window| window.from_ms);
    let to = windows.last().map_or(0, |window| window.to_ms);
    let queries = of_range(stream, from, to);
    CellData {
        at: (cell.columns.start, cell.columns.end),
        level: cell.level as usize,
        from,
        to,
        windows: windows.len(),
        not_compared: cell.not_compared,
        rows: (cell.postgres_rows, cell.clickhouse_rows),
        found: tally(&cell.tally),
        sql: (queries.postgres, queries.clickhouse),
    }
}

fn cell_of(cells: &[Cell], window: usize) -> usize {
    cells.partition_point(|cell| cell.windows.end <= window)
}

/// The first differing windows, and how many more there are.
fn differing(stream: &StreamReport, cells: &[Cell], limit: usize) -> (Vec<WindowData>, usize) {
    let differing =
        stream.windows.iter().enumerate().filter(|(_, window)| super::fold::level(window) > Level::Equal);
    let count = differing.clone().count();
    let data = differing.take(limit).map(|(index, window)| WindowData {
        cell: cell_of(cells, index),
        from: window.from_ms,
        to: window.to_ms,
        rows: (window.postgres.rows, window.clickhouse.rows),
        checksums: (short(&window.postgres.checksum), short(&window.clickhouse.checksum)),
        found: tally(&window.tally),
        compared: window.compared(),
    });
    (data.collect(), count.saturating_sub(limit))
}

fn differences(stream: &StreamReport, cells: &[Cell], share: &Share) -> Vec<Box<RawValue>> {
    let mut left = share.bytes;
    let mut listed = Vec::new();
    for difference in stream.differences.iter().take(share.differences) {
        let data = difference_data(stream, cells, difference);
        let Ok(raw) = serde_json::value::to_raw_value(&data) else { break };
        let Some(rest) = left.checked_sub(raw.get().len()) else { break };
        left = rest;
        listed.push(raw);
    }
    listed
}

fn difference_data(stream: &StreamReport, cells: &[Cell], difference: &Difference) -> DifferenceData {
    let window = stream.windows.get(difference.window);
    let queries = of_difference(stream, difference);
    DifferenceData {
        kind: difference.kind.name(),
        cell: cell_of(cells, difference.window),
        from: window.map_or(0, |window| window.from_ms),
        to: window.map_or(0, |window| window.to_ms),
        key: pairs(&difference.key),
        source_key: difference.source_key.to_string(),
        postgres: difference.postgres.as_deref().map(pairs),
        clickhouse: difference
            .clickhouse
            .iter()
            .map(|row| State {
                sum: row.sum,
                columns: pairs(&row.columns),
                messages: row.messages.iter().map(|message| short(message)).collect(),
            })
            .collect(),
        explained: difference
            .explained
            .as_ref()
            .map(|explained| (short(&explained.message), short(&explained.reason))),
        sql: (queries.postgres, queries.clickhouse),
    }
}

fn pairs(columns: &[Column]) -> Vec<(String, Option<String>)> {
    columns.iter().map(|column| (short(&column.name), column.value.as_deref().map(short))).collect()
}

fn short(text: &str) -> String {
    bounded(text, VALUE_CHARACTERS)
}

impl Payload {
    /// How many differences are in the page.
    pub(super) fn listed(&self) -> usize {
        self.streams.iter().map(|stream| stream.differences.len()).sum()
    }

    /// Columns of the heat map.
    pub(super) fn columns(&self) -> usize {
        self.boundaries.len().saturating_sub(1)
    }
}
