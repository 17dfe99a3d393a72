//! What a replay asks of a table, on the real engine.

use std::collections::{BTreeMap, BTreeSet};

use nova_pipeline::{Ranges, Replayable as _, RowId, Sink as _};

use crate::doubtful::{Likes, Message, State, is};
use crate::recovery::TOPIC;

/// Partition and offset of each row.
fn places(rows: &BTreeSet<RowId>) -> Vec<(i32, i64)> {
    rows.iter().map(|row| (row.partition, row.offset)).collect()
}

fn elsewhere(partition: i32, message: Message) -> Message {
    Message { partition, ..message }
}

#[tokio::test]
async fn rows_of_ranges_are_counted_by_partition() {
    let likes = Likes::new().await;
    let two = Message::change(7, 2, &[(-1, is(1, 10)), (1, is(1, 20))]);
    likes.settle(&[Message::change(3, 1, &[(1, is(1, 10))]), two]).await;
    likes.settle(&[elsewhere(2, Message::change(5, 3, &[(1, is(2, 10))]))]).await;
    let held = async |ranges: &[(i32, std::ops::Range<i64>)]| {
        let ranges: Ranges = ranges.iter().cloned().collect();
        likes.sink.held(TOPIC, &ranges).await.unwrap()
    };
    assert_eq!(held(&[(0, 0..8), (1, 0..9), (2, 0..9)]).await, BTreeMap::from([(0, 3), (2, 1)]));
    assert_eq!(held(&[(0, 4..7), (2, 0..5)]).await, BTreeMap::new());
    assert_eq!(held(&[]).await, BTreeMap::new());
}

#[tokio::test]
async fn a_snapshots_row_is_settled_by_a_key_in_order_and_by_rows_whose_order_nobody_knows() {
    let likes = Likes::new().await;
    let known = [
        // Key 1 is there, key 2 twice, key 3 in two states, key 4 was deleted, key 5 lacks its insert.
        Message::change(1, 1, &[(1, is(1, 10))]),
        Message::change(2, 2, &[(1, is(2, 10))]),
        Message::change(3, 3, &[(1, is(2, 10))]),
        Message::change(4, 4, &[(1, is(3, 10)), (1, State { month: 1, ..is(3, 20) })]),
        Message::change(5, 5, &[(1, is(4, 10))]),
        Message::change(6, 6, &[(-1, is(4, 10))]),
        Message::change(7, 7, &[(-1, is(5, 10)), (1, is(5, 20))]),
        // Key 6 was deleted in another partition.
        Message::change(8, 8, &[(1, is(6, 10))]),
    ];
    likes.settle(&known).await;
    likes.settle(&[elsewhere(1, Message::change(0, 9, &[(-1, is(6, 10))]))]).await;
    let mut messages: Vec<Message> =
        (1..=7).map(|key| Message::read(20 + i64::try_from(key).unwrap(), 90 + key, is(key, 10))).collect();
    messages.push(Message::change(40, 40, &[(1, is(1, 10))]));
    let settled = likes.sink.settled(TOPIC, &likes.block(&messages)).await.unwrap();
    assert_eq!(places(&settled), [(0, 21), (0, 26)]);
    assert!(likes.sink.settled(TOPIC, &likes.block(&messages[7..])).await.unwrap().is_empty(), "no state");
    assert!(likes.sink.settled(TOPIC, &likes.sink.block()).await.unwrap().is_empty());
}

#[tokio::test]
async fn rows_are_surplus_where_their_key_would_be_there_twice() {
    let likes = Likes::new().await;
    // Key 1 was made good with its last value; of key 2 only a later update is there.
    let good = elsewhere(i32::MAX, Message::change(1, 1, &[(1, is(1, 20))]));
    let later = Message::change(90, 2, &[(-1, is(2, 20)), (1, is(2, 30))]);
    likes.settle(&[good, later]).await;
    let insert = |offset, event, key| Message::change(offset, event, &[(1, is(key, 10))]);
    let update = |offset, event, key| Message::change(offset, event, &[(-1, is(key, 10)), (1, is(key, 20))]);
    let surplus = async |messages: &[Message]| {
        let found = likes.sink.surplus(TOPIC, &likes.block(messages)).await.unwrap();
        places(&found)
    };
    assert_eq!(surplus(&[insert(10, 10, 1), insert(11, 11, 3)]).await, [(0, 10)]);
    assert_eq!(surplus(&[update(12, 12, 1)]).await, [(0, 12), (0, 12)], "all rows of the message");
    assert_eq!(surplus(&[insert(10, 10, 1), update(12, 12, 1)]).await, [(0, 10), (0, 12), (0, 12)]);
    assert_eq!(surplus(&[insert(20, 20, 2)]).await, [(0, 20)], "it waits for the update in between");
    assert_eq!(surplus(&[insert(20, 20, 2), update(21, 21, 2)]).await, []);
    assert_eq!(surplus(&[]).await, []);
}
