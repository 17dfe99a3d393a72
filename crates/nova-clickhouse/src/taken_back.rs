//! States that were taken back and had not come before: a table has them less than never.
//!
//! A row that a table lacks may be changed or deleted in the source; the stream then tells −1 of a state that is not
//! there. Nothing that the source holds today says so, only the sum does.
//!
//! Invariant: each such state is told with the number of rows that take its sum to 0, and nothing else is told.

use nova_pipeline::{PipelineError, RowId};
use nova_streams::{Cell, LINEAGE_COLUMNS};
use uuid::Uuid;

use crate::lineage::answers;
use crate::sql::identifier;
use crate::{RowBinaryBlock, TableSink};

/// A state whose sum is below 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// The key.
    pub source_key: Uuid,
    /// The declared columns as the table stores them.
    pub state: Vec<u8>,
    /// Rows of +1 that it lacks.
    pub lacks: u64,
    /// The state's time, in milliseconds since 1970.
    pub time_ms: i64,
}

impl TakenBack {
    /// Appends a row of +1 of this state; `lsn` and `transaction` are where it stands in the source.
    ///
    /// # Errors
    /// Lineage that the table's columns do not hold.
    pub fn push(
        &self,
        block: &mut RowBinaryBlock,
        topic: &str,
        id: RowId,
        (lsn, transaction): (u64, u64),
    ) -> Result<(), PipelineError> {
        let lineage = LINEAGE_COLUMNS.map(|name| match name {
            "sign" => Cell::Int(1),
            "event_id" => Cell::Uuid(id.event_id),
            "source_key" => Cell::Uuid(self.source_key),
            "source_lsn" => Cell::UInt(lsn),
            "source_tx" => Cell::UInt(transaction),
            "topic" => Cell::Text(topic.into()),
            "kafka_partition" => Cell::UInt(id.partition.unsigned_abs().into()),
            "kafka_offset" => Cell::UInt(id.offset.unsigned_abs()),
            _ => Cell::UInt(id.ordinal.into()),
        });
        block.append_state(id, &self.state, &lineage)
    }
}

impl TableSink {
    /// Some of the states of `topic`, at most `most`, whose sum over the rows that satisfy `condition` is below 0.
    /// `condition` must not tell rows of one state apart; `time_ms` is the expression of a row's time in milliseconds.
    ///
    /// # Errors
    /// By kind, as for a question of [`nova_pipeline::Sink`].
    pub async fn taken_back(
        &self,
        topic: &str,
        condition: &str,
        time_ms: &str,
        most: usize,
    ) -> Result<Vec<TakenBack>, PipelineError> {
        let table = identifier(self.layout().table());
        let declared: Vec<String> =
            self.layout().declared().iter().map(|column| identifier(&column.name)).collect();
        let rows = format!("{table} WHERE topic = {{topic:String}} AND {condition}");
        let sql = format!(
            "SELECT source_key, hex(formatRow('RowBinary', {})) AS nova_state, -sum(sign), min({time_ms}) FROM {rows} \
             AND source_key IN (SELECT source_key FROM {rows} AND sign < 0) \
             GROUP BY source_key, nova_state HAVING sum(sign) < 0 ORDER BY source_key, nova_state LIMIT {most} \
             SETTINGS select_sequential_consistency = 1",
            declared.join(", ")
        );
        let asked = async {
            let text = self.client().query_text(&sql, &[("topic", topic)]).await?;
            answers(&table, &text, taken_back)
        };
        asked.await.map_err(|error| self.unasked(topic, &error))
    }
}

fn taken_back(line: &str) -> Option<TakenBack> {
    let mut fields = line.split('\t');
    let source_key = fields.next()?.parse().ok()?;
    let (pairs, rest) = fields.next()?.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let state = pairs.iter().map(byte).collect::<Option<_>>()?;
    let (lacks, time_ms) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let is_whole = rest.is_empty() && fields.next().is_none();
    is_whole.then_some(TakenBack { source_key, state, lacks, time_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let id = Uuid::from_u128(7);
        let found = TakenBack { source_key: id, state: vec![0, 255], lacks: 2, time_ms: -5 };
        assert_eq!(taken_back(&format!("{id}\t00FF\t2\t-5")), Some(found));
        for wrong in [
            "",
            "x\t00\t1\t1",
            &format!("{id}\t0\t1\t1"),
            &format!("{id}\t00\t-1\t1"),
            &format!("{id}\t00\t1"),
        ] {
            assert_eq!(taken_back(wrong), None, "{wrong}");
        }
    }
}
