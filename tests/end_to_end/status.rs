//! `nova status` and `nova lag` on the real servers: well, with a server away, and with a stream that has halted.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::admin::ready;
use crate::checks::equal;
use crate::drift::stream;
use crate::offsets::follows;
use crate::topics::{create, produce};
use crate::wait::{s, until};
use crate::world::World;

/// A page that comes later than this helps nobody.
const IN_TIME: u64 = 12;
const TOPIC: &str = "status.follows";
const TABLE: &str = "nova.status_follows";

/// GIVEN a healthy installation / THEN all is well; WHEN ClickHouse is killed / THEN one line says so, and the others what they
/// know; WHEN a stream halts / THEN it is named, and so is what it leaves unread.
pub(crate) async fn status(world: &mut World) -> Result<()> {
    world.traffic(2, 100.0).await?;
    equal(world).await?;
    well(world).await?;
    clickhouse_away(world).await?;
    halted_stream(world).await
}

async fn page(world: &World, code: i32, args: &[&str]) -> Result<String> {
    let answer = world.nova(&[&["status"], args].concat()).await?;
    ensure!(answer.code == Some(code) && answer.took < s(IN_TIME), "{answer:?}");
    Ok(answer.stdout)
}

async fn facts(world: &World, code: i32, args: &[&str]) -> Result<Value> {
    let json = page(world, code, &[args, &["-o", "json"]].concat()).await?;
    serde_json::from_str(&json).context(json)
}

async fn well(world: &mut World) -> Result<()> {
    until("all is well and read", s(60), async || {
        let facts = facts(world, 0, &[]).await?;
        ensure!(facts["postgres"]["slot"]["active"] == true, "{facts}");
        ensure!(
            facts["connect"]["state"] == "RUNNING" && facts["connect"]["tasks"][0] == "RUNNING",
            "{facts}"
        );
        ensure!(
            facts["jobs"].as_array().is_some_and(|jobs| jobs.iter().all(|job| job["way_on"].is_null())),
            "{facts}"
        );
        let streams = facts["streams"].as_array().context("no streams")?;
        ensure!(streams.len() == 5, "{facts}");
        streams.iter().try_for_each(read)
    })
    .await?;
    let text = page(world, 0, &[]).await?;
    ensure!(text.contains("  ClickHouse     ok    ") && !text.contains("FAIL"), "{text}");

    let lag = world.nova(&["lag", "--stream", "likes", "--partitions"]).await?;
    ensure!(lag.code == Some(0) && lag.stdout.lines().count() == 8, "{lag:?}");
    ensure!(lag.stdout.lines().nth(1).is_some_and(|line| line.ends_with("  ok")), "{lag:?}");
    Ok(())
}

/// All of a stream's partitions are read, by one member.
fn read(stream: &Value) -> Result<()> {
    let members = stream["standing"]["members"].as_array().map(Vec::len);
    ensure!(members == Some(1), "{stream}");
    ensure!(stream["newest_row_seconds"].as_f64().is_some_and(|age| age < 600.0), "{stream}");
    let partitions = stream["standing"]["partitions"].as_array().context("no partitions")?;
    let read = |partition: &Value| partition["state"] == "ok" && partition["lag_seconds"].is_null();
    ensure!(partitions.len() == 4 && partitions.iter().all(read), "{stream}");
    Ok(())
}

async fn clickhouse_away(world: &mut World) -> Result<()> {
    if world.clickhouse()?.process().is_err() {
        xtask::say("status: ClickHouse is not ours to kill");
        return Ok(());
    }
    world.clickhouse()?.process()?.kill(Signal::SIGKILL)?;
    let text = page(world, 5, &[]).await?;
    for line in
        ["  PostgreSQL     ok    ", "  Kafka          ok    ", "  ClickHouse     AWAY  ", "FAIL  ClickHouse"]
    {
        ensure!(text.contains(line), "{line}:\n{text}");
    }
    let facts = facts(world, 5, &[]).await?;
    ensure!(facts["streams"][0]["standing"]["partitions"][0]["state"] == "ok", "{facts}");
    ensure!(facts["streams"][0]["newest_row_seconds"]["away"] == true, "{facts}");
    world.stack.clickhouse.as_mut().context("this stack has no ClickHouse")?.restart().await?;
    ready(&world.worker().admin.clone(), s(60)).await?;
    ready(&world.events().admin.clone(), s(60)).await
}

/// A column is dropped under a stream of its own.
async fn halted_stream(world: &mut World) -> Result<()> {
    let follows = follows(world, 8).await?;
    let brokers = world.brokers()?;
    create(&brokers, TOPIC).await?;
    query(world, &format!("CREATE TABLE {TABLE} AS nova.user_follow_events")).await?;
    let file = world.stack.run_dir.subdir("streams")?.join("status.toml");
    std::fs::write(&file, stream("status", TOPIC, "public.follows", "status_follows", ""))?;
    let path = file.display().to_string();
    let own = ["--set", "kafka.group_prefix=status", "--streams", path.as_str()];

    let never = page(world, 3, &own).await?;
    ensure!(never.contains("never started") && never.contains("nova offsets set --stream status"), "{never}");
    let args = [&["--stream", "status", "--from-beginning"][..], &own].concat();
    let worker = world.installation.run_worker("status", &args).await?;
    produce(&brokers, TOPIC, follows[..5].to_vec()).await?;
    until("the first rows are committed", s(30), async || {
        let facts = facts(world, 0, &own).await?;
        let first = &facts["streams"][0]["standing"]["partitions"][0];
        ensure!(first["committed"] == 5, "{facts}");
        Ok(())
    })
    .await?;
    query(world, &format!("ALTER TABLE {TABLE} DROP COLUMN source_tx")).await?;
    produce(&brokers, TOPIC, follows[5..].to_vec()).await?;
    until("the stream halts", s(60), async || worker.process.exit_status().context("it still runs")).await?;

    let text = page(world, 1, &own).await?;
    for words in ["nobody reads it: 3 unread", "Start `nova run drift`", "nobody reads it\n"] {
        ensure!(text.contains(words), "{words}:\n{text}");
    }
    let lag = world.nova(&[&["lag", "-o", "json"][..], &own].concat()).await?;
    let lag: Value = serde_json::from_str(&lag.stdout).with_context(|| format!("{lag:?}"))?;
    let stream = &lag["streams"][0];
    ensure!(stream["standing"]["members"].as_array().is_some_and(Vec::is_empty), "{lag}");
    ensure!(
        stream["pace"]["read_per_second"] == 0.0 && stream["pace"]["caught_up_in_seconds"].is_null(),
        "{lag}"
    );
    ensure!(stream["standing"]["partitions"][0]["state"] == "open_batch", "what was announced shows: {lag}");
    query(world, &format!("DROP TABLE {TABLE} SYNC")).await
}

async fn query(world: &World, sql: &str) -> Result<()> {
    world.clickhouse()?.query(sql).await.context(sql.to_owned())?;
    Ok(())
}
