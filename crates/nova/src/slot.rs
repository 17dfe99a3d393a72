//! The connector's replication slot, as PostgreSQL shows it
//! (<https://www.postgresql.org/docs/15/view-pg-replication-slots.html>).
//!
//! Invariant: looking changes nothing, and needs no more than a login to the captured database.

use serde::Serialize;
use sqlx::PgConnection;

/// The slot at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Whether somebody streams from it.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved` or `lost`; `None` before its first use.
    pub wal_status: Option<String>,
    /// Write-ahead log that PostgreSQL keeps for it, in bytes.
    pub retained_bytes: Option<i64>,
    /// Write-ahead log that its reader has not confirmed, in bytes.
    pub unconfirmed_bytes: Option<i64>,
}

impl Slot {
    /// Looks at it; `None` where there is none.
    ///
    /// # Errors
    /// PostgreSQL's refusal, or no answer.
    pub async fn look(connection: &mut PgConnection, name: &str) -> Result<Option<Self>, sqlx::Error> {
        let sql = "SELECT slot_name::text AS name, active, wal_status, \
                   greatest(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn), 0)::int8 AS retained_bytes, \
                   greatest(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn), 0)::int8 AS unconfirmed_bytes \
                   FROM pg_replication_slots WHERE slot_name = $1 AND slot_type = 'logical' \
                   AND database = current_database()";
        sqlx::query_as(sql).bind(name).fetch_optional(connection).await
    }
}
