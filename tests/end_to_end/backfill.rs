//! `nova backfill`: history that was never streamed comes into ClickHouse beside the application, once, whatever dies.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sqlx::PgPool;
use tokio::process::{Child, Command};
use xtask::installation::{DATABASE, clickhouse_number, clickhouse_rows};

use crate::checks::equal;
use crate::engagement::hourly;
use crate::wait::{s, until};
use crate::world::{Answer, Load, World};

const POSTS: i64 = 250;
/// Kills, pauses of the pace, six snapshots that are waited for, and Debezium's own.
pub(crate) const LIMIT: Duration = s(300);
/// Windows of 5,000 rows, each followed by a pause.
const PACE: &str = "1000";

/// GIVEN likes of an old month that the connector never told / WHEN they are backfilled beside the application, which takes
/// some of them back, and the command is killed, interrupted and given again / THEN both sides are equal, audit agrees, and
/// neither the same command nor Debezium's own snapshot of them adds a row.
pub(crate) async fn backfill(world: &mut World) -> Result<()> {
    world.traffic(2, 150.0).await?;
    equal(world).await?;
    let history = history(world.postgres()).await?;
    ensure!(history > 10_000, "{history} likes");
    let load = world.load(100.0);
    load.around(beside(world, &load, history)).await?;

    equal(world).await?;
    hourly(world).await?;
    for check in ["reconcile", "audit"] {
        let answer = world.nova(&[check]).await?;
        ensure!(answer.code == Some(0), "{check}: {answer:?}");
    }
    let again = nova(world, 0, &["--execute", "-o", "json"]).await?;
    let again: Value = serde_json::from_str(&again.stdout)?;
    ensure!(again["filled"]["written"] == 0, "{again}");
    through_debezium(world).await?;
    refusals(world).await
}

async fn beside(world: &World, load: &Load, history: i64) -> Result<()> {
    load.goes_on_for(50).await?;
    let plan = nova(world, 0, &["-o", "json"]).await?;
    let plan: Value = serde_json::from_str(&plan.stdout)?;
    let rows = plan["plan"]["rows"].as_i64().context("rows")?;
    // The traffic takes some of it back, too.
    ensure!(rows > history / 2 && plan["plan"]["sample"]["filled"]["read"] != 0, "{plan}");
    ensure!(written(world).await? == 0, "a plan writes nothing");

    let first = begun(world)?;
    wrote_more_than(world, 0).await?;
    drop(killed(first).await?);
    let amid = written(world).await?;
    ensure!(amid < history, "{amid} of {history} rows after the kill");
    let taken_back = take_back(world.postgres()).await?;

    let earlier = nova(world, 0, &[]).await?;
    ensure!(earlier.stdout.contains("goes on there"), "{earlier:?}");
    let second = begun(world)?;
    wrote_more_than(world, amid).await?;
    kill(Pid::from_raw(second.id().context("it has ended")?.try_into()?), Signal::SIGINT)?;
    let interrupted = second.wait_with_output().await?;
    let words = String::from_utf8_lossy(&interrupted.stderr).into_owned();
    ensure!(interrupted.status.code() == Some(130) && words.contains("goes on"), "{words}");
    let by_then = written(world).await?;
    ensure!(
        by_then < history - taken_back,
        "over before the interruption: {by_then} of {history} rows, {amid} of them before; {words}"
    );

    let done = nova(world, 0, &["--execute"]).await?;
    ensure!(done.stdout.contains("were written"), "{done:?}");
    let states = "SELECT toString(state), sum(written) FROM (SELECT state, written FROM jobs WHERE kind = 'backfill' \
                  ORDER BY seq DESC LIMIT 1 BY job_id) GROUP BY state";
    let states = states.replace("jobs", &format!("{DATABASE}.jobs"));
    let states = clickhouse_rows(world.clickhouse()?, &states).await?;
    ensure!(states.len() == 1 && states.concat().first().is_some_and(|state| state == "done"), "{states:?}");
    Ok(())
}

/// Debezium reads the same rows, and those of a stream of events: nothing changes.
async fn through_debezium(world: &World) -> Result<()> {
    let rows = format!("SELECT count() FROM {DATABASE}.post_engagement_events");
    let before = clickhouse_number(world.clickhouse()?, &rows).await?;
    let way = ["--through", "debezium", "--until", "30days"];
    let dry = nova(world, 0, &way).await?;
    ensure!(dry.stdout.contains("would read public.likes") && dry.stdout.contains("created_at"), "{dry:?}");
    let done = nova(world, 0, &[&way[..], &["--execute"]].concat()).await?;
    ensure!(done.stdout.contains("chunks"), "{done:?}");
    let after = clickhouse_number(world.clickhouse()?, &rows).await?;
    ensure!(before == after, "{before} rows, then {after}");
    let stopped = nova(world, 0, &["--through", "debezium", "--stop", "--execute"]).await?;
    ensure!(stopped.stdout.contains("asked to stop"), "{stopped:?}");
    equal(world).await.map(drop)
}

