//! What the demo prints at the end: both ends side by side, and how fast one became the other.

use std::fmt;
use std::time::Duration;

use super::freshness::Freshness;
use crate::compare::TableComparison;
use crate::traffic::{Op, Table, TrafficReport};

/// The demo's result.
pub(crate) struct DemoReport {
    /// What the application did.
    pub(super) traffic: TrafficReport,
    /// Both ends, per table.
    pub(super) tables: Vec<TableComparison>,
    /// Commit to visible.
    pub(super) freshness: Freshness,
    /// Rows that the event tables hold.
    pub(super) event_rows: i64,
    /// From the first transaction until everything was visible.
    pub(super) took: Duration,
}

impl DemoReport {
    /// Rows that differ, over all tables.
    pub(crate) fn different(&self) -> u64 {
        self.tables.iter().map(|table| table.different).sum()
    }

    /// Row changes committed per second, over the whole run.
    pub(crate) fn changes_per_second(&self) -> f64 {
        per_second(Table::ALL.map(|table| self.changes(table)).iter().sum(), self.took)
    }

    /// Commit to visible, these quantiles (0 to 1) over all tables; `None` without samples.
    pub(crate) fn quantiles<const N: usize>(&self, quantiles: [f64; N]) -> Option<[Duration; N]> {
        self.freshness.quantiles(None, quantiles)
    }

    fn changes(&self, table: Table) -> u64 {
        [Op::Insert, Op::Update, Op::Delete].map(|op| self.traffic.rows(table, op)).iter().sum()
    }
}

impl fmt::Display for DemoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.traffic)?;
        writeln!(
            f,
            "{:<18}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}{:>10}",
            "table", "changes", "PostgreSQL", "ClickHouse", "difference", "p50", "p99", "rows/s"
        )?;
        for table in &self.tables {
            let [p50, p99] = self.freshness.quantiles(Some(table.table), [0.5, 0.99]).unwrap_or_default();
            let changes = self.changes(table.table);
            writeln!(
                f,
                "{:<18}{changes:>10}{:>12}{:>12}{:>12}{:>12}{:>12}{:>10.0}",
                table.table.name(),
                table.postgres_rows,
                table.clickhouse_rows,
                table.different,
                millis(p50),
                millis(p99),
                per_second(changes, self.took)
            )?;
        }
        let [p50, p99, max] = self.freshness.quantiles(None, [0.5, 0.99, 1.0]).unwrap_or_default();
        writeln!(f, "\ncommit to visible: p50 {}, p99 {}, max {}", millis(p50), millis(p99), millis(max))?;
        writeln!(
            f,
            "throughput: {:.0} row changes per second; {} event rows in {:.1} s",
            self.changes_per_second(),
            self.event_rows,
            self.took.as_secs_f64()
        )?;
        for table in &self.tables {
            for (row, times) in &table.samples {
                let side = if *times > 0 { "only in ClickHouse" } else { "only in PostgreSQL" };
                writeln!(f, "{}: {side} ({times:+}): {row}", table.table.name())?;
            }
        }
        match self.different() {
            0 => f.write_str("ClickHouse equals PostgreSQL: difference 0 on every table"),
            different => write!(f, "ClickHouse differs from PostgreSQL in {different} rows"),
        }
    }
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

fn per_second(count: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let count = count as f64;
    count / took.as_secs_f64().max(f64::EPSILON)
}
