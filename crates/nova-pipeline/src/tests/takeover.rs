//! Batches that a former owner left open: formed again, and settled before anything is read.

use super::{Bench, assigned, open_token, row};
use crate::fakes::{InsertFault, World, like};
use crate::{SourceEvent, StartAt};

/// A group whose former owner announced offsets 3 and 4 of partition 0 and 0 of partition 1, and died.
fn left_open(world: &World) {
    let intent = "n2 0.0.-.0.0 0 0 0:3+2,1:0+1".to_owned();
    *world.committed.lock().unwrap() = [(0, (3, intent.clone())), (1, (0, intent))].into();
    for event in [like(0, 3), like(0, 4), like(1, 0), like(0, 5)] {
        let SourceEvent::Message(message) = event else { panic!("a message") };
        world.log_of_topic.lock().unwrap().push(message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_left_open_and_never_inserted_is_formed_again_with_its_token_before_anything_is_read() {
    let mut bench = Bench::start(|world, _, _| left_open(world));
    bench.send([assigned(&[0])]);
    bench.until("start", |world| !world.started.lock().unwrap().is_empty()).await;
    let inserted = bench.world.inserted.lock().unwrap().clone();
    assert_eq!(inserted, [(open_token(), vec![row(0, 3), row(0, 4), row(1, 0)])], "the sibling's rows, too");
    assert_eq!(*bench.world.started.lock().unwrap(), [StartAt { partition: 0, offset: 5 }]);
    assert_eq!((bench.committed(0), bench.committed(1)), (Some(5), Some(0)), "only own partitions move on");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_left_open_and_inserted_is_not_inserted_again() {
    let mut bench = Bench::start(|world, _, _| {
        left_open(world);
        let rows = vec![row(0, 3), row(0, 4), row(1, 0)];
        world.inserted.lock().unwrap().push(("a token of long ago".to_owned(), rows));
    });
    bench.send([assigned(&[0, 1])]);
    bench.until("start", |world| !world.started.lock().unwrap().is_empty()).await;
    assert!(bench.world.attempts.lock().unwrap().is_empty());
    assert_eq!((bench.committed(0), bench.committed(1)), (Some(5), Some(1)));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_left_half_inserted_only_the_rest_is_sent_under_the_same_token() {
    let mut bench = Bench::start(|world, _, _| {
        left_open(world);
        world.inserted.lock().unwrap().push(("one month of it".to_owned(), vec![row(0, 4)]));
    });
    bench.send([assigned(&[0])]);
    bench.until("start", |world| !world.started.lock().unwrap().is_empty()).await;
    assert_eq!(*bench.world.attempts.lock().unwrap(), [(open_token(), vec![row(0, 3), row(1, 0)])]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_remembered_without_its_rows_gets_a_derived_one() {
    let mut bench = Bench::start(|world, _, _| {
        left_open(world);
        world.insert_faults.lock().unwrap().push_back(InsertFault::DropSilently);
    });
    bench.send([assigned(&[0])]);
    bench.until("start", |world| !world.started.lock().unwrap().is_empty()).await;
    let tokens: Vec<String> =
        bench.world.attempts.lock().unwrap().iter().map(|(token, _)| token.clone()).collect();
    assert_eq!(tokens, [open_token(), format!("{}-1", open_token())]);
    assert_eq!(bench.rows().len(), 3);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_table_that_swallows_every_insert_halts_the_stream() {
    let mut bench = Bench::start(|world, _, _| {
        left_open(world);
        world.insert_faults.lock().unwrap().extend([InsertFault::DropSilently; 9]);
    });
    bench.send([assigned(&[0])]);
    let error = bench.ended().await.unwrap_err();
    assert!(!error.is_transient() && error.reason().contains("lacks 3 rows"), "{}", error.reason());
    assert_eq!(bench.committed(0), Some(3));
}
