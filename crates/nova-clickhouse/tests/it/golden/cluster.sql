CREATE DATABASE IF NOT EXISTS `nova` ON CLUSTER `events` ENGINE = Atomic;

CREATE TABLE IF NOT EXISTS `nova`.nova_migrations ON CLUSTER `events` (version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3), nova_version String)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}')
ORDER BY version;

-- 0001_post_engagement_events.sql
CREATE TABLE IF NOT EXISTS `nova`.post_engagement_events_local ON CLUSTER `events`
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(event_time)
ORDER BY (event_time, user_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;
CREATE TABLE IF NOT EXISTS `nova`.post_engagement_events ON CLUSTER `events` AS `nova`.post_engagement_events_local
ENGINE = Distributed('events', 'nova', 'post_engagement_events_local');

-- 0002_user_follow_events.sql
CREATE TABLE IF NOT EXISTS `nova`.user_follow_events_local ON CLUSTER `events`
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(event_time)
ORDER BY (follower_id, followee_id, event_time)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;
CREATE TABLE IF NOT EXISTS `nova`.user_follow_events ON CLUSTER `events` AS `nova`.user_follow_events_local
ENGINE = Distributed('events', 'nova', 'user_follow_events_local');

-- 0003_post_events.sql
CREATE TABLE IF NOT EXISTS `nova`.post_events_local ON CLUSTER `events`
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(event_time)
ORDER BY (event_time, post_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;
CREATE TABLE IF NOT EXISTS `nova`.post_events ON CLUSTER `events` AS `nova`.post_events_local
ENGINE = Distributed('events', 'nova', 'post_events_local');

-- 0004_dimensions.sql
CREATE OR REPLACE DICTIONARY `nova`.posts ON CLUSTER `events`
(
    id UUID,
    author_id UUID,
    visibility String,
    created_at DateTime64(6, 'UTC')
)
PRIMARY KEY id
SOURCE(POSTGRESQL(
    HOST '127.0.0.1' PORT 1 DB 'social'
    USER 'o\'reader' PASSWORD 'it\'s; a \\ secret'
    QUERY 'SELECT id, author_id, visibility, created_at AT TIME ZONE ''UTC'' AS created_at FROM posts WHERE {condition}'
))
LAYOUT(COMPLEX_KEY_CACHE(SIZE_IN_CELLS 1000000))
LIFETIME(MIN 60 MAX 300);
CREATE OR REPLACE DICTIONARY `nova`.users ON CLUSTER `events`
(
    id UUID,
    handle String,
    created_at DateTime64(6, 'UTC')
)
PRIMARY KEY id
SOURCE(POSTGRESQL(
    HOST '127.0.0.1' PORT 1 DB 'social'
    USER 'o\'reader' PASSWORD 'it\'s; a \\ secret'
    QUERY 'SELECT id, handle, created_at AT TIME ZONE ''UTC'' AS created_at FROM users WHERE {condition}'
))
LAYOUT(COMPLEX_KEY_CACHE(SIZE_IN_CELLS 1000000))
LIFETIME(MIN 60 MAX 300);

-- 0005_top_posts_1h.sql
CREATE MATERIALIZED VIEW IF NOT EXISTS `nova`.top_posts_1h ON CLUSTER `events`
REFRESH EVERY 1 MINUTE
(
    refreshed_at DateTime64(3, 'UTC'),
    post_id UUID,
    author_id UUID,
    views Int64,
    likes Int64,
    comments Int64,
    shares Int64,
    dwell_time_ms Int64,
    score Int64
)
ENGINE = MergeTree
ORDER BY (score, post_id)
AS
WITH now64(3, 'UTC') AS moment
SELECT
    moment AS refreshed_at,
    engagement.post_id AS post_id,
    current_posts.author_id AS author_id,
    engagement.views AS views,
    engagement.likes AS likes,
    engagement.comments AS comments,
    engagement.shares AS shares,
    engagement.dwell_time_ms AS dwell_time_ms,
    engagement.views + 4 * engagement.likes + 8 * engagement.comments + 16 * engagement.shares AS score
FROM
(
    SELECT
        post_id,
        sumIf(sign, event_type = 'view') AS views,
        sumIf(sign, event_type = 'like') AS likes,
        sumIf(sign, event_type = 'comment') AS comments,
        sumIf(sign, event_type = 'share') AS shares,
        sum(sign * dwell_time_ms) AS dwell_time_ms
    FROM `nova`.post_engagement_events
    WHERE event_time > moment - INTERVAL 1 HOUR AND event_time <= moment
    GROUP BY post_id
) AS engagement
INNER JOIN
(
    SELECT post_id, author_id
    FROM `nova`.post_events
    WHERE post_id GLOBAL IN
    (
        SELECT post_id
        FROM `nova`.post_engagement_events
        WHERE event_time > moment - INTERVAL 1 HOUR AND event_time <= moment
    )
    GROUP BY post_id, author_id, visibility
    HAVING sum(sign) > 0 AND visibility != 'private'
) AS current_posts ON current_posts.post_id = engagement.post_id
WHERE score > 0
ORDER BY score DESC, post_id
LIMIT 100;

-- 0006_trending_24h.sql
CREATE MATERIALIZED VIEW IF NOT EXISTS `nova`.trending_24h ON CLUSTER `events`
REFRESH EVERY 1 MINUTE
(
    refreshed_at DateTime64(3, 'UTC'),
    post_id UUID,
    author_id UUID,
    views Int64,
    likes Int64,
    comments Int64,
    shares Int64,
    score Float64
)
ENGINE = MergeTree
ORDER BY (score, post_id)
AS
WITH
    now64(3, 'UTC') AS moment,
    toStartOfHour(moment) AS this_hour,
    hourly AS
    (
        SELECT toStartOfHour(event_time) AS hour, post_id, event_type, sum(sign) AS n
        FROM `nova`.post_engagement_events
        WHERE toStartOfHour(event_time) > this_hour - INTERVAL 24 HOUR AND toStartOfHour(event_time) <= this_hour
        GROUP BY hour, post_id, event_type
    ),
    trending AS
    (
        SELECT
            post_id,
            sumIf(n, event_type = 'view') AS views,
            sumIf(n, event_type = 'like') AS likes,
            sumIf(n, event_type = 'comment') AS comments,
            sumIf(n, event_type = 'share') AS shares,
            sum(n * transform(event_type, ['view', 'like', 'comment', 'share'], [1, 4, 8, 16], 0)
                * exp2(-dateDiff('hour', hour, this_hour) / 6)) AS score
        FROM hourly
        GROUP BY post_id
        HAVING score > 0
    )
SELECT
    moment AS refreshed_at,
    trending.post_id AS post_id,
    current_posts.author_id AS author_id,
    trending.views AS views,
    trending.likes AS likes,
    trending.comments AS comments,
    trending.shares AS shares,
    trending.score AS score
FROM trending
INNER JOIN
(
    SELECT post_id, author_id
    FROM `nova`.post_events
    WHERE post_id GLOBAL IN (SELECT post_id FROM trending)
    GROUP BY post_id, author_id, visibility
    HAVING sum(sign) > 0 AND visibility != 'private'
) AS current_posts ON current_posts.post_id = trending.post_id
ORDER BY score DESC, post_id
LIMIT 200;

-- 0007_feed_candidates.sql
CREATE MATERIALIZED VIEW IF NOT EXISTS `nova`.feed_candidates_mv ON CLUSTER `events`
REFRESH EVERY 1 MINUTE
(
    refreshed_at DateTime64(3, 'UTC'),
    author_id UUID,
    post_id UUID,
    visibility Enum8('public' = 1, 'followers' = 2, 'private' = 3),
    created_at DateTime64(3, 'UTC'),
    engagement Int64,
    score Float64
)
ENGINE = MergeTree
ORDER BY (author_id, created_at, post_id)
AS
WITH
    now64(3, 'UTC') AS moment,
    hourly AS
    (
        SELECT toStartOfHour(event_time) AS hour, post_id, event_type, sum(sign) AS n
        FROM `nova`.post_engagement_events
        WHERE toStartOfHour(event_time) >= toStartOfHour(moment - INTERVAL 7 DAY)
        GROUP BY hour, post_id, event_type
    )
SELECT
    moment AS refreshed_at,
    current_posts.author_id AS author_id,
    current_posts.post_id AS post_id,
    current_posts.visibility AS visibility,
    current_posts.event_time AS created_at,
    greatest(engaged.weight, 0) AS engagement,
    (1 + engagement) * exp2(-dateDiff('second', created_at, moment) / 86400) AS score
FROM
(
    SELECT post_id, author_id, visibility, event_time
    FROM `nova`.post_events
    WHERE event_time > moment - INTERVAL 7 DAY AND event_time <= moment AND visibility != 'private'
    GROUP BY post_id, author_id, visibility, event_time
    HAVING sum(sign) > 0
    ORDER BY event_time DESC, post_id
    LIMIT 50 BY author_id
) AS current_posts
LEFT JOIN
(
    SELECT
        post_id,
        sum(n * transform(event_type, ['view', 'like', 'comment', 'share'], [1, 4, 8, 16], 0)) AS weight
    FROM hourly
    GROUP BY post_id
) AS engaged ON engaged.post_id = current_posts.post_id;

-- 0008_index_by_lsn.sql
ALTER TABLE `nova`.post_engagement_events_local ON CLUSTER `events` ADD INDEX IF NOT EXISTS by_lsn source_lsn TYPE minmax GRANULARITY 1;
ALTER TABLE `nova`.user_follow_events_local ON CLUSTER `events` ADD INDEX IF NOT EXISTS by_lsn source_lsn TYPE minmax GRANULARITY 1;
ALTER TABLE `nova`.post_events_local ON CLUSTER `events` ADD INDEX IF NOT EXISTS by_lsn source_lsn TYPE minmax GRANULARITY 1;

-- 0009_dead_letter_actions.sql
CREATE TABLE IF NOT EXISTS `nova`.dead_letter_actions ON CLUSTER `events`
(
    topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    stream LowCardinality(String),
    value_sha256 String,
    action Enum8('retried' = 1, 'discarded' = 2),
    rows UInt32,
    reason String,
    actor String,
    nova_version LowCardinality(String),
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}', at)
ORDER BY (topic, kafka_partition, kafka_offset, stream, value_sha256, action);

-- 0010_reconcile_runs.sql
CREATE TABLE IF NOT EXISTS `nova`.reconcile_runs ON CLUSTER `events`
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}', recorded_at)
ORDER BY (stream, started_at, run_id);

-- 0011_repairs.sql
CREATE TABLE IF NOT EXISTS `nova`.repairs ON CLUSTER `events`
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}')
ORDER BY (at, plan_id, stream);

-- 0012_jobs.sql
CREATE TABLE IF NOT EXISTS `nova`.jobs ON CLUSTER `events`
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}')
ORDER BY (began_at, job_id, seq);

-- 0013_reconcile_cells.sql
ALTER TABLE `nova`.reconcile_runs ON CLUSTER `events` ADD COLUMN IF NOT EXISTS cells Array(Tuple(
    from_ms Int64, to_ms Int64, first_column UInt16, end_column UInt16, rows Int64, differences UInt64, level UInt8));
