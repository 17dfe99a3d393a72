//! Whether rows that come late still fit: each key has one state, or none.
//!
//! A message that was put aside is missing from its key's sum. Meanwhile a snapshot may have made good what it tells, and
//! nothing in the table says so; then its rows would count twice. What does show it is the sum that they would lead to.
//!
//! Invariant: asking changes nothing, and the messages of a key are judged together: of an insert and an update that were
//! both put aside, each alone would be a contradiction.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use crate::block_row::{BlockRow, Splitter};
use crate::history::{StateLine, states_of};
use crate::resolve::States;
use crate::row_binary::BlockLayout;
use crate::{ClickHouseError, Client, RowBinaryBlock};

/// Partition and offset of each message whose key would be `improper` with the rows of the blocks.
pub(crate) async fn contradictions(
    client: &Client,
    layout: &BlockLayout,
    topic: &str,
    blocks: &[&RowBinaryBlock],
    improper: fn(&States) -> bool,
) -> Result<BTreeSet<(i32, i64)>, ClickHouseError> {
    let splitter = Splitter::new(topic);
    let rows: Vec<BlockRow<'_>> =
        blocks.iter().flat_map(|block| block.iter()).filter_map(|row| splitter.split(row)).collect();
    let keys: BTreeSet<Uuid> = rows.iter().map(BlockRow::source_key).collect();
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut states: HashMap<Uuid, States> = HashMap::new();
    for StateLine { key, state, count, .. } in states_of(client, layout, topic, &keys, "", None).await? {
        *states.entry(key).or_default().entry(state).or_default() += count;
    }
    for row in &rows {
        *states.entry(row.source_key()).or_default().entry(row.state.to_vec()).or_default() += row.sign();
    }
    let is_improper = |row: &&BlockRow<'_>| states.get(&row.source_key()).is_some_and(improper);
    Ok(rows.iter().filter(is_improper).map(|row| (row.id.partition, row.id.offset)).collect())
}

/// Anything but one state, once, or none.
pub(crate) fn is_improper(states: &States) -> bool {
    let mut left = states.values().filter(|count| **count != 0);
    !matches!((left.next(), left.next()), (None | Some(1), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_state_or_none() {
        let states = |counts: &[(u8, i64)]| -> States {
            counts.iter().map(|(state, count)| (vec![*state], *count)).collect()
        };
        for proper in [&[][..], &[(1, 1)], &[(1, 0)], &[(1, 0), (2, 1), (3, 0)]] {
            assert!(!is_improper(&states(proper)), "{proper:?}");
        }
        for improper in [&[(1, 2)][..], &[(1, -1)], &[(1, 1), (2, 1)], &[(1, -1), (2, 2)]] {
            assert!(is_improper(&states(improper)), "{improper:?}");
        }
    }
}
