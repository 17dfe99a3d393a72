//! Partitions that are revoked or lost, and commits that the group refuses.

use super::{Bench, assigned};
use crate::fakes::{InsertFault, like};
use crate::{ErrorKind, SourceEvent};

#[tokio::test(start_paused = true)]
async fn a_revoke_waits_for_the_drain_and_then_commits_nothing_more() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0, 1]), like(0, 0), like(1, 0), SourceEvent::Revoked(vec![1])]);
    bench.until("release", |world| !world.released.lock().unwrap().is_empty()).await;
    assert_eq!(*bench.world.log.lock().unwrap(), ["seen", "commit", "commit", "insert", "commit", "release"]);
    assert_eq!((bench.committed(0), bench.committed(1)), (Some(1), Some(1)));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_revoke_that_cannot_drain_in_time_gives_the_partitions_back_uncommitted() {
    let mut bench = Bench::start(|world, _, _| {
        world.insert_faults.lock().unwrap().push_back(InsertFault::Hold);
    });
    bench.send([assigned(&[0]), like(0, 0), SourceEvent::Revoked(vec![0])]);
    let error = bench.ended().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(*bench.world.released.lock().unwrap(), [0]);
    assert_eq!(bench.committed(0), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_loss_with_messages_in_hand_restarts_the_worker_and_commits_nothing_of_them() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0, 1]), like(0, 0), like(1, 0), SourceEvent::Lost(vec![1]), assigned(&[1])]);
    assert!(bench.ended().await.unwrap_err().is_transient());
    assert_eq!(*bench.world.released.lock().unwrap(), [1]);
    let commits = bench.world.commits.lock().unwrap().clone();
    assert!(
        commits.iter().all(|commit| commit.metadata == "n2 0.0.-.0.0"),
        "none announces a batch: {commits:?}"
    );
    assert_eq!((bench.committed(0), bench.committed(1)), (Some(0), Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_loss_with_empty_hands_is_survived() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0, 1]), SourceEvent::Lost(vec![1]), like(0, 0)]);
    bench.until("commit", |world| world.offset(0) == Some(1)).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_fenced_commit_restarts_the_worker() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0]), like(0, 0)]);
    bench.until("established", |world| world.commits.lock().unwrap().len() == 1).await;
    bench.world.commit_faults.lock().unwrap().push_back(ErrorKind::Fenced);
    assert!(bench.ended().await.unwrap_err().is_transient());
}
