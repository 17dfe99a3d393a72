//! A table of likes, and blocks of messages that are resolved against it: what the tests of doubts share.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use nova_clickhouse::{Client, RowBinaryBlock, TableSink};
use nova_pipeline::{Block as _, MessageRows, Ranges, Resolved, Sink as _, Standing};
use nova_streams::{Cell, LINEAGE_COLUMNS, Row};
use uuid::Uuid;

use crate::recovery::{TABLE, TOPIC, migrated};
use crate::server::{Server, number, sink};

/// 2026-01-15, in milliseconds.
const JANUARY_MS: i64 = 1_768_435_200_000;
const MONTH_MS: i64 = 31 * 86_400_000;

/// What a row says of a key: a value, in a month from January 2026 on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    pub(crate) key: u128,
    pub(crate) value: u64,
    pub(crate) month: i64,
}

/// A message: an event with its rows.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) event: u128,
    pub(crate) lsn: u64,
    pub(crate) standing: Standing,
    pub(crate) rows: Vec<(i64, State)>,
}

/// A row of the key, in January.
pub(crate) fn is(key: u128, value: u64) -> State {
    State { key, value, month: 0 }
}

impl Message {
    /// A change in partition 0, as new; its LSN is ten times its event.
    pub(crate) fn change(offset: i64, event: u128, rows: &[(i64, State)]) -> Self {
        let lsn = u64::try_from(event * 10).unwrap();
        Self { partition: 0, offset, event, lsn, standing: Standing::New, rows: rows.to_vec() }
    }

    pub(crate) fn doubtful(offset: i64, event: u128, rows: &[(i64, State)]) -> Self {
        Self { standing: Standing::Doubtful, ..Self::change(offset, event, rows) }
    }

    /// What a snapshot read.
    pub(crate) fn read(offset: i64, event: u128, state: State) -> Self {
        Self { standing: Standing::State { afresh: false }, ..Self::change(offset, event, &[(1, state)]) }
    }

    pub(crate) fn afresh(self) -> Self {
        Self { standing: Standing::State { afresh: true }, ..self }
    }

    fn cells(&self) -> Vec<Row<'static>> {
        let row = |(ordinal, (sign, state)): (u64, &(i64, State))| {
            vec![
                Cell::Ticks(JANUARY_MS + state.month * MONTH_MS),
                Cell::Int(2),
                Cell::Uuid(Uuid::from_u128(state.key)),
                Cell::Uuid(Uuid::from_u128(7)),
                Cell::UInt(state.value),
                Cell::Int(*sign),
                Cell::Uuid(Uuid::from_u128(self.event)),
                Cell::Uuid(Uuid::from_u128(state.key)),
                Cell::UInt(self.lsn),
                Cell::UInt(self.lsn),
                Cell::Text(TOPIC.into()),
                Cell::UInt(self.partition.try_into().unwrap()),
                Cell::UInt(self.offset.try_into().unwrap()),
                Cell::UInt(ordinal),
            ]
        };
        (0..).zip(&self.rows).map(row).collect()
    }
}

/// The production table in a database of its own.
pub(crate) struct Likes {
    _server: Server,
    pub(crate) client: Client,
    pub(crate) sink: TableSink,
}

impl Likes {
    pub(crate) async fn new() -> Self {
        let server = Server::start().await;
        let client = migrated(&server).await;
        let declared = ["event_time", "event_type", "post_id", "user_id", "dwell_time_ms"];
        let sink = sink(&client, TABLE, &[&declared[..], &LINEAGE_COLUMNS[..]].concat()).await;
        Self { _server: server, client, sink }
    }

    pub(crate) fn block(&self, messages: &[Message]) -> RowBinaryBlock {
        let mut block = self.sink.block();
        for message in messages {
            let Message { partition, offset, event, lsn, standing, .. } = *message;
            let (event_id, rows) = (Uuid::from_u128(event), message.cells());
            block.push(&MessageRows { partition, offset, event_id, lsn, standing, rows: &rows }).unwrap();
        }
        block
    }

    pub(crate) async fn resolve(&self, messages: &[Message], all: bool) -> Resolved<RowBinaryBlock> {
        self.sink.resolve(TOPIC, &ranges(messages), &self.block(messages), all).await.unwrap()
    }

    /// Resolves a batch and sends what the table lacks of it, as a batch that is settled; counts of repeated and known.
    pub(crate) async fn settle(&self, messages: &[Message]) -> (u64, u64) {
        let Resolved { block, repeated, known } = self.resolve(messages, true).await;
        assert!(!block.has_doubts());
        let present = self.sink.present(TOPIC, &ranges(messages)).await.unwrap();
        let missing = block.without(&BTreeSet::from_iter(present));
        self.sink.insert(&missing, &Uuid::new_v4().to_string()).await.unwrap();
        (repeated, known)
    }

    /// The states that are not zero, by key: `key:value×count`, keys below 16.
    pub(crate) async fn states(&self) -> String {
        let sql = format!(
            "SELECT arrayStringConcat(groupArray(line), ' ') FROM (SELECT concat(substring(toString(source_key), 36), ':', \
             toString(dwell_time_ms), '×', toString(sum(sign))) AS line FROM {TABLE} \
             GROUP BY source_key, dwell_time_ms HAVING sum(sign) != 0 ORDER BY line)"
        );
        self.client.query_text(&sql, &[]).await.unwrap().trim().to_owned()
    }

    pub(crate) async fn rows(&self) -> i64 {
        number(&self.client, &format!("SELECT count() FROM {TABLE}")).await
    }
}

/// From each partition's first message to its last.
pub(crate) fn ranges(messages: &[Message]) -> Ranges {
    let mut ranges = Ranges::default();
    messages.iter().for_each(|message| ranges.extend(message.partition, message.offset));
    ranges
}
