//! Decode → map → encode: one message into the batch, or a burst that was formed ahead, without waiting for anything.
//!
//! Invariant: there is one way from bytes to rows, [`rows_of`], whoever goes it and on whatever thread.

use std::collections::BTreeMap;

use nova_debezium::{Change, Message, Record, decode};
use nova_envelope::EventEnvelope;
use nova_streams::{
    EventOrigin, Format, Lineage, MapError, MapErrorKind, Mapped, Mapping, SkipReason, decode_event,
};
use opentelemetry::trace::SpanContext;
use uuid::Uuid;

use crate::ahead::{Burst, Outcome};
use crate::batch::Batch;
use crate::position::Place;
use crate::{
    Block, DeadLetter, ErrorKind, MessageRows, PipelineError, Policy, Position, SourceMessage, Standing,
    trace,
};

/// What a change tells beside its rows.
#[derive(Debug)]
pub(crate) struct Told {
    place: Place,
    commit_us: i64,
    /// The span that it names, where anybody listens.
    context: Option<Box<SpanContext>>,
}

impl Told {
    pub(crate) fn by(format: Format, event: &EventEnvelope<Change<'_>>, listening: bool) -> Self {
        let change = &event.payload;
        let place = match format {
            Format::Debezium => Place::of(change),
            Format::Envelope => Place::Number(change.source.lsn),
        };
        let context = if listening { trace::of_change(change).map(Box::new) } else { None };
        Self { place, commit_us: change.source.ts_us, context }
    }
}

/// Takes one message into the batch: rows, a counted skip, or a dead letter; `position` is that of its partition.
///
/// # Errors
/// What the policy table answers with a halt; the batch then lacks the message.
pub(crate) fn take<B: Block>(
    mapping: &Mapping,
    topic: &str,
    message: &dyn SourceMessage,
    position: &mut Position,
    batch: &mut Batch<B>,
) -> Result<(), PipelineError> {
    begin(topic, message, position, batch);
    let (listening, mut told) = (batch.trace.is_looking(), None);
    let result = rows_of(mapping, topic, message, &mut batch.block, |event| {
        let told = told.insert(Told::by(mapping.format(), event, listening));
        stand(position, message.offset(), told)
    });
    count_in(mapping, topic, message, Outcome { told, rows: 0, result }, batch)
}

/// Takes a burst that was formed ahead into the batch; every partition moves its own of `positions`.
///
/// # Errors
/// As [`take`]; the batch then has what came before the message.
pub(crate) fn take_burst<B: Block>(
    mapping: &Mapping,
    topic: &str,
    burst: &mut Burst<B>,
    positions: &mut BTreeMap<i32, Position>,
    batch: &mut Batch<B>,
) -> Result<(), PipelineError> {
    let Burst { messages, part, outcomes, standings } = burst;
    let taken = messages.iter().zip(outcomes.drain(..)).try_for_each(|(message, outcome)| {
        let position = positions.entry(message.partition()).or_default();
        begin(topic, &message, position, batch);
        let standing = outcome.told.as_ref().map(|told| stand(position, message.offset(), told));
        standings.extend(std::iter::repeat_n(standing.unwrap_or(Standing::New), outcome.rows));
        count_in(mapping, topic, &message, outcome, batch)
    });
    batch.block.absorb(part, standings);
    taken
}

fn begin<B: Block>(topic: &str, message: &dyn SourceMessage, position: &mut Position, batch: &mut Batch<B>) {
    batch.trace.note(topic, message);
    batch.begin(message.partition(), message.offset(), position);
    position.reach(message.offset());
}

fn stand(position: &mut Position, offset: i64, told: &Told) -> Standing {
    let standing = position.stand(offset, told.place);
    #[cfg(feature = "mutants")]
    let standing = crate::mutants::never_doubted(standing);
    standing
}

fn count_in<B: Block>(
    mapping: &Mapping,
    topic: &str,
    message: &dyn SourceMessage,
    Outcome { told, result, .. }: Outcome,
    batch: &mut Batch<B>,
) -> Result<(), PipelineError> {
    if let Some(Told { commit_us, context, .. }) = told {
        batch.note_commit_time(commit_us);
        batch.trace.note_change(message, context);
    }
    match result {
        Ok(None) => {}
        Ok(Some(reason)) => batch.skip(reason, 1),
        Err(error) if error.kind.policy() == Policy::DeadLetter => {
            batch.keep_letter(dead_letter(mapping, topic, message, error));
        }
        Err(error) => return Err(with_coordinates(error, topic, message)),
    }
    batch.add(message.partition(), message.offset());
    Ok(())
}

