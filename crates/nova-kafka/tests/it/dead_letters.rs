//! Dead letters, byte for byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_kafka::{
    ForeignMessage, KafkaDeadLetters, StoredLetter, original, read_letters, read_recent_letters,
};
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

type Found = Vec<Result<StoredLetter, ForeignMessage>>;

async fn stored(world: &World, topic: &str) -> Found {
    let mut found = Vec::new();
    let mut keep = |read| {
        found.push(read);
        Ok(())
    };
    tokio::time::timeout(SOON, read_letters(&world.connection, topic, &mut keep)).await.unwrap().unwrap();
    found
}

#[tokio::test]
async fn letters_are_read_back_to_the_end_and_what_is_none_is_told() {
    let world = World::new(3).await;
    assert!(stored(&world, &world.topic).await.is_empty(), "an empty topic");
    let letters = KafkaDeadLetters::connect(&world.connection, &world.topic).await.unwrap();
    let all: Vec<_> = (0..20).map(|offset| letter(offset, Some(vec![0xff; 10]))).collect();
    letters.write(&all).await.unwrap();
    letters.write(&all[..1]).await.unwrap();
    world.write(2, "no letter").await;
    let (mut read, mut foreign) = (Vec::new(), Vec::new());
    for found in stored(&world, &world.topic).await {
        match found {
            Ok(found) => read.push(found.letter),
            Err(found) => foreign.push(found),
        }
    }
    read.sort_by_key(|letter| letter.offset);
    assert_eq!(read[0], read[1], "written twice");
    assert_eq!(read[1..], all);
    assert!(matches!(&foreign[..], [found] if found.partition == 2), "{foreign:?}");
    let mut stop = |_| Err(nova_pipeline::PipelineError::new(ErrorKind::Unknown, "enough"));
    let stopped = read_letters(&world.connection, &world.topic, &mut stop).await.unwrap_err();
    assert_eq!(stopped.message, "enough");
    let missing = read_letters(&world.connection, "nova.nowhere", &mut |_| Ok(())).await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Misconfigured);
}

#[tokio::test]
async fn the_newest_letters_are_read_and_that_there_are_more_is_said() {
    let world = World::new(1).await;
    let letters = KafkaDeadLetters::connect(&world.connection, &world.topic).await.unwrap();
    let all: Vec<_> = (0..20).map(|offset| letter(offset, Some(vec![0xff; 10]))).collect();
    letters.write(&all).await.unwrap();
    let recent = async |since_ms, most| {
        let mut found = Vec::new();
        let mut keep = |read: Result<StoredLetter, ForeignMessage>| {
            found.push(read.unwrap().letter.offset);
            Ok(())
        };
        let all =
            read_recent_letters(&world.connection, &world.topic, since_ms, most, &mut keep).await.unwrap();
        (found, all)
    };
    let (found, whole) = recent(0, 1_000).await;
    assert_eq!((found, whole), ((0..20).collect(), true));
    let (found, whole) = recent(0, 5).await;
    assert!(!whole, "{found:?}");
    // Markers of transactions take offsets, too.
    assert!(found.ends_with(&[18, 19]) && found.len() <= 5, "{found:?}");
    assert_eq!(recent(4_000_000_000_000, 5).await, (vec![], true), "nothing came so late");
}

#[tokio::test]
async fn the_whole_message_of_a_cut_letter_is_read_from_its_own_topic_if_it_is_that_one() {
    let world = World::new(1).await;
    let small = format!("{}.small", world.topic);
    create(&world.connection, &small, 1, &[("max.message.bytes", "20000")]).await;
    let long = "x".repeat(50_000);
    world.write(0, &long).await;
    world.write(0, "another").await;
    let of = |offset| DeadLetter {
        topic: world.topic.clone(),
        partition: 0,
        key: None,
        headers: vec![],
        ..letter(offset, Some(long.clone().into_bytes()))
    };
    let letters = KafkaDeadLetters::connect(&world.connection, &small).await.unwrap();
    letters.write(&[of(0), of(1), of(2), of(7)]).await.unwrap();
    let mut stored: Vec<_> = stored(&world, &small).await.into_iter().map(Result::unwrap).collect();
    stored.sort_by_key(|stored| stored.letter.offset);
    assert!(stored.iter().all(|stored| !stored.is_whole()));
    assert_eq!(original(&world.connection, &stored[0]).await.unwrap(), of(0));
    for (stored, words) in stored[1..].iter().zip(["made again", "no more", "no more"]) {
        let gone = original(&world.connection, stored).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::OffsetGap);
        assert!(gone.message.starts_with(&stored.place()) && gone.message.contains(words), "{gone}");
    }
}
