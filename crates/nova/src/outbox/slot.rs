//! How far the connector's replication slot has come.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use crate::exit::{Exit, Failure};
use crate::slot::Slot;

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The slot, if it is there and being read.
///
/// # Errors
/// What is wrong with it, and the cure.
pub(super) async fn reading(connection: &mut PgConnection, name: &str) -> Result<Slot, Failure> {
    let refuse = |what: String, cure: &str| {
        Failure::new(Exit::Failure, format!("nothing was dropped: {what}")).with_cure(cure)
    };
    let Some(slot) = Slot::look(connection, name).await? else {
        let cure = "`nova connector apply` makes it; after a loss, `nova connector resnapshot` lets the rows be read.";
        return Err(refuse(format!("there is no slot {name}, so nothing says what was read"), cure));
    };
    let unconfirmed = slot.unconfirmed_bytes.unwrap_or_default();
    if slot.wal_status.as_deref() == Some("lost") {
        let cure = "`nova connector resnapshot` lets the rows that are still there be read (docs/runbooks/lost-slot.md).";
        return Err(refuse(format!("the WAL of slot {name} is lost before it was read"), cure));
    }
    if !slot.active {
        let cure = "`nova connector status` says why the connector does not; run this again when it does.";
        let what = format!("nobody reads slot {name}, and {unconfirmed} bytes of WAL are not confirmed");
        return Err(refuse(what, cure));
    }
    Ok(slot)
}

/// Waits until the slot's reader has confirmed all WAL that there is now.
///
/// # Errors
/// When it has not in time, with the bytes that are missing.
pub(super) async fn passes(
    connection: &mut PgConnection,
    name: &str,
    within: Duration,
) -> Result<(), Failure> {
    // While the tables rest, nothing but a message in the WAL lets the connector confirm; see `heartbeat.action.query`.
    let mark = "SELECT pg_current_wal_insert_lsn()::text";
    let mark: String = sqlx::query_scalar(mark).fetch_one(&mut *connection).await?;
    sqlx::query("SELECT pg_logical_emit_message(true, 'nova.heartbeat', '')")
        .execute(&mut *connection)
        .await?;
    let deadline = Instant::now() + within;
    loop {
        reading(connection, name).await?;
        let missing = "SELECT pg_wal_lsn_diff($1::pg_lsn, confirmed_flush_lsn)::int8 \
                       FROM pg_replication_slots WHERE slot_name = $2";
        let missing: Option<i64> = sqlx::query_scalar(missing)
            .bind(&mark)
            .bind(name)
            .fetch_optional(&mut *connection)
            .await?
            .flatten();
        match missing {
            Some(..=0) => return Ok(()),
            _ if Instant::now() < deadline => sleep(ASK_AGAIN_AFTER).await,
            missing => {
                let behind = missing.map_or_else(|| "all".to_owned(), |bytes| bytes.to_string());
                let message = format!(
                    "nothing was dropped: {} s after this began, the reader of slot {name} has not confirmed {behind} bytes of WAL before it",
                    within.as_secs()
                );
                let cure = "See `nova connector status` and the connector's lag; then run this again, with a longer --wait if it only is slow.";
                return Err(Failure::new(Exit::Failure, message).with_cure(cure));
            }
        }
    }
}
