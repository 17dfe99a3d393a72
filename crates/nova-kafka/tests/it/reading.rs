//! Reading: explicit starts, bytes intact, committed data only, backpressure, and what is said when it cannot be.

use std::time::{Duration, Instant};

use nova_kafka::{KafkaConnection, KafkaOptions, KafkaSource};
use nova_pipeline::{ErrorKind, Source, SourceEvent, SourceMessage};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::world::{SOON, World, assigned, event, failure, message, start};

#[tokio::test]
async fn reading_begins_at_the_offset_named() {
    let world = World::new(2).await;
    world.write_numbers(0, 0..10).await;
    world.write_numbers(1, 0..5).await;
    let source = world.started(2, 4).await;
    let mut read = vec![];
    while read.len() < 7 {
        read.push(message(&source).await);
    }
    read.sort_unstable();
    let expected = (4..10).map(|n| (0, n, n.to_string())).chain([(1, 4, "4".to_owned())]).collect::<Vec<_>>();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn keys_values_headers_and_tombstones_come_as_they_were_written() {
    let world = World::new(1).await;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "id", value: Some(&[0u8, 0xff, 10]) })
        .insert(Header::<&[u8]> { key: "id", value: None })
        .insert(Header { key: "empty", value: Some("") });
    let record = FutureRecord::to(&world.topic).key(&[0u8, 0xfe]).payload(&[0xffu8, 0, 1]).headers(headers);
    producer.send(record.timestamp(1_700_000_000_123), SOON).await.unwrap();
    producer.send(FutureRecord::<[u8], [u8]>::to(&world.topic).key(&b"gone"[..]), SOON).await.unwrap();

    let source = world.started(1, 0).await;
    let first = event(&source, |event| match event {
        SourceEvent::Message(m) => {
            Some((m.key().unwrap().to_vec(), m.value().unwrap().to_vec(), m.timestamp_ms(), m.headers()))
        }
        _ => None,
    })
    .await;
    let headers = [("id", Some(vec![0, 0xff, 10])), ("id", None), ("empty", Some(vec![]))];
    let headers = headers.map(|(key, value)| (key.to_owned(), value)).to_vec();
    assert_eq!(first, (vec![0, 0xfe], vec![0xff, 0, 1], Some(1_700_000_000_123), headers));
    let second = event(&source, |event| match event {
        SourceEvent::Message(m) => {
            Some((m.key().unwrap().to_vec(), m.value().map(<[u8]>::to_vec), m.headers()))
        }
        _ => None,
    })
    .await;
    assert_eq!(second, (b"gone".to_vec(), None, vec![]));
    let end = event(&source, |event| match event {
        SourceEvent::EndOfPartition(partition) => Some(*partition),
        _ => None,
    })
    .await;
    assert_eq!(end, 0);
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let world = World::new(1).await;
    let source = world.started(1, 0).await;
    let reading = async {
        let (mut read, mut given_up) = (vec![], 0);
        while read.len() < 50 {
            match tokio::time::timeout(Duration::from_micros(50), source.next()).await {
                Ok(Ok(SourceEvent::Message(message))) => read.push(message.offset()),
                Ok(other) => assert!(matches!(other, Ok(SourceEvent::EndOfPartition(0))), "{other:?}"),
                Err(_) => given_up += 1,
            }
        }
        (read, given_up)
    };
    let ((read, given_up), ()) = tokio::join!(reading, world.write_numbers(0, 0..50));
    assert_eq!(read, (0..50).collect::<Vec<_>>());
    assert!(given_up > 10, "{given_up}");
}

