//! Snapshots of tables whose rows are all known: an incremental one beside the changes, and a whole one again.
//!
//! Invariant: neither changes what the application has committed. A whole snapshot cannot tell what was deleted while
//! nobody read the WAL, so the application is held from the stop of the connector until it reads again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use super::drain::arrived;
use super::site::Site;
use crate::traffic::Table;

/// For the backlog of the faults before.
const ARRIVED_WITHIN: Duration = Duration::from_secs(40);
const DONE_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Asks Debezium for an incremental snapshot of one table, or of all, and waits until it is done
/// (<https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-incremental-snapshots>).
///
/// # Errors
/// When PostgreSQL does not take the signal.
pub(super) async fn incremental(site: &Site, turn: u64) -> Result<String> {
    let postgres = &site.installation.postgres;
    // One after the other, then all of them.
    let one = Table::ALL.into_iter().nth(usize::try_from(turn)? % (Table::ALL.len() + 1));
    let tables: Vec<&str> =
        one.map_or_else(|| Table::ALL.map(Table::name).into(), |table| vec![table.name()]);
    let before = windows_closed(postgres).await.unwrap_or_default();
    let collections: Vec<String> = tables.iter().map(|table| format!("public.{table}")).collect();
    let data = serde_json::json!({"type": "incremental", "data-collections": collections});
    let signal =
        "INSERT INTO debezium_signal (id, type, data) VALUES (gen_random_uuid(), 'execute-snapshot', $1)";
    let sent =
        async || Ok(sqlx::query(signal).bind(data.to_string()).execute(postgres).await.map(|_| true)?);
    // PostgreSQL may be restarting.
    if !within(site, DONE_WITHIN, sent).await {
        return Ok("the signal could not be written".to_owned());
    }
    let wanted = before + i64::try_from(tables.len())?;
    let done = within(site, DONE_WITHIN, async || Ok(windows_closed(postgres).await? >= wanted)).await;
    Ok(format!("{}{}", tables.join(", "), if done { "" } else { "; still going on" }))
}

/// Chunks that Debezium has read, each at least one table's worth.
async fn windows_closed(postgres: &PgPool) -> Result<i64> {
    let sql = "SELECT count(*) FROM debezium_signal WHERE type = 'snapshot-window-close'";
    sqlx::query_scalar(sql).fetch_one(postgres).await.context("counting windows")
}

/// Lets the connector forget how far it has read, so that it reads all tables again; every second time its slot is
/// dropped, too.
///
/// # Errors
/// When the connector or PostgreSQL refuses.
pub(super) async fn again(site: &Site, turn: u64) -> Result<String> {
    let (postgres, connector) = (&site.installation.postgres, &site.connector);
    let quiet = site.hush.quiet().await;
    // The last commit: when it has arrived, all before it have.
    let last = "UPDATE likes SET created_at = created_at + interval '1 second' \
                WHERE id = (SELECT id FROM likes ORDER BY id LIMIT 1)";
    sqlx::query(last).execute(postgres).await.context("the last commit before the snapshot")?;
    if !within(site, ARRIVED_WITHIN, async || arrived(site).await).await {
        return Ok("not done: what was committed before did not arrive".to_owned());
    }
    connector.stop().await?;
    let stopped = async || Ok(connector.is_stopped().await? && !slot_is_active(postgres).await?);
    if !within(site, DONE_WITHIN, stopped).await {
        connector.resume().await?;
        return Ok("not done: the connector did not stop".to_owned());
    }
    connector.forget_offsets().await?;
    let drops_slot = turn % 2 == 1;
    if drops_slot {
        sqlx::query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
            .execute(postgres)
            .await?;
    }
    connector.resume().await?;
    let reads = within(site, DONE_WITHIN, async || slot_is_active(postgres).await).await;
    ensure!(reads, "the connector does not read {} s after it was resumed", DONE_WITHIN.as_secs());
    drop(quiet);
    let noted = within(site, DONE_WITHIN, async || connector.has_noted().await).await;
    ensure!(
        noted,
        "the connector has not noted how far it is {} s after its snapshot",
        DONE_WITHIN.as_secs()
    );
    Ok(format!("all tables{}", if drops_slot { ", by a new slot" } else { "" }))
}

async fn slot_is_active(postgres: &PgPool) -> Result<bool> {
    let sql = "SELECT coalesce(bool_or(active), false) FROM pg_replication_slots";
    sqlx::query_scalar(sql).fetch_one(postgres).await.context("the slot")
}

/// Asks until the answer is yes, and restarts meanwhile what must be restarted; an error is a no.
async fn within(site: &Site, deadline: Duration, mut done: impl AsyncFnMut() -> Result<bool>) -> bool {
    let end = Instant::now() + deadline;
    while !done().await.unwrap_or_default() {
        if Instant::now() >= end || site.keep().await.is_err() {
            return false;
        }
        sleep(POLL).await;
    }
    true
}
