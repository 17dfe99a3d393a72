//! What must hold, at every step and at the end.

use std::collections::{BTreeMap, BTreeSet};

use nova_streams::source_key;
use uuid::Uuid;

use super::topic::{Entry, Fate};
use super::world::State;
use crate::Intent;
use crate::fakes::FakeRow;
use crate::ledger::form::{READS_NEXT, acting_as};

impl State {
    pub(super) fn durable(&self, entry: &Entry) -> bool {
        match entry.fate {
            Fate::Skip | Fate::State => true,
            Fate::Letter => self.letters.contains_key(&(entry.message.partition, entry.message.offset)),
            Fate::Rows(rows) => {
                let of = |row: &&FakeRow| Some(row.id.event_id) == entry.event;
                self.table.rows().iter().filter(of).count() >= rows.into()
            }
        }
    }

    /// Each row is there once, and each change by one message.
    pub(super) fn doubled(&mut self) {
        let (mut rows, mut messages) = (BTreeSet::new(), BTreeMap::new());
        let doubled = self.table.rows().iter().map(|row| row.id).find(|row| {
            let at = (row.partition, row.offset);
            let read = self.reads.contains(&row.event_id);
            !rows.insert(*row) || (!read && *messages.entry(row.event_id).or_insert(at) != at)
        });
        if let Some(row) = doubled {
            self.violate(format!("{row:?} is in the table twice"));
        }
    }

    /// Everything is consumed and committed.
    pub(super) fn drained(&self) -> bool {
        self.meddling.is_none()
            && (0..self.topic.partitions).all(|partition| {
                self.group.committed.get(&partition).is_some_and(|(offset, metadata)| {
                    let intent = acting_as(READS_NEXT, || Intent::decode(metadata));
                    let closed = intent.is_ok_and(|intent| intent.is_none());
                    closed && *offset >= self.topic.end(partition)
                })
            })
    }

    /// Takes note of what the topic tells, before it may be deleted.
    pub(super) fn note_topic(&mut self) {
        for entry in self.topic.entries.values() {
            match (entry.fate, entry.event) {
                (Fate::Rows(rows), Some(event)) => _ = self.changes.insert(event, rows),
                (Fate::State, Some(event)) => _ = self.reads.insert(event),
                (Fate::Letter, _) => _ = self.poison.insert((entry.message.partition, entry.message.offset)),
                _ => {}
            }
        }
    }

    /// Each change is its rows, once; the state of each key is PostgreSQL's; each poisoned message is a letter.
    pub(super) fn check_end(&mut self) {
        let (mut rows, mut state) = (BTreeMap::<Uuid, u8>::new(), BTreeMap::<(Uuid, i64), i64>::new());
        for row in self.table.rows() {
            *state.entry((row.key, row.value)).or_default() += row.sign;
            if !self.reads.contains(&row.id.event_id) {
                *rows.entry(row.id.event_id).or_default() += 1;
            }
        }
        state.retain(|_, count| *count != 0);
        let truth = self.topic.truth.iter();
        let truth: BTreeMap<_, _> =
            truth.map(|((key, value), count)| ((source_key(&[key]), *value), *count)).collect();
        if state != truth {
            self.violate(format!("the state is {state:?}, and should be {truth:?}"));
        }
        if rows != self.changes {
            self.violate(format!("rows by change are {rows:?}, and should be {:?}", self.changes));
        }
        if !self.letters.keys().eq(&self.poison) {
            self.violate(format!("letters are {:?}, and should be {:?}", self.letters, self.poison));
        }
    }
}
