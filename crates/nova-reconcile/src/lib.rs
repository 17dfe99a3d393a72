//! Proof that ClickHouse equals PostgreSQL: both sides are compared as of one PostgreSQL snapshot.
//!
//! Invariant: a difference that is reported is one. Live writes never cause a false alarm, because ClickHouse's rows
//! are restricted to the transactions that the snapshot sees.

pub mod history;
pub mod metrics;
pub mod render;
mod report;

pub use report::{
    Column, Difference, DifferenceKind, Explanation, REPORT_VERSION, Report, Scope, Side, SnapshotTaken,
    StreamReport, TableRow, Tally, Verdict, Window,
};
