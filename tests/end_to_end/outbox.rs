//! Events by the outbox: what each version becomes, what is no event, what is told again; and the outbox's days.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use xtask::installation::{DATABASE, clickhouse_number, clickhouse_rows};

use crate::admin::metric;
use crate::checks::equal;
use crate::recovery::rest;
use crate::topics::read_all;
use crate::wait::{s, until};
use crate::world::World;

const INSERT: &str = "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload) \
                      VALUES ($1, 'engagement', $2, $3, $4) RETURNING seq, source_tx";
/// A moment that all versions can say, in seconds since 1970.
const MOMENT: i64 = 1_763_726_400;

/// A view of one post by one user, in this version.
fn view(version: u32, id: Uuid, post: Uuid) -> Value {
    let mut document = json!({
        "version": version, "event_id": id, "event_type": "view", "post_id": post, "user_id": post
    });
    document["timestamp"] = match version {
        1 => json!(MOMENT),
        2 => json!(MOMENT * 1000),
        _ => json!("2025-11-21T12:00:00.000Z"),
    };
    if version > 1 {
        document["dwell_time_ms"] = json!(4200);
    }
    if version > 2 {
        document["producer"] = json!("tests/1");
    }
    document
}

/// Writes it into the outbox; answers its number and its transaction.
async fn write(world: &World, id: Uuid, document: &Value) -> Result<(i64, i64)> {
    let post: Uuid = document["post_id"].as_str().context("no post")?.parse()?;
    let insert = sqlx::query_as(INSERT).bind(id).bind(post).bind("view").bind(document);
    Ok(insert.fetch_one(world.postgres()).await?)
}

/// GIVEN an event of each version, and one of a newer / THEN the former are rows with their own ids, numbers and dwell
/// times, and the latter is a dead letter that says why; and its row may be deleted without harm.
pub(crate) async fn events(world: &mut World) -> Result<()> {
    let post = Uuid::now_v7();
    let mut expected = Vec::new();
    for version in 1..=3 {
        let id = Uuid::now_v7();
        let (seq, tx) = write(world, id, &view(version, id, post)).await?;
        let dwell = if version > 1 { "4200" } else { "0" };
        expected.push([id.to_string(), id.to_string(), seq.to_string(), tx.to_string(), dwell.to_owned()]);
    }
    let newer = Uuid::now_v7();
    write(world, newer, &view(4, newer, post)).await?;

    let sql = format!(
        "SELECT event_id, source_key, source_lsn, source_tx, dwell_time_ms FROM {DATABASE}.post_engagement_events \
         WHERE post_id = '{post}' AND event_type = 'view' AND sign = 1 \
         AND event_time = fromUnixTimestamp64Milli({MOMENT}000) ORDER BY source_lsn"
    );
    until("the rows of three versions", s(30), async || {
        let found = clickhouse_rows(world.clickhouse()?, &sql).await?;
        ensure!(found == expected, "{found:?}, expected {expected:?}");
        Ok(())
    })
    .await?;
    until("the newer one is a dead letter", s(30), async || {
        let letters = read_all(&world.brokers()?, "nova.dead-letters")?;
        let id = newer.to_string();
        let letter = letters.iter().find(|letter| letter.header("id").as_deref() == Some(&id));
        let letter = letter.context("it is not there")?;
        let said = ["nova.stream", "nova.path", "nova.error.kind"].map(|name| letter.header(name));
        let right = ["engagement", "version", "malformed"].map(|word| Some(word.to_owned()));
        ensure!(said == right, "{said:?}");
        let reason = letter.header("nova.reason").unwrap_or_default();
        ensure!(reason.contains("version 4 is newer than version 3"), "{reason}");
        Ok(())
    })
    .await?;
    sqlx::query("DELETE FROM engagement_outbox WHERE id = $1").bind(newer).execute(world.postgres()).await?;
    for refused in ["UPDATE engagement_outbox SET event_type = 'share'", "TRUNCATE engagement_outbox"] {
        let error = sqlx::query(refused).execute(world.postgres()).await.err().context(refused)?;
        ensure!(error.to_string().contains("an event that was written has happened"), "{refused}: {error}");
    }
    equal(world).await.map(drop)
}

