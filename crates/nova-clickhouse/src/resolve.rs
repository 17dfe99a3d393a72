//! What remains of a block once it is known what the table has of other messages.
//!
//! Messages are taken in the order of the topic, by partition and offset, so that the answer depends on nothing else.
//! A doubted change whose event the table has, or that a message before it brings, is left out. A state that a
//! snapshot read becomes the difference to the state that the table and the block have for its key until then:
//! nothing, or rows of -1 for what is no longer so and +1 for what is.
//!
//! Invariant: pure. The same block and the same history give the same rows with the same lineage, so a batch that is
//! formed again is the batch that it was.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use nova_pipeline::{ErrorKind, PipelineError, Resolved, RowId, Standing};
use uuid::Uuid;

use crate::RowBinaryBlock;
use crate::block_row::{BlockRow, Splitter};

/// How often a key has each state, by the bytes of the declared columns.
pub(crate) type States = BTreeMap<Vec<u8>, i64>;

/// What the table has of other messages.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Those of the doubted events that it has.
    pub(crate) events: HashSet<Uuid>,
    /// The states of the keys that snapshots read.
    pub(crate) states: HashMap<Uuid, States>,
}

/// A block's rows in the order of the topic, and which of them are in doubt.
pub(crate) struct Doubts<'b> {
    block: &'b RowBinaryBlock,
    rows: Vec<BlockRow<'b>>,
    all: bool,
}

impl<'b> Doubts<'b> {
    /// `all`: changes that stand as new are doubted, too.
    ///
    /// # Errors
    /// Rows without the lineage of a message of `topic`.
    pub(crate) fn of(block: &'b RowBinaryBlock, topic: &str, all: bool) -> Result<Self, PipelineError> {
        let splitter = Splitter::new(topic);
        let rows: Option<Vec<_>> = block.iter().map(|row| splitter.split(row)).collect();
        let Some(mut rows) = rows.filter(|_| block.layout().has_lineage()) else {
            let table = block.layout().table();
            let message =
                format!("table `{table}`: rows without the lineage of {topic} cannot be told from repeats");
            return Err(PipelineError::new(ErrorKind::Misconfigured, message));
        };
        rows.sort_by_key(|row| row.id);
        Ok(Self { block, rows, all })
    }

    fn is_doubted(&self, row: &BlockRow<'_>) -> bool {
        match row.standing {
            Standing::New => self.all,
            Standing::Doubtful => true,
            Standing::State { .. } => false,
        }
    }

    /// The doubted changes' events, and the least and the greatest of their positions in the source. A change whose
    /// message does not say its position (0) may have any.
    pub(crate) fn events(&self) -> Option<(BTreeSet<Uuid>, u64, u64)> {
        let doubted = || self.rows.iter().filter(|row| self.is_doubted(row));
        let lsn = || doubted().map(BlockRow::source_lsn);
        let (least, greatest) = (lsn().min()?, lsn().max()?);
        let greatest = if least == 0 { u64::MAX } else { greatest };
        Some((doubted().map(|row| row.id.event_id).collect(), least, greatest))
    }

