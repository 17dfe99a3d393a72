//! What a table has of a topic, row by row and byte by byte: the questions by which an audit compares.
//!
//! Invariant: rows are compared as bytes. The server writes a stored row with `formatRow('RowBinary', …)`, and these are
//! the bytes that the encoder writes for the same row; a test compares them for every type. Values become text only for
//! people, and then it is the server that writes them.

use std::ops::{Range, RangeInclusive};

use bytes::{Buf as _, Bytes};
use nova_pipeline::{ErrorKind, PipelineError, REPAIR_PARTITION, Ranges, RowId, Standing};
use uuid::Uuid;

use crate::block_row::{BlockRow, Splitter, stored_uuid};
use crate::lineage::{answers, inside};
use crate::row_binary::BlockColumn;
use crate::sql::{identifier, literal_content};
use crate::{ClickHouseError, RowBinaryBlock, TableSink};

/// Rows in one question for their text.
const TEXTS: usize = 500;
/// Messages named of an event that several messages have rows of.
const PLACES: usize = 100;

/// A row of a block, as a table would store it.
#[derive(Debug, Clone, Copy)]
pub struct PlainRow<'b> {
    /// Its lineage.
    pub id: RowId,
    /// What its message says.
    pub standing: Standing,
    /// Identity of its key in PostgreSQL.
    pub source_key: Uuid,
    /// Position of its change in the write-ahead log; 0 if it is not known.
    pub source_lsn: u64,
    /// All its columns.
    pub bytes: &'b [u8],
    /// Where in `bytes` the event's identity stands.
    pub event_at: usize,
}

/// Rows of a table that are equal in every column that a stream writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// The offset of their message.
    pub offset: i64,
    /// Which of the message's rows.
    pub ordinal: u8,
    /// The event that they tell.
    pub event_id: Uuid,
    /// How many they are.
    pub times: u64,
    /// The bytes of one of them, as the encoder would write them.
    pub bytes: Bytes,
}

/// An event of which several messages have rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldTwice {
    /// The event.
    pub event_id: Uuid,
    /// Partition and offset of its messages, ascending; at most a hundred.
    pub places: Vec<(i32, i64)>,
}

impl RowBinaryBlock {
    /// The rows, in the order in which they were pushed.
    ///
    /// # Errors
    /// Rows without the lineage of a message of `topic`.
    pub fn plain(&self, topic: &str) -> Result<Vec<PlainRow<'_>>, PipelineError> {
        let splitter = Splitter::new(topic);
        let plain = |row: (RowId, Standing, _)| {
            let bytes = row.2;
            let split: BlockRow<'_> = splitter.split(row)?;
            let (source_key, source_lsn) = (split.source_key(), split.source_lsn());
            let BlockRow { id, standing, state, .. } = split;
            Some(PlainRow { id, standing, source_key, source_lsn, bytes, event_at: state.len() + 1 })
        };
        self.iter().map(plain).collect::<Option<_>>().ok_or_else(|| {
            let message =
                format!("table `{}`: a row lacks the lineage of a message of {topic}", self.layout().table());
            PipelineError::new(ErrorKind::Misconfigured, message)
        })
    }

    /// The same rows without those for which `standing` answers nothing; the others stand as it says.
    #[must_use]
    pub fn standing(&self, standing: impl Fn(RowId) -> Option<Standing>) -> Self {
        let mut block = Self::new(self.layout().clone());
        for (id, _, bytes) in self.iter() {
            if let Some(standing) = standing(id) {
                block.append(id, standing, bytes, &[]);
            }
        }
        block
    }
}

