//! What a replay asks of a table, answered by one in memory.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{FakeBlock, FakeRow, FakeSink};
use crate::{PipelineError, Replayable, RowId, Standing};

impl Replayable for FakeSink {
    async fn settled(&self, _topic: &str, block: &FakeBlock) -> Result<BTreeSet<RowId>, PipelineError> {
        self.world.note("settled");
        let table = self.world.rows();
        let is_settled = |row: &&FakeRow| {
            let elsewhere = |other: &&FakeRow| other.key == row.key && other.id.partition != row.id.partition;
            let counts: Vec<i64> =
                states(&table, row.key).into_values().filter(|count| *count != 0).collect();
            let settled = match counts[..] {
                [] => table.iter().any(|other| elsewhere(&other)),
                [count] => count == 1,
                _ => false,
            };
            settled && matches!(row.standing, Standing::State { .. })
        };
        Ok(block.0.iter().filter(is_settled).map(|row| row.id).collect())
    }

    async fn surplus(&self, _topic: &str, block: &FakeBlock) -> Result<BTreeSet<RowId>, PipelineError> {
        let all = [self.world.rows(), block.0.clone()].concat();
        let too_many =
            |row: &&FakeRow| states(&all, row.key).into_values().filter(|count| *count > 0).sum::<i64>() > 1;
        let message = |row: &FakeRow| (row.id.partition, row.id.offset);
        let left_out: BTreeSet<_> = block.0.iter().filter(too_many).map(message).collect();
        Ok(block.0.iter().filter(|row| left_out.contains(&message(row))).map(|row| row.id).collect())
    }
}

fn states(rows: &[FakeRow], key: Uuid) -> BTreeMap<i64, i64> {
    let mut states = BTreeMap::new();
    for row in rows.iter().filter(|row| row.key == key) {
        *states.entry(row.value).or_default() += row.sign;
    }
    states
}
