-- The history of `nova reconcile`: one row for each run and stream. It tells since when both sides have been equal, and from
-- which snapshot an incremental run may go on.
--
-- A run that is recorded again replaces its rows, so read it with FINAL. `snapshot_…` is the run's first snapshot: every
-- window was compared as of it or a later one.
CREATE TABLE IF NOT EXISTS ${database}.reconcile_runs
(
    run_id UUID,
    stream LowCardinality(String),
    started_at DateTime64(3, 'UTC'),
    finished_at DateTime64(3, 'UTC'),
    since Nullable(DateTime64(3, 'UTC')),
    until Nullable(DateTime64(3, 'UTC')),
    incremental Bool,
    verdict Enum8('equal' = 0, 'explained' = 1, 'incomplete' = 2, 'different' = 3),
    reason String,
    missing UInt64,
    extra UInt64,
    doubled UInt64,
    different UInt64,
    explained UInt64,
    windows UInt64,
    postgres_rows Int64,
    clickhouse_rows Int64,
    snapshot_at DateTime64(3, 'UTC'),
    snapshot_lsn UInt64,
    snapshot_xmin UInt64,
    snapshot_xmax UInt64,
    waited_ms UInt64,
    nova_version LowCardinality(String),
    recorded_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(recorded_at)
ORDER BY (stream, started_at, run_id);
