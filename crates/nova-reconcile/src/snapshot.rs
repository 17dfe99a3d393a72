//! One PostgreSQL snapshot, read by several connections at once.
//!
//! Invariant: all readers see exactly what `pg_current_snapshot()` said, and everything that they see was written to
//! the log below [`SnapshotTaken::lsn`]; so a slot that has passed it has told all of it.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::future::try_join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::ReconcileError;
use crate::error::Doing as _;
use crate::report::SnapshotTaken;
use crate::visibility::Visibility;

/// How PostgreSQL is read.
#[derive(Debug, Clone)]
pub struct PostgresAccess {
    /// The primary, as a role that may read the captured tables.
    pub options: PgConnectOptions,
    /// Connections that read side by side.
    pub parallel: usize,
    /// No statement may take longer.
    pub statement_timeout: Duration,
    /// The replication slot of the connector.
    pub slot: String,
    /// The connector's role. Its own transactions write no rows: one that is open is a snapshot being read.
    pub replication_user: String,
}

/// An open snapshot.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) taken: SnapshotTaken,
    pub(crate) visibility: Visibility,
    pub(crate) readers: Vec<PgConnection>,
    opened: Instant,
}

impl Snapshot {
    /// Opens a snapshot, and writes a message to the log behind it, so that the slot has something to pass.
    ///
    /// # Errors
    /// No connection, no such slot, or a server in recovery, whose snapshots do not name what runs on the primary.
    pub async fn open(access: &PostgresAccess) -> Result<Self, ReconcileError> {
        let mut control = connect(access).await?;
        let safe_lsn = slot_lsn(&mut control, &access.slot, "restart_lsn").await?;
        let mut connectors = connector_transactions(&mut control, &access.replication_user).await?;
        let mut leader = connect(access).await?;
        begin(&mut leader).await?;
        let (text, exported, lsn): (String, String, i64) = sqlx::query_as(
            "SELECT pg_current_snapshot()::text, pg_export_snapshot(), \
             (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8",
        )
        .fetch_one(&mut leader)
        .await
        .doing("taking a snapshot (of the primary; a replica's does not name what runs there)")?;
        connectors.extend(connector_transactions(&mut control, &access.replication_user).await?);
        sqlx::query("SELECT pg_logical_emit_message(true, 'nova.reconcile', '')")
            .execute(&mut control)
            .await
            .doing("writing a logical message")?;
        control.close().await.doing("closing a connection")?;
        let mut taken =
            parse(&text).ok_or_else(|| ReconcileError::Answer { server: "PostgreSQL", found: text })?;
        taken.running.retain(|transaction| !connectors.contains(&(transaction & 0xffff_ffff)));
        taken.lsn = lsn.unsigned_abs();
        taken.taken_ms = Utc::now().timestamp_millis();
        let visibility = Visibility::new(&taken, safe_lsn);
        let others = (1..access.parallel.max(1)).map(|_| follow(access, &exported));
        let mut readers = vec![leader];
        readers.extend(try_join_all(others).await?);
        Ok(Self { taken, visibility, readers, opened: Instant::now() })
    }

    /// What is known about it.
    #[must_use]
    pub fn taken(&self) -> &SnapshotTaken {
        &self.taken
    }

    /// Which rows of ClickHouse it sees.
    #[must_use]
    pub fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    /// How long it has kept PostgreSQL from cleaning up.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Ends it.
    pub async fn close(self) {
        for reader in self.readers {
            // The server ends the transaction in any case.
            let _ = reader.close().await;
        }
    }
}

/// The slot's `confirmed_flush_lsn` or `restart_lsn`.
pub(crate) async fn slot_lsn(
    connection: &mut PgConnection,
    slot: &str,
    column: &'static str,
) -> Result<u64, ReconcileError> {
    let sql = format!(
        "SELECT ({column} - '0/0'::pg_lsn)::int8 FROM pg_replication_slots \
         WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()"
    );
    let found: Option<Option<i64>> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(slot)
        .fetch_optional(connection)
        .await
        .doing("asking for the replication slot")?;
    match found {
        Some(Some(lsn)) => Ok(lsn.unsigned_abs()),
        Some(None) => Err(ReconcileError::Source(format!(
            "slot `{slot}` has lost its place in the log; `nova connector resnapshot` shows the way back"
        ))),
        None => Err(ReconcileError::Source(format!(
            "there is no replication slot `{slot}`; `nova connector apply` makes it, or correct connect.slot"
        ))),
    }
}

/// A connection that reads gently: no statement without end, one core each.
pub(crate) async fn connect(access: &PostgresAccess) -> Result<PgConnection, ReconcileError> {
    let mut connection = PgConnection::connect_with(&access.options).await.doing("connecting")?;
    let timeout = access.statement_timeout.as_millis();
    let settings = format!(
        "SET application_name = 'nova reconcile'; SET statement_timeout = {timeout}; SET TimeZone = 'UTC'; \
         SET max_parallel_workers_per_gather = 0; SET jit = off; SET standard_conforming_strings = on"
    );
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut connection).await.doing("setting up the session")?;
    Ok(connection)
}

async fn begin(connection: &mut PgConnection) -> Result<(), ReconcileError> {
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    sqlx::raw_sql(sql).execute(connection).await.doing("beginning a transaction").map(drop)
}

async fn follow(access: &PostgresAccess, exported: &str) -> Result<PgConnection, ReconcileError> {
    let mut connection = connect(access).await?;
    begin(&mut connection).await?;
    let sql = format!("SET TRANSACTION SNAPSHOT {}", crate::sql::pg_literal(exported));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.doing("sharing a snapshot")?;
    Ok(connection)
}

async fn connector_transactions(
    connection: &mut PgConnection,
    user: &str,
) -> Result<Vec<u64>, ReconcileError> {
    let sql =
        "SELECT backend_xid::text::int8 FROM pg_stat_activity WHERE usename = $1 AND backend_xid IS NOT NULL";
    let found: Vec<i64> = sqlx::query_scalar(sql)
        .bind(user)
        .fetch_all(connection)
        .await
        .doing("asking for the connector's transactions")?;
    Ok(found.into_iter().map(i64::unsigned_abs).collect())
}

/// `xmin:xmax:xip,…`
fn parse(text: &str) -> Option<SnapshotTaken> {
    let mut parts = text.split(':');
    let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let running = match parts.next()? {
        "" => Vec::new(),
        list => list.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
    };
    Some(SnapshotTaken { taken_ms: 0, lsn: 0, xmin, xmax, running, waited_ms: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_read_with_and_without_running_transactions() {
        let found = parse("4294967300:4294967310:4294967300,4294967305").unwrap();
        assert_eq!((found.xmin, found.xmax), (4_294_967_300, 4_294_967_310));
        assert_eq!(found.running, [4_294_967_300, 4_294_967_305]);
        assert_eq!(parse("7:7:").unwrap().running, Vec::<u64>::new());
        assert!(parse("7:7").is_none() && parse("a:7:").is_none());
    }
}
