//! `nova reconcile` beside the application: no false alarm at full speed, and everything that was broken on purpose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::installation::{DATABASE, clickhouse_rows};

use crate::checks::equal;
use crate::wait::s;
use crate::world::{Answer, World};

/// Comparisons beside the application.
const RUNS: usize = 100;
/// So long may they take; a run is mostly waiting for the slot, and four are under way at the same time.
const WITHIN: Duration = s(600);
/// For the whole scenario.
pub(crate) const UNDER_WRITES_LIMIT: Duration = s(660);
/// Transactions per second, more than the machine of a test commits.
const FULL_SPEED: f64 = 1_000.0;

/// GIVEN an application that writes as fast as it can / WHEN PostgreSQL and ClickHouse are compared a hundred times /
/// THEN they are equal each time.
pub(crate) async fn reconcile_under_writes(world: &mut World) -> Result<()> {
    world.traffic(2, 200.0).await?;
    let load = world.load(FULL_SPEED);
    let (begun, started, done) = (Instant::now(), AtomicUsize::new(0), AtomicUsize::new(0));
    let lane = async || {
        let mut rows = 0;
        while begun.elapsed() < WITHIN && started.fetch_add(1, Ordering::Relaxed) < RUNS {
            let answer = world.nova(&["reconcile", "-o", "json", "--max-listed", "5"]).await?;
            ensure!(answer.code == Some(0), "after {} runs: {answer:?}", done.load(Ordering::Relaxed));
            rows = compared(&answer)?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(rows)
    };
    let (rows, ..) = load.around(async { tokio::try_join!(lane(), lane(), lane(), lane()) }).await?;
    let runs = done.into_inner();
    ensure!(runs == RUNS, "only {runs} comparisons in {} s", WITHIN.as_secs());
    ensure!(rows > 500, "only {rows} rows were compared in the end");
    Ok(())
}

/// The rows of all streams, each of which must be equal.
fn compared(answer: &Answer) -> Result<u64> {
    let report: Value = serde_json::from_str(&answer.stdout).context("the report")?;
    let streams = report["streams"].as_array().context("streams")?;
    ensure!(streams.len() == 5, "{} streams", streams.len());
    let mut rows = 0;
    for stream in streams {
        ensure!(stream["verdict"] == "equal", "{}", stream["stream"]);
        let windows = stream["windows"].as_array().context("windows")?;
        rows += windows.iter().filter_map(|window| window["postgres"]["rows"].as_u64()).sum::<u64>();
    }
    Ok(rows)
}

/// GIVEN equal sides / WHEN rows are lost, doubled, altered and moved in time, and PostgreSQL changes one unseen / THEN
/// exactly these are found; and nothing when they are put right.
pub(crate) async fn reconcile_finds(world: &mut World) -> Result<()> {
    world.traffic(3, 200.0).await?;
    equal(world).await?;
    let likes = "post_engagement_events";
    let sql = format!(
        "SELECT source_key FROM {DATABASE}.{likes} WHERE topic = 'cdc.likes' GROUP BY source_key \
         HAVING sum(sign) = 1 AND count() = 1 ORDER BY source_key LIMIT 5"
    );
    let keys = clickhouse_rows(world.clickhouse()?, &sql).await?.concat();
    let [lost, doubled, altered, late, unseen] =
        <[String; 5]>::try_from(keys).ok().context("five likes that nobody changed")?;
    let copy = |key: &str, replace: &str| {
        format!(
            "INSERT INTO {DATABASE}.{likes} SELECT * REPLACE ({replace}) FROM \
             (SELECT * FROM {DATABASE}.{likes} WHERE topic = 'cdc.likes' AND source_key = '{key}' AND sign = 1 LIMIT 1)"
        )
    };
    let breaks = [
        copy(&lost, "-1 AS sign"),
        copy(&doubled, "event_id AS event_id"),
        copy(&altered, "-1 AS sign"),
        copy(&altered, "reinterpretAsUUID(toUInt128(7)) AS user_id"),
        copy(&late, "-1 AS sign"),
        copy(&late, "event_time + INTERVAL 1 HOUR AS event_time"),
    ];
    for sql in &breaks {
        world.clickhouse()?.query(sql).await?;
    }
    unseen_delete(world, &unseen).await?;
    let events = break_events(world).await?;

    let answer = world.nova(&["reconcile", "-o", "json"]).await?;
    ensure!(answer.code == Some(3), "{answer:?}");
    let report: Value = serde_json::from_str(&answer.stdout)?;
    let mut found = BTreeMap::new();
    for stream in report["streams"].as_array().context("streams")? {
        for difference in stream["differences"].as_array().context("differences")? {
            let text = |key: &str| difference[key].as_str().unwrap_or_default().to_owned();
            let explained = if difference["explained"].is_null() { "" } else { " explained" };
            found.insert(text("source_key"), format!("{} {}{explained}", stream["stream"], text("kind")));
        }
    }
    let expected = [
        (lost, "missing"),
        (doubled, "doubled"),
        (altered, "different"),
        (late, "different"),
        (unseen, "extra"),
    ];
    let mut expected: BTreeMap<String, String> =
        expected.into_iter().map(|(key, kind)| (key, format!("\"likes\" {kind}"))).collect();
    expected.extend(events);
    ensure!(found == expected, "found {found:?}, expected {expected:?}");
    Ok(())
}

/// Loses an event, alters another, and writes one that becomes a dead letter; answers what is to be found.
async fn break_events(world: &World) -> Result<[(String, String); 3]> {
    let events = format!("{DATABASE}.post_engagement_events");
    let sql = format!(
        "SELECT source_key FROM {events} WHERE topic = 'events.engagement' AND event_time > now() - INTERVAL 1 MINUTE \
         GROUP BY source_key HAVING sum(sign) = 1 AND count() = 1 ORDER BY source_key DESC LIMIT 2"
    );
    let keys = clickhouse_rows(world.clickhouse()?, &sql).await?.concat();
    let [lost, altered] = <[String; 2]>::try_from(keys).ok().context("two events")?;
    for (key, replace) in
        [(&lost, "-1 AS sign"), (&altered, "-1 AS sign"), (&altered, "dwell_time_ms + 1 AS dwell_time_ms")]
    {
        let sql = format!(
            "INSERT INTO {events} SELECT * REPLACE ({replace}) FROM (SELECT * FROM {events} \
             WHERE topic = 'events.engagement' AND source_key = '{key}' AND sign = 1 LIMIT 1)"
        );
        world.clickhouse()?.query(&sql).await?;
    }
    let newer = uuid::Uuid::now_v7();
    sqlx::query(
        "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload) \
         VALUES ($1, 'engagement', $1, 'view', '{\"version\": 4}')",
    )
    .bind(newer)
    .execute(world.postgres())
    .await?;
    let found = |key: String, what: &str| (key, format!("\"engagement\" {what}"));
    Ok([found(lost, "missing"), found(altered, "different"), found(newer.to_string(), "missing explained")])
}

/// Deletes a like so that the connector hears nothing of it: the table is out of the publication for a moment, and the
/// connector has passed that moment before it is in again.
async fn unseen_delete(world: &World, key: &str) -> Result<()> {
    let mut connection = world.postgres().acquire().await?;
    sqlx::query("ALTER PUBLICATION nova_cdc DROP TABLE likes").execute(&mut *connection).await?;
    sqlx::query("DELETE FROM likes WHERE id = $1::uuid").bind(key).execute(&mut *connection).await?;
    sqlx::query("ALTER PUBLICATION nova_cdc ADD TABLE likes").execute(&mut *connection).await?;
    Ok(())
}
