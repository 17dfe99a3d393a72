//! What one of each thing carries, and so what breaks first.

use serde::Serialize;

use super::figures::Figures;

/// One unit of the pipeline and what it carries at most.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Limit {
    /// The unit.
    pub(super) unit: &'static str,
    /// Changes per second at which it breaks.
    pub(super) changes_per_second: f64,
    /// What breaks there.
    pub(super) by: &'static str,
    /// What helps.
    pub(super) cure: &'static str,
}

/// All units, the weakest first.
pub(super) fn limits(figures: &Figures) -> Vec<Limit> {
    let Figures { change, postgres, connect, kafka, nova, clickhouse, plan } = figures;
    let rows = |per_second: f64| per_second / change.rows;
    let limit = |unit, changes_per_second, by, cure| Limit { unit, changes_per_second, by, cure };
    let mut limits = vec![
        limit(
            "a connector task",
            connect.task_changes_per_second,
            "one thread reads one replication slot and makes JSON",
            "more tasks: a connector per publication of some tables, or per primary",
        ),
        limit(
            "a PostgreSQL primary",
            postgres.primary_changes_per_second,
            "commits, indexes, foreign keys; each slot decodes the whole log",
            "shard the source; split it by tables first",
        ),
        limit(
            "a partition",
            kafka.partition_bytes_per_second / change.kafka_bytes,
            "one leader, one log",
            "more partitions, before the topic is made: keys move when they are added later",
        ),
        limit(
            "a nova process",
            nova.process_changes_per_second,
            "one stream is read by one task",
            "more processes of the group, up to one per partition",
        ),
        limit(
            "a broker",
            kafka.broker_bytes_per_second / (change.kafka_bytes * kafka.replicas),
            "bytes taken in, with its share of replicas",
            "more brokers",
        ),
        limit(
            "a table's merges",
            rows(clickhouse.table_inserts_per_second * nova.batch_rows),
            "inserts per second at full batches",
            "a larger pipeline.batch_rows, then shards",
        ),
        limit(
            "a ClickHouse server's cores",
            clickhouse.server_cores * 1e6 / clickhouse.cpu_us,
            "sorting, compressing, projections, merges",
            "shards",
        ),
        limit(
            "a host's network",
            plan.host_network_bytes_per_second / (change.rows * change.wire_row_bytes),
            "rows on their way to one ClickHouse server",
            "compression on the wire, shards",
        ),
    ];
    limits.sort_by(|a, b| a.changes_per_second.total_cmp(&b.changes_per_second));
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connector_task_breaks_first_with_the_shipped_figures() {
        let limits = limits(&Figures::load(None, &[]).unwrap());
        assert_eq!(limits[0].unit, "a connector task");
        assert!(limits.is_sorted_by(|a, b| a.changes_per_second <= b.changes_per_second));
    }

    #[test]
    fn a_faster_connector_leaves_the_next_one_to_break() {
        let figures = Figures::load(None, &["connect.task_changes_per_second=1e9".to_owned()]).unwrap();
        assert_ne!(limits(&figures)[0].unit, "a connector task");
    }
}
