//! Rebalances: the answer may take its time, nobody reads what another still has, and zombies are refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nova_kafka::{GroupProtocol, KafkaSource};
use nova_pipeline::{ErrorKind, Source, SourceEvent};
use tokio::sync::watch;

use crate::world::{Reader, SOON, World, commit, event, eventually};

/// GIVEN a member that reads four partitions WHEN a second one joins and the first takes three seconds to drain
/// THEN the second gets its share after that, and every message is read exactly once.
async fn a_release_may_take_its_time(protocol: GroupProtocol) {
    let world = World::new(4).await;
    let mut options = world.options();
    options.group_protocol = protocol;
    let drains_for = Duration::from_secs(3);
    let first = Reader::new(KafkaSource::connect(&options).await.unwrap(), drains_for);
    let (stop, stopped) = watch::channel(false);
    // Alone at first: a member that has joined and is not polled would hold up the group.
    let (all, stopped_too) =
        (first.until("the first has all", |heard| heard.owned.len() == 4), stopped.clone());
    tokio::select! {
        () = all => {}
        () = first.read(stopped_too) => {}
    }
    let second = Reader::new(KafkaSource::connect(&options).await.unwrap(), drains_for);

    let conduct = async {
        let mut written = 0;
        let mut write = async || {
            for partition in 0..4 {
                world.write(partition, "x").await;
            }
            written += 1;
            written
        };
        // Messages keep coming all the while.
        let begun = Instant::now();
        while second.heard.borrow().owned.len() < 2 {
            assert!(begun.elapsed() < SOON, "{:?} {:?}", first.heard.borrow(), second.heard.borrow());
            write().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(begun.elapsed() >= drains_for, "it waited for the drain: {:?}", begun.elapsed());
        let rounds = write().await;
        let total = || first.heard.borrow().messages.len() + second.heard.borrow().messages.len();
        eventually("all is read", SOON, async || (total() >= rounds * 4).then_some(())).await;
        stop.send(true).unwrap();
        rounds
    };
    let (rounds, (), ()) = tokio::join!(conduct, first.read(stopped.clone()), second.read(stopped.clone()));

    let mut times_read: BTreeMap<(i32, i64), u32> = BTreeMap::new();
    for reader in [&first, &second] {
        for at in &reader.heard.borrow().messages {
            *times_read.entry(*at).or_default() += 1;
        }
    }
    let once = (0..4).flat_map(|p| (0..i64::try_from(rounds).unwrap()).map(move |offset| ((p, offset), 1)));
    assert_eq!(times_read, once.collect());
    let (first, second) = (first.heard.borrow(), second.heard.borrow());
    assert_eq!((first.owned.len(), second.owned.len()), (2, 2));
    assert_eq!((first.revoked, first.lost, second.lost), (1, 0, 0));
}

#[tokio::test]
async fn a_cooperative_release_may_take_its_time() {
    a_release_may_take_its_time(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn a_release_of_the_new_protocol_may_take_its_time() {
    a_release_may_take_its_time(GroupProtocol::Consumer).await;
}

/// GIVEN a member that has not polled for too long WHEN another has taken its partitions
/// THEN its commit is refused, it hears that they are lost, and it may join again.
async fn a_silent_member_loses_its_partitions(protocol: GroupProtocol) {
    let world = World::new(2).await;
    let mut options = world.options();
    options.group_protocol = protocol;
    options.session_timeout = Duration::from_secs(2);
    options.max_poll_interval = Duration::from_secs(2);
    let zombie = KafkaSource::connect(&options).await.unwrap();
    let partitions = crate::world::assigned(&zombie).await;
    crate::world::start(&zombie, &partitions, 0).await;
    eventually("the silent member is out", SOON, async || {
        let refused = zombie.commit(&[commit(0, 0, "early")]).await.err()?;
        (refused.kind == ErrorKind::Fenced).then_some(())
    })
    .await;

    let heir =
        Reader::new(KafkaSource::connect(&world.options_with(protocol)).await.unwrap(), Duration::ZERO);
    let (stop, stopped) = watch::channel(false);
    let conduct = async {
        heir.until("the heir has all", |heard| heard.owned.len() == 2).await;
        let error = zombie.commit(&[commit(0, 5, "late")]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fenced, "{error}");
        let mut lost = event(&zombie, |event| match event {
            SourceEvent::Lost(partitions) => Some(partitions.clone()),
            _ => None,
        })
        .await;
        lost.sort_unstable();
        assert_eq!(lost, [0, 1]);
        zombie.release(&lost).await.unwrap();
        let again = crate::world::assigned(&zombie).await;
        assert_eq!(again.len(), 1, "it joins again: {again:?}");
        crate::world::start(&zombie, &again, 0).await;
        let other = 1 - again[0];
        let error = zombie.commit(&[commit(again[0], 1, ""), commit(other, 1, "")]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fenced, "a member again, but not of that partition: {error}");
        zombie.commit(&[commit(again[0], 1, "")]).await.unwrap();
        let committed = zombie.committed().await.unwrap();
        assert!(committed.iter().all(|at| at.metadata != "late"), "{committed:?}");
        stop.send(true).unwrap();
    };
    tokio::join!(conduct, heir.read(stopped));
}

#[tokio::test]
async fn a_silent_member_loses_its_partitions_classic() {
    a_silent_member_loses_its_partitions(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn a_silent_member_loses_its_partitions_in_the_new_protocol() {
    a_silent_member_loses_its_partitions(GroupProtocol::Consumer).await;
}

/// GIVEN a member that is asked for partitions and does not listen WHEN its time is over and the other has all
/// THEN the broker refuses its commit, although its own client has not heard of a loss.
async fn a_deaf_member_is_fenced(protocol: GroupProtocol) {
    let world = World::new(2).await;
    let mut options = world.options_with(protocol);
    options.session_timeout = Duration::from_secs(2);
    options.max_poll_interval = Duration::from_secs(2);
    let deaf = KafkaSource::connect(&options).await.unwrap();
    let partitions = crate::world::assigned(&deaf).await;
    crate::world::start(&deaf, &partitions, 0).await;
    let heir =
        Reader::new(KafkaSource::connect(&world.options_with(protocol)).await.unwrap(), Duration::ZERO);
    let (stop, stopped) = watch::channel(false);
    let conduct = async {
        heir.until("the heir has all", |heard| heard.owned.len() == 2).await;
        let error = deaf.commit(&[commit(0, 5, "late"), commit(1, 5, "late")]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fenced, "{error}");
        assert!(deaf.committed().await.unwrap().iter().all(|at| at.offset.is_none()));
        // What its client makes of it differs; either way the pipeline ends, closes, and a new member takes part.
        let told = tokio::time::timeout(SOON, deaf.next()).await.unwrap();
        match told {
            Ok(SourceEvent::Revoked(_) | SourceEvent::Lost(_)) => {}
            Err(error) => assert_eq!(error.kind, ErrorKind::Fenced, "{error}"),
            Ok(other) => assert!(matches!(other, SourceEvent::EndOfPartition(_)), "{other:?}"),
        }
        deaf.close().await.unwrap();
        drop(deaf);
        let again = KafkaSource::connect(&options).await.unwrap();
        assert_eq!(crate::world::assigned(&again).await.len(), 1);
        stop.send(true).unwrap();
    };
    tokio::join!(conduct, heir.read(stopped));
}

#[tokio::test]
async fn a_deaf_member_is_fenced_classic() {
    a_deaf_member_is_fenced(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn a_deaf_member_is_fenced_in_the_new_protocol() {
    a_deaf_member_is_fenced(GroupProtocol::Consumer).await;
}
