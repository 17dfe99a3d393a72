//! A dead-letter topic that is gone: poison is not passed over, and nothing is dropped.

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::admin::{get, ready};
use crate::checks::{equal, goes_on};
use crate::topics::{Record, produce, read_all};
use crate::wait::{s, until};
use crate::world::World;

const TOPIC: &str = "cdc.likes";
const LETTERS: &str = "nova.dead-letters";

/// GIVEN no dead-letter topic any more / WHEN poison comes / THEN its partition waits and readiness says why;
/// WHEN the topic is there again / THEN the stream goes on, and the letter is there once.
pub(crate) async fn dead_letters_gone(world: &mut World) -> Result<()> {
    world.traffic(1, 100.0).await?;
    equal(world).await?;
    let kafka = world.stack.kafka()?;
    let delete = ["--bootstrap-server", &kafka.bootstrap(), "--delete", "--topic", LETTERS];
    kafka.tool("org.apache.kafka.tools.TopicCommand", &delete).await?;
    let poison = waits(world).await?;
    let applied = world.nova(&["connector", "apply"]).await?;
    ensure!(applied.stdout.contains("topic nova.dead-letters: created"), "{applied:?}");

    ready(&world.worker().admin.clone(), s(90)).await?;
    goes_on(world).await?;
    ensure!(letters(world, &poison)? == 1, "the letter is there {} times", letters(world, &poison)?);
    let committed = committed(world, poison.partition)?;
    ensure!(committed > poison.offset, "offset {committed} is committed behind {}", poison.offset);
    Ok(())
}

/// The poison that the stream waits for.
async fn waits(world: &mut World) -> Result<Record> {
    let brokers = world.brokers()?;
    let poison = Record { value: Some(b"no JSON at all".to_vec()), ..Record::default() };
    let written = produce(&brokers, TOPIC, vec![poison]).await?;
    let poison = written.into_iter().next().context("nothing was written")?;
    world.traffic(2, 100.0).await?;
    let admin = world.worker().admin.clone();
    // The producer itself repeats a refused letter for half a minute.
    until("readiness tells of the dead letters", s(60), async || {
        let (status, body) = get(&admin, "/health/ready").await?;
        ensure!(status == 503, "/health/ready answers {status}: {body}");
        ensure!(body.contains("likes") && body.contains("dead letter") && body.contains(LETTERS), "{body}");
        Ok(())
    })
    .await?;
    let (_, said) = get(&admin, "/health/ready").await?;
    world.note(&said);
    let (status, body) = get(&admin, "/health/live").await?;
    ensure!(status == 200, "/health/live answers {status}: {body}");
    let committed = committed(world, poison.partition)?;
    ensure!(
        committed <= poison.offset,
        "offset {committed} is committed past the poison at {}",
        poison.offset
    );
    Ok(poison)
}

fn letters(world: &World, poison: &Record) -> Result<usize> {
    let place = format!("{TOPIC}/{}/{}", poison.partition, poison.offset);
    let letters = read_all(&world.brokers()?, LETTERS)?;
    Ok(letters.iter().filter(|letter| letter.key.as_deref() == Some(place.as_bytes())).count())
}

/// The offset that the stream has committed.
fn committed(world: &World, partition: i32) -> Result<i64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", world.brokers()?).set("group.id", "nova-likes");
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition(TOPIC, partition);
    let committed = consumer.committed_offsets(list, s(10))?;
    let found = committed.find_partition(TOPIC, partition).context("no such partition")?;
    found.offset().to_raw().context("nothing is committed")
}