impl TableSink {
    /// The rows of these offsets of a partition, repair's not among them; ascending by offset and ordinal.
    ///
    /// # Errors
    /// By kind, as for an insert.
    pub async fn stored(
        &self,
        topic: &str,
        partition: i32,
        offsets: Range<i64>,
    ) -> Result<Vec<StoredRow>, PipelineError> {
        let columns: Vec<String> = self.columns().iter().map(|column| identifier(&column.name)).collect();
        let Some(inside) = inside(&of(partition, offsets)) else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT kafka_offset, ordinal, event_id, count(), formatRow('RowBinary', {}) AS bytes FROM {} \
             WHERE topic = {{topic:String}} AND {inside} GROUP BY kafka_offset, ordinal, event_id, bytes \
             ORDER BY kafka_offset, ordinal SETTINGS select_sequential_consistency = 1",
            columns.join(", "),
            self.table()
        );
        let answer = self.client().query_binary(&sql, &[("topic", topic)]).await;
        let mut answer = answer.map_err(|error| self.unasked(topic, &error))?;
        let mut rows = Vec::new();
        while answer.has_remaining() {
            let row = stored_row(&mut answer).ok_or_else(|| {
                self.unasked(topic, &self.client().unreadable("rows that end in the middle".to_owned()))
            })?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// The events that have rows at these offsets of a partition, and rows of another message, too; of those whose
    /// position in the write-ahead log is among `lsns`. Repairs aside.
    ///
    /// # Errors
    /// By kind, as for an insert.
    pub async fn told_twice(
        &self,
        topic: &str,
        partition: i32,
        offsets: Range<i64>,
        lsns: RangeInclusive<u64>,
    ) -> Result<Vec<ToldTwice>, PipelineError> {
        let Some(inside) = inside(&of(partition, offsets)) else { return Ok(Vec::new()) };
        let table = self.table();
        // A change has the same position in the write-ahead log in all of its messages: the index on it leaves little
        // to read.
        let change =
            format!("topic = {{topic:String}} AND source_lsn BETWEEN {} AND {}", lsns.start(), lsns.end());
        let sql = format!(
            "SELECT event_id, arrayStringConcat(arrayMap(place -> concat(toString(place.1), '/', toString(place.2)), places), ',') \
             FROM (SELECT event_id, arraySort(groupUniqArray({PLACES})((kafka_partition, kafka_offset))) AS places \
             FROM {table} WHERE {change} AND kafka_partition != {REPAIR_PARTITION} \
             AND event_id IN (SELECT event_id FROM {table} WHERE {change} AND {inside}) \
             GROUP BY event_id) WHERE length(places) > 1 ORDER BY event_id \
             SETTINGS select_sequential_consistency = 1",
        );
        let asked = async {
            let text = self.client().query_text(&sql, &[("topic", topic)]).await?;
            answers(&table, &text, told_twice)
        };
        asked.await.map_err(|error| self.unasked(topic, &error))
    }

    /// How many rows of `topic` the table has, by partition, ascending; and the least offset of them.
    ///
    /// # Errors
    /// By kind, as for an insert.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<(u32, u64, i64)>, PipelineError> {
        let sql = format!(
            "SELECT kafka_partition, count(), min(kafka_offset) FROM {} WHERE topic = {{topic:String}} \
             GROUP BY kafka_partition ORDER BY kafka_partition SETTINGS select_sequential_consistency = 1",
            self.table()
        );
        let asked = async {
            let text = self.client().query_text(&sql, &[("topic", topic)]).await?;
            answers(&self.table(), &text, |line| {
                let mut fields = line.split('\t');
                let of_partition = (
                    fields.next()?.parse().ok()?,
                    fields.next()?.parse().ok()?,
                    fields.next()?.parse().ok()?,
                );
                fields.next().is_none().then_some(of_partition)
            })
        };
        asked.await.map_err(|error| self.unasked(topic, &error))
    }

    /// The columns of these rows as the server writes them, by name, in the order of a row's bytes.
    ///
    /// # Errors
    /// By kind, as for an insert.
    pub async fn texts(&self, rows: &[&[u8]]) -> Result<Vec<Vec<(String, Option<String>)>>, PipelineError> {
        let mut texts = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(TEXTS) {
            let asked = async {
                let text = self.client().query_text(&self.in_words(chunk), &[]).await?;
                answers(&self.table(), &text, |line| serde_json::from_str::<Vec<Option<String>>>(line).ok())
            };
            let found = asked.await.map_err(|error: ClickHouseError| self.unasked("any topic", &error))?;
            for values in found {
                let names = self.columns().iter().map(|column| column.name.clone());
                texts.push(names.zip(values).collect());
            }
        }
        Ok(texts)
    }

