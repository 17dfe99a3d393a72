//! From a record's bytes to a message: [`decode`].

use std::borrow::Cow;

use chrono::DateTime;
use nova_envelope::EventEnvelope;
use serde::de::DeserializeSeed;

use crate::{
    Change, DecodeError, DecodeErrorKind, Found, Heartbeat, LogicalMessage, Op, TransactionMarker,
    TransactionStatus,
    event_id::event_id,
    field::{Field, Part, Place},
    shape::{Shape, ShapeSeed, Trace, direct},
    value,
};

/// The bytes of one Kafka record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The key; absent for tables without a primary key.
    pub key: Option<&'a [u8]>,
    /// The value; absent for tombstones.
    pub value: Option<&'a [u8]>,
}

/// What a record says.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every message is a change; a box would cost each an allocation"
)]
pub enum Message<'a> {
    /// A committed change, a row read by a snapshot, a truncate or a logical message.
    Change(EventEnvelope<Change<'a>>),
    /// No value: Debezium writes one after each delete, for log compaction.
    Tombstone,
    /// The connector lives.
    Heartbeat(Heartbeat),
    /// A transaction begins or ends.
    Transaction(TransactionMarker<'a>),
}

/// Decodes one record of a topic that Debezium writes.
///
/// The value may embed its schema (`{"schema":…,"payload":…}`) or not. The envelope's `timestamp` is the commit
/// time, its `event_id` a UUIDv5 of the position in PostgreSQL: server, table, LSN, transaction id, operation and
/// the record's key. It is unique, and the same whenever the same change is delivered again, where the key is that of
/// the table (`message.key.columns` that several rows share would give rows of one COPY the same id). A row read
/// again by another snapshot gets another id.
///
/// Changes of a table without a key are told apart by `transaction.total_order`, which a connector that starts in the
/// middle of a transaction may count anew; where that is missing too, by the row images: equal rows that share
/// an LSN (COPY, snapshots) then share an id.
///
/// # Errors
/// A value that is no JSON, or JSON that Debezium does not write. The error's text is bounded.
pub fn decode<'a>(record: Record<'a>) -> Result<Message<'a>, DecodeError> {
    let Some(value) = record.value else { return Ok(Message::Tombstone) };
    let text = std::str::from_utf8(value)
        .map_err(|error| failure("value", DecodeErrorKind::Utf8 { offset: error.valid_up_to() }))?;
    let mut shape = Shape::default();
    let wrapped = match direct::change(text, &mut shape) {
        Some(wrapped) => wrapped,
        None => {
            shape = Shape::default();
            any_shape(text, &mut shape)?
        }
    };
    if shape.null {
        Ok(Message::Tombstone)
    } else if shape.op.is_some() {
        change(&mut shape, wrapped, record.key)
    } else if shape.status.is_some() {
        transaction(shape, wrapped).map(Message::Transaction)
    } else if let (Some(ts_ms), None) = (shape.ts_ms, &shape.source) {
        Ok(Message::Heartbeat(Heartbeat { ts_ms }))
    } else {
        Err(failure(path(wrapped, ""), DecodeErrorKind::NotDebezium))
    }
}

/// Reads the parts of any message and says whether they stand under `payload`, or what is wrong.
fn any_shape<'a>(text: &'a str, shape: &mut Shape<'a>) -> Result<bool, DecodeError> {
    let trace = Trace::new();
    let mut parser = serde_json::Deserializer::from_str(text);
    ShapeSeed { shape, trace: &trace }
        .deserialize(&mut parser)
        .and_then(|()| parser.end())
        .map_err(|error| parse_failure(&error, text, &trace))?;
    Ok(trace.wrapped.get())
}

