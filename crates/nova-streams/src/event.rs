//! Events that applications write (`format = "envelope"`) become what table changes are: an envelope of a [`Change`].
//!
//! Invariant: behind [`decode_event`] nothing asks where an event came from. It is the insert of one row, whose columns
//! are the event's fields in the newest version; its event id is the producer's own.

use chrono::{DateTime, Utc};
use nova_debezium::{Change, Op, Row, Sequence, Snapshot, Source};
use nova_envelope::{EngagementTexts, EngagementType, EnvelopeError, EventEnvelope, decode_engagement_texts};

use crate::ColumnType;
use crate::convert::ticks_from_micros;
use crate::plan::Plan;

/// The field of the envelope's time. It has another form in each version, so it is not read as text.
pub(crate) const TIME: &str = "timestamp";

/// What the message around an event says of its origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventOrigin {
    /// The outbox's number of the event: greater for each later INSERT, not ordered between interleaved transactions.
    pub seq: Option<u64>,
    /// The 64-bit transaction that wrote it.
    pub tx_id: Option<u64>,
    /// When the message was made, in milliseconds since 1970.
    pub sent_ms: Option<i64>,
}

/// Decodes an event's document.
///
/// # Errors
/// What [`nova_envelope::decode_engagement`] refuses: no document of a version that this library reads.
pub fn decode_event(
    document: &[u8],
    origin: EventOrigin,
) -> Result<EventEnvelope<Change<'_>>, EnvelopeError> {
    let event = decode_engagement_texts(document)?;
    let sent_us = origin.sent_ms.and_then(|ms| ms.checked_mul(1000));
    let source = Source {
        server: "".into(),
        db: "".into(),
        schema: "".into(),
        table: "".into(),
        ts_us: sent_us.unwrap_or_else(|| event.timestamp.timestamp_micros()),
        snapshot: Snapshot::False,
        tx_id: origin.tx_id,
        lsn: origin.seq,
        sequence: Sequence::default(),
    };
    let after = Some(Row::of_document(event.payload.fields()));
    let change = Change { op: Op::Create, before: None, after, source, transaction: None, logical: None };
    Ok(EventEnvelope::new(event.event_id, event.timestamp, change))
}

/// The names that a stream's columns may take their values from.
pub(crate) fn fields() -> impl Iterator<Item = &'static str> {
    EngagementTexts::NAMES.into_iter().chain([TIME])
}

/// Whether a column of this type takes every value that the field can have.
pub(crate) fn fits(field: &str, column_type: &ColumnType) -> bool {
    match (field, column_type) {
        (_, ColumnType::Nullable(inner)) => fits(field, inner),
        (_, ColumnType::String) => field != "dwell_time_ms",
        ("id" | "post_id" | "user_id", ColumnType::Uuid) => true,
        ("event_type", ColumnType::Enum { members, .. }) => {
            EngagementType::ALL.iter().all(|wanted| members.iter().any(|(name, _)| name == wanted.name()))
        }
        ("dwell_time_ms", ColumnType::UInt(bits) | ColumnType::Int(bits)) => *bits >= 32,
        _ => false,
    }
}

/// The plan of a column that the envelope's time fills, or what the column would have to be.
pub(crate) fn time(column_type: &ColumnType) -> Result<Plan, String> {
    match column_type {
        ColumnType::DateTime => Ok(Plan::Time(0)),
        ColumnType::DateTime64(precision) => Ok(Plan::Time(*precision)),
        ColumnType::Nullable(inner) => time(inner),
        other => Err(format!("an event's `{TIME}` is a time, and does not fit {other}")),
    }
}

/// The envelope's time in ticks of 10⁻ᵖ s. Events lie in the years 2000 to 2099, which every such type holds.
pub(crate) fn ticks(time: &DateTime<Utc>, precision: u8) -> i64 {
    ticks_from_micros(time.timestamp_micros(), precision).unwrap_or_default()
}

#[cfg(test)]
mod tests;
