//! Changes that the source emits again, on the real engine: each event once, whatever offset brings it.

use std::collections::BTreeSet;
use std::sync::Arc;

use nova_pipeline::{Block as _, ErrorKind, Ranges, RowId, Seen, Sink as _, Standing};
use nova_streams::Cell;
use uuid::Uuid;

use crate::doubtful::{Likes, Message, State, is, ranges};
use crate::recovery::{TABLE, TOPIC, Topic, assert_exactly_once, migrated, work_off};
use crate::server::{Server, message, sink};

/// Three events: a row, its move into the next month, another row.
fn history() -> Vec<Message> {
    let moved = State { month: 1, ..is(1, 20) };
    vec![
        Message::change(0, 1, &[(1, is(1, 10))]),
        Message::change(1, 2, &[(-1, is(1, 10)), (1, moved)]),
        Message::change(2, 3, &[(1, is(2, 30))]),
    ]
}

/// The same changes at later offsets, in doubt.
fn again(messages: &[Message], by: i64) -> Vec<Message> {
    let again = |message: &Message| Message {
        offset: message.offset + by,
        standing: Standing::Doubtful,
        ..message.clone()
    };
    messages.iter().map(again).collect()
}

#[tokio::test]
async fn what_the_table_has_is_left_out_across_batches_and_months() {
    let likes = Likes::new().await;
    likes.settle(&history()[..2]).await;
    likes.settle(&history()[2..]).await;
    let mut batch = again(&history(), 100);
    batch.push(Message::doubtful(103, 4, &[(-1, is(2, 30))]));
    let resolved = likes.resolve(&batch, false).await;
    assert_eq!((resolved.repeated, resolved.known, resolved.block.rows()), (3, 0, 1));
    likes.settle(&batch).await;
    assert_eq!((likes.states().await.as_str(), likes.rows().await), ("1:20×1", 5));
    // The same batch once more, as a new owner would: its own rows are no repeats of anything.
    let resolved = likes.resolve(&batch, true).await;
    assert_eq!((resolved.repeated, resolved.block.rows()), (3, 1));
}

#[tokio::test]
async fn a_repeat_within_the_block_yields_to_the_first_in_the_order_of_the_topic() {
    let likes = Likes::new().await;
    let mut batch = history();
    batch.extend(again(&history(), 3));
    let resolved = likes.resolve(&batch, false).await;
    assert_eq!((resolved.repeated, resolved.block.rows()), (3, 4));
    batch.reverse();
    let reversed = likes.resolve(&batch, false).await;
    assert_eq!(
        format!("{:?}", reversed.block),
        format!("{:?}", resolved.block),
        "whatever order it was read in"
    );
    // Changes that nobody doubts are left alone, unless all are doubted.
    let twice: Vec<Message> = again(&history(), 3)
        .into_iter()
        .map(|message| Message { standing: Standing::New, ..message })
        .collect();
    let batch = [history(), twice].concat();
    assert_eq!(likes.resolve(&batch, false).await.repeated, 0);
    assert_eq!(likes.resolve(&batch, true).await.repeated, 3);
}

#[tokio::test]
async fn rows_of_a_copy_share_their_position_and_each_counts_once() {
    let likes = Likes::new().await;
    let copied = |offset: i64, event: u128| Message {
        lsn: 77,
        ..Message::doubtful(offset, event, &[(1, is(event, 1))])
    };
    likes.settle(&[copied(0, 1), copied(1, 2)]).await;
    // Cut in the middle of the COPY, and emitted again from its beginning.
    let batch: Vec<Message> = (10..).zip(1..=5).map(|(offset, event)| copied(offset, event)).collect();
    assert_eq!(likes.settle(&batch).await, (2, 0));
    assert_eq!(likes.states().await, "1:1×1 2:1×1 3:1×1 4:1×1 5:1×1");
    // A position that is not known is looked for as such.
    let unknown = |offset, event| Message { lsn: 0, ..copied(offset, event) };
    likes.settle(&[unknown(20, 6)]).await;
    assert_eq!(likes.settle(&[unknown(30, 6), unknown(31, 7), copied(32, 1)]).await, (2, 0));
}

#[tokio::test]
async fn a_topic_made_again_brings_other_events_at_the_same_offsets() {
    let likes = Likes::new().await;
    likes.settle(&history()).await;
    let batch = [
        Message::doubtful(0, 3, &[(1, is(2, 30))]),
        Message::doubtful(1, 11, &[(1, is(3, 1))]),
        Message::doubtful(2, 12, &[(1, is(4, 1))]),
    ];
    // Event 3 is there, at offset 2: other events are new, though rows are at their offsets.
    assert_eq!(likes.settle(&batch).await, (1, 0));
    assert_eq!(likes.states().await, "1:20×1 2:30×1 3:1×1 4:1×1");
    assert_eq!(likes.rows().await, 6);
    let inside = likes.sink.present(TOPIC, &ranges(&batch)).await.unwrap();
    assert_eq!(BTreeSet::from_iter(&inside).len(), 6, "both topics' rows, told apart by event: {inside:?}");
}

