//! A snapshot of a hot standby, with the transactions that it does not see.
//!
//! `pg_current_snapshot()` of a server in recovery has the right `xmin` and `xmax`, but names no running transaction:
//! PostgreSQL keeps them where the function does not look (`GetSnapshotData` of procarray.c). So they are asked for one
//! by one (`pg_xact_status`), just before the snapshot and just after it. Who runs after it ran at it; who had ended
//! before it had ended at it. Only one that commits between the two looks leaves a doubt, and then the snapshot is
//! thrown away and another one taken. Positions would not do in place of statuses: a commit is visible before
//! `pg_last_wal_replay_lsn()` has passed it.
//!
//! Invariant: a snapshot that is handed out lacks exactly the transactions that it names, and sees every transaction
//! that had ended on the primary when [`open`] was called.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, sleep};

use crate::ReconcileError;
use crate::error::Doing as _;
use crate::report::SnapshotTaken;
use crate::snapshot::{PostgresAccess, begin, connect, connector_transactions, parse};

const POLL: Duration = Duration::from_millis(100);
/// How long the replica may take to replay what the primary has written.
const REPLAY_WITHIN: Duration = Duration::from_secs(60);
/// How long a moment without a commit is looked for.
const MOMENT_WITHIN: Duration = Duration::from_secs(20);
/// ClickHouse is told all of them in one query. Subtransactions count, because a standby cannot tell them apart.
const MOST_RUNNING: usize = 10_000;

/// The snapshot as text, transactions that run, and how many committed that may have run at the snapshot. What is
/// asked for are `$1` and all from `$2` on. `xmax - 1` is the last one that had ended, so there is no doubt about it.
const LOOK: &str = "\
    WITH taken AS MATERIALIZED (SELECT pg_current_snapshot() AS s), \
    bounds AS MATERIALIZED (SELECT s, pg_snapshot_xmin(s)::text::int8 AS low, pg_snapshot_xmax(s)::text::int8 AS high FROM taken), \
    asked AS (SELECT unnest($1::int8[]) AS x \
        UNION ALL SELECT generate_series(coalesce($2::int8, low), high - 1) FROM bounds), \
    told AS MATERIALIZED (SELECT x, pg_xact_status(x::text::xid8) AS status FROM asked) \
    SELECT s::text, \
        (SELECT coalesce(array_agg(x), '{}') FROM told WHERE status = 'in progress'), \
        (SELECT count(*) FROM told WHERE status = 'committed' AND x >= low AND x <> high - 1) \
    FROM bounds";

/// What a look has found.
struct Look {
    taken: SnapshotTaken,
    doubts: i64,
}

