//! What a table is asked by a replay: what it has of ranges, which keys are in order, and which rows would be too many.
//!
//! Invariant: asking changes nothing, and a key is judged by all of its rows, wherever they came from.

use std::collections::{BTreeMap, BTreeSet};

use nova_pipeline::{Block as _, PipelineError, Ranges, Replayable, RowId, Standing};
use uuid::Uuid;

use crate::block_row::{BlockRow, Splitter};
use crate::contradiction::contradictions;
use crate::lineage::{answers, inside};
use crate::resolve::States;
use crate::sql::{identifier, uuids};
use crate::{ClickHouseError, RowBinaryBlock, TableSink};

impl TableSink {
    /// How many rows of these ranges the table has, by partition; one without rows is left out.
    ///
    /// # Errors
    /// By kind, as for an insert.
    pub async fn held(&self, topic: &str, ranges: &Ranges) -> Result<BTreeMap<i32, u64>, PipelineError> {
        let Some(inside) = inside(ranges) else { return Ok(BTreeMap::new()) };
        let sql = format!(
            "SELECT kafka_partition, count() FROM {} WHERE topic = {{topic:String}} AND {inside} \
             GROUP BY kafka_partition SETTINGS select_sequential_consistency = 1",
            identifier(self.layout().table())
        );
        let count = |line: &str| {
            let (partition, rows) = line.split_once('\t')?;
            Some((partition.parse().ok()?, rows.parse().ok()?))
        };
        let asked = async {
            answers(self.layout().table(), &self.client().query_text(&sql, &[("topic", topic)]).await?, count)
        };
        let found = asked.await.map_err(|error: ClickHouseError| self.unasked(topic, &error))?;
        Ok(found.into_iter().collect())
    }

    /// Those of the keys that are in order.
    async fn in_order(&self, topic: &str, keys: &BTreeSet<Uuid>) -> Result<Vec<InOrder>, ClickHouseError> {
        let (layout, mut columns) = (self.layout(), vec!["source_key".to_owned()]);
        columns.extend(layout.declared().iter().map(|column| identifier(&column.name)));
        let sql = format!(
            "SELECT source_key, sum(`nova times`), min(`nova least`), max(`nova greatest`) FROM \
             (SELECT source_key, sum(sign) AS `nova times`, min(kafka_partition) AS `nova least`, \
             max(kafka_partition) AS `nova greatest` FROM {} WHERE topic = {{topic:String}} AND source_key IN {} \
             GROUP BY {}) GROUP BY source_key HAVING countIf(`nova times` != 0) = sum(`nova times`) AND sum(`nova times`) IN (0, 1) \
             SETTINGS select_sequential_consistency = 1",
            identifier(layout.table()),
            uuids(keys),
            columns.join(", ")
        );
        answers(layout.table(), &self.client().query_text(&sql, &[("topic", topic)]).await?, in_order)
    }
}

impl Replayable for TableSink {
    async fn settled(&self, topic: &str, block: &RowBinaryBlock) -> Result<BTreeSet<RowId>, PipelineError> {
        let splitter = Splitter::new(topic);
        let states: Vec<BlockRow<'_>> = block
            .iter()
            .filter(|(_, standing, _)| matches!(standing, Standing::State { .. }))
            .filter_map(|row| splitter.split(row))
            .collect();
        let keys: BTreeSet<Uuid> = states.iter().map(BlockRow::source_key).collect();
        if keys.is_empty() {
            return Ok(BTreeSet::new());
        }
        let in_order = self.in_order(topic, &keys).await.map_err(|error| self.unasked(topic, &error))?;
        let in_order: BTreeMap<Uuid, InOrder> =
            in_order.into_iter().map(|found| (found.key, found)).collect();
        let is_settled = |row: &&BlockRow<'_>| {
            in_order.get(&row.source_key()).is_some_and(|found| found.settles(row.id.partition))
        };
        Ok(states.iter().filter(is_settled).map(|row| row.id).collect())
    }

    async fn surplus(&self, topic: &str, block: &RowBinaryBlock) -> Result<BTreeSet<RowId>, PipelineError> {
        if block.rows() == 0 {
            return Ok(BTreeSet::new());
        }
        let judged = contradictions(self.client(), self.layout(), topic, &[block], is_too_much).await;
        let left_out = judged.map_err(|error| self.unasked(topic, &error))?;
        let ids = block.iter().map(|(id, ..)| id);
        Ok(ids.filter(|id| left_out.contains(&(id.partition, id.offset))).collect())
    }
}

/// A key whose rows add up to one state, once, or to none.
#[derive(Debug, PartialEq, Eq)]
struct InOrder {
    key: Uuid,
    there: bool,
    least_partition: i32,
    greatest_partition: i32,
}

impl InOrder {
    /// Whether nothing that a snapshot read of the key, in a message of this partition, is missing.
    fn settles(&self, partition: i32) -> bool {
        self.there || (self.least_partition, self.greatest_partition) != (partition, partition)
    }
}

fn in_order(line: &str) -> Option<InOrder> {
    let mut fields = line.split('\t');
    let found = InOrder {
        key: fields.next()?.parse().ok()?,
        there: fields.next()? == "1",
        least_partition: fields.next()?.parse().ok()?,
        greatest_partition: fields.next()?.parse().ok()?,
    };
    fields.next().is_none().then_some(found)
}

/// More than one state, or one more than once. What is taken away and was not there counts for nothing: messages between may
/// be missing still.
fn is_too_much(states: &States) -> bool {
    states.values().filter(|count| **count > 0).sum::<i64>() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_state_at_most_whatever_is_missing_of_it() {
        let states = |counts: &[(u8, i64)]| -> States {
            counts.iter().map(|(state, count)| (vec![*state], *count)).collect()
        };
        for fine in [&[][..], &[(1, 1)], &[(1, 1), (2, -1)], &[(1, -3), (2, 0)]] {
            assert!(!is_too_much(&states(fine)), "{fine:?}");
        }
        for surplus in [&[(1, 2)][..], &[(1, 1), (2, 1)], &[(1, 1), (2, 1), (3, -1)]] {
            assert!(is_too_much(&states(surplus)), "{surplus:?}");
        }
    }

    #[test]
    fn a_key_that_is_gone_is_settled_by_rows_whose_order_nobody_knows() {
        let key = Uuid::from_u128(7);
        let line =
            |there, least, greatest| in_order(&format!("{key}\t{there}\t{least}\t{greatest}")).unwrap();
        assert!(line(1, 3, 3).settles(3) && line(1, 0, 9).settles(3));
        assert!(!line(0, 3, 3).settles(3), "the messages of one partition have an order");
        assert!(line(0, 3, i32::MAX).settles(3) && line(0, 2, 2).settles(3));
        for wrong in ["", "x\t1\t1\t1", &format!("{key}\t1\t1"), &format!("{key}\t1\t1\t1\t1")] {
            assert_eq!(in_order(wrong), None, "{wrong}");
        }
    }
}