    /// The rows that snapshots read.
    pub(crate) fn states(&self) -> impl Iterator<Item = &BlockRow<'b>> {
        self.rows.iter().filter(|row| matches!(row.standing, Standing::State { .. }))
    }

    /// Whether the partition's offsets say nothing about the order of the table's rows.
    pub(crate) fn is_afresh(&self, partition: i32) -> bool {
        let afresh = Standing::State { afresh: true };
        self.rows.iter().any(|row| row.id.partition == partition && row.standing == afresh)
    }

    /// Whether the message of this partition, offset and event is one of the block's.
    pub(crate) fn has(&self, (partition, offset, event_id): (i32, i64, Uuid)) -> bool {
        let found =
            self.rows.binary_search_by_key(&(partition, offset), |row| (row.id.partition, row.id.offset));
        found.ok().and_then(|at| self.rows.get(at)).is_some_and(|row| row.id.event_id == event_id)
    }

    /// Resolves the doubts.
    ///
    /// # Errors
    /// A key whose state differs by more rows than one message can have.
    pub(crate) fn resolve(&self, history: History) -> Result<Resolved<RowBinaryBlock>, PipelineError> {
        let History { mut events, mut states } = history;
        let is_new = |row: &&BlockRow<'_>| row.standing == Standing::New && !self.all;
        events.extend(self.rows.iter().filter(is_new).map(|row| row.id.event_id));
        for row in self.states() {
            states.entry(row.source_key()).or_default();
        }
        let block = RowBinaryBlock::new(Arc::clone(self.block.layout()));
        let mut resolved = Resolved { block, repeated: 0, known: 0 };
        for message in self.rows.chunk_by(BlockRow::same_message) {
            let Some(first) = message.first() else { continue };
            if matches!(first.standing, Standing::State { .. }) {
                let state = states.entry(first.source_key()).or_default();
                self.add_state(&mut resolved, message, state)?;
            } else if self.is_doubted(first) && !events.insert(first.id.event_id) {
                resolved.repeated += 1;
            } else {
                for row in message {
                    if let Some(state) = states.get_mut(&row.source_key()) {
                        *state.entry(row.state.to_vec()).or_default() += row.sign();
                    }
                    resolved.block.append(row.id, Standing::New, row.state, row.lineage);
                }
            }
        }
        Ok(resolved)
    }

    /// Adds the difference between what a snapshot read and the state before it, which it then replaces.
    fn add_state(
        &self,
        resolved: &mut Resolved<RowBinaryBlock>,
        message: &[BlockRow<'_>],
        state: &mut States,
    ) -> Result<(), PipelineError> {
        let mut target = States::new();
        for row in message {
            *target.entry(row.state.to_vec()).or_default() += row.sign();
        }
        let Some(first) = message.first() else { return Ok(()) };
        let mut differences = target.clone();
        for (bytes, count) in std::mem::replace(state, target) {
            *differences.entry(bytes).or_default() -= count;
        }
        differences.retain(|_, count| *count != 0);
        resolved.known += u64::from(differences.is_empty());
        let (gone, come): (Vec<_>, Vec<_>) = differences.iter().partition(|(_, count)| **count < 0);
        let mut ordinals = 0..=u8::MAX;
        for (bytes, count) in gone.into_iter().chain(come) {
            let sign = if *count < 0 { -1 } else { 1 };
            for _ in 0..count.unsigned_abs() {
                let ordinal = ordinals.next().ok_or_else(|| self.too_many(first))?;
                let id = RowId { ordinal, ..first.id };
                resolved.block.append(id, Standing::New, bytes, &first.lineage_with(sign, ordinal));
            }
        }
        Ok(())
    }

    fn too_many(&self, row: &BlockRow<'_>) -> PipelineError {
        let (table, key) = (self.block.layout().table(), row.source_key());
        let RowId { partition, offset, .. } = row.id;
        let message = format!(
            "table `{table}`: the state of source_key {key} differs by more than 256 rows from what the snapshot read in \
             partition {partition}, offset {offset}, and one message cannot make that many; look at \
             `SELECT * FROM {table} WHERE source_key = '{key}'` and remove what does not belong there",
        );
        PipelineError::new(ErrorKind::Unknown, message)
    }
}

#[cfg(test)]
mod tests {
    use nova_pipeline::{Block as _, MessageRows};
    use nova_streams::{Cell, ColumnType, LINEAGE_COLUMNS};

    use super::*;
    use crate::encoder::Encoder;
    use crate::row_binary::{BlockColumn, BlockLayout};

    const TYPES: [&str; 10] =
        ["UInt8", "Int8", "UUID", "UUID", "UInt64", "UInt64", "String", "UInt32", "UInt64", "UInt8"];

