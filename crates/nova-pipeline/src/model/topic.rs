//! The topic: partitions with gaps (transaction markers, aborted messages), and what each message must become.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::RowId;
use crate::fakes::FakeMessage;

/// What a message must become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Rows(u8),
    Skip,
    Letter,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) fate: Fate,
    /// When it can be read, after the start.
    pub(super) at: Duration,
    pub(super) message: FakeMessage,
}

/// By partition and offset.
pub(super) struct Topic {
    pub(super) entries: BTreeMap<(i32, i64), Entry>,
    pub(super) partitions: i32,
}

impl Topic {
    pub(super) fn new(partitions: i32, messages: u8, interval: Duration) -> Self {
        let mut entries = BTreeMap::new();
        for partition in 0..partitions {
            let mut offset = 0;
            for index in 0..u32::from(messages) {
                let turn = index + u32::try_from(partition).unwrap();
                offset += if turn % 3 == 2 { 2 } else { 1 };
                let fate = match turn % 7 {
                    2 => Fate::Rows(2),
                    3 => Fate::Letter,
                    5 => Fate::Skip,
                    _ => Fate::Rows(1),
                };
                let message = FakeMessage { partition, offset, value: value(fate, partition, offset) };
                entries.insert((partition, offset), Entry { fate, at: interval * index, message });
            }
        }
        Self { entries, partitions }
    }

    /// The offset after the last message.
    pub(super) fn end(&self, partition: i32) -> i64 {
        let mine = self.entries.keys().filter(|(of, _)| *of == partition);
        mine.map(|(_, offset)| offset + 1).max().unwrap_or(0)
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

fn value(fate: Fate, partition: i32, offset: i64) -> Option<Vec<u8>> {
    let image = |user: u8| format!(r#"{{"id":"l{partition}-{offset}","user_id":{user}}}"#);
    let (op, before) = match fate {
        Fate::Skip => return None,
        Fate::Letter => return Some(b"poison".to_vec()),
        Fate::Rows(1) => ("c", "null".to_owned()),
        Fate::Rows(_) => ("u", image(6)),
    };
    let after = image(7);
    let value = format!(
        r#"{{"before":{before},"after":{after},"source":{{"version":"3.7.0.Final","connector":"postgresql","name":"cdc",
        "ts_ms":1700000000000,"snapshot":"false","db":"app","sequence":"[null,\"1\"]","ts_us":1700000000000000,
        "ts_ns":1700000000000000000,"schema":"public","table":"likes","txId":700,"lsn":{offset},"xmin":null}},
        "transaction":null,"op":"{op}","ts_ms":1700000000001}}"#
    );
    Some(value.into_bytes())
}
