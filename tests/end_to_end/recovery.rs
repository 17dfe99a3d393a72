//! The connector's own failures, and the commands that bring it back.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::checks::{equal, goes_on};
use crate::runbook::Runbook;
use crate::wait::{s, until};
use crate::world::World;

/// GIVEN a task that PostgreSQL did not let in when it started, as in a restart / THEN Connect leaves it failed, and
/// `nova connector status` names the command; WHEN that is run / THEN everything goes on.
pub(crate) async fn failed_task(world: &mut World) -> Result<()> {
    sqlx::query("ALTER ROLE nova_replication NOLOGIN").execute(world.postgres()).await?;
    rest(world, reqwest::Method::POST, "/tasks/0/restart").await?;
    let failed = until("the task fails", s(60), async || {
        let status = rest(world, reqwest::Method::GET, "/status").await?;
        ensure!(status["tasks"][0]["state"] == "FAILED", "{status}");
        Ok(())
    })
    .await;
    sqlx::query("ALTER ROLE nova_replication LOGIN").execute(world.postgres()).await?;
    failed?;

    let status = world.nova(&["connector", "status"]).await?;
    world.note(&format!("{status:?}"));
    ensure!(status.code == Some(1), "exit code {:?} of status", status.code);
    for word in ["nova-cdc has failed", "nova connector restart"] {
        ensure!(status.stderr.contains(word), "status does not say {word}");
    }
    for said in ["restarted, running", "running, nothing to restart"] {
        let restart = world.nova(&["connector", "restart"]).await?;
        ensure!(restart.code == Some(0) && restart.stdout.contains(said), "{restart:?}");
    }
    goes_on(world).await
}

/// GIVEN a slot whose WAL was thrown away while the connector stood / THEN `doctor` and `status` say so;
/// WHEN the page of the runbooks is followed / THEN both sides are equal, although rows were deleted meanwhile.
pub(crate) async fn lost_slot(world: &mut World) -> Result<()> {
    goes_on(world).await?;
    rest(world, reqwest::Method::PUT, "/stop").await?;
    lose_wal(world).await?;
    world.traffic(2, 150.0).await?;
    // The traffic deletes little that was there before it; on a busy machine nothing.
    let like = "DELETE FROM likes WHERE id = (SELECT id FROM likes ORDER BY created_at, id LIMIT 1)";
    sqlx::query(like).execute(world.postgres()).await?;
    rest(world, reqwest::Method::PUT, "/resume").await?;
    told(world).await?;

    let dry = world.nova(&["connector", "resnapshot"]).await?;
    ensure!(dry.code == Some(0) && dry.stdout.contains("Nothing was done"), "{dry:?}");
    ensure!(wal_status(world).await?.as_deref() == Some("lost"), "a dry run has changed the slot");
    ensure!(has_offsets(world).await?, "a dry run has deleted the offsets");
    let page = Runbook::read("lost-slot.md", "The way back")?;
    page.follow(world, async |_: &mut World, _: &str| Ok(false)).await?;
    ensure!(wal_status(world).await?.is_some_and(|status| status != "lost"), "the slot is not a new one");
    equal(world).await?;
    goes_on(world).await
}

/// Throws WAL away behind the slot, as `max_slot_wal_keep_size` does when a connector stands for too long.
async fn lose_wal(world: &World) -> Result<()> {
    until("nobody reads the slot", s(30), async || {
        let sql = "SELECT active FROM pg_replication_slots WHERE slot_name = 'nova_cdc'";
        let active: bool = sqlx::query_scalar(sql).fetch_one(world.postgres()).await?;
        ensure!(!active, "it is read");
        Ok(())
    })
    .await?;
    for sql in ["ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()"] {
        sqlx::query(sql).execute(world.postgres()).await?;
    }
    until("the slot's WAL is lost", s(60), async || {
        for sql in [
            "SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000))",
            "SELECT pg_switch_wal()",
            "CHECKPOINT",
        ] {
            sqlx::query(sql).execute(world.postgres()).await?;
        }
        let status = wal_status(world).await?;
        ensure!(status.as_deref() == Some("lost"), "wal_status is {status:?}");
        Ok(())
    })
    .await?;
    for sql in ["ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()"] {
        sqlx::query(sql).execute(world.postgres()).await?;
    }
    Ok(())
}

/// Nothing when there is no slot.
async fn wal_status(world: &World) -> Result<Option<String>> {
    let sql = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'nova_cdc'";
    Ok(sqlx::query_scalar(sql).fetch_optional(world.postgres()).await?)
}

/// `status` and `doctor` name the loss and the way back.
async fn told(world: &mut World) -> Result<()> {
    let words = ["nova_cdc", "nova connector resnapshot"];
    let status = until("`nova connector status` tells of the loss", s(60), async || {
        let status = world.nova(&["connector", "status"]).await?;
        ensure!(status.code == Some(1), "{status:?}");
        ensure!(words.iter().all(|word| status.stderr.contains(word)), "{status:?}");
        Ok(status)
    })
    .await?;
    let doctor = world.nova(&["doctor"]).await?;
    world.note(&format!("{}{}", status.stderr, doctor.stdout));
    ensure!(doctor.code == Some(1), "exit code {:?} of doctor", doctor.code);
    let told = |line: &str| line.contains("lost") && line.contains("nova connector resnapshot");
    ensure!(doctor.stdout.lines().any(told), "doctor does not name the loss and the way back");
    Ok(())
}

async fn has_offsets(world: &World) -> Result<bool> {
    let offsets = rest(world, reqwest::Method::GET, "/offsets").await?;
    Ok(offsets["offsets"].as_array().is_some_and(|offsets| !offsets.is_empty()))
}

pub(crate) async fn rest(world: &World, method: reqwest::Method, path: &str) -> Result<Value> {
    let url = format!("{}/connectors/nova-cdc{path}", world.stack.connect()?.url());
    let response = reqwest::Client::new().request(method, &url).send().await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "{url}: {status}: {text}");
    if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
}
