//! Projection and views against a recount from the rows, with deleted likes, deleted posts and private ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_clickhouse::{Client, MIGRATIONS, Migrator};

use crate::migrations::values;
use crate::server::{Server, number};

/// 40 posts of 4 authors over the last 10 days: each fifth private, each seventh deleted. Of 6,000 engagements each
/// third is taken back. Everything is away from the edges of the windows.
const POSTS: &str = "INSERT INTO post_events (event_time, post_id, author_id, visibility, sign) \
    WITH arrayJoin(if(number % 7 = 0, [1, -1], [1])) AS change \
    SELECT now64(3, 'UTC') - toIntervalMinute(30 + number * 350), reinterpretAsUUID(toUInt128(number + 1)), \
    reinterpretAsUUID(toUInt128(1000 + number % 4)), if(number % 5 = 0, 'private', if(number % 2 = 0, 'public', 'followers')), \
    change FROM numbers(40)";
const ENGAGEMENT: &str = "INSERT INTO post_engagement_events \
    (event_time, event_type, post_id, user_id, dwell_time_ms, sign, kafka_offset) \
    WITH arrayJoin(if(number % 3 = 0, [1, -1], [1])) AS change \
    SELECT now64(3, 'UTC') - toIntervalSecond(30 + number * 37), 1 + cityHash64(number) % 4, \
    reinterpretAsUUID(toUInt128(1 + number % 40)), reinterpretAsUUID(toUInt128(number)), number % 1000, change, number \
    FROM numbers(6000)";

/// Weighted engagement per post, straight from the rows: only what exists now, one row each.
const LIVE: &str = "(SELECT post_id, event_time, event_type, dwell_time_ms, \
    multiIf(event_type = 'view', 1, event_type = 'like', 4, event_type = 'comment', 8, 16) AS weight \
    FROM post_engagement_events GROUP BY post_id, event_time, event_type, user_id, dwell_time_ms HAVING sum(sign) = 1)";
const LIVE_POSTS: &str = "(SELECT post_id, author_id, event_time AS created_at FROM post_events \
    GROUP BY post_id, author_id, event_time, visibility HAVING sum(sign) = 1 AND visibility != 'private')";

async fn filled(server: &Server) -> Client {
    let client = server.client_for("nova", "");
    Migrator::new(&client, &values(), MIGRATIONS).apply().await.unwrap();
    for sql in [POSTS, ENGAGEMENT] {
        client.execute(sql).await.unwrap();
    }
    client
}

async fn refresh(client: &Client, view: &str) -> String {
    client.execute(&format!("SYSTEM REFRESH VIEW {view}")).await.unwrap();
    client.execute(&format!("SYSTEM WAIT VIEW {view}")).await.unwrap();
    client.query_text(&format!("SELECT any(refreshed_at) FROM {view}"), &[]).await.unwrap().trim().to_owned()
}

/// Both queries give the same lines, and some.
async fn same(client: &Client, view: &str, recount: &str) {
    let (view, recount) =
        (client.query_text(view, &[]).await.unwrap(), client.query_text(recount, &[]).await.unwrap());
    assert!(!view.is_empty());
    assert_eq!(view, recount);
}

#[tokio::test]
async fn top_posts_equal_a_recount() {
    let server = Server::start().await;
    let client = filled(&server).await;
    let moment = refresh(&client, "top_posts_1h").await;
    let recount = format!(
        "SELECT post_id, author_id, countIf(event_type = 'view'), countIf(event_type = 'like'), \
         countIf(event_type = 'comment'), countIf(event_type = 'share'), sum(dwell_time_ms), sum(weight) AS score \
         FROM {LIVE} AS e INNER JOIN {LIVE_POSTS} AS p USING post_id \
         WHERE event_time > toDateTime64('{moment}', 3, 'UTC') - INTERVAL 1 HOUR AND event_time <= '{moment}' \
         GROUP BY post_id, author_id ORDER BY score DESC, post_id"
    );
    let view = "SELECT post_id, author_id, views, likes, comments, shares, dwell_time_ms, score \
                FROM top_posts_1h ORDER BY score DESC, post_id";
    same(&client, view, &recount).await;
}

