//! A shadow is filled by the questions that a worker asked, put to the table as it will be.

use nova_clickhouse::rebuild::{Scope, Shadow};
use nova_pipeline::{Ranges, Sink as _};
use nova_streams::LINEAGE_COLUMNS;
use uuid::Uuid;

use crate::doubtful::{Likes, Message, is};
use crate::recovery::{TABLE, TOPIC};
use crate::server::sink;

/// GIVEN a repeat whose first telling lies before the range, and snapshots that read keys of all kinds / WHEN the range is
/// filled, twice / THEN it becomes the rows that the workers made of it, though the table has those of later messages, too.
#[tokio::test]
async fn rows_made_anew_are_settled_by_the_table_as_it_will_be() {
    let mut likes = Likes::new().await;
    let before = [Message::change(5, 1, &[(1, is(1, 4))]), Message::change(6, 2, &[(1, is(2, 4))])];
    let range = [
        Message::change(10, 3, &[(1, is(3, 4))]),
        Message::doubtful(11, 1, &[(1, is(1, 4))]),
        Message::read(12, 5, is(1, 4)),
        Message::read(13, 6, is(2, 9)),
        Message::read(14, 7, is(4, 4)),
        Message::change(15, 8, &[(-1, is(3, 4)), (1, is(3, 5))]),
    ];
    let after = [
        Message::change(30, 9, &[(-1, is(4, 4)), (1, is(4, 5))]),
        Message::change(31, 10, &[(-1, is(3, 5))]),
    ];
    for message in before.iter().chain(&range).chain(&after) {
        likes.settle(std::slice::from_ref(message)).await;
    }
    let state = likes.states().await;
    assert_eq!(state, "1:4×1 2:9×1 4:5×1");

    let scope = Scope { topic: TOPIC.to_owned(), ranges: Ranges::from_iter([(0, 10..16)]) };
    let shadow = Shadow::new(likes.client.clone(), TABLE, Uuid::from_u128(7), scope).await.unwrap();
    shadow.create().await.unwrap();
    let declared = ["event_time", "event_type", "post_id", "user_id", "dwell_time_ms"];
    let columns = [&declared[..], &LINEAGE_COLUMNS[..]].concat();
    likes.sink = sink(&likes.client, shadow.filled(), &columns).await.asking(&shadow.asked());
    for message in range.iter().chain(&range) {
        likes.settle(std::slice::from_ref(message)).await;
    }
    let written: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    assert_eq!(shadow.differing(&written).await.unwrap(), []);
    assert_eq!(
        shadow.months().await.unwrap().iter().map(|month| (month.rows, month.others)).collect::<Vec<_>>(),
        [(6, 5)]
    );
    assert_eq!(likes.sink.present(TOPIC, &Ranges::from_iter([(0, 5..16)])).await.unwrap().len(), 8);

    let explained = format!(
        "EXPLAIN indexes = 1 SELECT kafka_offset FROM {} WHERE topic = 'cdc.likes' AND kafka_partition = 0 AND kafka_offset < 7",
        shadow.asked()
    );
    let plan = likes.client.query_text(&explained, &[]).await.unwrap();
    assert_eq!(plan.matches("by_offset").count(), 2, "each side of the view is asked by its index:\n{plan}");
}

/// GIVEN a batch whose rows went with an exchanged partition / WHEN a worker that was given up sends it late / THEN the server
/// still knows its token: what is healed is not doubled.
#[tokio::test]
async fn a_token_outlives_the_partition_that_its_rows_went_with() {
    let likes = Likes::new().await;
    let block = likes.block(&[Message::change(5, 1, &[(1, is(1, 4))])]);
    likes.sink.insert(&block, "of-a-batch").await.unwrap();
    for sql in [
        format!("CREATE TABLE beside AS {TABLE}"),
        format!("INSERT INTO beside SELECT * REPLACE (77 AS kafka_offset) FROM {TABLE}"),
        format!("ALTER TABLE {TABLE} REPLACE PARTITION ID '202601' FROM beside"),
    ] {
        likes.client.execute(&sql).await.unwrap();
    }
    likes.sink.insert(&block, "of-a-batch").await.unwrap();
    let offsets = likes.client.query_text(&format!("SELECT kafka_offset FROM {TABLE}"), &[]).await.unwrap();
    assert_eq!(offsets, "77\n");
}
