-- Posts: one row for each new post (+1), deleted post (-1), and both for one whose author or visibility changed.
--
-- It holds what ranking needs (when, by whom, for whom) and no text: texts stay in PostgreSQL. `event_time` is the
-- time of creation, so that both rows of a change fall into the same partition and the same window.
CREATE TABLE IF NOT EXISTS ${database}.post_events
(
    event_time DateTime64(3, 'UTC'),
    post_id UUID,
    author_id UUID,
    visibility Enum8('public' = 1, 'followers' = 2, 'private' = 3),
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
ORDER BY (event_time, post_id)
SETTINGS non_replicated_deduplication_window = 10000;
