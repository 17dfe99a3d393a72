//! The replication slot of the connector.
//!
//! A slot that nobody reads keeps WAL until the disk is full. Invariant: only a slot that was not there before this
//! `apply`, or whose WAL is lost, is dropped.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::config::Config;
use crate::doctor::postgres_options;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The connector's connection ends a moment after the connector.
const FREE_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What is known of the slot before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// PostgreSQL cannot be asked from here.
    Unknown,
    /// Not there.
    Absent,
    /// There, and nobody reads it.
    Idle,
    /// Somebody reads it.
    Read,
}

/// Looks at the slot.
pub(super) async fn look(config: &Config) -> Slot {
    let Ok(mut connection) = connect(config).await else { return Slot::Unknown };
    let found: Result<Option<bool>, _> =
        sqlx::query_scalar("SELECT active FROM pg_replication_slots WHERE slot_name = $1")
            .bind(&config.connect.slot)
            .fetch_optional(&mut connection)
            .await;
    match found {
        Err(_) => Slot::Unknown,
        Ok(None) => Slot::Absent,
        Ok(Some(false)) => Slot::Idle,
        Ok(Some(true)) => Slot::Read,
    }
}

/// What PostgreSQL still has of the WAL that the slot wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wal {
    /// There is no slot.
    Absent,
    /// Some of it was thrown away (`max_slot_wal_keep_size`): the slot can never be read again.
    Lost,
    /// All of it is there.
    Kept,
}

/// Asks for the slot's `wal_status` (<https://www.postgresql.org/docs/15/view-pg-replication-slots.html>).
///
/// # Errors
/// When PostgreSQL does not let the replication user in, or does not answer.
pub(super) async fn wal(config: &Config) -> Result<Wal, sqlx::Error> {
    let mut connection = connect(config).await?;
    let status: Option<Option<String>> =
        sqlx::query_scalar("SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1")
            .bind(&config.connect.slot)
            .fetch_optional(&mut connection)
            .await?;
    Ok(match status {
        None => Wal::Absent,
        Some(Some(status)) if status == "lost" => Wal::Lost,
        Some(_) => Wal::Kept,
    })
}

/// Drops the slot as soon as nobody reads it; says whether it is gone.
pub(super) async fn drop_idle(config: &Config) -> bool {
    let Ok(mut connection) = connect(config).await else { return false };
    let deadline = Instant::now() + FREE_WITHIN;
    loop {
        let dropped = sqlx::query(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
        )
        .bind(&config.connect.slot)
        .execute(&mut connection)
        .await;
        if dropped.is_ok() || Instant::now() > deadline {
            return dropped.is_ok();
        }
        sleep(ASK_AGAIN_AFTER).await;
    }
}

async fn connect(config: &Config) -> Result<PgConnection, sqlx::Error> {
    let connect = &config.connect;
    let options =
        postgres_options(&config.postgres, &connect.replication_user, &connect.replication_password);
    match timeout(CONNECT_WITHIN, PgConnection::connect_with(&options)).await {
        Ok(connected) => connected,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}
