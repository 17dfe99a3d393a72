//! `nova replay`: what an outage took from ClickHouse comes back from Kafka, once, beside the application, however often the
//! replay is killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use xtask::installation::{clickhouse_number, clickhouse_rows};

use crate::engagement::hourly;
use crate::wait::{s, until};
use crate::world::{Answer, World};

/// For the whole scenario.
pub(crate) const LIMIT: Duration = s(600);
/// Each of so many people likes each of so many posts: a million likes; `TEST_REPLAY_PEOPLE` makes it fewer.
const PEOPLE: i64 = 1_000;
const POSTS: i64 = 1_000;
/// People whose likes are one transaction.
const AT_ONCE: i64 = 100;
const KILLS: u32 = 5;
const TABLE: &str = "nova.post_engagement_events";
/// The month of these likes; the application writes today.
const MONTH: &str = "202503";
const REPLAY: [&str; 7] = ["replay", "kafka", "--stream", "likes", "--from", "earliest", "--execute"];

fn people() -> i64 {
    std::env::var("TEST_REPLAY_PEOPLE").ok().and_then(|text| text.parse().ok()).unwrap_or(PEOPLE)
}

fn likes() -> i64 {
    people() * POSTS
}

/// GIVEN a million likes / WHEN their month is dropped, and rows of the application's own likes with it, and they are replayed
/// beside the application, killed five times, interrupted once and left without ClickHouse once / THEN reconcile and audit find nothing, aggregates
/// equal a recount, and another replay writes nothing.
pub(crate) async fn replay(world: &mut World) -> Result<()> {
    world.traffic(3, 200.0).await?;
    like(world).await?;
    let load = world.load(50.0);
    let told = load
        .around(async {
            load.goes_on_for(50).await?;
            lose(world).await?;
            let plan = nova(world, &["replay", "kafka", "--stream", "likes", "--from", "earliest"]).await?;
            ensure!(plan.code == Some(0) && plan.stdout.contains("nothing was done"), "{plan:?}");
            ensure!(jobs(world).await?.is_empty(), "a plan is no job");
            for number in 1..=KILLS {
                killed(world, &format!("killed-{number}.log")).await?;
            }
            interrupted(world).await
        })
        .await?;
    outage(world).await?;
    let load = world.load(50.0);
    let done = load.around(nova(world, &REPLAY)).await?;
    ensure!(done.code == Some(0), "{done:?}");
    ensure!(done.stdout.contains("goes on with") && done.stdout.contains("rows written"), "{}", done.stdout);
    world.note(&format!("{told}{}", done.stdout));
    let standing = jobs(world).await?;
    ensure!(standing.len() == 1 && standing[0][0] == "done", "one job, done: {standing:?}");
    ensure!(standing[0][1] == standing[0][2], "done and total: {standing:?}");

    for command in [&["reconcile"][..], &["audit", "--stream", "likes"]] {
        let answer = nova(world, command).await?;
        ensure!(answer.code == Some(0), "{command:?}: {answer:?}");
    }
    hourly(world).await?;
    let again = nova(world, &[&REPLAY[..], &["-o", "json"]].concat()).await?;
    ensure!(again.code == Some(0), "{again:?}");
    let report: Value = serde_json::from_str(&again.stdout)?;
    ensure!(
        report["result"]["rows_written"] == 0 && report["result"]["left_out"] == 0,
        "{}",
        report["result"]
    );
    ensure!(report["goes_on"] == Value::Null && report["result"]["state"] == "done", "{report}");
    Ok(())
}

