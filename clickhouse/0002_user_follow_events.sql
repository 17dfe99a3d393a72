-- Who follows whom: one row for each follow (+1) and unfollow (-1).
--
-- Ordered by follower first, not by time: the question asked for every feed is "whom does this user follow?", and it
-- must read one range. The price is paid by rare questions: a reconciliation of a window of time, and the recovery
-- of a batch, read more of the table.
CREATE TABLE IF NOT EXISTS ${database}.user_follow_events
(
    event_time DateTime64(3, 'UTC'),
    follower_id UUID,
    followee_id UUID,
    sign Int8,
    event_id UUID,
    source_key UUID,
    source_lsn UInt64,
    source_tx UInt64,
    topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    ordinal UInt8,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_offset kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (follower_id, followee_id, event_time)
SETTINGS non_replicated_deduplication_window = 10000;