async fn refusals(world: &World) -> Result<()> {
    let group = ["--stream", "likes", "--set", "kafka.group_prefix=nobody"];
    for (args, words) in [
        (&["--stream", "engagement"][..], &["nova replay kafka --stream engagement"][..]),
        (&["--stream", "dislikes"], &["dislikes", "likes"]),
        (&["--stream", "likes", "--where", "id ="], &["id =", "--where"]),
        (&["--stream", "likes", "--since", "1h", "--until", "2h"], &["--since"]),
        (&["--stream", "likes", "--stop"], &["--through debezium"]),
        (&group, &["nobody", "never committed", "nova run"]),
    ] {
        let answer = world.nova(&[&["backfill"], args].concat()).await?;
        let says = |word: &&str| answer.stderr.contains(*word);
        ensure!(
            answer.code == Some(2) && words.iter().all(says),
            "{args:?} does not say {words:?}: {answer:?}"
        );
    }
    Ok(())
}

/// Likes of two months ago, made while the table was not published: no message tells them.
async fn history(postgres: &PgPool) -> Result<i64> {
    let month = "date_trunc('month', now()) - interval '2 months'";
    let mut connection = postgres.acquire().await?;
    for sql in [
        format!("SELECT nova_ensure_partitions(({month})::date, ({month})::date)"),
        format!(
            "INSERT INTO posts (id, author_id, body, created_at) SELECT gen_random_uuid(), \
             (SELECT id FROM users ORDER BY id LIMIT 1), 'history', {month} + n * interval '1 minute' \
             FROM generate_series(1, {POSTS}) AS n"
        ),
        "ALTER PUBLICATION nova_cdc DROP TABLE likes".to_owned(),
        "INSERT INTO likes (id, post_id, post_created_at, user_id, created_at) \
         SELECT gen_random_uuid(), p.id, p.created_at, u.id, p.created_at + random() * interval '20 days' \
         FROM posts p CROSS JOIN users u WHERE p.body = 'history'"
            .to_owned(),
        "ALTER PUBLICATION nova_cdc ADD TABLE likes".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    let count = "SELECT count(*) FROM likes JOIN posts ON posts.id = post_id WHERE body = 'history'";
    Ok(sqlx::query_scalar(count).fetch_one(&mut *connection).await?)
}

/// The application goes on with the history: some likes are taken back, which the connector tells, and some are moved.
async fn take_back(postgres: &PgPool) -> Result<i64> {
    let some = "SELECT likes.id FROM likes JOIN posts ON posts.id = post_id WHERE body = 'history' ORDER BY md5(likes.id::text)";
    let delete = format!("DELETE FROM likes WHERE id IN ({some} LIMIT 300)");
    let gone = sqlx::query(sqlx::AssertSqlSafe(delete)).execute(postgres).await?.rows_affected();
    let moved = format!("UPDATE likes SET id = gen_random_uuid() WHERE id IN ({some} LIMIT 300)");
    let moved = sqlx::query(sqlx::AssertSqlSafe(moved)).execute(postgres).await?.rows_affected();
    // The traffic beside it may have taken back one of those chosen.
    ensure!(gone > 200 && moved > 200, "{gone} and {moved} likes");
    Ok(i64::try_from(gone + moved)?)
}

fn begun(world: &World) -> Result<Child> {
    let mut command = Command::new(&world.installation.nova);
    command.arg("--config").arg(&world.installation.config).args([
        "backfill",
        "--stream",
        "likes",
        "--execute",
    ]);
    command.args(["--max-rows-per-second", PACE]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command.kill_on_drop(true).spawn()?)
}

async fn killed(mut process: Child) -> Result<Child> {
    process.kill().await?;
    Ok(process)
}

async fn wrote_more_than(world: &World, rows: i64) -> Result<()> {
    until("the backfill writes", s(60), async || {
        let now = written(world).await?;
        ensure!(now > rows, "{now} rows");
        Ok(())
    })
    .await
}

async fn written(world: &World) -> Result<i64> {
    let sql =
        format!("SELECT count() FROM {DATABASE}.post_engagement_events WHERE kafka_partition = 2147483646");
    clickhouse_number(world.clickhouse()?, &sql).await
}

/// `nova backfill --stream likes …`; the exit code must be `code`.
async fn nova(world: &World, code: i32, args: &[&str]) -> Result<Answer> {
    let answer = world.nova(&[&["backfill", "--stream", "likes"], args].concat()).await?;
    ensure!(answer.code == Some(code), "backfill {args:?}: {answer:?}");
    Ok(answer)
}
