//! Members with an instance id: a restart moves no partition, and an id has one holder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use nova_kafka::{GroupProtocol, KafkaOptions, KafkaSource};
use nova_pipeline::{ErrorKind, Source};
use tokio::sync::watch;

use crate::world::{Reader, World, assigned, commit, failure, start};

/// Within the session timeout, and longer than it takes to heartbeat.
const AWAY: Duration = Duration::from_secs(2);

fn named(world: &World, protocol: GroupProtocol, id: &str) -> KafkaOptions {
    KafkaOptions { group_instance_id: Some(id.to_owned()), ..world.options_with(protocol) }
}

async fn reader(options: &KafkaOptions) -> Reader {
    Reader::new(KafkaSource::connect(options).await.unwrap(), Duration::ZERO)
}

/// GIVEN two members with instance ids WHEN one is closed and comes again THEN it gets its own partitions, with what
/// was written meanwhile, and the other one hears of nothing.
async fn a_restart_moves_nothing(protocol: GroupProtocol) {
    let world = World::new(4).await;
    let (mine, others) = (named(&world, protocol, "one"), named(&world, protocol, "two"));
    let other = reader(&others).await;
    let (stop, stopped) = watch::channel(false);
    let conduct = async {
        other.until("the other has all", |heard| heard.owned.len() == 4).await;
        let first = reader(&mine).await;
        tokio::select! {
            () = first.until("it has its share", |heard| heard.owned.len() == 2) => {}
            () = first.read(stopped.clone()) => {}
        }
        let (before, shares) = (first.heard.borrow().clone(), other.heard.borrow().clone());
        first.source.close().await.unwrap();
        drop(first);
        // A rebalance would reach the other with its next heartbeat; messages keep coming for longer than that.
        let away = Instant::now();
        let mut rounds = 0;
        while away.elapsed() < AWAY {
            for partition in 0..4 {
                world.write(partition, "meanwhile").await;
            }
            rounds += 1;
            other.until("the other reads on", |heard| heard.messages.len() >= rounds * 2).await;
        }
        let again = reader(&mine).await;
        tokio::select! {
            () = again.until("it has read", |heard| heard.messages.len() == rounds * 2) => {}
            () = again.read(stopped.clone()) => {}
        }
        let sorted = |mut partitions: Vec<i32>| {
            partitions.sort_unstable();
            partitions
        };
        assert_eq!(sorted(again.heard.borrow().owned.clone()), sorted(before.owned));
        let now = other.heard.borrow().clone();
        assert_eq!(now.messages.len(), rounds * 2);
        assert_eq!((now.owned, now.revoked, now.lost), (shares.owned, shares.revoked, shares.lost));
        stop.send(true).unwrap();
    };
    tokio::join!(conduct, other.read(stopped.clone()));
}

#[tokio::test]
async fn a_restart_of_a_static_member_moves_nothing_classic() {
    a_restart_moves_nothing(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn a_restart_of_a_static_member_moves_nothing_in_the_new_protocol() {
    a_restart_moves_nothing(GroupProtocol::Consumer).await;
}

/// Classic: the newcomer takes over. The older halts; if it joined again, the two would fence each other for ever.
#[tokio::test]
async fn the_older_of_two_with_one_id_is_fenced_and_says_so_classic() {
    let world = World::new(2).await;
    let options = named(&world, GroupProtocol::Classic, "one");
    let older = world_started(&options).await;
    let newer = KafkaSource::connect(&options).await.unwrap();
    assert_eq!(assigned(&newer).await, [0, 1]);
    start(&newer, &[0, 1], 0).await;

    let error = older.commit(&[commit(0, 1, "late")]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    let error = failure(&older).await;
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(error.message.contains("`kafka.instance_id`"), "{error}");
    older.close().await.unwrap();
    drop(older);
    newer.commit(&[commit(0, 1, "of the newer")]).await.unwrap();
    assert_eq!(newer.committed().await.unwrap()[0].metadata, "of the newer");
}

/// KIP-848: who holds the id keeps it; the newcomer is refused, and may try again.
#[tokio::test]
async fn the_newer_of_two_with_one_id_is_refused_and_says_so_in_the_new_protocol() {
    let world = World::new(2).await;
    let options = named(&world, GroupProtocol::Consumer, "one");
    let older = world_started(&options).await;
    let newer = KafkaSource::connect(&options).await.unwrap();
    let error = failure(&newer).await;
    assert_eq!(error.kind, ErrorKind::Fenced, "{error}");
    assert!(error.message.contains("`kafka.instance_id`"), "{error}");
    newer.close().await.unwrap();
    drop(newer);
    older.commit(&[commit(1, 1, "of the older")]).await.unwrap();
    older.close().await.unwrap();
    drop(older);
    let again = KafkaSource::connect(&options).await.unwrap();
    assert_eq!(assigned(&again).await, [0, 1]);
}

async fn world_started(options: &KafkaOptions) -> KafkaSource {
    let source = KafkaSource::connect(options).await.unwrap();
    assert_eq!(assigned(&source).await, [0, 1]);
    start(&source, &[0, 1], 0).await;
    source
}