#[tokio::test]
async fn trending_equals_a_recount() {
    let server = Server::start().await;
    let client = filled(&server).await;
    let moment = refresh(&client, "trending_24h").await;
    let recount = format!(
        "WITH toStartOfHour(toDateTime64('{moment}', 3, 'UTC')) AS this_hour \
         SELECT post_id, author_id, countIf(event_type = 'view'), countIf(event_type = 'like'), \
         countIf(event_type = 'comment'), countIf(event_type = 'share'), \
         round(sum(weight * exp2(-dateDiff('hour', toStartOfHour(event_time), this_hour) / 6)), 6) \
         FROM {LIVE} AS e INNER JOIN {LIVE_POSTS} AS p USING post_id \
         WHERE event_time >= this_hour - INTERVAL 23 HOUR AND event_time < this_hour + INTERVAL 1 HOUR \
         GROUP BY post_id, author_id ORDER BY post_id"
    );
    let view = "SELECT post_id, author_id, views, likes, comments, shares, round(score, 6) FROM trending_24h ORDER BY post_id";
    same(&client, view, &recount).await;
}

#[tokio::test]
async fn feed_candidates_equal_a_recount_and_answer_a_feed() {
    let server = Server::start().await;
    let client = filled(&server).await;
    let moment = refresh(&client, "feed_candidates_mv").await;
    // Posts have at most 64 hours of engagement behind them, all of it inside of the 7 days.
    let recount = format!(
        "SELECT post_id, author_id, created_at, n, \
         round((1 + n) * exp2(-dateDiff('second', created_at, toDateTime64('{moment}', 3, 'UTC')) / 86400), 6) \
         FROM (SELECT post_id, author_id, created_at, sum(weight) AS n \
         FROM {LIVE_POSTS} AS p LEFT JOIN {LIVE} AS e USING post_id \
         WHERE created_at > toDateTime64('{moment}', 3, 'UTC') - INTERVAL 7 DAY GROUP BY post_id, author_id, created_at) ORDER BY post_id"
    );
    let view = "SELECT post_id, author_id, created_at, engagement, round(score, 6) FROM feed_candidates_mv ORDER BY post_id";
    same(&client, view, &recount).await;

    client
        .execute(
            "INSERT INTO user_follow_events (event_time, follower_id, followee_id, sign) \
             WITH arrayJoin([(1001, 1), (1002, 1), (1002, -1)]) AS follow \
             SELECT now64(3), reinterpretAsUUID(toUInt128(7)), reinterpretAsUUID(toUInt128(follow.1)), follow.2",
        )
        .await
        .unwrap();
    let feed = "SELECT uniqExact(author_id), min(author_id = reinterpretAsUUID(toUInt128(1001))) FROM feed_candidates_mv \
        WHERE author_id IN (SELECT followee_id FROM user_follow_events \
        WHERE follower_id = reinterpretAsUUID(toUInt128(7)) GROUP BY followee_id HAVING sum(sign) > 0)";
    assert_eq!(
        client.query_text(feed, &[]).await.unwrap(),
        "1\t1\n",
        "the one unfollowed again is not asked for"
    );
}

#[tokio::test]
async fn hourly_engagement_is_read_from_the_projection_and_equals_a_recount() {
    let server = Server::start().await;
    let client = filled(&server).await;
    let hourly = "SELECT toStartOfHour(event_time) AS hour, post_id, event_type, sum(sign) AS n, \
        sum(sign * dwell_time_ms) AS dwell FROM post_engagement_events GROUP BY hour, post_id, event_type \
        ORDER BY hour, post_id, event_type";
    let plan = client.query_text(&format!("EXPLAIN {hourly}"), &[]).await.unwrap();
    assert!(plan.contains("hourly_engagement"), "{plan}");
    same(&client, hourly, &format!("{hourly} SETTINGS optimize_use_projections = 0")).await;
    let live = format!("SELECT count() FROM {LIVE}");
    let summed = "SELECT sum(sign) FROM post_engagement_events";
    assert_eq!(number(&client, summed).await, number(&client, &live).await);
}
