-- What happened to posts: views, likes, comments, shares, one row for each change of each.
--
-- The state is a sum: `sum(sign)` over any filter is what PostgreSQL holds. An insert is +1, a delete is -1 with the
-- row as it was, an update is both. History is never rewritten.
--
-- Time zones are written out, so that partitions and hours do not depend on the server's configuration.
-- `hourly_engagement` is a projection and not a view filled at insert: it lives in the same part as its rows, so no
-- crash, repeat or exchange of partitions can make the two differ.
-- `by_offset` keeps the question "which rows of this batch are here?" fast; `non_replicated_deduplication_window` is
-- what makes a repeated insert add nothing.
CREATE TABLE IF NOT EXISTS ${database}.post_engagement_events
(
    event_time DateTime64(3, 'UTC'),
    event_type Enum8('view' = 1, 'like' = 2, 'comment' = 3, 'share' = 4),
    post_id UUID,
    user_id UUID,
    dwell_time_ms UInt32,
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
    INDEX by_offset kafka_offset TYPE minmax GRANULARITY 1,
    PROJECTION hourly_engagement
    (
        SELECT
            toStartOfHour(event_time) AS hour,
            post_id,
            event_type,
            sum(sign),
            sum(sign * dwell_time_ms)
        GROUP BY hour, post_id, event_type
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (event_time, user_id)
SETTINGS non_replicated_deduplication_window = 10000;
