//! Proof that ClickHouse equals PostgreSQL: both sides are compared as of one PostgreSQL snapshot.
//!
//! Invariant: a difference that is reported is one. Live writes never cause a false alarm, because ClickHouse's rows
//! are restricted to the transactions that the snapshot sees.

pub mod audit;
pub mod backfill;
pub mod history;
pub mod metrics;
pub mod render;
pub mod repair;

mod buckets;
mod cell_text;
mod checkpoint;
mod clickhouse_side;
mod compare;
mod error;
mod explain;
mod grid;
mod hash;
mod listing;
mod outbox;
mod postgres_side;
mod replica;
mod report;
mod row_json;
mod run;
mod snapshot;
mod source_table;
mod span;
mod sql;
mod sums;
mod texts;
mod visibility;
mod wait;

pub use checkpoint::Checkpoint;
pub use compare::{CompareOptions, Touched, compare};
pub use error::ReconcileError;
pub use report::{
    Column, Difference, DifferenceKind, Explanation, REPORT_VERSION, Report, Scope, Side, SnapshotTaken,
    StreamReport, TableRow, Tally, Verdict, Window,
};
pub use run::{Progress, Reconciler, RunOptions, routes};
pub use snapshot::{PostgresAccess, Snapshot};
pub use texts::{Texts, text_columns};
pub use visibility::Visibility;
pub use wait::{Route, Waiting, wait};
