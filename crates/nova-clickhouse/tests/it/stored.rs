//! What an audit asks of a table: its rows byte for byte, changes told twice, values in words.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_clickhouse::newest_row_age_ms;
use nova_pipeline::{Block as _, RowId, Sink as _, Standing};
use uuid::Uuid;

use crate::doubtful::{Likes, Message, is, ranges};
use crate::recovery::{TABLE, TOPIC};

/// Offset, ordinal, event and count.
type Found = (i64, u8, u128, u64);

async fn found(likes: &Likes, partition: i32) -> Vec<Found> {
    let rows = likes.sink.stored(TOPIC, partition, 0..100).await.unwrap();
    rows.iter().map(|row| (row.offset, row.ordinal, row.event_id.as_u128(), row.times)).collect()
}

#[tokio::test]
async fn stored_rows_are_the_bytes_of_the_block_and_doubles_are_counted() {
    let likes = Likes::new().await;
    let messages = [
        Message::change(3, 1, &[(1, is(1, 10))]),
        Message::change(7, 2, &[(-1, is(1, 10)), (1, is(1, 20))]),
        Message { partition: 2, ..Message::change(5, 3, &[(1, is(2, 10))]) },
    ];
    likes.settle(&messages).await;
    let block = likes.block(&messages);
    let plain = block.plain(TOPIC).unwrap();
    let stored = likes.sink.stored(TOPIC, 0, 0..100).await.unwrap();
    assert_eq!(stored.len(), 3);
    for (stored, plain) in stored.iter().zip(&plain) {
        assert_eq!((stored.offset, stored.ordinal), (plain.id.offset, plain.id.ordinal));
        assert_eq!(stored.bytes, plain.bytes);
        let event = &plain.bytes[plain.event_at..plain.event_at + 16];
        assert_eq!(
            u128::from_le_bytes(event.try_into().unwrap()).rotate_left(64),
            plain.id.event_id.as_u128()
        );
    }
    assert_eq!(likes.sink.partitions(TOPIC).await.unwrap(), [(0, 3, 3), (2, 1, 5)]);
    assert_eq!(likes.sink.stored(TOPIC, 0, 7..7).await.unwrap(), []);
    assert_eq!(likes.sink.stored("other", 0, 0..9).await.unwrap(), []);

    let columns = "event_time, event_type, post_id, user_id, dwell_time_ms, sign, event_id, source_key, source_lsn, \
                   source_tx, topic, kafka_partition, kafka_offset, ordinal";
    let again =
        format!("INSERT INTO {TABLE} ({columns}) SELECT {columns} FROM {TABLE} WHERE kafka_offset = 3");
    likes.client.execute(&again).await.unwrap();
    assert_eq!(found(&likes, 0).await, [(3, 0, 1, 2), (7, 0, 2, 1), (7, 1, 2, 1)]);
    assert_eq!(found(&likes, 2).await, [(5, 0, 3, 1)]);
}

#[tokio::test]
async fn the_age_of_the_newest_row_is_that_of_the_messages_asked_for() {
    let likes = Likes::new().await;
    likes.settle(&[Message::change(3, 1, &[(1, is(1, 10))])]).await;
    let age = async |topic, offsets| {
        newest_row_age_ms(&likes.client, TABLE, topic, &[(0, offsets)].into_iter().collect()).await
    };
    let found = age(TOPIC, 0..4).await.unwrap();
    assert!(found.is_some_and(|age| (0..60_000).contains(&age)), "{found:?}");
    assert_eq!(age(TOPIC, 0..3).await.unwrap(), None);
    assert_eq!(age("other", 0..4).await.unwrap(), None);
    let nothing = newest_row_age_ms(&likes.client, TABLE, TOPIC, &Default::default()).await;
    assert_eq!(nothing.unwrap(), None);
    likes.client.execute(&format!("ALTER TABLE {TABLE} DROP COLUMN ingested_at")).await.unwrap();
    assert!(age(TOPIC, 0..4).await.is_err());
}

#[tokio::test]
async fn a_change_with_rows_of_two_messages_is_named_with_both() {
    let likes = Likes::new().await;
    likes.settle(&[Message::change(3, 1, &[(1, is(1, 10))]), Message::change(4, 2, &[(1, is(2, 10))])]).await;
    assert_eq!(likes.sink.told_twice(TOPIC, 0, 0..100, 10..=20).await.unwrap(), []);
    let second = likes.block(&[Message { partition: 1, ..Message::change(9, 1, &[(1, is(1, 10))]) }]);
    likes.sink.insert(&second, "by hand").await.unwrap();
    for (partition, offsets) in [(0, 3..4), (1, 0..100)] {
        let told = likes.sink.told_twice(TOPIC, partition, offsets, 10..=20).await.unwrap();
        let told: Vec<_> = told.iter().map(|told| (told.event_id.as_u128(), told.places.clone())).collect();
        assert_eq!(told, [(1, vec![(0, 3), (1, 9)])]);
    }
    assert_eq!(likes.sink.told_twice(TOPIC, 0, 4..100, 0..=99).await.unwrap(), []);
    assert_eq!(likes.sink.told_twice(TOPIC, 0, 0..100, 20..=99).await.unwrap(), []);
}

#[tokio::test]
async fn the_server_puts_rows_into_words() {
    let likes = Likes::new().await;
    let block = likes.block(&[Message::change(3, 1, &[(-1, is(1, 10))])]);
    let plain = block.plain(TOPIC).unwrap();
    let texts = likes.sink.texts(&[plain[0].bytes, plain[0].bytes]).await.unwrap();
    assert_eq!((texts.len(), &texts[0]), (2, &texts[1]));
    let value = |name: &str| {
        let found = texts[0].iter().find(|(column, _)| column == name);
        found.and_then(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!(value("event_time"), "2026-01-15 00:00:00.000");
    assert_eq!(
        (value("event_type"), value("sign"), value("topic")),
        ("like".into(), "-1".into(), TOPIC.into())
    );
    assert_eq!(value("post_id"), Uuid::from_u128(1).to_string());
    assert_eq!(texts[0].len(), 14);
}

#[tokio::test]
async fn chosen_messages_are_resolved_by_what_is_there_of_the_others() {
    let likes = Likes::new().await;
    likes.settle(&[Message::change(3, 1, &[(1, is(1, 10))])]).await;
    // Offset 5 repeats offset 3, offset 6 is missing.
    let messages = [
        Message::change(3, 1, &[(1, is(1, 10))]),
        Message::change(5, 1, &[(1, is(1, 10))]),
        Message::change(6, 2, &[(1, is(2, 10))]),
    ];
    let absent = |id: RowId| (id.offset > 3).then_some(Standing::Doubtful);
    let block = likes.block(&messages).standing(absent);
    assert_eq!((block.rows(), block.has_doubts()), (2, true));
    let resolved = likes.sink.resolve(TOPIC, &ranges(&messages), &block, false).await.unwrap();
    let left: Vec<i64> = resolved.block.plain(TOPIC).unwrap().iter().map(|row| row.id.offset).collect();
    assert_eq!((left, resolved.repeated), (vec![6], 1));
}