#[tokio::test]
async fn the_answer_is_the_same_however_much_of_the_block_is_there() {
    let likes = Likes::new().await;
    likes.settle(&history()).await;
    let mut batch = again(&history()[1..], 10);
    batch.extend([
        Message::doubtful(20, 5, &[(-1, is(2, 30)), (1, is(2, 31))]),
        Message::read(21, 6, is(1, 25)),
        Message::read(22, 8, is(2, 31)),
        Message::read(23, 7, is(3, 1)),
    ]);
    let whole = likes.resolve(&batch, true).await.block;
    assert_eq!(whole.rows(), 5);
    // A part of it arrives, as a killed server leaves it; then all of it.
    let id =
        |offset, event, ordinal| RowId { partition: 0, offset, ordinal, event_id: Uuid::from_u128(event) };
    let part = whole.without(&BTreeSet::from([id(20, 5, 1), id(21, 6, 1), id(23, 7, 0)]));
    assert_eq!(part.rows(), 2);
    likes.sink.insert(&part, "part").await.unwrap();
    for _ in 0..2 {
        let again = likes.resolve(&batch, true).await;
        assert_eq!(format!("{:?}", again.block), format!("{whole:?}"));
        assert_eq!(likes.settle(&batch).await, (2, 1));
    }
    assert_eq!((likes.states().await.as_str(), likes.rows().await), ("1:25×1 2:31×1 3:1×1", 9));
}

#[tokio::test]
async fn other_topics_do_not_count_and_rows_without_lineage_cannot_be_asked_for() {
    let likes = Likes::new().await;
    likes.settle(&history()).await;
    likes
        .client
        .execute(&format!(
            "ALTER TABLE {TABLE} UPDATE topic = 'cdc.views' WHERE 1 SETTINGS mutations_sync = 1"
        ))
        .await
        .unwrap();
    assert_eq!(likes.settle(&again(&history(), 10)).await, (0, 0));
    assert_eq!(likes.settle(&[Message::read(20, 9, is(2, 30))]).await, (0, 1));
    let narrow = sink(&likes.client, TABLE, &["event_time"]).await;
    let mut block = narrow.block();
    block.push(&message(0, &[vec![Cell::Ticks(0)]])).unwrap();
    let error = narrow.resolve(TOPIC, &ranges(&history()), &block, true).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains(TABLE) && error.message.contains(TOPIC), "{error}");
}

#[tokio::test]
async fn what_the_table_has_of_a_partition() {
    let likes = Likes::new().await;
    assert_eq!(likes.sink.seen(TOPIC, &[0, 1]).await.unwrap(), []);
    likes.settle(&history()).await;
    likes.settle(&[Message { partition: 4, lsn: 20, ..Message::change(41, 9, &[(1, is(9, 1))]) }]).await;
    let zero = Seen { partition: 0, next_offset: 3, lsn: 30 };
    let four = Seen { partition: 4, next_offset: 42, lsn: 20 };
    assert_eq!(likes.sink.seen(TOPIC, &[4, 2, 0]).await.unwrap(), [zero, four]);
    assert_eq!(likes.sink.seen(TOPIC, &[4]).await.unwrap(), [four]);
    assert_eq!(likes.sink.seen(TOPIC, &[]).await.unwrap(), []);
    assert_eq!(likes.sink.seen("cdc.like", &[0]).await.unwrap(), []);
    likes.client.execute(&format!("DROP TABLE {TABLE} SYNC")).await.unwrap();
    assert_eq!(likes.sink.seen(TOPIC, &[0]).await.unwrap_err().kind, ErrorKind::SchemaMismatch);
    let resolved = likes.sink.resolve(TOPIC, &Ranges::default(), &likes.block(&history()), true).await;
    assert_eq!(resolved.unwrap_err().kind, ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn a_worker_takes_what_is_emitted_again_for_what_it_is() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    let topic = Arc::new(Topic::default());
    topic.append(60, 3);
    work_off(&topic, &client).await;
    assert_exactly_once(&topic, &client).await;
    // The connector is killed and repeats itself, then goes on; later it takes a snapshot.
    topic.append_again(25, 3);
    topic.append(15, 3);
    work_off(&topic, &client).await;
    assert_exactly_once(&topic, &client).await;
    topic.append_snapshot(3);
    topic.append(5, 3);
    work_off(&topic, &client).await;
    assert_exactly_once(&topic, &client).await;
    // The last batch is found open, and then the group is gone: all of it is read once more.
    topic.reopen();
    work_off(&topic, &client).await;
    assert_exactly_once(&topic, &client).await;
    topic.forget();
    work_off(&topic, &client).await;
    assert_exactly_once(&topic, &client).await;
    // The topic made again, by a connector that begins with a snapshot.
    topic.make_again();
    topic.append_snapshot(3);
    topic.append(15, 3);
    topic.append_again(5, 3);
    work_off(&topic, &client).await;
    assert_exactly_once(&topic, &client).await;
}