/// People, posts and likes by the shortest way into PostgreSQL; returns when ClickHouse has them.
async fn like(world: &World) -> Result<()> {
    let uuid = |what: &str, number: &str| format!("md5('{what}' || {number})::uuid");
    let person = uuid("replay person ", "u");
    let setting_up = [
        format!(
            "INSERT INTO users (id, handle) SELECT {person}, 'replay ' || u FROM generate_series(1, {}) u",
            people()
        ),
        format!(
            "INSERT INTO posts (id, author_id, body, created_at) \
             SELECT {}, {}, 'replay', now() FROM generate_series(1, {POSTS}) p",
            uuid("replay post ", "p"),
            uuid("replay person ", "1")
        ),
    ];
    for sql in setting_up {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(world.postgres()).await?;
    }
    for first in (1..=people()).step_by(usize::try_from(AT_ONCE)?) {
        let last = people().min(first + AT_ONCE - 1);
        let sql = format!(
            "INSERT INTO likes (id, post_id, post_created_at, user_id, created_at) \
             SELECT md5('replay like ' || p.id || u)::uuid, p.id, p.created_at, {person}, \
             timestamptz '2025-03-02 00:00:00Z' + u * interval '1 minute' \
             FROM posts p CROSS JOIN generate_series({first}, {last}) u WHERE p.body = 'replay'"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(world.postgres()).await?;
    }
    until("all likes are in ClickHouse", s(300), async || {
        let found = rows_of_month(world).await?;
        ensure!(found == likes(), "{found} rows");
        Ok(())
    })
    .await
}

/// The likes that came; the application takes some of them back meanwhile.
async fn rows_of_month(world: &World) -> Result<i64> {
    let sql = format!("SELECT count() FROM {TABLE} WHERE toYYYYMM(event_time) = {MONTH} AND sign = 1");
    clickhouse_number(world.clickhouse()?, &sql).await
}

/// Drops the month, and rows of today's likes, as a disk would: without regard to what belongs together.
async fn lose(world: &World) -> Result<()> {
    for sql in [
        format!("ALTER TABLE {TABLE} DROP PARTITION {MONTH}"),
        format!(
            "ALTER TABLE {TABLE} DELETE WHERE topic = 'cdc.likes' AND kafka_offset % 5 IN (1, 3) SETTINGS mutations_sync = 2"
        ),
    ] {
        world.clickhouse()?.query(&sql).await.context(sql)?;
    }
    ensure!(rows_of_month(world).await? < likes() / 100, "the month is still there");
    Ok(())
}

/// The standings of all replays of likes: state, messages done and to be done.
async fn jobs(world: &World) -> Result<Vec<Vec<String>>> {
    let sql = "SELECT argMax(state, seq), argMax(done, seq), argMax(total, seq) FROM nova.jobs WHERE kind = 'replay' AND stream = 'likes' \
               AND request LIKE '%--from earliest%' GROUP BY job_id";
    clickhouse_rows(world.clickhouse()?, sql).await
}

fn spawn(world: &World, log: &Path) -> Result<Child> {
    let file = std::fs::File::create(log)?;
    let mut command = Command::new(&world.installation.nova);
    command.arg("--config").arg(&world.installation.config).args(REPLAY);
    // A twentieth of all in a chunk: there is something left for each process.
    command.args(["--max-rows-per-second", &(likes() / 40).to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    Ok(command.kill_on_drop(true).spawn()?)
}

fn log(world: &World, name: &str) -> Result<PathBuf> {
    Ok(world.stack.run_dir.subdir("replay")?.join(name))
}

/// Starts a replay, and waits until it has brought rows back.
async fn under_way(world: &World, log: &Path) -> Result<Child> {
    let before = rows_of_month(world).await?;
    let mut child = spawn(world, log)?;
    until("rows are back", s(120), async || {
        let ended = child.try_wait()?;
        ensure!(ended.is_none(), "it ended: {}", std::fs::read_to_string(log)?);
        ensure!(rows_of_month(world).await? > before, "{before} rows, as before");
        Ok(())
    })
    .await?;
    ensure!(
        rows_of_month(world).await? < likes(),
        "it has brought all of them back: too late to show anything"
    );
    Ok(child)
}

/// Kills a replay that is under way.
async fn killed(world: &World, name: &str) -> Result<()> {
    Ok(under_way(world, &log(world, name)?).await?.kill().await?)
}

/// The same with Ctrl-C: it ends where it can go on, and says how. Answers what it said.
async fn interrupted(world: &World) -> Result<String> {
    let log = log(world, "interrupted.log")?;
    let mut child = under_way(world, &log).await?;
    let page = nova(world, &["status", "-o", "json"]).await?;
    let facts: Value = serde_json::from_str(&page.stdout).context(page.stdout)?;
    let at_work =
        |job: &Value| job["kind"] == "replay" && job["stream"] == "likes" && job["standing"] == "running";
    ensure!(facts["jobs"].as_array().is_some_and(|jobs| jobs.iter().any(at_work)), "{}", facts["jobs"]);
    let id = child.id().context("it has ended")?;
    kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGINT)?;
    let status = timeout(s(60), child.wait()).await.context("it did not end after SIGINT")??;
    let said = std::fs::read_to_string(&log)?;
    ensure!(status.code() == Some(130), "{status}: {said}");
    ensure!(said.contains("nova replay kafka --stream likes --from earliest --to now --execute"), "{said}");
    ensure!(json!(jobs(world).await?).to_string().contains("stopped"), "{:?}", jobs(world).await?);
    Ok(said)
}

/// ClickHouse dies under a replay: it waits, or ends with what is to be started; either way the same command goes on.
async fn outage(world: &mut World) -> Result<()> {
    let log = log(world, "outage.log")?;
    let mut child = under_way(world, &log).await?;
    world.clickhouse()?.process()?.kill(Signal::SIGKILL)?;
    world.stack.clickhouse.as_mut().context("this stack has no ClickHouse")?.restart().await?;
    let before = rows_of_month(world).await?;
    until("the replay goes on or has ended", s(60), async || {
        if let Some(status) = child.try_wait()? {
            let said = std::fs::read_to_string(&log)?;
            ensure!(status.code() == Some(5) && said.contains("ClickHouse"), "{status}: {said}");
            return Ok(());
        }
        ensure!(rows_of_month(world).await? > before, "{before} rows, as before");
        Ok(())
    })
    .await?;
    Ok(child.kill().await?)
}

/// Like [`World::nova`], for commands that may take long.
async fn nova(world: &World, args: &[&str]) -> Result<Answer> {
    world.nova_within(s(240), args, &[]).await
}
