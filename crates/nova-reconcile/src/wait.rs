//! Waiting until everything that a snapshot sees has arrived: first the slot passes the snapshot's position, so all of
//! it is in Kafka; then the consumer groups pass the topics' ends, so all of it is in ClickHouse.
//!
//! Invariant: when it returns, every row of the snapshot that is not in ClickHouse is missing for good.

use std::time::Duration;

use nova_kafka::{KafkaConnection, PartitionLag, describe, unread};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use crate::ReconcileError;
use crate::error::Doing as _;
use crate::snapshot::{PostgresAccess, Snapshot, connect, slot_lsn};

const POLL: Duration = Duration::from_millis(100);
/// A source at rest has nothing else that would move the slot.
const NUDGE: Duration = Duration::from_secs(2);

/// A stream's way into ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The stream.
    pub stream: String,
    /// Its consumer group.
    pub group: String,
    /// Its topic.
    pub topic: String,
}

/// What has not arrived yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The slot has so many bytes of log before it.
    Slot {
        /// Bytes.
        bytes: u64,
    },
    /// The group has at most so many messages before it.
    Group {
        /// The stream.
        stream: String,
        /// Messages.
        messages: i64,
    },
}

/// Waits until slot and groups have passed `snapshot`; `progress` hears of each look.
///
/// # Errors
/// [`ReconcileError::TimedOut`] with who did not pass and how far it is; a server that cannot be asked.
pub async fn wait(
    snapshot: &mut Snapshot,
    access: &PostgresAccess,
    kafka: &KafkaConnection,
    routes: &[Route],
    timeout: Duration,
    progress: &(dyn Fn(&Waiting) + Sync),
) -> Result<(), ReconcileError> {
    let begun = Instant::now();
    let deadline = begun + timeout;
    let mut control = connect(access, &access.options).await?;
    slot(&mut control, access, snapshot.taken.lsn, deadline, timeout, progress).await?;
    for route in routes {
        group(kafka, route, deadline, timeout, progress).await?;
    }
    snapshot.taken.waited_ms = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    Ok(())
}

async fn slot(
    control: &mut PgConnection,
    access: &PostgresAccess,
    lsn: u64,
    deadline: Instant,
    timeout: Duration,
    progress: &(dyn Fn(&Waiting) + Sync),
) -> Result<(), ReconcileError> {
    let mut nudged = Instant::now();
    loop {
        let at = slot_lsn(control, &access.slot, "confirmed_flush_lsn").await?;
        if at >= lsn {
            return Ok(());
        }
        progress(&Waiting::Slot { bytes: lsn - at });
        if Instant::now() >= deadline {
            return Err(ReconcileError::TimedOut {
                seconds: timeout.as_secs(),
                what: format!(
                    "slot `{}` did not pass the snapshot, {} bytes of log are before it; `nova connector status` says \
                     how the connector is",
                    access.slot,
                    lsn - at
                ),
            });
        }
        if nudged.elapsed() > NUDGE {
            nudged = Instant::now();
            sqlx::query("SELECT pg_logical_emit_message(true, 'nova.reconcile', '')")
                .execute(&mut *control)
                .await
                .doing("writing a logical message")?;
        }
        sleep(POLL).await;
    }
}

async fn group(
    kafka: &KafkaConnection,
    route: &Route,
    deadline: Instant,
    timeout: Duration,
    progress: &(dyn Fn(&Waiting) + Sync),
) -> Result<(), ReconcileError> {
    let Route { stream, group, topic } = route;
    let ends = describe(kafka, group, topic).await?.partitions;
    let mut standing = ends.clone();
    loop {
        let behind = behind(&ends, &standing);
        if behind.is_empty() || unread(kafka, topic, behind.clone()).await?.is_empty() {
            return Ok(());
        }
        let messages = behind.iter().map(|(_, from, to)| to - from).sum();
        progress(&Waiting::Group { stream: stream.clone(), messages });
        if Instant::now() >= deadline {
            return Err(ReconcileError::TimedOut {
                seconds: timeout.as_secs(),
                what: format!(
                    "consumer group `{group}` did not pass the snapshot in topic `{topic}`, at most {messages} \
                     messages are before it; is `nova run` running? `nova offsets show` says where it stands"
                ),
            });
        }
        sleep(POLL).await;
        standing = describe(kafka, group, topic).await?.partitions;
    }
}

/// Ranges that the group has not committed.
fn behind(ends: &[PartitionLag], standing: &[PartitionLag]) -> Vec<(i32, i64, i64)> {
    let of = |partition: i32| standing.iter().find(|at| at.partition == partition);
    ends.iter()
        .map(|end| {
            let at = of(end.partition).unwrap_or(end);
            (end.partition, at.committed.unwrap_or(at.low).max(at.low), end.high)
        })
        .filter(|(_, from, to)| from < to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_behind_where_it_has_not_committed_the_end_as_it_was() {
        let at = |partition, committed, low, high| PartitionLag { partition, committed, low, high };
        let ends = [at(0, Some(5), 0, 10), at(1, None, 2, 6), at(2, Some(3), 0, 3), at(3, Some(1), 0, 0)];
        assert_eq!(behind(&ends, &ends), [(0, 5, 10), (1, 2, 6)]);
        let later = [at(0, Some(12), 0, 20), at(1, Some(6), 2, 6)];
        assert_eq!(behind(&ends, &later), []);
    }
}
