//! One transaction of the simulated application and the row changes it will have made. Invariant: changes are
//! handed out only by [`Work::commit`], after COMMIT returned.

use std::time::{Instant, SystemTime};

use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::report::{CommittedChange, Op, Table};

/// A row's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowKey {
    Id(Uuid),
    Follow { follower: Uuid, followee: Uuid },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) table: Table,
    pub(super) key: RowKey,
    pub(super) op: Op,
}

impl Change {
    pub(super) fn committed(self, committed_at: Instant, committed_at_wall: SystemTime) -> CommittedChange {
        let key = match self.key {
            RowKey::Id(id) => id.to_string(),
            RowKey::Follow { follower, followee } => format!("{follower}:{followee}"),
        };
        CommittedChange { table: self.table.name(), key, op: self.op, committed_at, committed_at_wall }
    }
}

/// An open transaction with what it changed and what it found already done by others.
pub(super) struct Work {
    tx: Transaction<'static, Postgres>,
    changes: Vec<Change>,
    pub(super) conflicts: u64,
}

impl Work {
    pub(super) async fn begin(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(Self { tx: pool.begin().await?, changes: Vec::new(), conflicts: 0 })
    }

    pub(super) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    pub(super) fn transaction(&mut self) -> &mut Transaction<'static, Postgres> {
        &mut self.tx
    }

    pub(super) fn changed(&mut self, table: Table, op: Op, ids: impl IntoIterator<Item = Uuid>) {
        self.changes.extend(ids.into_iter().map(|id| Change { table, key: RowKey::Id(id), op }));
    }

    pub(super) fn follow_changed(&mut self, op: Op, follower: Uuid, followee: Uuid) {
        self.changes.push(Change { table: Table::Follows, key: RowKey::Follow { follower, followee }, op });
    }

    /// Opens a sub-transaction and returns what to give [`Work::rollback_to_savepoint`].
    pub(super) async fn savepoint(&mut self) -> sqlx::Result<usize> {
        sqlx::raw_sql("SAVEPOINT draft").execute(self.conn()).await?;
        Ok(self.changes.len())
    }

    pub(super) async fn release_savepoint(&mut self) -> sqlx::Result<()> {
        sqlx::raw_sql("RELEASE SAVEPOINT draft").execute(self.conn()).await.map(drop)
    }

    /// Undoes and forgets the changes made since the savepoint.
    pub(super) async fn rollback_to_savepoint(&mut self, changes_before: usize) -> sqlx::Result<()> {
        self.changes.truncate(changes_before);
        sqlx::raw_sql("ROLLBACK TO SAVEPOINT draft").execute(self.conn()).await.map(drop)
    }

    pub(super) async fn commit(self) -> sqlx::Result<Vec<Change>> {
        self.tx.commit().await?;
        Ok(self.changes)
    }

    pub(super) async fn rollback(self) -> sqlx::Result<()> {
        self.tx.rollback().await
    }
}

/// Whether a statement failed because another transaction came first; then the transaction is void, and nothing is
/// wrong. A foreign-key violation is not among them: the statements lock the posts they refer to, so it would be a
/// defect of the schema. Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
pub(super) fn is_lost_race(error: &sqlx::Error) -> bool {
    const UNIQUE_VIOLATION: &str = "23505";
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK_DETECTED: &str = "40P01";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some(UNIQUE_VIOLATION | SERIALIZATION_FAILURE | DEADLOCK_DETECTED))
}
