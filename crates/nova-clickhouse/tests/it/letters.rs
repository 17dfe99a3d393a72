//! The ledger of dead letters, and late rows that contradict the table, on the real engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use nova_clickhouse::{LetterAction, LetterMark, RowBinaryBlock, TableSink, mark_letters, marked_letters};
use nova_pipeline::{Block as _, ErrorKind, MessageRows, Sink as _, Standing};
use nova_streams::{Cell, Row};
use uuid::Uuid;

use crate::recovery::{TABLE, migrated};
use crate::server::{Server, number, sink};

fn mark(offset: i64, action: LetterAction, reason: &str) -> LetterMark {
    LetterMark {
        topic: "cdc.likes".to_owned(),
        kafka_partition: 3,
        kafka_offset: offset,
        stream: "likes".to_owned(),
        value_sha256: "00".to_owned(),
        action,
        rows: 2,
        reason: reason.to_owned(),
        actor: "me".to_owned(),
        nova_version: "0.1.0".to_owned(),
        at: String::new(),
    }
}

#[tokio::test]
async fn marks_replace_themselves_and_retried_stands_above_discarded() {
    use LetterAction::{Discarded, Retried};
    let server = Server::start().await;
    let error = marked_letters(&server.client()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaMismatch);
    assert!(
        error.message.contains("dead_letter_actions` ") || error.message.contains("nova migrate"),
        "{error}"
    );

    let client = migrated(&server).await;
    assert_eq!(marked_letters(&client).await.unwrap(), []);
    mark_letters(&client, &[]).await.unwrap();
    let quoted = "it's \"odd\"\n\nand long\u{1}";
    for marks in [
        vec![mark(1, Retried, ""), mark(2, Discarded, "first")],
        vec![mark(1, Retried, ""), mark(2, Discarded, quoted)],
        vec![mark(1, Discarded, "too late"), mark(i64::MAX, Discarded, "")],
    ] {
        mark_letters(&client, &marks).await.unwrap();
    }
    for statement in ["SELECT 1", "OPTIMIZE TABLE dead_letter_actions FINAL"] {
        client.execute(statement).await.unwrap();
        let mut found = marked_letters(&client).await.unwrap();
        found.sort_by_key(|mark| mark.kafka_offset);
        assert!(found.iter().all(|mark| mark.at.len() == "2026-01-31 06:00:00.000".len()), "{found:?}");
        let told: Vec<_> = found.iter().map(|m| (m.kafka_offset, m.action, m.reason.as_str())).collect();
        assert_eq!(told, [(1, Retried, ""), (2, Discarded, quoted), (i64::MAX, Discarded, "")]);
    }
    assert_eq!(number(&client, "SELECT count() FROM dead_letter_actions").await, 4);
}

/// A message of one key: its rows as (sign, dwell time).
fn block(sink: &TableSink, offset: i64, key: u128, rows: &[(i64, u64)]) -> RowBinaryBlock {
    let event_id = Uuid::from_u128(offset.unsigned_abs().into());
    let row = |(ordinal, (sign, dwell)): (u64, &(i64, u64))| -> Row<'static> {
        let mut row = Row::default();
        row.extend([
            Cell::UInt(*dwell),
            Cell::Int(*sign),
            Cell::Uuid(event_id),
            Cell::Uuid(Uuid::from_u128(key)),
            Cell::UInt(7),
            Cell::UInt(0),
            Cell::Text("cdc.likes".into()),
            Cell::UInt(0),
            Cell::UInt(offset.unsigned_abs()),
            Cell::UInt(ordinal),
        ]);
        row
    };
    let rows: Vec<Row<'_>> = (0..).zip(rows).map(row).collect();
    let mut block = sink.block();
    let standing = Standing::New;
    block.push(&MessageRows { partition: 0, offset, event_id, lsn: 7, standing, rows: &rows }).unwrap();
    block
}

#[tokio::test]
async fn late_rows_that_would_count_twice_are_told_and_keys_are_judged_whole() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    let columns: Vec<&str> = std::iter::once("dwell_time_ms").chain(nova_streams::LINEAGE_COLUMNS).collect();
    let sink = sink(&client, TABLE, &columns).await;
    // Key 1: missing its insert. Key 2: a snapshot has made its insert good. Key 3: unknown.
    let known = [block(&sink, 10, 1, &[(-1, 5), (1, 6)]), block(&sink, 11, 2, &[(1, 5)])];
    for (token, block) in ["a", "b"].into_iter().zip(&known) {
        sink.insert(block, token).await.unwrap();
    }
    let (one, two) = (block(&sink, 1, 1, &[(1, 5)]), block(&sink, 2, 2, &[(1, 5)]));
    let (insert, update) = (block(&sink, 3, 3, &[(1, 5)]), block(&sink, 4, 3, &[(-1, 5), (1, 6)]));
    for (blocks, told) in [
        (vec![], vec![]),
        (vec![&one, &insert, &update], vec![]),
        (vec![&one, &two, &insert], vec![2]),
        (vec![&update, &one], vec![4]),
    ] {
        let found = sink.contradictions("cdc.likes", &blocks).await.unwrap();
        assert_eq!(found, told.into_iter().map(|offset| (0, offset)).collect::<BTreeSet<_>>());
    }
}
