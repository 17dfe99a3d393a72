//! Reading ranges once more: all of them or an error, whoever owns the partitions, and nobody in the group notices.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Range;
use std::time::{Duration, Instant};

use nova_kafka::{KafkaSource, TopicSpec, create_topics};
use nova_pipeline::{ErrorKind, PipelineError, Ranges, Source, SourceMessage};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::broker::Broker;
use crate::world::{SOON, World, assigned, eventually, message, start};

type Read = (i32, i64, Option<String>);

fn ranges(ranges: &[(i32, Range<i64>)]) -> Ranges {
    ranges.iter().cloned().collect()
}

fn read_of(message: &dyn SourceMessage) -> Read {
    let value = message.value().map(|value| String::from_utf8(value.to_vec()).unwrap());
    (message.partition(), message.offset(), value)
}

/// What is read, in the order in which it came, partition by partition.
async fn reread(source: &KafkaSource, wanted: &Ranges) -> Result<Vec<Read>, PipelineError> {
    let mut read = Vec::new();
    let mut visit = |message: &dyn SourceMessage| {
        read.push(read_of(message));
        Ok(())
    };
    source.reread(wanted, &mut visit).await?;
    read.sort_by_key(|(partition, ..)| *partition);
    Ok(read)
}

fn numbers(partition: i32, offsets: Range<i64>) -> impl Iterator<Item = Read> {
    offsets.map(move |offset| (partition, offset, Some(offset.to_string())))
}

fn admin(world: &World) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap()
}

async fn gap(source: &KafkaSource, wanted: &[(i32, Range<i64>)]) -> String {
    let error = reread(source, &ranges(wanted)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::OffsetGap, "{error}");
    error.message
}

/// Members of the group, and of the name that readers outside of any group have.
fn members(world: &World) -> (usize, usize) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    let of = |group: &str| {
        let found = consumer.fetch_group_list(Some(group), SOON).unwrap();
        found.groups().iter().map(|group| group.members().len()).sum()
    };
    (of(&world.group), of("nova.reread"))
}

#[tokio::test]
async fn ranges_are_read_whoever_owns_them_and_the_group_does_not_notice() {
    let world = World::new(4).await;
    for partition in 0..4 {
        world.write_numbers(partition, 0..20).await;
    }
    let source = world.started(4, 15).await;
    assert_eq!(message(&source).await.1, 15);
    let positions = source.committed().await.unwrap();

    let wanted = ranges(&[(0, 3..9), (1, 0..1), (3, 18..20)]);
    let expected: Vec<Read> = numbers(0, 3..9).chain(numbers(1, 0..1)).chain(numbers(3, 18..20)).collect();
    let mut seen = (0, 0);
    let mut read = Vec::new();
    let mut visit = |message: &dyn SourceMessage| {
        seen = seen.max(members(&world));
        read.push(read_of(message));
        Ok(())
    };
    source.reread(&wanted, &mut visit).await.unwrap();
    read.sort_by_key(|(partition, ..)| *partition);
    assert_eq!(read, expected, "by the owner");
    assert_eq!(seen, (1, 0), "members while it reads");
    assert_eq!(reread(&source, &Ranges::default()).await.unwrap(), []);

    assert_eq!(source.committed().await.unwrap(), positions, "nothing is committed");
    // What was being read goes on where it was.
    let mut left = vec![];
    while left.len() < 19 {
        left.push(message(&source).await);
    }
    assert!(left.iter().all(|(_, offset, _)| *offset >= 15), "{left:?}");
    let stranger = world.source().await;
    assert_eq!(reread(&stranger, &wanted).await.unwrap(), expected, "by a member that owns nothing");
}

