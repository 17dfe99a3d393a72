//! What the source tells again: changes at new offsets, states read by a snapshot, offsets that are read again.

use super::{Bench, assigned, open_token, row, rows_of};
use crate::fakes::{FakeMessage, InsertFault, World, like, message, source};
use crate::{SourceEvent, StartAt};

/// The like of `first`, told again at a later offset.
fn again(partition: i32, offset: i64, first: i64) -> SourceEvent<FakeMessage> {
    let SourceEvent::Message(told) = like(partition, first) else { panic!("a message") };
    SourceEvent::Message(FakeMessage { offset, ..told })
}

/// A snapshot's reading of the row that [`like`] has inserted at `first`.
fn read(partition: i32, offset: i64, first: i64, user: i64) -> FakeMessage {
    let key = format!("l{partition}-{first}");
    let change = format!(r#""before":null,"after":{{"id":"{key}","user_id":{user}}},"op":"r""#);
    message(partition, offset, &key, &change, &source(None, 5_000, 900, "true"))
}

fn questions(world: &World) -> Vec<&'static str> {
    let log = world.log.lock().unwrap().clone();
    log.into_iter().filter(|what| what.starts_with("resolve") || *what == "seen").collect()
}

#[tokio::test(start_paused = true)]
async fn what_goes_forward_costs_one_question_at_the_first_start_and_none_after_it() {
    let mut bench = Bench::start(|_, _, options| options.batch_rows = 10);
    bench.send([assigned(&[0, 1])].into_iter().chain((0..100).map(|offset| like(0, offset))));
    bench.until("all", |world| world.offset(0) == Some(100)).await;
    assert_eq!(questions(&bench.world), ["seen"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_told_again_at_a_new_offset_becomes_no_row() {
    let mut bench = Bench::start(|_, _, options| options.batch_rows = 3);
    let repeats = [again(0, 3, 1), again(0, 4, 2), like(0, 5)];
    bench.send([assigned(&[0])].into_iter().chain((0..3).map(|offset| like(0, offset))).chain(repeats));
    bench.until("all", |world| world.offset(0) == Some(6)).await;
    assert_eq!(bench.rows(), [0, 1, 2, 5]);
    assert_eq!(questions(&bench.world), ["seen", "resolve"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_position_outlives_the_worker_beside_the_offset() {
    let mut first = Bench::start(|_, _, _| {});
    first.send([assigned(&[0]), like(0, 0), like(0, 1)]);
    first.until("commit", |world| world.offset(0) == Some(2)).await;
    first.stop().await;
    let committed = first.world.committed.lock().unwrap().clone();
    assert_eq!(committed[&0], (2, "n2 14.19.2bd.0.0".to_owned()), "commit 20, LSN 25, transaction 701");

    let mut second = Bench::start(|world, _, _| {
        *world.committed.lock().unwrap() = committed;
        world.inserted.lock().unwrap().push((String::new(), vec![row(0, 0), row(0, 1)]));
    });
    second.send([assigned(&[0]), again(0, 2, 1), like(0, 3)]);
    second.until("commit", |world| world.offset(0) == Some(4)).await;
    assert_eq!(second.rows(), [0, 1, 3]);
    assert_eq!(questions(&second.world), ["resolve"], "Nova knows its own past");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_adds_only_what_the_state_lacks() {
    let mut bench = Bench::start(|_, _, options| options.batch_rows = 2);
    bench.send([assigned(&[0]), like(0, 0), like(0, 1)]);
    let reads = [read(0, 2, 0, 7), read(0, 3, 1, 8), read(0, 4, 9, 1)];
    bench.send(reads.map(SourceEvent::Message));
    bench.until("commit", |world| world.offset(0) == Some(5)).await;
    let rows: Vec<_> =
        bench.world.rows().iter().map(|row| (row.id.offset, row.id.ordinal, row.sign, row.value)).collect();
    let told = [(0, 0, 1, 7), (1, 0, 1, 7), (3, 0, -1, 7), (3, 1, 1, 8), (4, 0, 1, 1)];
    assert_eq!(rows, told, "known, another value, not there");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_does_not_resolve_a_state_a_second_time() {
    let mut bench = Bench::start(|world, _, _| {
        world.inserted.lock().unwrap().push((String::new(), vec![row(0, 0)]));
        *world.committed.lock().unwrap() = [(0, (1, "n2 0.0.-.0.0".to_owned()))].into();
        world.insert_faults.lock().unwrap().push_back(InsertFault::FailAfterWrite);
    });
    bench.send([assigned(&[0]), SourceEvent::Message(read(0, 1, 0, 8))]);
    bench.until("commit", |world| world.offset(0) == Some(2)).await;
    assert_eq!(bench.rows(), [0, 1, 1]);
    assert_eq!(questions(&bench.world), ["resolve"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn offsets_set_back_by_hand_are_read_again_without_effect() {
    let mut bench = Bench::start(|world, _, _| {
        *world.committed.lock().unwrap() = [(0, (0, String::new()))].into();
        world.inserted.lock().unwrap().push((String::new(), vec![row(0, 0), row(0, 1), row(0, 2)]));
        for offset in 0..4 {
            let SourceEvent::Message(message) = like(0, offset) else { panic!("a message") };
            world.log_of_topic.lock().unwrap().push(message);
        }
    });
    bench.send([assigned(&[0])].into_iter().chain((0..4).map(|offset| like(0, offset))));
    bench.until("commit", |world| world.offset(0) == Some(4)).await;
    assert_eq!(bench.rows(), [0, 1, 2, 3]);
    assert_eq!(questions(&bench.world), ["seen", "resolve all"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_deleted_topic_do_not_stand_for_those_of_its_successor() {
    let of_old = |offset| rows_of(&[FakeMessage { offset, ..read(0, 0, 77, 7) }])[0];
    let mut bench = Bench::start(|world, _, _| {
        *world.committed.lock().unwrap() = [(0, (0, String::new()))].into();
        world.inserted.lock().unwrap().push((String::new(), vec![of_old(0), of_old(1), row(0, 40)]));
    });
    // A change of which the old topic's rows know nothing, one that they know, and a state that they know.
    let told = [like(0, 0), again(0, 1, 40), SourceEvent::Message(read(0, 2, 40, 7))];
    bench.send([assigned(&[0])].into_iter().chain(told));
    bench.until("commit", |world| world.offset(0) == Some(3)).await;
    assert_eq!(bench.rows(), [0, 1, 40, 0], "only the first is written");
    bench.stop().await;
}

/// A batch over two partitions that stands open in one of them.
fn open_in(world: &World, sibling: (i64, &str)) {
    let intent = "n2 0.0.-.0.0 0 0 0:3+2,1:0+1".to_owned();
    *world.committed.lock().unwrap() = [(0, (3, intent)), (1, (sibling.0, sibling.1.to_owned()))].into();
    for event in [like(0, 3), like(0, 4), like(1, 0)] {
        let SourceEvent::Message(message) = event else { panic!("a message") };
        world.log_of_topic.lock().unwrap().push(message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_others_moved_on_behind_is_durable_and_not_sent() {
    let mut bench = Bench::start(|world, _, _| open_in(world, (1, "n2 0.0.-.0.0")));
    bench.send([assigned(&[0])]);
    bench.until("start", |world| !world.started.lock().unwrap().is_empty()).await;
    assert!(bench.world.attempts.lock().unwrap().is_empty());
    assert_eq!(*bench.world.started.lock().unwrap(), [StartAt { partition: 0, offset: 5 }]);
    assert_eq!(bench.world.committed.lock().unwrap()[&0].1, "n2 32.37.2c0.0.0", "where its last message was");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_offset_set_by_hand_is_no_witness_and_what_stands_open_is_settled_first() {
    let mut bench = Bench::start(|world, _, _| open_in(world, (1, "")));
    bench.send([assigned(&[1])]);
    bench.until("start", |world| !world.started.lock().unwrap().is_empty()).await;
    let attempts = bench.world.attempts.lock().unwrap().clone();
    assert_eq!(attempts, [(open_token(), vec![row(0, 3), row(0, 4), row(1, 0)])]);
    assert_eq!(bench.committed(0), Some(3), "not ours");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_announced_batch_was_settled_by_others_starts_again() {
    let mut bench = Bench::start(|world, _, _| {
        *world.committed.lock().unwrap() = [(0, (0, "n2 0.0.-.0.0".to_owned()))].into();
        *world.amid_doubts.lock().unwrap() = Some(|world| {
            world.committed.lock().unwrap().insert(0, (1, "n2 0.0.-.0.0".to_owned()));
        });
    });
    bench.send([assigned(&[0]), SourceEvent::Message(read(0, 0, 0, 7))]);
    let error = bench.ended().await.unwrap_err();
    assert!(error.is_transient() && error.reason().contains("others have settled"), "{}", error.reason());
    assert!(bench.world.attempts.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_stands_elsewhere_than_it_was_left_is_not_committed_over() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0]), like(0, 0), like(0, 1)]);
    bench.until("commit", |world| world.offset(0) == Some(2)).await;
    // GIVEN that the topic was deleted and made again: the broker forgets the offsets, and the client reads on
    bench.world.committed.lock().unwrap().clear();
    // WHEN the next message arrives
    bench.send([like(0, 2)]);
    // THEN the worker starts again, instead of passing over what the new topic holds before it
    assert!(bench.ended().await.unwrap_err().is_transient());
    assert_eq!((bench.rows(), bench.committed(0)), (vec![0, 1], None));
}
