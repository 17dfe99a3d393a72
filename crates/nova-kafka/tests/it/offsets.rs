//! Offsets as `nova offsets` reads and sets them: with what stands beside them, and only while nobody reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_kafka::{GroupProtocol, KafkaSource, describe, members, message_times, positions, set_offsets};
use nova_pipeline::{ErrorKind, Source};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::world::{SOON, World, assigned, commit, create, eventually, message, start};

/// (committed, low, high, metadata) of each partition.
async fn standing(world: &World) -> Vec<(Option<i64>, i64, i64, String)> {
    let found = positions(&world.connection, &world.group, &world.topic).await.unwrap();
    let of = |at: nova_kafka::Position| (at.lag.committed, at.lag.low, at.lag.high, at.metadata);
    found.into_iter().map(of).collect()
}

async fn reader(world: &World, protocol: GroupProtocol) -> KafkaSource {
    let source = KafkaSource::connect(&world.options_with(protocol)).await.unwrap();
    let partitions = assigned(&source).await;
    start(&source, &partitions, 0).await;
    source
}

fn admin(world: &World) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap()
}

async fn leave(source: KafkaSource) {
    source.close().await.unwrap();
    tokio::task::spawn_blocking(move || drop(source)).await.unwrap();
}

async fn an_active_group_refuses(protocol: GroupProtocol) {
    let world = World::new(2).await;
    world.write_numbers(0, 0..10).await;
    world.write_numbers(1, 0..10).await;
    let source = reader(&world, protocol).await;
    source.commit(&[commit(0, 7, "a batch"), commit(1, 3, "")]).await.unwrap();
    let before = [(Some(7), 0, 10, "a batch".to_owned()), (Some(3), 0, 10, String::new())];
    assert_eq!(standing(&world).await, before);

    let refused = set_offsets(&world.connection, &world.group, &world.topic, &[(0, 0)]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    assert!(refused.message.contains("stop every `nova run`"), "{refused}");
    assert_eq!(standing(&world).await, before, "nothing was set");
    let named = members(&world.connection, &world.group, &world.topic).await.unwrap();
    // DescribeGroups knows only the members of the classic protocol.
    let expected = if protocol == GroupProtocol::Classic { vec!["nova-test (127.0.0.1)"] } else { vec![] };
    assert_eq!(named, expected);

    leave(source).await;
    eventually("an empty group takes offsets", SOON, async || {
        set_offsets(&world.connection, &world.group, &world.topic, &[(0, 4), (1, 10)]).await.ok()
    })
    .await;
    let after = [(Some(4), 0, 10, String::new()), (Some(10), 0, 10, String::new())];
    assert_eq!(standing(&world).await, after, "and nothing stands beside them");
    assert_eq!(members(&world.connection, &world.group, &world.topic).await.unwrap(), [""; 0]);
    let source = KafkaSource::connect(&world.options_with(protocol)).await.unwrap();
    let partitions = assigned(&source).await;
    let at = source.committed().await.unwrap();
    assert_eq!(at.iter().map(|at| at.offset).collect::<Vec<_>>(), [Some(4), Some(10)]);
    start(&source, &partitions, 4).await;
    assert_eq!(message(&source).await.1, 4);
}

#[tokio::test]
async fn offsets_are_set_only_while_nobody_reads() {
    an_active_group_refuses(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn offsets_are_set_only_while_nobody_reads_by_the_new_protocol() {
    an_active_group_refuses(GroupProtocol::Consumer).await;
}

#[tokio::test]
async fn a_group_that_never_was_can_be_given_offsets() {
    let world = World::new(1).await;
    world.write_numbers(0, 0..3).await;
    assert_eq!(standing(&world).await, [(None, 0, 3, String::new())]);
    assert_eq!(members(&world.connection, &world.group, &world.topic).await.unwrap(), [""; 0]);
    set_offsets(&world.connection, &world.group, &world.topic, &[(0, 2)]).await.unwrap();
    assert_eq!(standing(&world).await, [(Some(2), 0, 3, String::new())]);
}

#[tokio::test]
async fn the_time_of_the_next_message_is_read_where_there_is_one() {
    let world = World::new(3).await;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    for (partition, time) in [(0, 1_000), (0, 2_000), (1, 7_000)] {
        let record =
            FutureRecord::<str, str>::to(&world.topic).partition(partition).payload("x").timestamp(time);
        producer.send(record, SOON).await.unwrap();
    }
    let wanted = [(0, 1), (1, 0), (2, 0)];
    let times = message_times(&world.connection, &world.topic, &wanted).await.unwrap();
    assert_eq!(times, [(0, 2_000), (1, 7_000)].into());
    assert!(message_times(&world.connection, &world.topic, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_group_in_the_oldest_part_of_what_is_held_is_near_its_expiry() {
    let world = World::new(2).await;
    world.write_numbers(0, 0..50).await;
    world.write_numbers(1, 0..50).await;
    set_offsets(&world.connection, &world.group, &world.topic, &[(0, 1), (1, 11)]).await.unwrap();
    let nearest = async || {
        let lag = describe(&world.connection, &world.group, &world.topic).await.unwrap();
        let nearest = *lag.nearest_expiry().unwrap();
        (nearest.partition, nearest.near_expiry())
    };
    assert!(!nearest().await.1, "nothing is deleted yet");
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&world.topic, 1, Offset::Offset(10)).unwrap();
    admin(&world).delete_records(&before, &AdminOptions::new()).await.unwrap();
    assert_eq!(nearest().await, (1, true));
    set_offsets(&world.connection, &world.group, &world.topic, &[(1, 30)]).await.unwrap();
    assert_eq!(nearest().await, (1, false));
}

/// Kafka forgets a group's offsets with the topic (`GroupCoordinator.onPartitionsDeleted`): what `nova run` then finds
/// is a group that never read.
#[tokio::test]
async fn a_topic_that_is_made_again_finds_its_group_without_offsets() {
    let world = World::new(1).await;
    world.write_numbers(0, 0..3).await;
    set_offsets(&world.connection, &world.group, &world.topic, &[(0, 2)]).await.unwrap();
    admin(&world).delete_topics(&[&world.topic], &AdminOptions::new()).await.unwrap();
    eventually("the topic is gone", SOON, async || {
        let found = positions(&world.connection, &world.group, &world.topic).await;
        found.is_err_and(|error| error.kind == ErrorKind::Misconfigured).then_some(())
    })
    .await;
    create(&world.connection, &world.topic, 1, &[]).await;
    world.write_numbers(0, 0..1).await;
    assert_eq!(standing(&world).await, [(None, 0, 1, String::new())]);
}
