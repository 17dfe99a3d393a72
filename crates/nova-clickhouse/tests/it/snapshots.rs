//! States that snapshots read, on the real engine: what is inserted is the difference to what the table has.

use std::time::{Duration, Instant};

use nova_pipeline::{Block as _, ErrorKind, Sink as _};

use crate::doubtful::{Likes, Message, State, is, ranges};
use crate::recovery::{TABLE, TOPIC};
use crate::server::number;

const KEYS: u128 = 9;

/// A snapshot of the keys 1 to 9 with these values, from an offset on.
fn snapshot(offset: i64, event: u128, value: impl Fn(u128) -> u64) -> Vec<Message> {
    let read = |(offset, key)| Message::read(offset, event + key, is(key, value(key)));
    (offset..).zip(1..=KEYS).map(read).collect()
}

#[tokio::test]
async fn a_repeated_snapshot_adds_nothing_and_a_first_one_everything() {
    let likes = Likes::new().await;
    assert_eq!(likes.settle(&snapshot(0, 100, |_| 5)).await, (0, 0));
    assert_eq!(likes.rows().await, 9);
    for offset in [50, 80] {
        let resolved = likes.resolve(&snapshot(offset, 200, |_| 5), false).await;
        assert_eq!((resolved.known, resolved.block.rows()), (9, 0));
    }
    // Read twice within one block.
    let twice = [snapshot(90, 200, |_| 6), snapshot(99, 300, |_| 6)].concat();
    let resolved = likes.resolve(&twice, false).await;
    assert_eq!((resolved.known, resolved.block.rows()), (9, 18));
}

#[tokio::test]
async fn a_snapshot_corrects_what_differs_and_only_that() {
    let likes = Likes::new().await;
    likes.settle(&snapshot(0, 100, |_| 5)).await;
    // Key 1 twice, key 2 gone, key 3 with another value in another month; key 4 as no snapshot could leave it.
    likes
        .settle(&[
            Message::change(20, 1, &[(1, is(1, 5))]),
            Message::change(21, 2, &[(-1, is(2, 5))]),
            Message::change(22, 3, &[(-1, is(3, 5)), (1, State { month: 3, ..is(3, 7) })]),
            Message::change(23, 4, &[(-1, is(4, 5)), (-1, is(4, 5))]),
        ])
        .await;
    assert!(likes.states().await.starts_with("1:5×2 3:7×1 4:5×-1 5:5×1"));
    assert_eq!(likes.settle(&snapshot(30, 200, |_| 5)).await, (0, 5));
    assert_eq!(likes.states().await, "1:5×1 2:5×1 3:5×1 4:5×1 5:5×1 6:5×1 7:5×1 8:5×1 9:5×1");
    // What is no longer so comes first, under the message's own lineage.
    let sql = format!(
        "SELECT sign, dwell_time_ms, ordinal, toMonth(event_time), source_lsn FROM {TABLE} WHERE kafka_offset = 32 ORDER BY ordinal"
    );
    assert_eq!(likes.client.query_text(&sql, &[]).await.unwrap(), "-1\t7\t0\t4\t2030\n1\t5\t1\t1\t2030\n");
    let sql = format!("SELECT sign, ordinal FROM {TABLE} WHERE kafka_offset = 33 ORDER BY ordinal");
    assert_eq!(likes.client.query_text(&sql, &[]).await.unwrap(), "1\t0\n1\t1\n");
}

#[tokio::test]
async fn a_change_before_the_read_counts_and_one_behind_it_is_added() {
    let likes = Likes::new().await;
    let change = |offset, event| Message::change(offset, event, &[(-1, is(1, 10)), (1, is(1, 20))]);
    likes.settle(&[Message::change(0, 1, &[(1, is(1, 10))])]).await;
    // Change, then read: the read says what is so already.
    assert_eq!(likes.settle(&[change(10, 2), Message::read(11, 3, is(1, 20))]).await, (0, 1));
    assert_eq!(likes.states().await, "1:20×1");
    // Read, then change: the read of what the table has adds nothing, the change counts.
    let back = Message::change(21, 5, &[(-1, is(1, 20)), (1, is(1, 10))]);
    assert_eq!(likes.settle(&[Message::read(20, 4, is(1, 20)), back]).await, (0, 1));
    assert_eq!(likes.states().await, "1:10×1");
    // A change that the table has does not count once more, wherever it stands.
    let batch = [change(30, 2), Message::read(31, 6, is(1, 10)), change(32, 2)];
    assert_eq!(likes.settle(&batch).await, (2, 1));
    assert_eq!(likes.states().await, "1:10×1");
    // The key moves away within the block: of the old key nothing is left to correct.
    let moved = Message::change(40, 7, &[(-1, is(1, 10)), (1, is(2, 10))]);
    assert_eq!(likes.settle(&[moved, Message::read(41, 8, is(2, 10))]).await, (0, 1));
    assert_eq!(likes.states().await, "2:10×1");
}

