//! Shutdown that meets a worker in the middle of something else than reading: as in a rolling upgrade, in which the group
//! rebalances while its members are told to end.

use std::time::Duration;

use tokio::time::advance;

use super::{Bench, assigned};
use crate::fakes::{InsertFault, like};
use crate::{ErrorKind, SourceEvent};

/// GIVEN a batch whose closing commit the coordinator refuses for now, as during a rebalance / WHEN the worker is told to end /
/// THEN it ends in order, and the batch stands announced for whoever comes next.
#[tokio::test(start_paused = true)]
async fn while_a_commit_is_refused() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0]), like(0, 0)]);
    bench.until("the insert", |world| !world.attempts.lock().unwrap().is_empty()).await;
    bench.world.commit_faults.lock().unwrap().extend([ErrorKind::Unavailable; 50]);
    bench.until("a refusal", |world| world.commit_faults.lock().unwrap().len() < 50).await;
    bench.stop().await;
    assert_eq!((bench.committed(0), bench.world.rows().len()), (Some(0), 1));
}

/// The same while partitions are taken away and their last batch does not get through.
#[tokio::test(start_paused = true)]
async fn while_partitions_are_taken_away() {
    let mut bench = Bench::start(|world, _, _| {
        world.insert_faults.lock().unwrap().extend([InsertFault::Reject(ErrorKind::Unavailable); 50]);
    });
    bench.send([assigned(&[0]), like(0, 0), SourceEvent::Revoked(vec![0])]);
    bench.until("an attempt", |world| !world.attempts.lock().unwrap().is_empty()).await;
    advance(Duration::from_secs(1)).await;
    bench.stop().await;
    assert_eq!((bench.committed(0), bench.world.rows().len()), (Some(0), 0));
}