    /// Partition, offset, event, what the message says, and its rows: sign, key, value.
    type Message<'m> = (i32, i64, u128, Standing, &'m [(i64, u128, u64)]);

    const READ: Standing = Standing::State { afresh: false };

    fn block(messages: &[Message<'_>]) -> RowBinaryBlock {
        let names = std::iter::once("value").chain(LINEAGE_COLUMNS);
        let columns = names.zip(TYPES).map(|(name, type_text)| BlockColumn {
            name: name.to_owned(),
            type_text: type_text.to_owned(),
            encoder: Encoder::new(&ColumnType::parse(type_text).unwrap()),
        });
        let layout = BlockLayout::new("likes".to_owned(), columns.collect());
        let mut block = RowBinaryBlock::new(Arc::new(layout));
        for &(partition, offset, event, standing, rows) in messages {
            let (event_id, lsn) = (Uuid::from_u128(event), u64::try_from(event).unwrap());
            let cells = |&(sign, key, value): &(i64, u128, u64)| {
                let mut row = vec![Cell::UInt(value), Cell::Int(sign), Cell::Uuid(event_id)];
                row.extend([Cell::Uuid(Uuid::from_u128(key)), Cell::UInt(lsn), Cell::UInt(0)]);
                row.extend([Cell::Text("t".into()), Cell::UInt(0), Cell::UInt(0), Cell::UInt(0)]);
                row
            };
            let rows: Vec<_> = rows.iter().map(cells).collect();
            block.push(&MessageRows { partition, offset, event_id, lsn, standing, rows: &rows }).unwrap();
        }
        block
    }

    /// Offset, ordinal, sign and value.
    type Remains = (i64, u8, i64, u8);

    /// The rows that remain; then messages repeated and known.
    fn resolved(messages: &[Message<'_>], all: bool, history: History) -> (Vec<Remains>, u64, u64) {
        let block = block(messages);
        let Resolved { block, repeated, known } =
            Doubts::of(&block, "t", all).unwrap().resolve(history).unwrap();
        let splitter = Splitter::new("t");
        let row = |row: BlockRow<'_>| (row.id.offset, row.id.ordinal, row.sign(), row.state[0]);
        let rows = block.iter().map(|found| row(splitter.split(found).unwrap())).collect();
        (rows, repeated, known)
    }

    fn states(key: u128, states: &[(u8, i64)]) -> History {
        let states = states.iter().map(|(value, count)| (vec![*value], *count)).collect();
        History { states: HashMap::from([(Uuid::from_u128(key), states)]), ..History::default() }
    }

    #[test]
    fn a_doubted_change_counts_once_and_the_first_in_the_topic_is_kept() {
        let one: &[_] = &[(1, 7, 1)];
        let messages = [
            (1, 5, 11, Standing::Doubtful, one),
            (0, 9, 11, Standing::Doubtful, one),
            (0, 3, 12, Standing::Doubtful, one),
            (0, 4, 13, Standing::New, one),
            (0, 8, 13, Standing::Doubtful, one),
        ];
        let history = || History { events: HashSet::from([Uuid::from_u128(12)]), ..History::default() };
        assert_eq!(resolved(&messages, false, history()), (vec![(4, 0, 1, 1), (9, 0, 1, 1)], 3, 0));
        // A new one is never dropped for a doubtful one, even one that the topic has before it.
        let crossed = [(0, 1, 11, Standing::Doubtful, one), (1, 1, 11, Standing::New, one)];
        assert_eq!(resolved(&crossed, false, History::default()), (vec![(1, 0, 1, 1)], 1, 0));
        let known_new = [(0, 4, 12, Standing::New, one)];
        assert_eq!(resolved(&known_new, false, history()).1, 0);
        assert_eq!(resolved(&known_new, true, history()).1, 1);
    }

    #[test]
    fn a_state_becomes_the_difference_to_what_is_before_it() {
        let read: Message<'_> = (0, 5, 1, READ, &[(1, 7, 9)]);
        assert_eq!(resolved(&[read], false, History::default()), (vec![(5, 0, 1, 9)], 0, 0));
        assert_eq!(resolved(&[read], false, states(7, &[(9, 1)])), (vec![], 0, 1));
        let rows = vec![(5, 0, -1, 2), (5, 1, -1, 2), (5, 2, 1, 3), (5, 3, 1, 9)];
        assert_eq!(resolved(&[read], false, states(7, &[(2, 2), (3, -1)])), (rows, 0, 0));
        let change: Message<'_> = (0, 4, 2, Standing::New, &[(-1, 7, 2), (1, 7, 9)]);
        let rows = vec![(4, 0, -1, 2), (4, 1, 1, 9)];
        assert_eq!(resolved(&[read, change], false, states(7, &[(2, 1)])), (rows, 0, 1));
        // A repeat before it does not count: the table's state holds it already.
        let repeat: Message<'_> = (0, 4, 2, Standing::Doubtful, &[(-1, 7, 2), (1, 7, 9)]);
        let history = History { events: HashSet::from([Uuid::from_u128(2)]), ..states(7, &[(9, 1)]) };
        assert_eq!(resolved(&[repeat, read], false, history), (vec![], 1, 1));
    }

    #[test]
    fn what_is_asked_for_is_what_is_in_doubt() {
        let one: &[_] = &[(1, 7, 1)];
        let block = block(&[
            (0, 1, 30, Standing::Doubtful, one),
            (0, 2, 20, Standing::New, one),
            (1, 2, 10, Standing::State { afresh: true }, &[(1, 8, 1)]),
        ]);
        let events =
            |events: &[u128]| events.iter().map(|event| Uuid::from_u128(*event)).collect::<BTreeSet<_>>();
        let doubts = Doubts::of(&block, "t", false).unwrap();
        assert_eq!(doubts.events(), Some((events(&[30]), 30, 30)));
        assert_eq!(doubts.states().map(BlockRow::source_key).collect::<Vec<_>>(), [Uuid::from_u128(8)]);
        assert_eq!((doubts.is_afresh(0), doubts.is_afresh(1)), (false, true));
        let event = Uuid::from_u128(20);
        assert!(doubts.has((0, 2, event)) && !doubts.has((0, 1, event)) && !doubts.has((1, 2, event)));
        assert_eq!(Doubts::of(&block, "t", true).unwrap().events(), Some((events(&[20, 30]), 20, 30)));
        assert!(Doubts::of(&block, "other", true).is_err());
    }

    #[test]
    fn a_change_without_a_position_is_looked_for_everywhere() {
        let one: &[_] = &[(1, 7, 1)];
        let block = block(&[(0, 1, 30, Standing::Doubtful, one), (0, 2, 0, Standing::Doubtful, one)]);
        let (_, least, greatest) = Doubts::of(&block, "t", false).unwrap().events().unwrap();
        assert_eq!((least, greatest), (0, u64::MAX));
    }
}
