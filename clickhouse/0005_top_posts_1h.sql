-- The 100 posts with the most engagement in the last 60 minutes, made anew every minute.
--
-- A refreshable view is replaced as a whole, in one step: it can be late, never half. It counts sums of `sign`, so a
-- like that was taken back does not count, and posts that are deleted or private are left out. The window moves by
-- the minute, so it reads rows (a range of the primary key) and not the hourly projection.
-- score = views + 4 likes + 8 comments + 16 shares.
CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.top_posts_1h
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
    FROM ${database}.post_engagement_events
    WHERE event_time > moment - INTERVAL 1 HOUR AND event_time <= moment
    GROUP BY post_id
) AS engagement
INNER JOIN
(
    SELECT post_id, author_id
    FROM ${database}.post_events
    WHERE post_id IN
    (
        SELECT post_id
        FROM ${database}.post_engagement_events
        WHERE event_time > moment - INTERVAL 1 HOUR AND event_time <= moment
    )
    GROUP BY post_id, author_id, visibility
    HAVING sum(sign) > 0 AND visibility != 'private'
) AS current_posts ON current_posts.post_id = engagement.post_id
WHERE score > 0
ORDER BY score DESC, post_id
LIMIT 100;
