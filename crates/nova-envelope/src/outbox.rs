//! Writes events into PostgreSQL's table `engagement_outbox`, from where Debezium's EventRouter takes them
//! (<https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html>).
//!
//! Invariant: an event is written in the transaction of what caused it, or not at all; hence the signature takes a
//! transaction and no connection.

use chrono::Utc;
use sqlx::PgTransaction;
use thiserror::Error;

use crate::engagement::{EngagementEvent, InvalidEvent, check};
use crate::{EventEnvelope, Uuid};

/// The outbox's `aggregate_type` of these events: the EventRouter makes the topic's name from it.
pub const OUTBOX_AGGREGATE_TYPE: &str = "engagement";

/// One statement, however many events; the columns travel as arrays.
const INSERT: &str = "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload) \
     SELECT id, $1, post_id, event_type, payload::jsonb \
     FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[]) AS events (id, post_id, event_type, payload)";

/// Why events could not be written. All but [`InvalidEvent`](Self::InvalidEvent) and [`Encode`](Self::Encode) leave the
/// transaction aborted: roll it back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// An event that must not be written; nothing was sent to PostgreSQL.
    #[error("event {event_id}: {error}")]
    InvalidEvent {
        /// The event.
        event_id: Uuid,
        /// What is wrong with it.
        error: InvalidEvent,
    },
    /// An event that cannot be written as JSON; nothing was sent to PostgreSQL.
    #[error("event {event_id} cannot be written as JSON: {error}")]
    Encode {
        /// The event.
        event_id: Uuid,
        /// The reason.
        error: serde_json::Error,
    },
    /// The outbox has no partition for today.
    #[error(
        "engagement_outbox has no partition for the day of this transaction (UTC); run \
         `SELECT nova_ensure_partitions(current_date, current_date + 35)`, daily, then repeat the transaction"
    )]
    NoPartition(#[source] sqlx::Error),
    /// The outbox does not exist in this database.
    #[error("there is no table engagement_outbox on the search path; apply schemas/postgres/migrations")]
    NoOutbox(#[source] sqlx::Error),
    /// PostgreSQL refused, or cannot be reached.
    #[error("writing into engagement_outbox: {0}")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for OutboxError {
    /// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn from(error: sqlx::Error) -> Self {
        let found = error.as_database_error();
        match found.and_then(|error| error.code()).as_deref() {
            // A CHECK fails with its name, the search for a partition without one.
            Some("23514") if found.and_then(|error| error.constraint()).is_none() => Self::NoPartition(error),
            Some("42P01") => Self::NoOutbox(error),
            _ => Self::Database(error),
        }
    }
}

/// Writes `events` into the outbox as a part of the caller's `transaction`: they are published if, and only if, it
/// commits. All in one statement; no events, no statement. For one event: `std::slice::from_ref(&event)`.
///
/// The time in `created_at` is the transaction's, which decides the partition; the event's own time is in the payload.
/// Ids are not de-duplicated here: what is committed twice is two events.
///
/// # Errors
/// An invalid event, a missing table or partition, and what else PostgreSQL refuses.
pub async fn write_outbox(
    transaction: &mut PgTransaction<'_>,
    events: &[EventEnvelope<EngagementEvent<'_>>],
) -> Result<(), OutboxError> {
    if events.is_empty() {
        return Ok(());
    }
    let now = Utc::now();
    let (mut ids, mut posts) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
    let (mut types, mut payloads) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
    for event in events {
        let event_id = event.event_id;
        check(event, now).map_err(|error| OutboxError::InvalidEvent { event_id, error })?;
        ids.push(event_id);
        posts.push(event.payload.post_id);
        types.push(event.payload.event_type.name());
        payloads.push(serde_json::to_string(event).map_err(|error| OutboxError::Encode { event_id, error })?);
    }
    sqlx::query(INSERT)
        .bind(OUTBOX_AGGREGATE_TYPE)
        .bind(ids)
        .bind(posts)
        .bind(types)
        .bind(payloads)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
