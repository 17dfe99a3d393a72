//! The topic: partitions with gaps (transaction markers, aborted messages), and what each message must become.

use std::collections::BTreeMap;
use std::time::Duration;

use nova_streams::Format;
use uuid::Uuid;

use super::story::{Change, Emitted, Twist, tell};
use crate::RowId;
use crate::fakes::{FakeMessage, message, source};
use crate::transform::event_id;

/// What a message must become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// So many rows of a change, unless an earlier message has told the same change.
    Rows(u8),
    /// The difference to the state that the key has.
    State,
    Skip,
    Letter,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) fate: Fate,
    /// The change that it tells.
    pub(super) event: Option<Uuid>,
    /// When it can be read, after the start.
    pub(super) at: Duration,
    pub(super) message: FakeMessage,
}

/// By partition and offset.
pub(super) struct Topic {
    pub(super) entries: BTreeMap<(i32, i64), Entry>,
    pub(super) partitions: i32,
    /// How often each value of each key is there in the end.
    pub(super) truth: BTreeMap<(String, i64), i64>,
}

impl Topic {
    pub(super) fn new(partitions: i32, messages: u8, interval: Duration, twists: &[Twist]) -> Self {
        let mut topic = Self { entries: BTreeMap::new(), partitions, truth: BTreeMap::new() };
        for partition in 0..partitions {
            let (emitted, truth) = tell(partition, messages, twists);
            topic.truth.extend(truth);
            let mut offset = 0;
            for (index, emitted) in (0u32..).zip(emitted) {
                let turn = index + u32::try_from(partition).unwrap();
                offset += if turn % 3 == 2 { 2 } else { 1 };
                topic.add(partition, offset, interval * index, &emitted);
            }
        }
        topic
    }

    /// The topic is deleted and made again, and so is the connector: it reads everything, and goes on from there.
    pub(super) fn remake(&mut self, now: Duration) {
        self.entries.clear();
        let live: Vec<(String, i64)> = std::mem::take(&mut self.truth).into_keys().collect();
        let of = |key: &str| key.trim_start_matches('l').split('-').next().unwrap().parse().unwrap();
        for (key, value) in &live {
            let read = Emitted::Read { key: key.clone(), value: *value, lsn: 90_000 };
            self.add(of(key), self.end(of(key)), now, &read);
        }
        for (turn, (key, value)) in (91_000..).zip(live) {
            let (before, after, commit) = (Some(value), Some(value + 1_000), turn * 10);
            let change = Change { key: key.clone(), before, after, tx: turn, lsn: commit + 5, commit };
            let change = Emitted::Change { change, commit: Some(commit) };
            self.add(of(&key), self.end(of(&key)), now, &change);
            self.truth.insert((key, value + 1_000), 1);
        }
    }

    fn add(&mut self, partition: i32, offset: i64, at: Duration, emitted: &Emitted) {
        let (fate, message) = written(partition, offset, emitted);
        let event = event_id(Format::Debezium, &message);
        self.entries.insert((partition, offset), Entry { fate, event, at, message });
    }

    /// The offset after the last message.
    pub(super) fn end(&self, partition: i32) -> i64 {
        let mine = self.entries.keys().filter(|(of, _)| *of == partition);
        mine.map(|(_, offset)| offset + 1).max().unwrap_or(0)
    }

    /// The same, as far as it was written so long after the start.
    pub(super) fn end_at(&self, partition: i32, at: Duration) -> i64 {
        let written = self.entries.iter().filter(|((of, _), entry)| *of == partition && entry.at <= at);
        written.map(|((_, offset), _)| offset + 1).max().unwrap_or(0)
    }

    /// The first message from `position` on.
    pub(super) fn from(&self, partition: i32, position: i64) -> Option<&Entry> {
        self.entries.range((partition, position)..(partition + 1, i64::MIN)).next().map(|(_, entry)| entry)
    }
}

/// The month a row belongs to: a message's two rows are of different ones.
pub(super) fn month(row: &RowId) -> u8 {
    u8::try_from((row.offset / 2 + i64::from(row.ordinal)).rem_euclid(2)).unwrap()
}

fn written(partition: i32, offset: i64, emitted: &Emitted) -> (Fate, FakeMessage) {
    let image = |key: &str, value: Option<i64>| {
        value.map_or("null".to_owned(), |value| format!(r#"{{"id":"{key}","user_id":{value}}}"#))
    };
    match emitted {
        Emitted::Skip => (Fate::Skip, FakeMessage { partition, offset, key: None, value: None }),
        Emitted::Letter => {
            (Fate::Letter, FakeMessage { partition, offset, key: None, value: Some(b"poison".to_vec()) })
        }
        Emitted::Read { key, value, lsn } => {
            let change = format!(r#""before":null,"after":{},"op":"r""#, image(key, Some(*value)));
            (Fate::State, message(partition, offset, key, &change, &source(None, *lsn, *lsn, "true")))
        }
        Emitted::Change { change, commit } => {
            let (op, rows) = match (change.before, change.after) {
                (None, _) => ("c", 1),
                (_, None) => ("d", 1),
                _ => ("u", 2),
            };
            let (before, after) = (image(&change.key, change.before), image(&change.key, change.after));
            let text = format!(r#""before":{before},"after":{after},"op":"{op}""#);
            let commit = commit.map(|commit| commit.to_string());
            let source = source(commit.as_deref(), change.lsn, change.tx, "false");
            (Fate::Rows(rows), message(partition, offset, &change.key, &text, &source))
        }
    }
}
