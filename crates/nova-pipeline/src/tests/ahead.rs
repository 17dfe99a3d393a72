//! Bursts that other threads form: the same batches as message by message, and nothing passes a question or an error.

use std::collections::BTreeMap;

use nova_streams::SkipReason;

use super::*;
use crate::SourceMessage;
use crate::ahead::Ahead;
use crate::fakes::{message, source};
use crate::read::BURST;
use crate::transform::take_burst;

/// Changes, their repeats, states, tombstones, heartbeats of other shapes and poison, in three partitions.
fn mixture(count: i64) -> Vec<FakeMessage> {
    let told = |partition, offset, first| {
        let SourceEvent::Message(told) = like(partition, first) else { panic!("a message") };
        FakeMessage { offset, ..told }
    };
    let of = |n: i64| {
        let (partition, offset) = (i32::try_from(n % 3).unwrap(), n / 3);
        let key = format!("l{partition}-{offset}");
        let images = |op| format!(r#""before":null,"after":{{"id":"{key}","user_id":{n}}},"op":"{op}""#);
        match n % 11 {
            3 => FakeMessage { value: None, ..told(partition, offset, offset) },
            4 => FakeMessage { value: Some(b"poison".to_vec()), ..told(partition, offset, offset) },
            5 => told(partition, offset, offset / 2),
            6 => message(partition, offset, &key, &images("r"), &source(None, 5_000, 900, "true")),
            7 => message(partition, offset, &key, &images("c"), &source(None, 10 * n, 900 + n, "false")),
            _ => told(partition, offset, offset),
        }
    };
    (0..count).map(of).collect()
}

/// GIVEN the same messages / THEN bursts of any size become the same batch as message by message.
#[tokio::test]
async fn a_burst_becomes_what_its_messages_become_one_by_one() {
    let (mapping, topic, messages) = (Arc::new(mapping()), Arc::from("cdc.likes"), mixture(400));
    let past = || BTreeMap::from([(1, Position::behind(40, 300, true))]);
    let (mut one, mut positions) = (Batch::new(FakeBlock::default()), past());
    for message in &messages {
        let position = positions.entry(message.partition()).or_default();
        take(&mapping, &topic, message, position, &mut one).unwrap();
    }
    assert!(one.past && one.block.0.iter().any(|row| row.standing == Standing::Doubtful));
    assert!(!one.letters.is_empty() && one.skipped.contains_key(&SkipReason::Tombstone));
    for size in [1, 7, 400] {
        let (mut batch, mut moved, mut ahead) = (Batch::new(FakeBlock::default()), past(), Ahead::new());
        for some in messages.chunks(size) {
            let mut burst = ahead.burst(&batch.block);
            some.iter().for_each(|message| burst.messages.push(message));
            ahead.form(burst, &mapping, &topic);
            if ahead.is_full() || some.last().is_some_and(|last| last.offset == messages[399].offset) {
                while !ahead.is_empty() {
                    let mut burst = ahead.next().await.unwrap();
                    take_burst(&mapping, &topic, &mut burst, &mut moved, &mut batch).unwrap();
                    ahead.done_with(burst);
                }
            }
        }
        assert_eq!(batch.block.0, one.block.0, "bursts of {size}");
        assert_eq!((&batch.ranges, &batch.starts, batch.past), (&one.ranges, &one.starts, one.past));
        assert_eq!((&batch.skipped, batch.messages), (&one.skipped, one.messages));
        assert_eq!((&batch.letters, batch.oldest_commit_us), (&one.letters, one.oldest_commit_us));
        assert_eq!(moved, positions);
    }
}

/// GIVEN many bursts and a revocation right behind them / THEN it is answered after all of them are durable.
#[tokio::test(start_paused = true)]
async fn a_revocation_waits_for_what_was_read_before_it() {
    let messages = i64::try_from(3 * BURST).unwrap();
    let mut bench = Bench::start(|_, _, _| {});
    let likes = (0..messages).map(|offset| like(0, offset));
    bench.send([assigned(&[0])].into_iter().chain(likes).chain([SourceEvent::Revoked(vec![0])]));
    bench.until("released", |world| !world.released.lock().unwrap().is_empty()).await;
    assert_eq!(bench.rows(), (0..messages).collect::<Vec<_>>());
    assert_eq!(bench.committed(0), Some(messages));
    bench.stop().await;
}

/// GIVEN partitions lost while bursts are under way / THEN what was read of them is given up, and the worker starts again.
#[tokio::test(start_paused = true)]
async fn what_is_ahead_when_partitions_are_lost_is_given_up() {
    let mut bench = Bench::start(|_, _, _| {});
    let likes = (0..300).map(|offset| like(0, offset));
    bench.send([assigned(&[0])].into_iter().chain(likes).chain([SourceEvent::Lost(vec![0])]));
    let error = bench.ended().await.unwrap_err();
    assert!(error.is_transient() && error.reason().contains("lost"), "{}", error.reason());
    assert!(bench.rows().is_empty());
}

/// GIVEN a message that halts the stream, in the middle of a burst / THEN nothing behind it is committed.
#[tokio::test(start_paused = true)]
async fn nothing_passes_a_message_that_halts() {
    let mut bench = Bench::start(|_, _, _| {});
    let truncate = message(0, 150, "l", r#""op":"t""#, &source(Some("50"), 55, 7, "false"));
    let likes = |range: std::ops::Range<i64>| range.map(|offset| like(0, offset));
    bench.send([assigned(&[0])].into_iter().chain(likes(0..150)));
    bench.send([SourceEvent::Message(truncate)].into_iter().chain(likes(151..2_000)));
    let error = bench.ended().await.unwrap_err();
    assert!(!error.is_transient() && error.reason().contains("cdc.likes[0]@150"), "{}", error.reason());
    assert!(bench.committed(0) <= Some(150) && bench.rows().iter().all(|offset| *offset < 150));
}
