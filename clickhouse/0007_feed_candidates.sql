-- Candidates for feeds: each author's newest posts of the last 7 days with a score, to be asked for by author.
--
-- A feed is "recent posts of those I follow, best first". Writing every post once per follower would multiply the
-- table by the number of followers; instead posts are scored once, kept in the order of their authors, and a feed
-- reads its few authors (the query is in README.md). At most 50 posts an author, so that nobody fills a feed alone.
-- `visibility` is handed on: 'followers' is right for a feed of followees, and wrong for a public list.
-- score = (1 + views + 4 likes + 8 comments + 16 shares) * 2^(-age of the post in hours / 24).
CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.feed_candidates_mv
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
        FROM ${database}.post_engagement_events
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
    FROM ${database}.post_events
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
