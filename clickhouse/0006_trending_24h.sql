-- The 200 posts that gain most right now: engagement of the last 24 hours, an hour's share halved every 6 hours.
--
-- Where top_posts_1h answers "what is big in this hour", this one answers "what is rising today": yesterday's hit
-- sinks although its total is larger. Whole hours are read from the projection, so a refresh costs 24 hours of
-- groups and not 24 hours of rows. Deleted likes, deleted posts and private posts do not count.
-- score = sum over hours of (views + 4 likes + 8 comments + 16 shares) * 2^(-age in hours / 6).
CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.trending_24h
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
        FROM ${database}.post_engagement_events
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
    FROM ${database}.post_events
    WHERE post_id IN (SELECT post_id FROM trending)
    GROUP BY post_id, author_id, visibility
    HAVING sum(sign) > 0 AND visibility != 'private'
) AS current_posts ON current_posts.post_id = trending.post_id
ORDER BY score DESC, post_id
LIMIT 200;