/// GIVEN events that ClickHouse has / WHEN the connector reads the outbox again beside the changes / THEN the same events
/// come at new offsets, and none becomes a second row.
pub(crate) async fn events_told_again(world: &mut World) -> Result<()> {
    world.traffic(2, 100.0).await?;
    equal(world).await?;
    let admin = world.events().admin.clone();
    let repeated = async || {
        let labels = [("stream", "engagement"), ("reason", "repeated")];
        metric(&admin, "component_discarded_events_total", &labels).await.unwrap_or_default()
    };
    let (before, rows) = (repeated().await, engagement_rows(world).await?);
    let outbox: i64 =
        sqlx::query_scalar("SELECT count(*) FROM engagement_outbox").fetch_one(world.postgres()).await?;
    let data = json!({"type": "incremental", "data-collections": ["public.engagement_outbox"]});
    let signal =
        "INSERT INTO debezium_signal (id, type, data) VALUES (gen_random_uuid(), 'execute-snapshot', $1)";
    sqlx::query(signal).bind(data.to_string()).execute(world.postgres()).await?;
    until("all events were told again", s(60), async || {
        let told = repeated().await - before;
        #[expect(clippy::cast_precision_loss, reason = "some hundred events")]
        let all = told >= outbox as f64;
        ensure!(all, "{told} of {outbox} events are counted as repeated");
        Ok(())
    })
    .await?;
    let now = engagement_rows(world).await?;
    ensure!(now == rows, "{rows} rows have become {now}");
    equal(world).await.map(drop)
}

async fn engagement_rows(world: &World) -> Result<i64> {
    let sql =
        format!("SELECT count() FROM {DATABASE}.post_engagement_events WHERE topic = 'events.engagement'");
    clickhouse_number(world.clickhouse()?, &sql).await
}

/// GIVEN an old day with an event / THEN it is dropped neither while somebody writes into it nor while nobody reads the
/// slot, and each refusal says why; WHEN the connector reads / THEN it is, and ClickHouse has its event.
pub(crate) async fn outbox_days(world: &mut World) -> Result<()> {
    let day: String = sqlx::query_scalar(
        "SELECT nova_create_engagement_outbox_partition((now() AT TIME ZONE 'UTC')::date - 5)",
    )
    .fetch_one(world.postgres())
    .await?;
    let (id, post) = (Uuid::now_v7(), Uuid::now_v7());
    let mut writer = world.postgres().begin().await?;
    let insert = "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload, created_at) \
                  VALUES ($1, 'engagement', $2, 'view', $3, now() - interval '5 days')";
    sqlx::query(insert).bind(id).bind(post).bind(view(2, id, post)).execute(&mut *writer).await?;

    let maintain = ["outbox", "maintain", "--ahead", "40days"];
    let execute = [&maintain[..], &["--execute"]].concat();
    let dry = world.nova(&maintain).await?;
    ensure!(dry.code == Some(0) && dry.stdout.contains(&day), "{dry:?}");
    ensure!(dry.stdout.contains("Nothing was done"), "{dry:?}");
    let held = world.nova(&execute).await?;
    ensure!(held.code == Some(1) && held.stderr.contains("A long transaction holds the outbox"), "{held:?}");
    ensure!(held.stdout.contains("made"), "the coming days wait for the old ones: {held:?}");
    writer.commit().await?;

    rest(world, Method::PUT, "/stop").await?;
    let refused = until("nobody reads the slot", s(30), async || {
        let answer = world.nova(&execute).await?;
        ensure!(answer.code == Some(1), "{answer:?}");
        Ok(answer)
    })
    .await;
    rest(world, Method::PUT, "/resume").await?;
    let refused = refused?;
    for word in ["nobody reads slot nova_cdc", "bytes of WAL", "nova connector status"] {
        ensure!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    ensure!(exists(world, &day).await?, "{day} is gone");

    let dropped = until("the old day is dropped", s(90), async || {
        let answer = world.nova(&[&execute[..], &["-o", "json"]].concat()).await?;
        ensure!(answer.code == Some(0), "{answer:?}");
        Ok(serde_json::from_str::<Value>(&answer.stdout)?)
    })
    .await?;
    let lines = dropped["partitions"].as_array().context("no partitions")?;
    let state = lines.iter().find(|line| line["partition"] == *day).context("the day is not listed")?;
    ensure!(state["state"] == "dropped" && dropped["executed"] == true, "{dropped}");
    ensure!(!exists(world, &day).await?, "{day} is there");
    let rows = format!(
        "SELECT count() FROM {DATABASE}.post_engagement_events WHERE event_id = '{id}' AND dwell_time_ms = 4200"
    );
    until("its event is in ClickHouse", s(30), async || {
        let found = clickhouse_number(world.clickhouse()?, &rows).await?;
        ensure!(found == 1, "{found} rows");
        Ok(())
    })
    .await?;
    // The outbox does not know it any more; those who compare both ends must not see it either.
    let forget = format!(
        "ALTER TABLE {DATABASE}.post_engagement_events DELETE WHERE event_id = '{id}' SETTINGS mutations_sync = 2"
    );
    world.clickhouse()?.query(&forget).await?;
    equal(world).await.map(drop)
}

async fn exists(world: &World, table: &str) -> Result<bool> {
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    Ok(sqlx::query_scalar(sql).bind(table).fetch_one(world.postgres()).await?)
}
