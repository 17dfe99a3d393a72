//! One encoded row, read back: its state and the parts of its lineage that resolving doubts needs.
//!
//! Invariant: the places below are those of [`nova_streams::LINEAGE_COLUMNS`], all of fixed width but `topic`; a test
//! writes a row through the encoder and reads it here.

use std::ops::Range;

use nova_pipeline::{RowId, Standing};
use uuid::Uuid;

use crate::encoder::put_string;

const SIGN: usize = 0;
const SOURCE_KEY: Range<usize> = 17..33;
const SOURCE_LSN: Range<usize> = 33..41;
const TOPIC: usize = 49;
/// Bytes of `kafka_partition`, `kafka_offset` and `ordinal`.
const AFTER_TOPIC: usize = 13;

/// A row of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRow<'b> {
    pub(crate) id: RowId,
    pub(crate) standing: Standing,
    /// Bytes of the declared columns: what the row says of the source.
    pub(crate) state: &'b [u8],
    /// Bytes of the lineage columns.
    pub(crate) lineage: &'b [u8],
}

/// Takes rows of one topic apart.
pub(crate) struct Splitter {
    /// As it is written in a row.
    topic: Vec<u8>,
}

impl Splitter {
    pub(crate) fn new(topic: &str) -> Self {
        let mut written = Vec::new();
        put_string(&mut written, topic.as_bytes());
        Self { topic: written }
    }

    /// A row of a block; nothing if it does not end with the lineage of a message of the topic.
    pub(crate) fn split<'b>(
        &self,
        (id, standing, bytes): (RowId, Standing, &'b [u8]),
    ) -> Option<BlockRow<'b>> {
        let at = bytes.len().checked_sub(TOPIC + self.topic.len() + AFTER_TOPIC)?;
        let (state, lineage) = bytes.split_at_checked(at)?;
        let is_topic = lineage.get(TOPIC..)?.starts_with(&self.topic);
        is_topic.then_some(BlockRow { id, standing, state, lineage })
    }
}

impl BlockRow<'_> {
    /// Whether it belongs to the same message.
    pub(crate) fn same_message(&self, other: &Self) -> bool {
        (self.id.partition, self.id.offset) == (other.id.partition, other.id.offset)
    }

    /// +1 or −1; 0 for a row without lineage.
    pub(crate) fn sign(&self) -> i64 {
        self.lineage.get(SIGN).map_or(0, |sign| i8::from_le_bytes([*sign]).into())
    }

    /// Identity of the row's key in PostgreSQL.
    pub(crate) fn source_key(&self) -> Uuid {
        self.lineage.get(SOURCE_KEY).and_then(|bytes| bytes.try_into().ok()).map_or(Uuid::nil(), stored_uuid)
    }

    /// Position in the write-ahead log; 0 if it is not known.
    pub(crate) fn source_lsn(&self) -> u64 {
        self.lineage.get(SOURCE_LSN).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    }

    /// The lineage of another row of the same message.
    pub(crate) fn lineage_with(&self, sign: i8, ordinal: u8) -> Vec<u8> {
        let mut lineage = self.lineage.to_vec();
        if let [first, .., last] = lineage.as_mut_slice() {
            ([*first], [*last]) = (sign.to_le_bytes(), [ordinal]);
        }
        lineage
    }
}

/// A UUID as the server stores it: two halves, each little-endian.
pub(crate) fn stored_uuid(bytes: [u8; 16]) -> Uuid {
    let bits = u128::from_le_bytes(bytes);
    Uuid::from_u128(bits.rotate_left(64))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nova_pipeline::{Block as _, MessageRows};
    use nova_streams::{Cell, ColumnType, LINEAGE_COLUMNS};

    use super::*;
    use crate::RowBinaryBlock;
    use crate::encoder::Encoder;
    use crate::row_binary::{BlockColumn, BlockLayout};

    const TYPES: [&str; 9] =
        ["Int8", "UUID", "UUID", "UInt64", "UInt64", "String", "UInt32", "UInt64", "UInt8"];

    #[test]
    fn what_the_encoder_writes_is_read_back() {
        let columns = [("n", "UInt16")].into_iter().chain(LINEAGE_COLUMNS.into_iter().zip(TYPES));
        let columns = columns.map(|(name, type_text)| BlockColumn {
            name: name.to_owned(),
            type_text: type_text.to_owned(),
            encoder: Encoder::new(&ColumnType::parse(type_text).unwrap()),
        });
        let mut block =
            RowBinaryBlock::new(Arc::new(BlockLayout::new("likes".to_owned(), columns.collect())));
        let (event_id, key) =
            (Uuid::from_u128(11), Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10));
        let cells = vec![
            Cell::UInt(513),
            Cell::Int(-1),
            Cell::Uuid(event_id),
            Cell::Uuid(key),
            Cell::UInt(0x1112_1314_1516_1718),
            Cell::UInt(7),
            Cell::Text("cdc.likes".into()),
            Cell::UInt(3),
            Cell::UInt(41),
            Cell::UInt(0),
        ];
        let message = MessageRows {
            partition: 3,
            offset: 41,
            event_id,
            lsn: 0,
            standing: Standing::State { afresh: false },
            rows: &[cells],
        };
        block.push(&message).unwrap();
        let row = block.iter().next().unwrap();
        assert!(
            Splitter::new("cdc.like").split(row).is_none()
                && Splitter::new("cdc.follows").split(row).is_none()
        );
        let row = Splitter::new("cdc.likes").split(row).unwrap();
        assert_eq!(
            (row.state, row.standing, row.id),
            (
                [1, 2].as_slice(),
                Standing::State { afresh: false },
                RowId { partition: 3, offset: 41, ordinal: 0, event_id }
            )
        );
        assert_eq!((row.sign(), row.source_key(), row.source_lsn()), (-1, key, 0x1112_1314_1516_1718));
        let other = row.lineage_with(1, 200);
        assert_eq!((other[0], other[other.len() - 1]), (1, 200));
        assert_eq!(other[1..other.len() - 1], row.lineage[1..row.lineage.len() - 1]);
    }
}
