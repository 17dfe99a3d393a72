//! What a load needs of everything.
//!
//! Rule: a load is divided by what one unit carries times the headroom, and rounded up. Readers (nova, ClickHouse) are
//! sized for the load times `catch_up`, since after an outage they must be faster than the writers.

use serde::Serialize;

use super::figures::Figures;

const DAY_SECONDS: f64 = 86_400.0;
/// Below this no failure of one host is survived.
const LEAST_WORKERS: f64 = 2.0;
/// A partition and its range in the text that names a batch (`ledger/intent.rs`), and what stands before them.
const INTENT_RANGE_BYTES: f64 = 25.0;
const INTENT_HEAD_BYTES: f64 = 100.0;

/// What a load needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Needs {
    /// The load.
    pub(super) changes_per_second: f64,
    pub(super) primaries: f64,
    /// Connector tasks, each with a replication slot of its own.
    pub(super) tasks: f64,
    pub(super) connect_cores: f64,
    pub(super) partitions: f64,
    /// To take the load in.
    pub(super) brokers: f64,
    /// To keep what is retained.
    pub(super) brokers_by_disk: f64,
    pub(super) broker_cores: f64,
    pub(super) workers: f64,
    pub(super) worker_cores: f64,
    pub(super) worker_memory_gib: f64,
    pub(super) partitions_per_worker: f64,
    /// Of one table, from all workers, spread over its shards.
    pub(super) inserts_per_second: f64,
    /// Records that announce and close batches, written by the brokers.
    pub(super) ledger_bytes_per_second: f64,
    /// To take the load in.
    pub(super) shards: f64,
    /// To keep what is retained.
    pub(super) shards_by_disk: f64,
    pub(super) clickhouse_cores: f64,
    /// Parts that arrive at one shard while a late insert may still come, of all that its window remembers.
    pub(super) window_share: f64,
    /// Into Kafka, its replication, and out to nova.
    pub(super) kafka_network_bytes_per_second: f64,
    pub(super) clickhouse_network_bytes_per_second: f64,
    pub(super) kafka_disk_bytes: f64,
    pub(super) clickhouse_disk_bytes: f64,
}

impl Needs {
    /// Of so many changes per second.
    pub(super) fn of(figures: &Figures, load: f64) -> Self {
        let Figures { change, postgres, connect, kafka, nova, clickhouse, plan } = figures;
        let units = |load: f64, limit: f64| (load / (limit * plan.headroom)).ceil().max(1.0);
        let cores = |us: f64, load: f64| us * load / 1e6 / plan.headroom;
        let reading = load * plan.catch_up;

        let tasks = units(load, connect.task_changes_per_second);
        let primaries =
            units(load, postgres.primary_changes_per_second).max((tasks / postgres.slots_per_primary).ceil());
        let tasks = tasks.max(primaries);

        let workers = units(reading, nova.process_changes_per_second).max(LEAST_WORKERS);
        let kafka_bytes = load * change.kafka_bytes;
        let partitions = units(kafka_bytes, kafka.partition_bytes_per_second).max(workers);
        let partitions = (partitions / workers).ceil() * workers;
        let kafka_disk = kafka_bytes * plan.average * kafka.retention_days * DAY_SECONDS * kafka.replicas;
        let brokers = units(kafka_bytes * kafka.replicas, kafka.broker_bytes_per_second)
            .max(units(partitions * kafka.replicas, kafka.broker_replicas))
            .max(kafka.replicas);

        let rows = load * change.rows;
        // A worker inserts once in each linger, or as often as its batches are full.
        let per_worker = (1.0 / nova.linger_seconds).max(rows / workers / nova.batch_rows);
        let inserts = workers * per_worker;
        let per_partition = INTENT_HEAD_BYTES + INTENT_RANGE_BYTES * partitions / workers;

        let wire_bytes = rows * change.wire_row_bytes;
        let table_bytes = rows * change.table_row_bytes;
        let clickhouse_disk = table_bytes * plan.average * clickhouse.retention_days * DAY_SECONDS;
        let shards = units(reading * clickhouse.cpu_us / 1e6, clickhouse.server_cores)
            .max((inserts / clickhouse.table_inserts_per_second).ceil())
            .max(units(wire_bytes * plan.catch_up, plan.host_network_bytes_per_second));
        let window = inserts / shards * clickhouse.months * clickhouse.window_seconds;

        Self {
            changes_per_second: load,
            primaries,
            tasks,
            connect_cores: cores(connect.cpu_us, load),
            partitions,
            brokers,
            brokers_by_disk: units(kafka_disk, kafka.broker_disk_bytes),
            broker_cores: cores(kafka.cpu_us, reading),
            workers,
            worker_cores: cores(nova.cpu_us, reading),
            worker_memory_gib: workers * nova.peak_mib / 1024.0,
            partitions_per_worker: partitions / workers,
            inserts_per_second: inserts,
            ledger_bytes_per_second: per_worker * partitions * per_partition,
            shards,
            shards_by_disk: units(clickhouse_disk, clickhouse.server_disk_bytes),
            clickhouse_cores: cores(clickhouse.cpu_us, reading) * clickhouse.replicas,
            window_share: window / clickhouse.window_parts,
            kafka_network_bytes_per_second: kafka_bytes * (kafka.replicas + plan.catch_up),
            clickhouse_network_bytes_per_second: wire_bytes * (plan.catch_up + clickhouse.replicas - 1.0),
            kafka_disk_bytes: kafka_disk,
            clickhouse_disk_bytes: clickhouse_disk * clickhouse.replicas,
        }
    }

