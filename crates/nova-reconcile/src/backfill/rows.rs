//! A row of PostgreSQL as a row of the table: the message that Debezium would write, through the pipeline's own decode and
//! mapping, with a lineage that is a function of the row.
//!
//! Invariant: the same row has the same partition, offset and event in whichever backfill it is written. So the table can be
//! asked whether it has it, also after a kill, and an insert that arrives late excludes its repeat.

use nova_clickhouse::{RowBinaryBlock, TakenBack};
use nova_debezium::{Message, Record, decode};
use nova_pipeline::{BACKFILL_PARTITION, Block as _, MessageRows, PipelineError, RowId, Standing};
use nova_streams::{Lineage, Mapped, Mapping, Stream};
use uuid::Uuid;

use crate::row_json;
use crate::visibility::Position;

/// The namespace of the events of rows that were backfilled: none of them is a change's own.
const NAMESPACE: Uuid = Uuid::from_u128(0x3f5b_2c1e_8a47_4d60_9e02_71c4_b85d_06fa);
/// Bits of an offset that tell rows of one millisecond apart; those above are the millisecond.
const EVENT_BITS: u32 = 21;
/// The last millisecond that an offset can hold, in the year 2109.
const LAST_MS: i64 = (1 << 42) - 1;

/// Where a row goes.
pub(super) struct Rows<'a> {
    pub(super) stream: &'a Stream,
    pub(super) mapping: &'a Mapping,
    pub(super) position: Position,
}

impl Rows<'_> {
    /// Appends the row; answers its offset.
    ///
    /// # Errors
    /// Why it would be a dead letter, as the stream would say it; the block is as it was.
    pub(super) fn push(
        &self,
        image: &[String],
        time_ms: Option<i64>,
        block: &mut RowBinaryBlock,
    ) -> Result<i64, String> {
        let Self { stream, mapping, position } = self;
        let image = row_json::whole(image);
        let event_id = event_id(stream, image.as_bytes());
        let offset = offset(event_id, time_ms);
        let message = row_json::message(stream, &image, position.lsn, position.tx);
        let record = Record { key: None, value: Some(message.as_bytes()) };
        let mut event = match decode(record) {
            Ok(Message::Change(event)) => event,
            Ok(_) => return Err("the row is no change".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        event.event_id = event_id;
        let lineage = Lineage {
            topic: &stream.topic,
            partition: BACKFILL_PARTITION.unsigned_abs(),
            offset: offset.unsigned_abs(),
        };
        let rows = match mapping.map(&event, lineage) {
            Ok(Mapped::Rows(rows)) => rows,
            Ok(Mapped::Skipped(reason)) => return Err(format!("the mapping skips it: {}", reason.name())),
            Err(error) => return Err(error.to_string()),
        };
        let message = MessageRows {
            partition: BACKFILL_PARTITION,
            offset,
            event_id,
            lsn: position.lsn,
            standing: Standing::New,
            rows: &rows,
        };
        block.push(&message).map(|()| offset).map_err(|error| error.to_string())
    }
}

impl Rows<'_> {
    /// Appends the rows that take the sum of a state to 0.
    ///
    /// # Errors
    /// Lineage that the table does not hold.
    pub(super) fn complete(
        &self,
        state: &TakenBack,
        block: &mut RowBinaryBlock,
    ) -> Result<(), PipelineError> {
        let Self { stream, position, .. } = self;
        for copy in 0..state.lacks {
            let name = [state.source_key.as_bytes().as_slice(), &state.state, &copy.to_be_bytes()].concat();
            let event_id = event_id(stream, &name);
            let offset = offset(event_id, Some(state.time_ms));
            let id = RowId { partition: BACKFILL_PARTITION, offset, ordinal: 0, event_id };
            state.push(block, &stream.topic, id, (position.lsn, position.tx))?;
        }
        Ok(())
    }
}

/// `row`: what makes it this row. For a state the length of its parts keeps it apart from an image.
fn event_id(stream: &Stream, row: &[u8]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, &[stream.name.as_bytes(), &[0], row].concat())
}

/// Offsets follow the time, so that the rows of a window are one range of them.
fn offset(event_id: Uuid, time_ms: Option<i64>) -> i64 {
    let ms = time_ms.unwrap_or_default().clamp(0, LAST_MS);
    let event = event_id.as_u128() & ((1 << EVENT_BITS) - 1);
    (ms << EVENT_BITS) | i64::try_from(event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_in_the_order_of_time_and_a_function_of_the_row() {
        let (one, other) = (Uuid::from_u128(u128::MAX), Uuid::from_u128(7 << 60));
        assert!(offset(one, Some(1_000)) < offset(other, Some(1_001)));
        assert_ne!(offset(one, Some(1_000)), offset(other, Some(1_000)));
        assert_eq!(offset(one, None), offset(one, Some(-5)));
        assert!(offset(one, Some(i64::MAX)) > 0, "an offset is positive whatever the time");
    }
}
