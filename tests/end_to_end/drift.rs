//! Streams whose declaration, topic or table is not what it should be: they halt and say so, the others go on.

use anyhow::{Context, Result, ensure};
use xtask::installation::{DATABASE, clickhouse_number};

use crate::admin::{get, metric};
use crate::checks::equal;
use crate::wait::{s, until};
use crate::world::World;

/// A stream of follows into a table of our own.
pub(crate) fn stream(name: &str, topic: &str, source: &str, table: &str, more: &str) -> String {
    format!(
        "[streams.{name}]\nworker = \"drift\"\ntopic = \"{topic}\"\nformat = \"debezium\"\nsource = \"{source}\"\n\
         table = \"{table}\"\nkey = [\"follower_id\", \"followee_id\"]\ntime = \"created_at\"\n{more}\
         [streams.{name}.columns]\nevent_time = {{ field = \"created_at\" }}\n\
         follower_id = {{ field = \"follower_id\" }}\nfollowee_id = {{ field = \"followee_id\" }}\n"
    )
}

/// The worker of the streams above, with its own consumer groups.
pub(crate) const RUN: [&str; 5] =
    ["drift", "--from-beginning", "--set", "kafka.group_prefix=drift", "--streams"];

/// GIVEN one good stream and three that cannot work / WHEN its table is altered under it / THEN each halts with its
/// own sentence; WHEN the table is repaired / THEN a new run completes it.
pub(crate) async fn drift(world: &mut World) -> Result<()> {
    world.traffic(2, 100.0).await?;
    query(world, "CREATE TABLE nova.drift_follows AS nova.user_follow_events").await?;
    // Four streams into one table need a longer memory for tokens than the shipped tables have.
    query(world, "ALTER TABLE nova.drift_follows MODIFY SETTING non_replicated_deduplication_window = 20000")
        .await?;
    let file = world.stack.run_dir.subdir("streams")?.join("drift.toml");
    let good = stream("good", "cdc.follows", "public.follows", "drift_follows", "");
    let lacking = stream("lacking", "cdc.follows", "public.follows", "drift_follows", "");
    let streams = [
        good.clone(),
        format!("{lacking}nickname = {{ field = \"follower_id\" }}\n"),
        stream("nowhere", "cdc.nowhere", "public.follows", "drift_follows", ""),
        stream("crossed", "cdc.likes", "public.follows", "drift_follows", ""),
    ];
    std::fs::write(&file, streams.concat())?;
    let path = file.display().to_string();
    let args = [&RUN[..], &[&path]].concat();
    let worker = world.installation.spawn_worker("drift", &args)?;
    for (name, words) in [
        ("lacking", ["nickname", "drift_follows"]),
        ("nowhere", ["cdc.nowhere", "nova connector apply"]),
        ("crossed", ["public.likes", "public.follows"]),
    ] {
        halted(&worker.admin, name, &words).await?;
    }
    same_follows(world).await.context("beside halted streams")?;

    query(world, "ALTER TABLE nova.drift_follows DROP COLUMN source_tx").await?;
    world.traffic(2, 100.0).await?;
    let status = until("`nova run` ends, all of its streams halted", s(60), async || {
        worker.process.exit_status().context("it still runs")
    })
    .await?;
    let log = std::fs::read_to_string(worker.process.log())?;
    let said = log.rsplit_once("nova: ").map_or("", |(_, said)| said);
    world.note(&format!("said at the end:\n{said}"));
    ensure!(status.code() == Some(1), "{status} after all streams have halted");
    for word in ["`good` has halted", "source_tx", "`lacking` has halted", "`nowhere` has halted"] {
        ensure!(said.contains(word), "the end does not say {word}");
    }
    equal(world).await.context("the other worker")?;

    query(world, "ALTER TABLE nova.drift_follows ADD COLUMN source_tx UInt64 AFTER source_lsn").await?;
    std::fs::write(&file, good)?;
    repaired(world, &path).await?;
    query(world, "DROP TABLE nova.drift_follows SYNC").await
}

async fn repaired(world: &World, streams: &str) -> Result<()> {
    let worker = world.installation.run_worker("drift-repaired", &[&RUN[..], &[streams]].concat()).await?;
    same_follows(world).await.context("after the repair")?;
    let letters = metric(&worker.admin, "nova_dead_letters_total", &[]).await?;
    ensure!(letters < 0.5, "{letters} dead letters were made");
    Ok(())
}

async fn query(world: &World, sql: &str) -> Result<()> {
    world.clickhouse()?.query(sql).await.context(sql.to_owned())?;
    Ok(())
}

/// Waits until readiness says that the stream has halted, in these words.
pub(crate) async fn halted(admin: &str, stream: &str, words: &[&str]) -> Result<()> {
    until(&format!("stream {stream} has halted and says {words:?}"), s(45), async || {
        let (status, body) = get(admin, "/health/ready").await?;
        ensure!(status == 503, "/health/ready answers {status}");
        let report: serde_json::Value = serde_json::from_str(&body)?;
        let reasons = report["reasons"].as_array().context("no reasons")?;
        let begin = format!("{stream} has halted");
        let reason =
            reasons.iter().filter_map(|reason| reason.as_str()).find(|text| text.starts_with(&begin));
        let reason = reason.with_context(|| format!("not halted: {body}"))?;
        ensure!(words.iter().all(|word| reason.contains(word)), "{reason}");
        Ok(())
    })
    .await
}

/// Waits until the copy holds the states of the table that the main worker writes.
async fn same_follows(world: &World) -> Result<()> {
    let sql = format!(
        "SELECT count() FROM (SELECT sum(n) AS state FROM (\
         SELECT follower_id, followee_id, event_time, toInt64(sign) AS n FROM {DATABASE}.drift_follows UNION ALL \
         SELECT follower_id, followee_id, event_time, -toInt64(sign) FROM {DATABASE}.user_follow_events) \
         GROUP BY follower_id, followee_id, event_time HAVING state != 0)"
    );
    until("both tables of follows are equal", s(60), async || {
        let copied = format!("SELECT count() FROM {DATABASE}.drift_follows");
        ensure!(clickhouse_number(world.clickhouse()?, &copied).await? > 0, "the copy is empty");
        let different = clickhouse_number(world.clickhouse()?, &sql).await?;
        ensure!(different == 0, "{different} states differ");
        Ok(())
    })
    .await
}