    /// What does not fit at this load, however many units there are.
    pub(super) fn broken(&self, figures: &Figures) -> Vec<String> {
        let mut broken = Vec::new();
        let fits = figures.nova.batch_partitions;
        if self.partitions_per_worker > fits {
            broken.push(format!(
                "{:.0} partitions per worker, and a batch names {fits:.0} at most: run more workers",
                self.partitions_per_worker
            ));
        }
        if self.window_share > 1.0 {
            broken.push(format!(
                "{:.1} times the parts that the de-duplication window remembers: raise it, or the linger",
                self.window_share
            ));
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(set: &[&str]) -> Figures {
        Figures::load(None, &set.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn units_are_the_load_by_what_one_carries_with_headroom() {
        let figures = figures(&[
            "plan.headroom=0.5",
            "plan.catch_up=2",
            "connect.task_changes_per_second=10000",
            "nova.process_changes_per_second=200000",
            "nova.cpu_us=3",
        ]);
        let needs = Needs::of(&figures, 100_000.0);
        assert_eq!((needs.tasks, needs.workers), (20.0, 2.0));
        assert!((needs.worker_cores - 1.2).abs() < 1e-9, "{}", needs.worker_cores);
        assert_eq!(Needs::of(&figures, 1_000_000.0).workers, 20.0);
    }

    #[test]
    fn disk_is_average_bytes_by_days_by_replicas() {
        let figures = figures(&[
            "change.kafka_bytes=100",
            "kafka.replicas=3",
            "kafka.retention_days=2",
            "plan.average=0.5",
        ]);
        assert_eq!(Needs::of(&figures, 10.0).kafka_disk_bytes, 0.5 * 10.0 * 100.0 * 3.0 * 2.0 * 86_400.0);
    }

    #[test]
    fn every_need_grows_with_the_load_and_every_worker_has_as_many_partitions() {
        let figures = figures(&[]);
        let needs = [1e4, 1e5, 1e6, 1e7].map(|load| Needs::of(&figures, load));
        for pair in needs.windows(2) {
            assert!(pair[0].tasks <= pair[1].tasks && pair[0].shards <= pair[1].shards);
            assert!(pair[0].brokers <= pair[1].brokers && pair[0].worker_cores < pair[1].worker_cores);
        }
        for need in needs {
            assert_eq!(need.partitions % need.workers, 0.0);
            assert!(need.primaries <= need.tasks);
        }
    }

    #[test]
    fn what_more_units_do_not_cure_is_told() {
        let small = figures(&["kafka.partition_bytes_per_second=1e4", "clickhouse.window_parts=1"]);
        let broken = Needs::of(&small, 1e6).broken(&small);
        assert!(broken[0].contains("partitions per worker"), "{broken:?}");
        assert!(broken[1].contains("de-duplication window"), "{broken:?}");
        assert!(Needs::of(&figures(&[]), 1e6).broken(&figures(&[])).is_empty());
    }
}
