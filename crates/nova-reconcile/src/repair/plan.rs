//! From a report to a plan: the rows of ±1 that make ClickHouse's sums PostgreSQL's state.
//!
//! Invariant: a plan is a function of its report. The same report gives the same plan with the same id, so that it is
//! written once however often it is made and by whomever it is applied.

use chrono::{NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use uuid::Uuid;

use super::net::rows_for;
use crate::{Column, Difference, DifferenceKind, REPORT_VERSION, Report, StreamReport, TableRow};

/// The version of the plan's JSON form.
pub const PLAN_VERSION: u32 = 1;

/// The plans' namespace of UUIDv5.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_0c0e_51b5_5d52_8d5e_2f0f_3c6a_7b19);

/// What would be written, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// Names the plan in tokens and audit entries; made of `digest`.
    pub plan_id: Uuid,
    /// SHA-256 of the run and of everything in `streams`.
    pub digest: String,
    /// The run whose report the plan was made from.
    pub run_id: Uuid,
    /// When that run ended, in milliseconds since 1970.
    pub found_ms: i64,
    /// The version of `nova` that made the plan.
    pub nova_version: String,
    /// One entry per stream with something to write.
    pub streams: Vec<StreamPlan>,
}

/// What would be written for one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPlan {
    /// The stream's name.
    pub stream: String,
    /// The PostgreSQL table, `schema.table`.
    pub source: String,
    /// The ClickHouse table.
    pub table: String,
    /// The stream's topic.
    pub topic: String,
    /// Rows of +1.
    pub adds: u64,
    /// Rows of -1.
    pub removes: u64,
    /// One entry per key.
    pub entries: Vec<Entry>,
}

/// One key: what is wrong with it and the rows that make it right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What is wrong.
    pub kind: DifferenceKind,
    /// The row's identity.
    pub source_key: Uuid,
    /// The windows of its rows and of PostgreSQL's state: first millisecond since 1970, and the one after the last;
    /// the ends of 64 bits for a row without a time.
    pub windows_ms: Vec<(i64, i64)>,
    /// The row as PostgreSQL had it.
    pub postgres: Option<Vec<Column>>,
    /// The states that ClickHouse had.
    pub clickhouse: Vec<TableRow>,
    /// What to write, in order.
    pub rows: Vec<PlannedRow>,
}

/// One row to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRow {
    /// +1 or -1.
    pub sign: i8,
    /// Every column that the stream declares.
    pub columns: Vec<Column>,
}

/// Which differences a plan takes.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These streams; empty: all.
    pub streams: Vec<String>,
    /// These kinds; empty: all.
    pub kinds: Vec<DifferenceKind>,
    /// Also those that a dead letter explains. Retrying the letter later would then double them.
    pub explained: bool,
    /// Also from a report that does not list everything.
    pub partial: bool,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Another version of `nova` wrote the report.
    #[error("the report has version {0}, and this nova reads version {REPORT_VERSION}: reconcile again")]
    Version(u32),
    /// A stream that the report does not have.
    #[error("the report has no stream `{0}`; it has {1}")]
    NoStream(String, String),
    /// A stream whose report is not whole.
    #[error(
        "stream `{0}`: {1}. A plan made of it repairs only what is listed; say `--partial` if that is meant, \
         and reconcile again after it"
    )]
    Partial(String, String),
    /// The values to write are not in the report.
    #[error(
        "stream `{0}`: the report leaves out the values of {1}: make it with `nova reconcile --values -o json`"
    )]
    LeftOut(String, String),
    /// The file was changed after it was made.
    #[error(
        "the plan's digest is not that of its content: it was edited or cut. Make it again from the report"
    )]
    Edited,
    /// Another version of `nova` wrote the plan.
    #[error(
        "the plan has version {0}, and this nova reads version {PLAN_VERSION}: make it again from the report"
    )]
    PlanVersion(u32),
}

