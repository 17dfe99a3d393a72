//! Lag, offsets by time, and facts about topics.

use std::collections::BTreeMap;

use nova_kafka::{
    Created, TopicSpec, create_topics, describe, group_standing, offsets_by_time, standing_since, topic_facts,
};
use nova_pipeline::{ErrorKind, Source};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::world::{SOON, World, commit, create};

#[tokio::test]
async fn lag_is_what_lies_between_commit_and_end() {
    let world = World::new(3).await;
    world.write_numbers(0, 0..10).await;
    world.write_numbers(1, 0..4).await;
    let source = world.started(3, 0).await;
    source.commit(&[commit(0, 7, "batch")]).await.unwrap();
    let lag = describe(&world.connection, &world.group, &world.topic).await.unwrap();
    let each: Vec<_> =
        lag.partitions.iter().map(|p| (p.partition, p.committed, p.low, p.high, p.messages())).collect();
    assert_eq!(each, [(0, Some(7), 0, 10, 3), (1, None, 0, 4, 4), (2, None, 0, 0, 0)]);
    assert_eq!(lag.messages(), 7);
    // Asking from outside has not disturbed the member.
    source.commit(&[commit(0, 8, "batch")]).await.unwrap();
    let missing = describe(&world.connection, &world.group, "cdc.nowhere").await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Misconfigured);
}

#[tokio::test]
async fn one_look_tells_position_waiting_messages_and_members() {
    let world = World::new(3).await;
    world.write_numbers(0, 0..10).await;
    world.write_numbers(1, 0..4).await;
    let never = group_standing(&world.connection, "nobody", &world.topic).await.unwrap();
    assert_eq!(never.members, Some(vec![]));
    assert_eq!(never.unread_since_ms.keys().copied().collect::<Vec<_>>(), [0, 1]);

    let source = world.started(3, 0).await;
    source.commit(&[commit(0, 7, "batch"), commit(1, 4, "")]).await.unwrap();
    let found = group_standing(&world.connection, &world.group, &world.topic).await.unwrap();
    assert_eq!(found.members.as_ref().map(Vec::len), Some(1), "{found:?}");
    let first = &found.positions[0];
    assert_eq!((first.lag.messages(), first.metadata.as_str()), (3, "batch"));
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let [(0, since_ms)] = found.unread_since_ms.into_iter().collect::<Vec<_>>()[..] else { panic!("others") };
    let age_ms = i64::try_from(now_ms).unwrap() - since_ms;
    assert!((0..120_000).contains(&age_ms), "{age_ms}");
    let missing = group_standing(&world.connection, &world.group, "cdc.nowhere").await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Misconfigured);
}

#[tokio::test]
async fn offsets_are_found_by_time() {
    let world = World::new(2).await;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    for time in [1_000, 2_000, 3_000] {
        let record = FutureRecord::<str, str>::to(&world.topic).partition(0).payload("x").timestamp(time);
        producer.send(record, SOON).await.unwrap();
    }
    // The oldest unread message is the first one that there is, as long as the group has not committed.
    let group = format!("{}-unread", world.group);
    let (lag, since) = standing_since(&world.connection, &group, &world.topic).await.unwrap();
    assert_eq!((lag.messages(), since), (3, BTreeMap::from([(0, 1_000)])));
    let source = world.started(2, 0).await;
    source.commit(&[commit(0, 2, "batch")]).await.unwrap();
    let (_, since) = standing_since(&world.connection, &world.group, &world.topic).await.unwrap();
    assert_eq!(since, BTreeMap::from([(0, 3_000)]));
    source.commit(&[commit(0, 3, "batch")]).await.unwrap();
    let (_, since) = standing_since(&world.connection, &world.group, &world.topic).await.unwrap();
    assert!(since.is_empty(), "all is read: {since:?}");
    for (time, expected) in [(0, 0), (1_001, 1), (2_000, 1), (3_001, 3)] {
        let found = offsets_by_time(&world.connection, &world.topic, time).await.unwrap();
        assert_eq!(found, [(0, expected), (1, 0)], "at {time}");
    }
}

#[tokio::test]
async fn facts_are_read_and_existing_topics_left_alone() {
    let world = World::new(2).await;
    let name = format!("{}.facts", world.topic);
    create(&world.connection, &name, 4, &[("retention.ms", "2592000000"), ("cleanup.policy", "compact")])
        .await;
    let spec = TopicSpec { name: name.clone(), partitions: 9, replication: 1, configs: [].into() };
    let new = TopicSpec { name: format!("{name}.new"), ..spec.clone() };
    let created = create_topics(&world.connection, &[spec.clone(), new]).await.unwrap();
    assert_eq!(created, [Created::Existed, Created::New]);
    let facts = topic_facts(&world.connection, &name).await.unwrap();
    assert_eq!((facts.partitions, facts.replication), (4, 1));
    assert_eq!((facts.retention_ms, facts.min_insync_replicas), (Some(2_592_000_000), Some(1)));
    assert_eq!(facts.cleanup_policy.as_deref(), Some("compact"));
    let wide = TopicSpec { name: format!("{name}.wide"), replication: 3, ..spec };
    let error = create_topics(&world.connection, &[wide]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
}
