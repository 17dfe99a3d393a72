//! A block of rows in memory, and the resolving of its doubts by the rows of a table in memory.

use std::collections::{BTreeMap, BTreeSet};

use nova_streams::Cell;
use uuid::Uuid;

use crate::{Block, MessageRows, PipelineError, Ranges, Resolved, RowId, Seen, Standing};

/// A row as far as anybody asks about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FakeRow {
    pub(crate) id: RowId,
    pub(crate) key: Uuid,
    pub(crate) value: i64,
    pub(crate) sign: i64,
    pub(crate) lsn: u64,
    pub(crate) standing: Standing,
}

/// Keeps rows instead of bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeBlock(pub(crate) Vec<FakeRow>);

impl Block for FakeBlock {
    fn push(&mut self, message: &MessageRows<'_, '_>) -> Result<(), PipelineError> {
        let MessageRows { partition, offset, event_id, lsn, standing, rows } = *message;
        for (ordinal, row) in (0u8..).zip(rows) {
            let [Cell::Int(value), Cell::Int(sign), Cell::Uuid(_), Cell::Uuid(key), ..] = row.as_slice()
            else {
                panic!("the mapping of these tests makes other rows: {row:?}");
            };
            let id = RowId { partition, offset, ordinal, event_id };
            self.0.push(FakeRow { id, key: *key, value: *value, sign: *sign, lsn, standing });
        }
        Ok(())
    }

    fn part(&self) -> Self {
        Self::default()
    }

    fn absorb(&mut self, part: &mut Self, standings: &[Standing]) {
        let rows = part.0.drain(..).zip(standings);
        self.0.extend(rows.map(|(row, standing)| FakeRow { standing: *standing, ..row }));
    }

    fn has_doubts(&self) -> bool {
        self.0.iter().any(|row| row.standing != Standing::New)
    }

    fn without(&self, present: &BTreeSet<RowId>) -> Self {
        Self(self.0.iter().filter(|row| !present.contains(&row.id)).copied().collect())
    }

    fn rows(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self) -> usize {
        self.0.len() * 100
    }
}

/// A message, as rows of which table say it.
fn message(row: &FakeRow) -> (i32, i64, Uuid) {
    (row.id.partition, row.id.offset, row.id.event_id)
}

/// What a sink over `table` answers to [`Sink::resolve`](crate::Sink::resolve).
pub(crate) fn resolve(
    table: &[FakeRow],
    ranges: &Ranges,
    block: &FakeBlock,
    all: bool,
) -> Resolved<FakeBlock> {
    let own: BTreeSet<_> = block.0.iter().map(message).collect();
    let others: Vec<&FakeRow> = table.iter().filter(|row| !own.contains(&message(row))).collect();
    let mut events: BTreeSet<Uuid> = others.iter().map(|row| row.id.event_id).collect();
    let (mut kept, mut repeated, mut known) = (Vec::<FakeRow>::new(), 0, 0);
    for rows in block.0.chunk_by(|one, other| message(one) == message(other)) {
        let first = rows[0];
        if let Standing::State { afresh } = first.standing {
            let later =
                |row: &FakeRow| ranges.start(row.id.partition).is_some_and(|start| row.id.offset >= start);
            let before = others.iter().copied().filter(|row| afresh || !later(row));
            let mut state = BTreeMap::from([(first.value, 1)]);
            for row in before.chain(&kept).filter(|row| row.key == first.key) {
                *state.entry(row.value).or_default() -= row.sign;
            }
            let rows = difference(first, &state);
            known += u64::from(rows.is_empty());
            kept.extend(rows);
        } else if (all || first.standing == Standing::Doubtful) && events.contains(&first.id.event_id) {
            repeated += 1;
        } else {
            events.insert(first.id.event_id);
            kept.extend(rows.iter().map(|row| FakeRow { standing: Standing::New, ..*row }));
        }
    }
    Resolved { block: FakeBlock(kept), repeated, known }
}

/// The rows that add up to `state`, by value, −1 first.
fn difference(template: FakeRow, state: &BTreeMap<i64, i64>) -> Vec<FakeRow> {
    let of = |wanted: i64| {
        state.iter().filter(move |(_, count)| count.signum() == wanted).flat_map(move |(value, count)| {
            std::iter::repeat_n((*value, wanted), usize::try_from(count.abs()).unwrap())
        })
    };
    (0u8..)
        .zip(of(-1).chain(of(1)))
        .map(|(ordinal, (value, sign))| {
            let id = RowId { ordinal, ..template.id };
            FakeRow { id, value, sign, standing: Standing::New, ..template }
        })
        .collect()
}

/// What a sink over `table` answers to [`Sink::seen`](crate::Sink::seen).
pub(crate) fn seen(table: &[FakeRow], partitions: &[i32]) -> Vec<Seen> {
    let of = |partition: &i32| {
        let rows = || table.iter().filter(|row| row.id.partition == *partition);
        let next_offset = rows().map(|row| row.id.offset + 1).max()?;
        Some(Seen { partition: *partition, next_offset, lsn: rows().map(|row| row.lsn).max()? })
    };
    partitions.iter().filter_map(of).collect()
}