#[tokio::test]
async fn rows_behind_the_block_do_not_count_unless_the_topic_is_read_afresh() {
    let likes = Likes::new().await;
    let batch = snapshot(0, 100, |_| 5);
    likes.settle(&batch).await;
    let again = snapshot(20, 200, |_| 5);
    assert_eq!(likes.settle(&again).await, (0, 9));
    likes.settle(&[Message::change(40, 1, &[(-1, is(1, 5)), (1, is(1, 6))])]).await;
    // Offsets set back, or another owner that went on: both snapshots say what they said before.
    assert_eq!(likes.settle(&batch).await, (0, 0));
    assert_eq!(likes.settle(&again).await, (0, 9));
    assert_eq!(likes.rows().await, 11);
    // The topic deleted and made again: offsets 20 to 28 come before those of the rows that are there, and after them.
    let afresh: Vec<Message> = snapshot(20, 300, |_| 6).into_iter().map(Message::afresh).collect();
    assert_eq!(likes.settle(&afresh).await, (0, 1));
    assert_eq!(likes.states().await, "1:6×1 2:6×1 3:6×1 4:6×1 5:6×1 6:6×1 7:6×1 8:6×1 9:6×1");
    assert_eq!(likes.settle(&afresh).await, (0, 1), "once more, with its own rows there");
    assert_eq!(likes.rows().await, 11 + 16);
}

#[tokio::test]
async fn a_difference_that_one_message_cannot_make_is_refused_with_key_and_table() {
    let likes = Likes::new().await;
    let many: Vec<(i64, State)> = (0..255).map(|value| (1, is(1, value))).collect();
    likes.settle(&[Message::change(0, 1, &many)]).await;
    let most = Message::read(5, 2, is(1, 1_000));
    assert_eq!(likes.resolve(std::slice::from_ref(&most), false).await.block.rows(), 256);
    likes.settle(&[Message::change(1, 3, &[(1, is(1, 255))])]).await;
    let error =
        likes.sink.resolve(TOPIC, &ranges(std::slice::from_ref(&most)), &likes.block(&[most]), false).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown);
    assert!(error.message.contains(TABLE) && error.message.contains("00000001"), "{error}");
    assert!(error.message.contains("partition 0, offset 5"), "{error}");
}

#[tokio::test]
async fn ten_thousand_doubts_and_ten_thousand_states_among_a_million_rows() {
    let likes = Likes::new().await;
    let fill = format!(
        "INSERT INTO {TABLE} (event_time, event_type, post_id, user_id, sign, event_id, source_key, source_lsn, topic, \
         kafka_partition, kafka_offset) SELECT toDateTime64('2024-01-01 00:00:00', 3, 'UTC') + toIntervalSecond(number * 63), \
         'like', reinterpretAsUUID(toUInt128(number)), reinterpretAsUUID(toUInt128(7)), 1, \
         toUUID(concat('00000000-0000-0000-0000-', leftPad(lower(hex(number)), 12, '0'))) AS id, id, number * 10, \
         '{TOPIC}', 0, number FROM numbers(1000000) SETTINGS max_insert_block_size = 1000000"
    );
    likes.client.execute(&fill).await.unwrap();
    for (what, first) in [("at the end", 985_000), ("in the middle", 400_000)] {
        let repeat = |at: u128| {
            Message::doubtful(2_000_000 + i64::try_from(at).unwrap(), first + at, &[(1, is(1, 1))])
        };
        let doubts: Vec<Message> = (0..10_000).map(repeat).collect();
        let begun = Instant::now();
        assert_eq!(likes.resolve(&doubts, false).await.repeated, 10_000);
        println!("10,000 doubts {what}: {:?}", begun.elapsed());
        let read = |at: u128| {
            Message::read(2_000_000 + i64::try_from(at).unwrap(), 5_000_000 + at, is(first + at, 1))
        };
        let reads: Vec<Message> = (0..10_000).map(read).collect();
        let begun = Instant::now();
        assert_eq!(likes.resolve(&reads, false).await.block.rows(), 20_000);
        println!("10,000 states {what}: {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    let plan = format!(
        "EXPLAIN indexes = 1 SELECT event_id FROM {TABLE} WHERE topic = '{TOPIC}' AND source_lsn BETWEEN 9850000 AND 9950000"
    );
    let plan = likes.client.query_text(&plan, &[]).await.unwrap();
    let index = plan.split("by_lsn").nth(1).unwrap();
    let granules = index.lines().find_map(|line| line.trim().strip_prefix("Granules: ")).unwrap();
    println!("granules {granules}");
    let (read, of) = granules.split_once('/').unwrap();
    assert!(read.parse::<u32>().unwrap() * 10 < of.parse().unwrap(), "{plan}");
    assert_eq!(number(&likes.client, &format!("SELECT count() FROM {TABLE}")).await, 1_000_000);
}