#[tokio::test]
async fn aborted_and_open_transactions_are_not_read() {
    let world = World::new(1).await;
    let brokers = world.connection.brokers.clone();
    let topic = world.topic.clone();
    // Offsets: 0 aborted, 1 its marker, 2 committed, 3 its marker, 4 open.
    let producer = tokio::task::spawn_blocking(move || {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("transactional.id", &topic)
            .create()
            .unwrap();
        producer.init_transactions(SOON).unwrap();
        for (value, end) in [("aborted", Some(false)), ("kept", Some(true)), ("open", None)] {
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::<str, str>::to(&topic).payload(value)).unwrap();
            producer.flush(SOON).unwrap();
            match end {
                Some(true) => producer.commit_transaction(SOON).unwrap(),
                Some(false) => producer.abort_transaction(SOON).unwrap(),
                None => {}
            }
        }
        producer
    })
    .await
    .unwrap();
    let source = world.started(1, 0).await;
    assert_eq!(message(&source).await, (0, 2, "kept".to_owned()));
    let held = source.watermarks(&[0]).await.unwrap();
    assert_eq!((held[0].low, held[0].high), (0, 4), "the open transaction begins at 4");
    tokio::task::spawn_blocking(move || producer.commit_transaction(SOON).unwrap()).await.unwrap();
    assert_eq!(message(&source).await, (0, 4, "open".to_owned()));
}

#[tokio::test]
async fn a_paused_source_delivers_nothing_and_loses_nothing() {
    let world = World::new(1).await;
    let source = world.source().await;
    source.pause().unwrap();
    let partitions = assigned(&source).await;
    start(&source, &partitions, 0).await;
    world.write_numbers(0, 0..3).await;
    let quiet = async {
        loop {
            if let SourceEvent::Message(message) = source.next().await.unwrap() {
                return message.offset();
            }
        }
    };
    let quiet = tokio::time::timeout(Duration::from_millis(1_000), quiet).await;
    assert!(quiet.is_err(), "paused, and got {quiet:?}");
    source.resume().unwrap();
    for number in 0..3 {
        assert_eq!(message(&source).await.1, number);
    }
}

#[tokio::test]
async fn an_expired_offset_is_named_with_what_is_there() {
    let world = World::new(2).await;
    world.write_numbers(1, 0..10).await;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&world.topic, 1, Offset::Offset(6)).unwrap();
    admin.delete_records(&before, &AdminOptions::new()).await.unwrap();

    let source = world.started(2, 0).await;
    let error = failure(&source).await;
    assert_eq!(error.kind, ErrorKind::OffsetGap);
    let text = format!("{}[1]@0 is the next to read, 6..10 is there: 6 offsets have expired", world.topic);
    assert!(error.message.starts_with(&text), "{}", error.message);
    assert_eq!(failure(&source).await, error, "it stays until somebody decides");
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_a_gap_too() {
    let world = World::new(1).await;
    world.write_numbers(0, 0..3).await;
    let source = world.started(1, 50).await;
    let error = failure(&source).await;
    assert_eq!(error.kind, ErrorKind::OffsetGap);
    assert!(
        error
            .message
            .contains("@50 is the next to read, 0..3 is there: the topic was deleted and made again"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_missing_topic_is_said_at_once_with_the_cure() {
    let world = World::new(1).await;
    let begun = Instant::now();
    let options = KafkaOptions::new(world.connection.clone(), "nova.missing", "cdc.nowhere");
    let error = KafkaSource::connect(&options).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("cdc.nowhere"), "{}", error.message);
    assert!(error.message.ends_with("create the topic or run `nova connector apply`"), "{}", error.message);
}

#[tokio::test]
async fn an_unreachable_broker_is_named_with_the_reason() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let connection = KafkaConnection::new(closed.clone(), "nova-test");
    let error =
        KafkaSource::connect(&KafkaOptions::new(connection, "nova.closed", "cdc.likes")).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains(&closed) && error.message.contains("refused"), "{}", error.message);
}

#[tokio::test]
async fn partitions_added_to_the_topic_are_picked_up() {
    let world = World::new(1).await;
    let mut options = world.options();
    options.connection.extra.insert("topic.metadata.refresh.interval.ms".into(), "500".into());
    let source = KafkaSource::connect(&options).await.unwrap();
    assert_eq!(assigned(&source).await, [0]);
    start(&source, &[0], 0).await;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &world.connection.brokers).create().unwrap();
    admin.create_partitions(&[NewPartitions::new(&world.topic, 3)], &AdminOptions::new()).await.unwrap();
    assert_eq!(assigned(&source).await, [1, 2]);
    start(&source, &[1, 2], 0).await;
    assert_eq!(source.committed().await.unwrap().len(), 3);
    world.write(2, "new").await;
    assert_eq!(message(&source).await, (2, 0, "new".to_owned()));
}
