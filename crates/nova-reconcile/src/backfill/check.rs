//! Why a stream cannot be backfilled, before anything is read.
//!
//! Invariant: each refusal says what is possible instead.

use nova_kafka::{KafkaConnection, describe};
use nova_streams::{Format, Stream};
use sqlx::PgConnection;

use crate::ReconcileError;
use crate::error::Doing as _;

pub(super) fn refused(stream: &Stream, reason: impl Into<String>) -> ReconcileError {
    ReconcileError::Refused { stream: stream.name.clone(), reason: reason.into() }
}

/// What the declaration says.
pub(super) fn declaration(stream: &Stream) -> Result<(), ReconcileError> {
    match stream.format {
        Format::Debezium => Ok(()),
        Format::Envelope => Err(refused(
            stream,
            format!(
                "its rows are events, which PostgreSQL keeps for a few days only, and whose state is no row; read them \
                 from their topic again: `nova replay kafka --stream {} --from earliest --to now`",
                stream.name
            ),
        )),
    }
}

/// Refuses a stream that has never run: it would begin later, and bring again what is written now.
///
/// # Errors
/// [`ReconcileError::Refused`]; Kafka, when it cannot be asked.
pub async fn group(kafka: &KafkaConnection, stream: &Stream, group: &str) -> Result<(), ReconcileError> {
    let partitions = describe(kafka, group, &stream.topic).await?.partitions;
    let has_messages = partitions.iter().any(|lag| lag.low < lag.high);
    if has_messages && partitions.iter().all(|lag| lag.committed.is_none()) {
        return Err(refused(
            stream,
            format!(
                "its consumer group `{group}` has never committed; let the stream run first (`nova run --stream {} \
                 --from-beginning`), then see what is still missing",
                stream.name
            ),
        ));
    }
    Ok(())
}

/// Without whole old rows, a delete that the stream tells would not take back the row that is written here.
pub(super) async fn identity(reader: &mut PgConnection, stream: &Stream) -> Result<(), ReconcileError> {
    let (schema, table) = stream.source.split_once('.').unwrap_or(("public", &stream.source));
    let partial: Option<String> = sqlx::query_scalar(
        "WITH root AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2) SELECT c.oid::regclass::text FROM pg_class c, root \
         WHERE c.relreplident <> 'f' AND (c.oid = root.oid OR c.oid IN (SELECT relid FROM pg_partition_tree(root.oid))) \
         ORDER BY 1 LIMIT 1",
    )
    .bind(schema)
    .bind(table)
    .fetch_optional(reader)
    .await
    .doing("looking at the replica identity")?;
    match partial {
        None => Ok(()),
        Some(table) => Err(refused(
            stream,
            format!(
                "{table} lacks REPLICA IDENTITY FULL, so a row that is deleted later would stay in ClickHouse; run `ALTER \
                 TABLE {table} REPLICA IDENTITY FULL`, on every partition, too"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use nova_streams::StreamSet;

    use super::*;

    #[test]
    fn events_are_read_from_their_topic_again() {
        let streams =
            StreamSet::parse("streams.toml", include_str!("../../../../config/streams.toml")).unwrap();
        let refusal = declaration(streams.get("engagement").unwrap()).unwrap_err().to_string();
        assert!(refusal.contains("nova replay kafka --stream engagement"), "{refusal}");
        assert!(declaration(streams.get("likes").unwrap()).is_ok());
    }
}