fn change<'a>(shape: &mut Shape<'a>, wrapped: bool, key: Option<&[u8]>) -> Result<Message<'a>, DecodeError> {
    let missing = |part, expected| failure(path(wrapped, part), DecodeErrorKind::Missing { expected });
    let code = shape.op.take().map(|op| op.0).unwrap_or_default();
    let op = Op::parse(&code).ok_or_else(|| {
        let found = Found::value(&format!("\"{code}\""));
        failure(path(wrapped, "op"), DecodeErrorKind::UnknownOp { found })
    })?;
    let source = match shape.take_source() {
        Some(source) => source.map_err(|problem| missing(problem.part, problem.expected))?,
        None => return Err(missing("source", "an object")),
    };
    if matches!(op, Op::Create | Op::Update | Op::Read) && shape.after.is_none() {
        return Err(missing("after", "the row after the change"));
    }
    if op == Op::Message && shape.message.is_none() {
        return Err(missing("message", "an object of `prefix` and `content`"));
    }
    let timestamp = DateTime::from_timestamp_micros(source.ts_us).ok_or_else(|| {
        failure(path(wrapped, "source.ts_us"), DecodeErrorKind::Timestamp { found: source.ts_us })
    })?;
    if let Some(schema) = &shape.schema {
        [&mut shape.before, &mut shape.after].into_iter().flatten().for_each(|row| row.attach(schema));
    }
    let logical = shape.message.take().map(|(prefix, content)| LogicalMessage {
        prefix,
        content: content.map(|raw| {
            Field::new(Cow::Borrowed("content"), raw.get(), Place { part: Part::Message, wrapped })
        }),
    });
    let (before, after) = (shape.before.take(), shape.after.take());
    let change = Change { op, before, after, source, transaction: shape.transaction.take(), logical };
    Ok(Message::Change(EventEnvelope::new(event_id(&change, key), timestamp, change)))
}

fn transaction(shape: Shape<'_>, wrapped: bool) -> Result<TransactionMarker<'_>, DecodeError> {
    let missing = |part, expected| failure(path(wrapped, part), DecodeErrorKind::Missing { expected });
    let status = match shape.status.as_ref().map(|status| status.0.as_ref()) {
        Some("BEGIN") => TransactionStatus::Begin,
        Some("END") => TransactionStatus::End,
        other => {
            let found = Found::value(&format!("\"{}\"", other.unwrap_or_default()));
            return Err(failure(
                path(wrapped, "status"),
                DecodeErrorKind::Type { expected: "BEGIN or END", found },
            ));
        }
    };
    let id = shape.id.ok_or_else(|| missing("id", "the transaction's id"))?.get();
    let id = value::text(id).map_err(|_| {
        failure(path(wrapped, "id"), DecodeErrorKind::Type { expected: "a string", found: Found::value(id) })
    })?;
    Ok(TransactionMarker {
        status,
        id,
        ts_ms: shape.ts_ms.ok_or_else(|| missing("ts_ms", "the commit time"))?,
        event_count: shape.event_count,
        data_collections: shape.data_collections,
    })
}

fn failure(path: impl Into<String>, kind: DecodeErrorKind) -> DecodeError {
    DecodeError { path: path.into(), kind }
}

fn path(wrapped: bool, part: &str) -> String {
    match (wrapped, part) {
        (true, "") => "payload".to_owned(),
        (true, part) => format!("payload.{part}"),
        (false, "") => "value".to_owned(),
        (false, part) => part.to_owned(),
    }
}

fn parse_failure(error: &serde_json::Error, text: &str, trace: &Trace) -> DecodeError {
    let mut path = path(trace.wrapped.get(), trace.part.get());
    let column = trace.column.take();
    if !column.is_empty() {
        path = format!("{path}.{}", Found::name(&column));
    }
    let message = error.to_string();
    let kind = if error.is_data() {
        let found = message.split(", expected ").next().unwrap_or_default();
        let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
        // `string "…"`, `integer `…``: the kind stands before the value.
        let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
        DecodeErrorKind::Type { expected: trace.expected.get(), found: Found::name(kind) }
    } else {
        let lines: usize =
            text.split('\n').take(error.line().saturating_sub(1)).map(|line| line.len() + 1).sum();
        let offset = text.floor_char_boundary(lines + error.column());
        let problem = message.split(" at line ").next().unwrap_or_default().to_owned();
        DecodeErrorKind::Json { problem, offset }
    };
    failure(path, kind)
}

#[cfg(test)]
mod tests;