/// Opens a snapshot on the replica, in a transaction of the connection that comes back. Transactions of the connector
/// that are seen on the primary meanwhile are added to `connectors`.
///
/// # Errors
/// A server that is not a replica of the primary, one that lags too far, or no moment without a commit.
pub(crate) async fn open(
    access: &PostgresAccess,
    replica: &PgConnectOptions,
    primary: &mut PgConnection,
    connectors: &mut Vec<u64>,
) -> Result<(PgConnection, SnapshotTaken), ReconcileError> {
    let mut reader = connect(access, replica).await?;
    check(primary, &mut reader).await?;
    caught_up(access, primary, &mut reader, connectors).await?;
    let deadline = Instant::now() + MOMENT_WITHIN;
    let mut before = look(&mut reader, &[], None).await?.taken;
    loop {
        begin(&mut reader).await?;
        let Look { taken, doubts } = look(&mut reader, &before.running, Some(before.xmax)).await?;
        let running = taken.running.len();
        if running > MOST_RUNNING {
            return Err(ReconcileError::Source(format!(
                "{running} transactions and subtransactions are open on the replica, more than {MOST_RUNNING}; wait \
                 until the bulk change has ended, or leave reconcile.replica_host empty to read the primary"
            )));
        }
        if doubts == 0 {
            return Ok((reader, taken));
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.doing("giving a snapshot up")?;
        if Instant::now() >= deadline {
            return Err(ReconcileError::TimedOut {
                seconds: MOMENT_WITHIN.as_secs(),
                what: "the replica had no moment without a commit, in which its snapshot could be told exactly; try \
                       again when less is written, or leave reconcile.replica_host empty to read the primary"
                    .to_owned(),
            });
        }
        connectors.extend(connector_transactions(primary, &access.replication_user).await?);
        before = look(&mut reader, &taken.running, Some(taken.xmax)).await?.taken;
    }
}

async fn look(reader: &mut PgConnection, open: &[u64], next: Option<u64>) -> Result<Look, ReconcileError> {
    let open: Vec<i64> = open.iter().map(|transaction| transaction.cast_signed()).collect();
    let (text, running, doubts): (String, Vec<i64>, i64) = sqlx::query_as(LOOK)
        .bind(open)
        .bind(next.map(u64::cast_signed))
        .fetch_one(reader)
        .await
        .doing("taking a snapshot of the replica")?;
    let mut taken =
        parse(&text).ok_or_else(|| ReconcileError::Answer { server: "PostgreSQL", found: text })?;
    taken.running = running.into_iter().map(i64::cast_unsigned).collect();
    taken.running.sort_unstable();
    Ok(Look { taken, doubts })
}

/// A server that is no standby of this primary would make every row a difference.
async fn check(primary: &mut PgConnection, replica: &mut PgConnection) -> Result<(), ReconcileError> {
    let mut told = Vec::new();
    for server in [primary, replica] {
        let sql = "SELECT system_identifier, pg_is_in_recovery() FROM pg_control_system()";
        let one: (i64, bool) =
            sqlx::query_as(sql).fetch_one(server).await.doing("asking which server it is")?;
        told.push(one);
    }
    match *told.as_slice() {
        [(one, _), (other, true)] if one == other => Ok(()),
        [_, (_, false)] => Err(ReconcileError::Source(
            "the server of reconcile.replica_host is not a hot standby; correct it, or leave it empty to read the \
             primary"
                .to_owned(),
        )),
        _ => Err(ReconcileError::Source(
            "the server of reconcile.replica_host is a standby of another primary than that of postgres.host; \
             correct one of them"
                .to_owned(),
        )),
    }
}

/// Waits until the replica has replayed what was on the primary when the slot was asked: rows below its `restart_lsn`
/// count as visible, so the snapshot has to see them.
async fn caught_up(
    access: &PostgresAccess,
    primary: &mut PgConnection,
    replica: &mut PgConnection,
    connectors: &mut Vec<u64>,
) -> Result<(), ReconcileError> {
    // Its commit is flushed, and so is everything before it: only what is flushed is sent to a standby.
    let sql = "SELECT (pg_logical_emit_message(true, 'nova.reconcile', '') - '0/0'::pg_lsn)::int8";
    let wanted: i64 =
        sqlx::query_scalar(sql).fetch_one(&mut *primary).await.doing("writing a logical message")?;
    let deadline = Instant::now() + REPLAY_WITHIN;
    loop {
        let sql = "SELECT coalesce((pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::int8, 0)";
        let at: i64 = sqlx::query_scalar(sql)
            .fetch_one(&mut *replica)
            .await
            .doing("asking the replica how far it is")?;
        if at >= wanted {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(ReconcileError::TimedOut {
                seconds: REPLAY_WITHIN.as_secs(),
                what: format!(
                    "the replica did not replay the primary's log, {} bytes are before it; see pg_stat_replication on \
                     the primary and pg_get_wal_replay_pause_state() on the replica, or leave reconcile.replica_host \
                     empty to read the primary",
                    wanted - at
                ),
            });
        }
        sleep(POLL).await;
        connectors.extend(connector_transactions(primary, &access.replication_user).await?);
    }
}
