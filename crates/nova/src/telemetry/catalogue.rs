//! All metrics that this program has, and the names of its own.
//!
//! Invariant: `docs/metrics.md` lists exactly these, with type and labels; a test holds it.

use nova_pipeline::metrics::Metric;

/// Gauge: 1 for this process, by version.
pub const BUILD_INFO: &str = "nova_build_info";
/// Gauge: 1 for the status that a worker has, 0 for the others, by worker and status.
pub const WORKER_STATUS: &str = "nova_worker_status";
/// Gauge: seconds since a worker moved last, by worker.
pub const WORKER_IDLE: &str = "nova_worker_idle_seconds";
/// Gauge: 1 while a server answers, by server.
pub const SERVER_UP: &str = "nova_server_up";
/// Gauge: 1 while somebody reads the replication slot, by slot.
pub const SLOT_ACTIVE: &str = "nova_slot_active";
/// Gauge: write-ahead log that PostgreSQL keeps for the slot, in bytes, by slot.
pub const SLOT_RETAINED: &str = "nova_slot_retained_wal_bytes";
/// Gauge: write-ahead log that the slot's reader has not confirmed, in bytes, by slot.
pub const SLOT_UNCONFIRMED: &str = "nova_slot_unconfirmed_wal_bytes";
/// Gauge: 1 for the slot's `wal_status`, 0 for the others, by slot and status.
pub const SLOT_WAL_STATUS: &str = "nova_slot_wal_status";

const OWN: &[Metric] = &[
    Metric::gauge(BUILD_INFO, &["version"], "1, with the version of this process"),
    Metric::gauge(
        WORKER_STATUS,
        &["worker", "status"],
        "1 for the status that a worker has, 0 for the others",
    ),
    Metric::gauge(WORKER_IDLE, &["worker"], "Seconds since a worker went round its loop"),
    Metric::gauge(SERVER_UP, &["server"], "1 while a server that is watched answers, 0 while it does not"),
    Metric::gauge(SLOT_ACTIVE, &["slot"], "1 while somebody reads the replication slot"),
    Metric::gauge(SLOT_RETAINED, &["slot"], "Write-ahead log that PostgreSQL keeps for the slot, in bytes"),
    Metric::gauge(
        SLOT_UNCONFIRMED,
        &["slot"],
        "Write-ahead log that the slot's reader has not confirmed, in bytes",
    ),
    Metric::gauge(SLOT_WAL_STATUS, &["slot", "status"], "1 for the slot's wal_status, 0 for the others"),
];

/// Every metric, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    parts().into_iter().flatten()
}

/// Tells the metrics recorder what all of them mean.
pub fn describe() {
    for part in parts() {
        Metric::describe_all(part);
    }
}

fn parts() -> [&'static [Metric]; 4] {
    [nova_pipeline::metrics::METRICS, nova_kafka::names::METRICS, OWN, nova_reconcile::metrics::METRICS]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table in the documentation.
    fn table() -> String {
        let row = |metric: &Metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            format!(
                "| `{}` | {} | {} | {} |\n",
                metric.name,
                metric.kind.name(),
                labels.join(", "),
                metric.help
            )
        };
        all().map(row).collect()
    }

    #[test]
    fn the_documentation_lists_exactly_these() {
        let page = include_str!("../../../../docs/metrics.md");
        let rows: String =
            page.lines().filter(|line| line.starts_with("| `")).map(|line| format!("{line}\n")).collect();
        assert_eq!(rows, table(), "docs/metrics.md must have these rows:\n{}", table());
    }

    #[test]
    fn each_name_is_used_once_and_says_its_unit() {
        let names: std::collections::BTreeSet<&str> = all().map(|metric| metric.name).collect();
        assert_eq!(names.len(), all().count());
        for metric in all() {
            assert!(!metric.name.contains("_ms") && !metric.name.contains("_mb"), "{}", metric.name);
            assert!(!metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.help);
        }
    }
}
