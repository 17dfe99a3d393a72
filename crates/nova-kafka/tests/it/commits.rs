//! Commits: metadata beside the offsets, one request, and never for what is not this member's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_pipeline::{Committed, ErrorKind, Source};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::world::{SOON, World, commit, eventually};

fn members(world: &World) -> usize {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    let groups = consumer.fetch_group_list(Some(&world.group), SOON).unwrap();
    groups.groups().iter().map(|group| group.members().len()).sum()
}

#[tokio::test]
async fn metadata_is_read_back_by_a_member_that_owns_nothing() {
    let world = World::new(3).await;
    let source = world.started(3, 0).await;
    let long = "ä0;".repeat(750);
    assert_eq!(long.len(), 3_000);
    source.commit(&[commit(0, 7, &long), commit(2, 9, "")]).await.unwrap();
    source.commit(&[commit(2, 5, "back is allowed")]).await.unwrap();
    source.close().await.unwrap();
    drop(source);
    let other = world.source().await;
    let expected = [(0, Some(7), long.as_str()), (1, None, ""), (2, Some(5), "back is allowed")];
    let expected = expected.map(|(partition, offset, metadata)| Committed {
        partition,
        offset,
        metadata: metadata.to_owned(),
    });
    assert_eq!(other.committed().await.unwrap(), expected);
}

#[tokio::test]
async fn metadata_beyond_the_brokers_limit_is_a_matter_of_configuration() {
    let world = World::new(1).await;
    let source = world.started(1, 0).await;
    let error = source.commit(&[commit(0, 1, &"x".repeat(5_000))]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("offset.metadata.max.bytes"), "{}", error.message);
}

#[tokio::test]
async fn a_partition_of_somebody_else_is_not_committed() {
    let world = World::new(1).await;
    let source = world.source().await;
    // Joined perhaps, assigned not yet: nothing is this member's.
    let error = source.commit(&[commit(0, 1, "")]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fenced);
    assert_eq!(source.committed().await.unwrap()[0].offset, None);
}

#[tokio::test]
async fn the_farewell_ends_the_membership() {
    let world = World::new(2).await;
    let source = world.started(2, 0).await;
    assert_eq!(members(&world), 1);
    source.close().await.unwrap();
    drop(source);
    assert_eq!(members(&world), 0);
}

#[tokio::test]
async fn a_source_dropped_in_the_middle_of_a_question_leaves_too() {
    let world = World::new(2).await;
    let source = world.source().await;
    crate::world::assigned(&source).await;
    drop(source);
    eventually("the group is empty", SOON, async || (members(&world) == 0).then_some(())).await;
}