    fn in_words(&self, rows: &[&[u8]]) -> String {
        let columns = self.columns();
        let structure: Vec<String> = columns
            .iter()
            .map(|column| format!("{} {}", identifier(&column.name), column.type_text))
            .collect();
        let values: Vec<String> =
            columns.iter().map(|column| format!("toString({})", identifier(&column.name))).collect();
        let mut data = String::new();
        for byte in rows.iter().flat_map(|row| row.iter()) {
            data.push_str("\\x");
            data.extend(
                [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')),
            );
        }
        format!(
            "SELECT {} FROM format('RowBinary', '{}', '{data}') \
             SETTINGS output_format_json_validate_utf8 = 1, max_threads = 1 FORMAT JSONCompactEachRow",
            values.join(", "),
            literal_content(&structure.join(", "))
        )
    }

    fn columns(&self) -> &[BlockColumn] {
        self.layout().columns()
    }

    fn table(&self) -> String {
        identifier(self.layout().table())
    }
}

fn of(partition: i32, offsets: Range<i64>) -> Ranges {
    [(partition, offsets)].into_iter().filter(|(_, range)| !range.is_empty()).collect()
}

/// Offset, ordinal, event, count and a string, as `RowBinary` has them.
fn stored_row(answer: &mut Bytes) -> Option<StoredRow> {
    let offset = i64::try_from(answer.try_get_u64_le().ok()?).ok()?;
    let ordinal = answer.try_get_u8().ok()?;
    let event_id = stored_uuid(answer.try_get_u128_le().ok()?.to_le_bytes());
    let times = answer.try_get_u64_le().ok()?;
    let length = length(answer)?;
    (answer.len() >= length).then(|| StoredRow {
        offset,
        ordinal,
        event_id,
        times,
        bytes: answer.split_to(length),
    })
}

/// An unsigned LEB128 number.
fn length(answer: &mut Bytes) -> Option<usize> {
    let mut length = 0u64;
    for shift in (0..=63).step_by(7) {
        let byte = answer.try_get_u8().ok()?;
        length |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return usize::try_from(length).ok();
        }
    }
    None
}

fn told_twice(line: &str) -> Option<ToldTwice> {
    let mut fields = line.split('\t');
    let event_id = fields.next()?.parse().ok()?;
    let place = |text: &str| {
        let (partition, offset) = text.split_once('/')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    let places = fields.next()?.split(',').map(place).collect::<Option<_>>()?;
    fields.next().is_none().then_some(ToldTwice { event_id, places })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_whole_or_not_at_all() {
        let mut whole = Vec::new();
        whole.extend(41u64.to_le_bytes());
        whole.push(3);
        whole.extend(7u64.to_le_bytes());
        whole.extend(9u64.to_le_bytes());
        whole.extend(2u64.to_le_bytes());
        whole.extend([0x82, 0x01]);
        whole.extend([5; 130]);
        let mut answer = Bytes::from(whole.clone());
        let row = stored_row(&mut answer).unwrap();
        assert_eq!((row.offset, row.ordinal, row.times, row.bytes.len()), (41, 3, 2, 130));
        assert_eq!((row.event_id, answer.len()), (Uuid::from_u64_pair(7, 9), 0));
        for cut in [0, 7, 8, 20, 33, 34, 35, whole.len() - 1] {
            assert_eq!(stored_row(&mut Bytes::copy_from_slice(&whole[..cut])), None, "{cut}");
        }
        assert_eq!(length(&mut Bytes::from_static(&[0xff; 12])), None);
    }

    #[test]
    fn places_are_read_all_or_none() {
        let id = Uuid::from_u128(5);
        let told = ToldTwice { event_id: id, places: vec![(0, 4), (3, 2)] };
        assert_eq!(told_twice(&format!("{id}\t0/4,3/2")), Some(told));
        for wrong in ["", "x\t0/1", &format!("{id}\t0/x"), &format!("{id}\t0")] {
            assert_eq!(told_twice(wrong), None, "{wrong}");
        }
    }
}
