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
    /// A hot standby of it whose tables are read in place of the primary's, with the same role.
    pub replica: Option<PgConnectOptions>,
    /// Connections that read side by side; a replica is read by one.
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
    /// No connection, no such slot, or a replica whose snapshot cannot be told.
    pub async fn open(access: &PostgresAccess) -> Result<Self, ReconcileError> {
        let mut control = connect(access, &access.options).await?;
        let safe_lsn = slot_lsn(&mut control, &access.slot, "restart_lsn").await?;
        let mut connectors = connector_transactions(&mut control, &access.replication_user).await?;
        let (mut leader, mut taken) = match &access.replica {
            None => lead(access).await?,
            Some(replica) => crate::replica::open(access, replica, &mut control, &mut connectors).await?,
        };
        connectors.extend(connector_transactions(&mut control, &access.replication_user).await?);
        // Read after the snapshot, so everything that it sees was written below it, on whichever server it was taken.
        let lsn: i64 = sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8")
            .fetch_one(&mut control)
            .await
            .doing("asking for the log's position (postgres.host is the primary; a replica is reconcile.replica_host)")?;
        sqlx::query("SELECT pg_logical_emit_message(true, 'nova.reconcile', '')")
            .execute(&mut control)
            .await
            .doing("writing a logical message")?;
        control.close().await.doing("closing a connection")?;
        taken.running.retain(|transaction| !connectors.contains(&(transaction & 0xffff_ffff)));
        taken.lsn = lsn.unsigned_abs();
        taken.taken_ms = Utc::now().timestamp_millis();
        let visibility = Visibility::new(&taken, safe_lsn);
        let mut readers = Vec::new();
        // A standby's exported snapshot loses its running transactions when one of them has many subtransactions
        // (`ExportSnapshot` of snapmgr.c), so nobody shares it.
        if access.replica.is_none() && access.parallel > 1 {
            let exported: String = sqlx::query_scalar("SELECT pg_export_snapshot()")
                .fetch_one(&mut leader)
                .await
                .doing("sharing a snapshot")?;
            readers = try_join_all((1..access.parallel).map(|_| follow(access, &exported))).await?;
        }
        readers.insert(0, leader);
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
pub(crate) async fn connect(
    access: &PostgresAccess,
    server: &PgConnectOptions,
) -> Result<PgConnection, ReconcileError> {
    let mut connection = PgConnection::connect_with(server).await.doing("connecting")?;
    let timeout = access.statement_timeout.as_millis();
    let settings = format!(
        "SET application_name = 'nova reconcile'; SET statement_timeout = {timeout}; SET TimeZone = 'UTC'; \
         SET max_parallel_workers_per_gather = 0; SET jit = off; SET standard_conforming_strings = on"
    );
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut connection).await.doing("setting up the session")?;
    Ok(connection)
}

/// The first reader, on the primary.
async fn lead(access: &PostgresAccess) -> Result<(PgConnection, SnapshotTaken), ReconcileError> {
    let mut leader = connect(access, &access.options).await?;
    begin(&mut leader).await?;
    let text: String = sqlx::query_scalar("SELECT pg_current_snapshot()::text")
        .fetch_one(&mut leader)
        .await
        .doing("taking a snapshot")?;
    let taken = parse(&text).ok_or_else(|| ReconcileError::Answer { server: "PostgreSQL", found: text })?;
    Ok((leader, taken))
}

pub(crate) async fn begin(connection: &mut PgConnection) -> Result<(), ReconcileError> {
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    sqlx::raw_sql(sql).execute(connection).await.doing("beginning a transaction").map(drop)
}

async fn follow(access: &PostgresAccess, exported: &str) -> Result<PgConnection, ReconcileError> {
    let mut connection = connect(access, &access.options).await?;
    begin(&mut connection).await?;
    let sql = format!("SET TRANSACTION SNAPSHOT {}", crate::sql::pg_literal(exported));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.doing("sharing a snapshot")?;
    Ok(connection)
}

pub(crate) async fn connector_transactions(
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
pub(crate) fn parse(text: &str) -> Option<SnapshotTaken> {
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