/// Offsets 0, 1: aborted and its marker; 2, 3, 4: committed and its marker; 5, 6: aborted and its marker; 7, 8:
/// committed and its marker.
async fn transactions(world: &World) {
    let (brokers, topic) = (world.connection.brokers.clone(), world.topic.clone());
    tokio::task::spawn_blocking(move || {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("transactional.id", &topic)
            .create()
            .unwrap();
        producer.init_transactions(SOON).unwrap();
        for values in [&["-"][..], &["2", "3"], &["-"], &["7"]] {
            producer.begin_transaction().unwrap();
            for value in values {
                producer.send(BaseRecord::<str, str>::to(&topic).payload(*value)).unwrap();
            }
            producer.flush(SOON).unwrap();
            if values[0] == "-" {
                producer.abort_transaction(SOON).unwrap();
            } else {
                producer.commit_transaction(SOON).unwrap();
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn aborted_messages_and_markers_are_gaps_inside_and_at_the_edges() {
    let world = World::new(1).await;
    transactions(&world).await;
    let source = world.source().await;
    let all = [2, 3, 7].map(|offset| (0, offset, Some(offset.to_string())));
    // A batch ends behind a message that was read, so these are the edges that there are.
    for (range, expected) in [
        (0..8, &all[..]),
        (1..8, &all),
        (2..8, &all),
        (3..8, &all[1..]),
        (4..8, &all[2..]),
        (6..8, &all[2..]),
    ] {
        assert_eq!(reread(&source, &ranges(&[(0, range.clone())])).await.unwrap(), expected, "{range:?}");
    }
    for (range, expected) in [(0..3, &all[..1]), (1..4, &all[..2]), (2..4, &all[..2]), (2..3, &all[..1])] {
        assert_eq!(reread(&source, &ranges(&[(0, range.clone())])).await.unwrap(), expected, "{range:?}");
    }
    // An end inside of a gap is reached by the next message.
    assert_eq!(reread(&source, &ranges(&[(0, 0..6)])).await.unwrap(), &all[..2]);
}

#[tokio::test]
async fn tombstones_are_handed_on() {
    let world = World::new(1).await;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    for value in [Some("0"), None, Some("2"), None] {
        let record = FutureRecord::<str, str>::to(&world.topic).key("k");
        let record = FutureRecord { payload: value, ..record };
        producer.send(record, SOON).await.unwrap();
    }
    let source = world.source().await;
    let read = reread(&source, &ranges(&[(0, 1..4)])).await.unwrap();
    assert_eq!(read, [(0, 1, None), (0, 2, Some("2".to_owned())), (0, 3, None)]);
}

#[tokio::test]
async fn what_has_expired_is_a_gap_and_never_skipped() {
    let world = World::new(2).await;
    world.write_numbers(0, 0..10).await;
    world.write_numbers(1, 0..10).await;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&world.topic, 1, Offset::Offset(6)).unwrap();
    admin(&world).delete_records(&before, &AdminOptions::new()).await.unwrap();
    let source = world.source().await;
    let text = gap(&source, &[(0, 0..4), (1, 5..8)]).await;
    assert!(text.contains(&world.topic) && text.contains("no longer holds"), "{text}");
    gap(&source, &[(1, 0..6)]).await;
    let left = reread(&source, &ranges(&[(0, 0..4), (1, 6..8)])).await.unwrap();
    assert_eq!(left, numbers(0, 0..4).chain(numbers(1, 6..8)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_topic_that_ends_before_the_range_is_a_gap() {
    let world = World::new(2).await;
    world.write_numbers(0, 0..10).await;
    world.write_numbers(1, 0..10).await;
    let source = world.source().await;
    for beyond in [(0, 8..11), (0, 10..12), (0, 50..60)] {
        gap(&source, &[beyond.clone(), (1, 0..10)]).await;
    }
    let missing = reread(&source, &ranges(&[(7, 0..2)])).await.unwrap_err();
    assert!(matches!(missing.kind, ErrorKind::Misconfigured | ErrorKind::OffsetGap), "{missing}");
    drop(source);

    // Deleted and made again, with less in it.
    let admin = admin(&world);
    admin.delete_topics(&[&world.topic], &AdminOptions::new()).await.unwrap();
    eventually("the topic is made again", SOON, async || {
        let spec = TopicSpec {
            name: world.topic.clone(),
            partitions: 2,
            replication: 1,
            configs: std::collections::BTreeMap::new(),
        };
        create_topics(&world.connection, &[spec]).await.ok()
    })
    .await;
    world.write_numbers(0, 0..3).await;
    let source = world.source().await;
    let text = gap(&source, &[(0, 0..10)]).await;
    assert!(text.contains("deleted and made again"), "{text}");
}

#[tokio::test]
async fn a_visitor_that_fails_ends_it_at_once() {
    let world = World::new(1).await;
    world.write_numbers(0, 0..2_500).await;
    let source = world.source().await;
    let begun = Instant::now();
    let mut visited = 0;
    let refused = PipelineError::new(ErrorKind::Unmappable, "no");
    let mut visit = |_: &dyn SourceMessage| {
        visited += 1;
        if visited == 3 { Err(refused.clone()) } else { Ok(()) }
    };
    let error = source.reread(&ranges(&[(0, 0..2_500)]), &mut visit).await.unwrap_err();
    assert_eq!((visited, &error), (3, &refused));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Also for whoever gives up waiting; the next reading is whole.
    let (mut seen, all) = (0, ranges(&[(0, 0..2_500)]));
    let mut visit = |_: &dyn SourceMessage| {
        seen += 1;
        Ok(())
    };
    let given_up = tokio::time::timeout(Duration::from_millis(1), source.reread(&all, &mut visit)).await;
    assert!(given_up.is_err());
    assert_eq!(reread(&source, &all).await.unwrap().len(), 2_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_in_the_middle_costs_time_and_nothing_else() {
    let mut broker = Broker::start().await;
    let mut world = World::on(&broker, 1).await;
    // Little is fetched in advance, so that most is still to be asked for when the broker is gone.
    for (key, value) in [("queued.min.messages", "1"), ("fetch.message.max.bytes", "60000")] {
        world.connection.extra.insert(key.into(), value.into());
    }
    let count = 3_000;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    let values: Vec<String> = (0..count).map(|number| format!("{number:0>100}")).collect();
    for chunk in values.chunks(5) {
        let sent = chunk.iter().map(|value| {
            producer.send_result(FutureRecord::<str, str>::to(&world.topic).payload(value)).unwrap()
        });
        for delivered in sent.collect::<Vec<_>>() {
            delivered.await.unwrap().unwrap();
        }
    }
    let mut options = world.options();
    options.session_timeout = Duration::from_secs(45);
    let source = KafkaSource::connect(&options).await.unwrap();
    let partitions = assigned(&source).await;
    start(&source, &partitions, 0).await;

    let (asked, ask) = std::sync::mpsc::channel();
    let (answered, answer) = std::sync::mpsc::channel();
    let answer = std::sync::Mutex::new(answer);
    let runtime = tokio::runtime::Handle::current();
    let restart = tokio::task::spawn_blocking(move || {
        ask.recv().unwrap();
        broker.kill();
        answered.send(()).unwrap();
        runtime.block_on(broker.start_again());
        broker
    });
    let mut read = Vec::new();
    let mut visit = |message: &dyn SourceMessage| {
        if read.len() == 100 {
            asked.send(()).unwrap();
            tokio::task::block_in_place(|| answer.lock().unwrap().recv()).unwrap();
        }
        read.push(message.offset());
        Ok(())
    };
    let wanted = ranges(&[(0, 0..count)]);
    source.reread(&wanted, &mut visit).await.unwrap();
    assert_eq!(read, (0..count).collect::<Vec<_>>());
    drop(restart.await.unwrap());
}
