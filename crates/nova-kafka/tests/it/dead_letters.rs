//! Dead letters, byte for byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_kafka::KafkaDeadLetters;
use nova_pipeline::{DeadLetter, DeadLetters, ErrorKind};
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use crate::world::{SOON, World, create};

fn letter(offset: i64, value: Option<Vec<u8>>) -> DeadLetter {
    DeadLetter {
        stream: "likes".into(),
        topic: "cdc.likes".into(),
        partition: 3,
        offset,
        key: Some(vec![0, 0xff]),
        value,
        headers: vec![("id".into(), Some(vec![0xfe])), ("id".into(), None), ("none".into(), Some(vec![]))],
        kind: ErrorKind::Unmappable,
        reason: "größer als UInt32".into(),
        path: "payload.after.dwell_time_ms".into(),
    }
}

async fn read(world: &World, count: usize) -> Vec<OwnedMessage> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &world.connection.brokers)
        .set("group.id", "nova.letters")
        .create()
        .unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&world.topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let mut read = vec![];
    while read.len() < count {
        read.push(tokio::time::timeout(SOON, consumer.recv()).await.unwrap().unwrap().detach());
    }
    read.sort_by_key(|message| message.key().map(<[u8]>::to_vec));
    read
}

fn headers(message: &OwnedMessage) -> Vec<(String, Option<Vec<u8>>)> {
    let headers = message.headers().unwrap().iter();
    headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
}

#[tokio::test]
async fn a_letter_holds_the_message_and_where_it_came_from() {
    let world = World::new(1).await;
    let letters = KafkaDeadLetters::connect(&world.connection, &world.topic).await.unwrap();
    letters.write(&[letter(42, Some(vec![0xff, 0, 1])), letter(43, None)]).await.unwrap();
    let read = read(&world, 2).await;
    assert_eq!(read[0].key().unwrap(), b"cdc.likes/3/42");
    assert_eq!(read[0].payload().unwrap(), [0xff, 0, 1]);
    assert_eq!(read[1].key().unwrap(), b"cdc.likes/3/43");
    assert_eq!(read[1].payload(), None);
    let mut found = headers(&read[0]);
    let time = found.iter().position(|(key, _)| key == "nova.time").unwrap();
    assert!(humantime::parse_rfc3339(str::from_utf8(&found.remove(time).1.unwrap()).unwrap()).is_ok());
    let text = |value: &str| Some(value.as_bytes().to_vec());
    let expected = [
        ("id", Some(vec![0xfe])),
        ("id", None),
        ("none", Some(vec![])),
        ("nova.stream", text("likes")),
        ("nova.topic", text("cdc.likes")),
        ("nova.partition", text("3")),
        ("nova.offset", text("42")),
        ("nova.error.kind", text("unmappable")),
        ("nova.reason", text("größer als UInt32")),
        ("nova.path", text("payload.after.dwell_time_ms")),
        ("nova.original.key", Some(vec![0, 0xff])),
        ("nova.version", text(env!("CARGO_PKG_VERSION"))),
    ];
    assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)));
}

#[tokio::test]
async fn a_value_too_large_for_the_topic_is_cut_and_says_so() {
    let mut world = World::new(1).await;
    let topic = format!("{}.small", world.topic);
    create(&world.connection, &topic, 1, &[("max.message.bytes", "20000")]).await;
    world.topic = topic;
    let letters = KafkaDeadLetters::connect(&world.connection, &world.topic).await.unwrap();
    // Beyond the client's limit (1,000,000), beyond the topic's, and within both.
    let sizes = [2_000_000, 50_000, 10_000];
    let all: Vec<_> =
        sizes.iter().zip(1..).map(|(size, offset)| letter(offset, Some(vec![b'x'; *size]))).collect();
    letters.write(&all).await.unwrap();
    let read = read(&world, 3).await;
    for (message, size) in read.iter().zip(sizes) {
        let kept = message.payload().unwrap().len();
        let found = headers(message);
        let header =
            |name: &str| found.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone().unwrap());
        assert!(kept <= 20_000, "{kept}");
        assert_eq!(kept < size, size > 20_000);
        assert_eq!(header("nova.truncated").is_some(), size > 20_000);
        assert_eq!(header("nova.value.sha256").map(|digest| digest.len()), (size > 20_000).then_some(64));
        let length = (size > 20_000).then(|| size.to_string().into_bytes());
        assert_eq!(header("nova.value.length"), length);
    }
}

#[tokio::test]
async fn a_missing_dead_letter_topic_is_said_at_once() {
    let world = World::new(1).await;
    let error = KafkaDeadLetters::connect(&world.connection, "nova.nowhere").await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("nova.nowhere"), "{}", error.message);
}
