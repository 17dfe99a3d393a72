-- Who repaired what, when and why: one row when a plan begins to be applied to a stream, and one when it is done.
--
-- A plan that was cut off has a beginning without an end; applied again, it has two beginnings. What was written is in
-- the event tables themselves, under partition 2147483647 of the stream's topic.
CREATE TABLE IF NOT EXISTS ${database}.repairs
(
    plan_id UUID,
    stream LowCardinality(String),
    phase Enum8('begun' = 1, 'done' = 2),
    at DateTime64(3, 'UTC') DEFAULT now64(3),
    run_id UUID,
    digest String,
    actor String,
    reason String,
    nova_version LowCardinality(String),
    added UInt64,
    removed UInt64,
    already_there UInt64,
    left_out UInt64
)
ENGINE = MergeTree
ORDER BY (at, plan_id, stream);
