//! What a table has of states that were read from the source, as of one snapshot of it.
//!
//! Invariant: a row is handed back for writing only if the table has no state of its key among the rows that the
//! snapshot sees. A key with any other state than the one that was read is named, and its rows are not handed back.

use std::collections::{BTreeSet, HashMap};

use nova_pipeline::{ErrorKind, PipelineError};
use uuid::Uuid;

use crate::block_row::{BlockRow, Splitter};
use crate::history::{StateLine, states_of};
use crate::resolve::States;
use crate::{ClickHouseError, RowBinaryBlock, TableSink};

/// How the table stands to the rows of a block, each a state of its key.
#[derive(Debug)]
pub struct Known {
    /// The rows of the keys of which the table has no state.
    pub lacking: RowBinaryBlock,
    /// Rows that the table has.
    pub there: u64,
    /// Keys that the table has otherwise: in another state, in several, or in the right one more than once.
    pub differing: BTreeSet<Uuid>,
}

/// How a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Lacking,
    There,
    Differing,
}

impl TableSink {
    /// Holds the states of `block`, all of `topic`, against those rows of the table that satisfy `visible`, a condition on
    /// its columns.
    ///
    /// `near` is a further condition, by which most of the states are found quickly; what is not found there as it should be
    /// is looked for in the whole table.
    ///
    /// # Errors
    /// By kind, as for a question of [`nova_pipeline::Sink`].
    pub async fn known(
        &self,
        topic: &str,
        block: &RowBinaryBlock,
        visible: &str,
        near: &str,
    ) -> Result<Known, PipelineError> {
        let splitter = Splitter::new(topic);
        let rows: Option<Vec<BlockRow<'_>>> = block.iter().map(|row| splitter.split(row)).collect();
        let rows = rows.filter(|_| block.layout().has_lineage()).ok_or_else(|| {
            let message = format!(
                "table `{}`: rows without the lineage of {topic} have no state of a key",
                block.layout().table()
            );
            PipelineError::new(ErrorKind::Misconfigured, message)
        })?;
        let mut wanted: HashMap<Uuid, States> = HashMap::new();
        for row in &rows {
            *wanted.entry(row.source_key()).or_default().entry(row.state.to_vec()).or_default() += row.sign();
        }
        let mut held_by_key = HashMap::with_capacity(wanted.len());
        for condition in [format!(" AND {visible} AND {near}"), format!(" AND {visible}")] {
            let unsettled = |key: &&Uuid| held_by_key.get(*key) != Some(&Held::There);
            let keys: BTreeSet<Uuid> = wanted.keys().filter(unsettled).copied().collect();
            let found =
                self.found(topic, &keys, &condition).await.map_err(|error| self.unasked(topic, &error))?;
            held_by_key.extend(keys.iter().map(|key| (*key, held(wanted.get(key), found.get(key)))));
        }
        let of = |key: Uuid| held_by_key.get(&key).copied().unwrap_or(Held::Differing);
        let mut known = Known {
            lacking: RowBinaryBlock::new(block.layout().clone()),
            there: 0,
            differing: BTreeSet::new(),
        };
        for row in &rows {
            match of(row.source_key()) {
                Held::Lacking => known.lacking.append(row.id, row.standing, row.state, row.lineage),
                Held::There => known.there += 1,
                Held::Differing => {
                    known.differing.insert(row.source_key());
                }
            }
        }
        Ok(known)
    }

    async fn found(
        &self,
        topic: &str,
        keys: &BTreeSet<Uuid>,
        condition: &str,
    ) -> Result<HashMap<Uuid, States>, ClickHouseError> {
        let mut found: HashMap<Uuid, States> = HashMap::new();
        if keys.is_empty() {
            return Ok(found);
        }
        for StateLine { key, state, count, .. } in
            states_of(self.client(), self.layout(), topic, keys, condition, None).await?
        {
            *found.entry(key).or_default().entry(state).or_default() += count;
        }
        Ok(found)
    }
}

/// `found` holds no state whose count is 0.
fn held(wanted: Option<&States>, found: Option<&States>) -> Held {
    match (wanted, found) {
        (_, None) => Held::Lacking,
        (wanted, found) if wanted == found => Held::There,
        _ => Held::Differing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lacks_its_state_only_if_it_has_none() {
        let states =
            |counts: &[(u8, i64)]| counts.iter().map(|(state, count)| (vec![*state], *count)).collect();
        let wanted: States = states(&[(1, 1)]);
        assert_eq!(held(Some(&wanted), None), Held::Lacking);
        assert_eq!(held(Some(&wanted), Some(&states(&[(1, 1)]))), Held::There);
        for other in [&[(1, 2)][..], &[(1, -1)], &[(2, 1)], &[(1, 1), (2, 1)]] {
            assert_eq!(held(Some(&wanted), Some(&states(other))), Held::Differing, "{other:?}");
        }
    }
}
