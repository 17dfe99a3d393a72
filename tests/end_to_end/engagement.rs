//! What ClickHouse makes of the rows: the hourly projection, the refreshable views, the dictionaries. The truth they
//! are held against is PostgreSQL, asked in its own SQL.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use xtask::installation::{DATABASE, clickhouse_rows};

use crate::checks::equal;
use crate::world::World;

/// What the outbox says of each event: its post, type and hour, to the millisecond in each version.
const EVENTS: &str = "SELECT aggregate_id AS post_id, event_type AS kind, CASE payload->>'version' \
        WHEN '1' THEN to_timestamp((payload->>'timestamp')::bigint) \
        WHEN '2' THEN to_timestamp((payload->>'timestamp')::bigint / 1000.0) \
        ELSE (payload->>'timestamp')::timestamptz END AS created_at FROM engagement_outbox";

/// Weighted engagement with each post that may be ranked, with its author: what the views count.
const ENGAGED: &str = "engagement AS (
        SELECT post_id, 4 AS weight, created_at FROM likes
        UNION ALL SELECT post_id, 8, created_at FROM comments
        UNION ALL SELECT post_id, CASE kind WHEN 'view' THEN 1 ELSE 16 END, created_at FROM events)
    SELECT concat_ws('|', p.id, p.author_id), (sum(e.weight))::bigint,
           (sum(e.weight * power(2, -extract(epoch FROM date_trunc('hour', $1::timestamptz) - date_trunc('hour', e.created_at)) / 3600 / 6)))::float8
    FROM posts p JOIN engagement e ON e.post_id = p.id WHERE p.visibility <> 'private' GROUP BY p.id, p.author_id";

/// GIVEN an installation whose ends are equal / THEN everything that is derived in ClickHouse is PostgreSQL's too.
pub(crate) async fn views(world: &mut World) -> Result<()> {
    world.traffic(3, 200.0).await?;
    equal(world).await?;
    hourly(world).await?;
    rankings(world).await?;
    feed(world).await?;
    dictionaries(world).await
}

pub(crate) async fn hourly(world: &World) -> Result<()> {
    let sql = format!(
        "SELECT toUnixTimestamp(toStartOfHour(event_time)) AS hour, post_id, event_type, sum(sign) AS n \
         FROM {DATABASE}.post_engagement_events GROUP BY hour, post_id, event_type HAVING n != 0"
    );
    let plan = world.clickhouse()?.query(&format!("EXPLAIN {sql}")).await?;
    ensure!(plan.contains("hourly_engagement"), "the projection is not used:\n{plan}");
    let found: Vec<String> =
        clickhouse_rows(world.clickhouse()?, &sql).await?.iter().map(|row| row.join("|")).collect();
    let sql = format!(
        "SELECT concat_ws('|', floor(extract(epoch FROM date_trunc('hour', created_at)))::bigint, post_id, kind, count(*)) \
         FROM (SELECT created_at, post_id, 'like' AS kind FROM likes \
               UNION ALL SELECT created_at, post_id, 'comment' FROM comments \
               UNION ALL SELECT created_at, post_id, kind FROM ({EVENTS}) AS events) AS e \
         GROUP BY date_trunc('hour', created_at), post_id, kind"
    );
    let expected: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(world.postgres()).await?;
    same("hourly engagement", found, expected)
}

fn same(what: &str, mut found: Vec<String>, mut expected: Vec<String>) -> Result<()> {
    ensure!(!expected.is_empty(), "{what}: PostgreSQL has nothing to compare with");
    found.sort_unstable();
    expected.sort_unstable();
    let difference = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    ensure!(
        found == expected,
        "{what}: {} lines, expected {}; first difference (found, expected): {difference:?}",
        found.len(),
        expected.len()
    );
    Ok(())
}

async fn refreshed(world: &World, view: &str, columns: &str) -> Result<Vec<Vec<String>>> {
    for verb in ["REFRESH", "WAIT"] {
        world.clickhouse()?.query(&format!("SYSTEM {verb} VIEW {DATABASE}.{view}")).await?;
    }
    clickhouse_rows(world.clickhouse()?, &format!("SELECT {columns} FROM {DATABASE}.{view}")).await
}

