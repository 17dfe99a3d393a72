//! A mapping that was changed: `docs/runbooks/rebuild.md` followed to its end beside the application, and killed on the way.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::Command;
use xtask::installation::{DATABASE, clickhouse_number, clickhouse_rows};

use crate::checks::equal;
use crate::engagement::hourly;
use crate::runbook::Runbook;
use crate::wait::{s, until};
use crate::world::World;

/// Likes of older months: three partitions are exchanged.
const OLD_LIKES: &str = "INSERT INTO likes (id, post_id, post_created_at, user_id, created_at) \
    SELECT gen_random_uuid(), p.id, p.created_at, u.id, now() - (1 + row_number() OVER () % 2) * interval '31 days' \
    FROM posts p CROSS JOIN users u WHERE NOT EXISTS (SELECT 1 FROM likes l WHERE l.post_id = p.id AND l.user_id = u.id) \
    LIMIT 4000 ON CONFLICT DO NOTHING";
/// The new column of a like is its key in PostgreSQL, which is the row's `source_key`.
const WITHOUT: &str =
    "SELECT count() FROM nova.post_engagement_events WHERE topic = 'cdc.likes' AND like_id != source_key";
/// On a machine at rest it takes a minute and a half.
pub(crate) const LIMIT: Duration = s(400);
const COMMAND: [&str; 9] =
    ["replay", "kafka", "--stream", "likes", "--mode", "rebuild", "--from", "earliest", "--execute"];

/// GIVEN likes of three months and an application that writes / WHEN a column is added, declared, deployed and rebuilt as the
/// page says, and the rebuild is killed twice / THEN every like has it, both ends are equal, views are what a recount says,
/// and the same rebuild again changes nothing.
pub(crate) async fn rebuild(world: &mut World) -> Result<()> {
    world.traffic(4, 200.0).await?;
    sqlx::query(OLD_LIKES).execute(world.postgres()).await?;
    equal(world).await?;
    let before = clickhouse_number(world.clickhouse()?, &format!("SELECT count() FROM ({PER_LIKE})")).await?;
    ensure!(before > 1000, "only {before} likes");

    let load = world.load(100.0);
    let edit = own_streams(world)?;
    let page = Runbook::read("rebuild.md", "Rebuild")?.with(r#""$EDITOR" streams.toml"#, &edit)?;
    load.around(async { page.follow(world, async |world, command| instead(world, command).await).await })
        .await?;

    equal(world).await?;
    ensure!(clickhouse_number(world.clickhouse()?, WITHOUT).await? == 0, "likes without the column");
    hourly(world).await.context("the projection")?;
    trending(world).await.context("trending_24h")?;
    let parts = active_parts(world).await?;
    let again = world.nova(&[&COMMAND[..], &["--to", "now", "-o", "json"]].concat()).await?;
    ensure!(again.code == Some(0), "{again:?}");
    let told: Value = serde_json::from_str(&again.stdout)?;
    ensure!(told["exchanged"].as_array().is_some_and(Vec::is_empty), "{told}");
    ensure!(active_parts(world).await? == parts, "the second run changed the table");
    let left =
        format!("SELECT name FROM system.tables WHERE database = '{DATABASE}' AND name LIKE '%rebuild%'");
    let left = clickhouse_rows(world.clickhouse()?, &left).await?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

const PER_LIKE: &str = "SELECT source_key FROM nova.post_engagement_events WHERE topic = 'cdc.likes' \
                        GROUP BY source_key HAVING sum(sign) = 1";

/// What the page leaves to the operator; and the rebuild dies twice before it is let through.
async fn instead(world: &mut World, command: &str) -> Result<bool> {
    match command {
        "systemctl restart nova-cdc" => {
            let code = world.replace_worker(Signal::SIGTERM).await?;
            ensure!(code == Some(0), "the worker ended with {code:?}");
        }
        _ if command.ends_with("--execute") && clickhouse_number(world.clickhouse()?, WITHOUT).await? > 0 => {
            killed_when(world, "rows are filled", "NOT LIKE '%\\_month\\_%'").await?;
            killed_when(world, "a month is put together", "LIKE '%\\_month\\_%'").await?;
            return Ok(false);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Gives this world a file of streams of its own; answers the command that adds the column to it.
fn own_streams(world: &mut World) -> Result<String> {
    let folder = world.stack.run_dir.subdir("streams")?;
    let config = std::fs::read_to_string(&world.installation.config)?;
    let (_, shipped) = config.split_once("streams = \"").context("no streams")?;
    let (shipped, _) = shipped.split_once('"').context("no streams")?;
    let own = folder.join("rebuild.toml").display().to_string();
    std::fs::copy(shipped, &own)?;
    world.installation.config = folder.join("nova.toml");
    std::fs::write(&world.installation.config, config.replacen(shipped, &own, 1))?;
    Ok(format!("sed -i '/^.streams.likes.columns.$/a like_id = {{ field = \"id\" }}' '{own}'"))
}

/// Begins the rebuild and kills it as soon as one of its tables has rows.
async fn killed_when(world: &World, what: &str, name: &str) -> Result<()> {
    let mut command = Command::new(&world.installation.nova);
    command.arg("--config").arg(&world.installation.config).args(COMMAND).args(["--to", "now"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut process = command.spawn()?;
    let sql = format!(
        "SELECT ifNull(max(total_rows), 0) FROM system.tables WHERE database = '{DATABASE}' \
         AND name LIKE '%\\_\\_rebuild\\_%' AND engine = 'MergeTree' AND name {name}"
    );
    until(what, s(60), async || {
        ensure!(process.try_wait()?.is_none(), "it came to its end");
        ensure!(clickhouse_number(world.clickhouse()?, &sql).await? > 0, "not yet");
        Ok(())
    })
    .await?;
    process.kill().await?;
    Ok(())
}

/// Likes per ranked post, as the rebuild has refreshed the view, against PostgreSQL.
async fn trending(world: &World) -> Result<()> {
    for verb in ["REFRESH", "WAIT"] {
        world.clickhouse()?.query(&format!("SYSTEM {verb} VIEW {DATABASE}.trending_24h")).await?;
    }
    let sql = format!("SELECT post_id, likes FROM {DATABASE}.trending_24h ORDER BY toString(post_id)");
    let found = clickhouse_rows(world.clickhouse()?, &sql).await?;
    ensure!(!found.is_empty(), "no post is ranked");
    for row in found {
        let [post, likes] = <[String; 2]>::try_from(row).ok().context("two columns")?;
        let recent =
            "SELECT count(*) FROM likes WHERE post_id = $1::uuid AND created_at > now() - interval '1 day'";
        let counted: i64 = sqlx::query_scalar(recent).bind(&post).fetch_one(world.postgres()).await?;
        ensure!(likes == counted.to_string(), "post {post} has {likes} likes in the view, and {counted}");
    }
    Ok(())
}

/// The table's rows and when its newest part was made; merges rest, since nobody writes.
async fn active_parts(world: &World) -> Result<Vec<Vec<String>>> {
    let sql = format!(
        "SELECT partition_id, sum(rows), max(max_block_number) FROM system.parts WHERE database = '{DATABASE}' \
         AND table = 'post_engagement_events' AND active GROUP BY partition_id ORDER BY partition_id"
    );
    clickhouse_rows(world.clickhouse()?, &sql).await
}
