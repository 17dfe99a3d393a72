-- Commands that change a table for a long time (`nova replay`, `nova rebuild`, `nova backfill`): where each is, and what became
-- of it.
--
-- Rows are only added: one when a job begins or goes on, one about every 5 s while it runs (its checkpoint and its sign of
-- life), one at its end. A job stands as its row with the greatest `seq` says; one that is `running` and has not been heard of
-- for 30 s was interrupted. The command goes on with the newest job of the same `request` that is not `done`.
CREATE TABLE IF NOT EXISTS ${database}.jobs
(
    job_id UUID,
    seq UInt32,
    kind Enum8('replay' = 1, 'rebuild' = 2, 'backfill' = 3),
    stream LowCardinality(String),
    target LowCardinality(String),
    state Enum8('running' = 1, 'done' = 2, 'stopped' = 3, 'failed' = 4),
    at DateTime64(3, 'UTC') DEFAULT now64(3),
    began_at DateTime64(3, 'UTC') DEFAULT now64(3),
    process String,
    actor String,
    request String,
    plan String,
    checkpoint String,
    done UInt64,
    total UInt64,
    unit LowCardinality(String),
    written UInt64,
    already_there UInt64,
    skipped UInt64,
    letters UInt64,
    reason String,
    nova_version LowCardinality(String)
)
ENGINE = MergeTree
ORDER BY (began_at, job_id, seq);