/// The stack is minutes old, so an hour and a day hold all of its rows.
async fn rankings(world: &World) -> Result<()> {
    for (view, limit) in [("top_posts_1h", 100), ("trending_24h", 200)] {
        let rows = refreshed(world, view, "concat_ws('|', post_id, author_id), score, refreshed_at").await?;
        let moment = rows.first().and_then(|row| row.last()).with_context(|| format!("{view} is empty"))?;
        let moment = format!("{moment} UTC");
        let truth: Vec<(String, i64, f64)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("WITH events AS ({EVENTS}), {ENGAGED}")))
                .bind(&moment)
                .fetch_all(world.postgres())
                .await?;
        #[expect(clippy::cast_precision_loss, reason = "weights of some hundred likes")]
        let score = |plain: i64, decayed: f64| if view == "top_posts_1h" { plain as f64 } else { decayed };
        let truth: BTreeMap<String, f64> =
            truth.into_iter().map(|(post, plain, decayed)| (post, score(plain, decayed))).collect();
        let mut best: Vec<f64> = truth.values().copied().collect();
        best.sort_unstable_by(|a, b| b.total_cmp(a));
        best.truncate(limit);
        ensure!(rows.len() == best.len(), "{view} has {} posts instead of {}", rows.len(), best.len());
        let lowest = best.last().copied().context("no post has engagement")?;
        for row in rows {
            let [post, score, _] = <[String; 3]>::try_from(row).ok().context("three columns")?;
            let (score, expected) = (score.parse::<f64>()?, truth.get(&post).copied());
            let close = expected.is_some_and(|expected| (expected - score).abs() < 1e-6);
            ensure!(close, "{view}: post {post} has score {score} instead of {expected:?}");
            ensure!(score >= lowest - 1e-6, "{view}: post {post} does not belong to the best {limit}");
        }
    }
    Ok(())
}

async fn feed(world: &World) -> Result<()> {
    let columns = "concat_ws('|', post_id, author_id, visibility, engagement)";
    let found = refreshed(world, "feed_candidates_mv", columns).await?.concat();
    let sql = "WITH engagement AS (
            SELECT post_id, 4 AS weight FROM likes UNION ALL SELECT post_id, 8 FROM comments
            UNION ALL SELECT aggregate_id, CASE event_type WHEN 'view' THEN 1 ELSE 16 END FROM engagement_outbox),
        recent AS (
            SELECT *, row_number() OVER (PARTITION BY author_id ORDER BY created_at DESC) AS place
            FROM posts WHERE visibility <> 'private')
        SELECT concat_ws('|', p.id, p.author_id, p.visibility, coalesce(sum(e.weight), 0))
        FROM recent p LEFT JOIN engagement e ON e.post_id = p.id
        WHERE place <= 50 GROUP BY p.id, p.author_id, p.visibility";
    let expected: Vec<String> = sqlx::query_scalar(sql).fetch_all(world.postgres()).await?;
    same("feed candidates", found, expected)
}

async fn dictionaries(world: &World) -> Result<()> {
    for (table, attributes) in [("users", "handle"), ("posts", "author_id, visibility")] {
        let sql = format!(
            "SELECT id::text, concat_ws('|', id, {attributes}) FROM {table} ORDER BY created_at DESC LIMIT 50"
        );
        let rows: Vec<(String, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(world.postgres()).await?;
        let (ids, expected): (Vec<String>, Vec<String>) = rows.into_iter().unzip();
        let list = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
        let gets: Vec<String> = attributes
            .split(", ")
            .map(|attribute| format!("dictGet('{DATABASE}.{table}', '{attribute}', tuple(id))"))
            .collect();
        let sql = format!(
            "SELECT concat_ws('|', id, {}) FROM (SELECT arrayJoin([{list}])::UUID AS id)",
            gets.join(", ")
        );
        let found = clickhouse_rows(world.clickhouse()?, &sql).await?.concat();
        same(&format!("dictionary {table}"), found, expected)?;
    }
    Ok(())
}