/// Puts the rows of the message into the block; `standing` says how the change stands that it tells. The answer is the
/// reason why there are none.
///
/// # Errors
/// Why the message cannot become rows; the block is as it was.
pub(crate) fn rows_of<B: Block>(
    mapping: &Mapping,
    topic: &str,
    message: &dyn SourceMessage,
    block: &mut B,
    standing: impl FnOnce(&EventEnvelope<Change<'_>>) -> Standing,
) -> Result<Option<SkipReason>, PipelineError> {
    let event = match decoded(mapping.format(), message)? {
        Message::Change(event) => event,
        Message::Tombstone => return Ok(Some(SkipReason::Tombstone)),
        Message::Heartbeat(_) => return Ok(Some(SkipReason::Heartbeat)),
        Message::Transaction(_) => return Ok(Some(SkipReason::TransactionMarker)),
    };
    let standing = standing(&event);
    match mapping.map(&event, lineage(topic, message)?)? {
        Mapped::Rows(rows) => {
            let message = MessageRows {
                partition: message.partition(),
                offset: message.offset(),
                event_id: event.event_id,
                lsn: event.payload.source.lsn.unwrap_or_default(),
                standing,
                rows: &rows,
            };
            block.push(&message).map(|()| None)
        }
        Mapped::Skipped(reason) => Ok(Some(reason)),
    }
}

/// The identity of the change that a message tells; `None` where it tells none.
pub(crate) fn event_id(format: Format, message: &dyn SourceMessage) -> Option<Uuid> {
    match decoded(format, message) {
        Ok(Message::Change(event)) => Some(event.event_id),
        _ => None,
    }
}

/// Where everything that a topic can hold becomes one type; nothing behind asks for the format's sake.
fn decoded(format: Format, message: &dyn SourceMessage) -> Result<Message<'_>, PipelineError> {
    let malformed = |text: String, path| PipelineError::new(ErrorKind::Malformed, text).at(path);
    match (format, message.value()) {
        (Format::Debezium, value) => decode(Record { key: message.key(), value })
            .map_err(|error| malformed(error.to_string(), error.path)),
        (Format::Envelope, None) => Ok(Message::Tombstone),
        (Format::Envelope, Some(document)) => decode_event(document, origin(message))
            .map(Message::Change)
            .map_err(|error| malformed(error.to_string(), error.path.to_owned())),
    }
}

/// What the router has placed in headers, as decimal numbers. Whoever else writes to the topic may leave them out.
fn origin(message: &dyn SourceMessage) -> EventOrigin {
    let number = |name| std::str::from_utf8(message.header(name)?).ok()?.parse().ok();
    EventOrigin { seq: number("seq"), tx_id: number("source_tx"), sent_ms: message.timestamp_ms() }
}

fn lineage<'a>(topic: &'a str, message: &dyn SourceMessage) -> Result<Lineage<'a>, PipelineError> {
    // Kafka never gives negative coordinates for a message; a client that does is broken beyond the message.
    let negative = |_| PipelineError::new(ErrorKind::Unknown, "the message has negative coordinates");
    let partition = u32::try_from(message.partition()).map_err(negative)?;
    let offset = u64::try_from(message.offset()).map_err(negative)?;
    Ok(Lineage { topic, partition, offset })
}

impl From<MapError> for PipelineError {
    fn from(error: MapError) -> Self {
        let kind = match error.kind {
            MapErrorKind::Value => ErrorKind::Unmappable,
            MapErrorKind::WrongTable => ErrorKind::Misconfigured,
            MapErrorKind::Stop | MapErrorKind::NoBeforeImage => ErrorKind::Unsupported,
        };
        Self::new(kind, error.message).at(error.path)
    }
}

fn dead_letter(
    mapping: &Mapping,
    topic: &str,
    message: &dyn SourceMessage,
    error: PipelineError,
) -> DeadLetter {
    DeadLetter {
        stream: mapping.stream().to_owned(),
        topic: topic.to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.value().map(<[u8]>::to_vec),
        headers: message.headers(),
        kind: error.kind,
        reason: error.message,
        path: error.path,
    }
}

fn with_coordinates(error: PipelineError, topic: &str, message: &dyn SourceMessage) -> PipelineError {
    let place = format!("{topic}[{}]@{}", message.partition(), message.offset());
    PipelineError { message: format!("{place}: {}", error.message), ..error }
}