impl Plan {
    /// The plan for a report.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn of(report: &Report, selection: &Selection) -> Result<Self, PlanError> {
        if report.version != REPORT_VERSION {
            return Err(PlanError::Version(report.version));
        }
        for name in &selection.streams {
            if !report.streams.iter().any(|stream| stream.stream == *name) {
                let known: Vec<&str> = report.streams.iter().map(|stream| stream.stream.as_str()).collect();
                return Err(PlanError::NoStream(name.clone(), known.join(", ")));
            }
        }
        let chosen = |stream: &&StreamReport| {
            selection.streams.is_empty() || selection.streams.contains(&stream.stream)
        };
        let mut streams = Vec::new();
        for stream in report.streams.iter().filter(chosen) {
            if let Some(reason) = incomplete(stream).filter(|_| !selection.partial) {
                return Err(PlanError::Partial(stream.stream.clone(), reason));
            }
            if !stream.left_out.is_empty() {
                return Err(PlanError::LeftOut(stream.stream.clone(), stream.left_out.join(", ")));
            }
            let plan = StreamPlan::of(stream, selection);
            if !plan.entries.is_empty() {
                streams.push(plan);
            }
        }
        let digest = digest(report.run_id, &streams);
        Ok(Self {
            version: PLAN_VERSION,
            plan_id: Uuid::new_v5(&NAMESPACE, digest.as_bytes()),
            digest,
            run_id: report.run_id,
            found_ms: report.finished_ms,
            nova_version: env!("CARGO_PKG_VERSION").to_owned(),
            streams,
        })
    }

    /// Whether it is what [`Plan::of`] made.
    ///
    /// # Errors
    /// [`PlanError::PlanVersion`] and [`PlanError::Edited`].
    pub fn check(&self) -> Result<(), PlanError> {
        if self.version != PLAN_VERSION {
            return Err(PlanError::PlanVersion(self.version));
        }
        let digest = digest(self.run_id, &self.streams);
        let is_whole = digest == self.digest && Uuid::new_v5(&NAMESPACE, digest.as_bytes()) == self.plan_id;
        if is_whole { Ok(()) } else { Err(PlanError::Edited) }
    }
}

fn incomplete(stream: &StreamReport) -> Option<String> {
    if let Some(reason) = &stream.reason {
        return Some(format!("the comparison did not come to its end ({reason})"));
    }
    (!stream.listed_all).then(|| {
        format!("the report lists {} of {} differences", stream.differences.len(), stream.tally.total())
    })
}

fn digest(run_id: Uuid, streams: &[StreamPlan]) -> String {
    // These types have no map and no number that JSON cannot hold: writing them cannot fail.
    let content = serde_json::to_vec(&(run_id, streams)).unwrap_or_default();
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl StreamPlan {
    /// All windows that the plan touches: first millisecond since 1970, and the one after the last.
    #[must_use]
    pub fn windows_ms(&self) -> Vec<(i64, i64)> {
        self.entries.iter().flat_map(|entry| entry.windows_ms.clone()).collect()
    }

    fn of(stream: &StreamReport, selection: &Selection) -> Self {
        let chosen = |difference: &&Difference| {
            (selection.kinds.is_empty() || selection.kinds.contains(&difference.kind))
                && (selection.explained || difference.explained.is_none())
        };
        let entries: Vec<Entry> = stream
            .differences
            .iter()
            .filter(chosen)
            .map(|difference| Entry::of(difference, stream))
            .collect();
        let of_sign = |sign: i8| {
            let rows = entries.iter().flat_map(|entry| &entry.rows).filter(|row| row.sign == sign);
            u64::try_from(rows.count()).unwrap_or(u64::MAX)
        };
        Self {
            stream: stream.stream.clone(),
            source: stream.source.clone(),
            table: stream.table.clone(),
            topic: stream.topic.clone(),
            adds: of_sign(1),
            removes: of_sign(-1),
            entries,
        }
    }
}

impl Entry {
    fn of(difference: &Difference, stream: &StreamReport) -> Self {
        let rows = rows_for(difference);
        let found = stream.windows.get(difference.window);
        let mut windows_ms: Vec<(i64, i64)> =
            found.map(|window| (window.from_ms, window.to_ms)).into_iter().collect();
        windows_ms.extend(rows.iter().map(|row| window_ms(row, stream)));
        windows_ms.sort_unstable();
        windows_ms.dedup();
        Self {
            kind: difference.kind,
            source_key: difference.source_key,
            windows_ms,
            postgres: difference.postgres.clone(),
            clickhouse: difference.clickhouse.clone(),
            rows,
        }
    }
}

/// From when to when a planned row's window lies. The one that the difference names may be equal on both sides, where
/// PostgreSQL's state is right and ClickHouse has another one elsewhere.
fn window_ms(row: &PlannedRow, stream: &StreamReport) -> (i64, i64) {
    let time = row.columns.iter().find(|column| column.name == stream.table_time);
    let Some(ms) = time.and_then(|column| milliseconds(column.value.as_deref()?)) else {
        return (i64::MIN, i64::MAX);
    };
    let window = stream.windows.iter().find(|window| (window.from_ms..window.to_ms).contains(&ms));
    window.map_or((ms, ms.saturating_add(1)), |window| (window.from_ms, window.to_ms))
}

/// `2026-01-31` or `2026-01-31 12:00:00.123456` in UTC.
fn milliseconds(text: &str) -> Option<i64> {
    let midnight = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().or_else(midnight)?;
    Some(time.and_utc().timestamp_millis())
}
