//! A plain Kafka client: messages written and read byte for byte, beside everything that Nova does.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

const LIMIT: Duration = Duration::from_secs(20);

/// A message as it lies in a topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The header's value as text; `None` when there is no such header or it has no value.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(String::from_utf8_lossy(value.as_ref()?).into_owned())
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "tests");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    config
}

/// Creates a topic with one partition.
pub(crate) async fn create(brokers: &str, topic: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
    }
    Ok(())
}

/// Writes messages in order; answers them with the positions that the broker gave them.
pub(crate) async fn produce(brokers: &str, topic: &str, records: Vec<Record>) -> Result<Vec<Record>> {
    let producer: FutureProducer = client(brokers).create()?;
    let mut written = Vec::new();
    for record in records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        let mut message: FutureRecord<'_, Vec<u8>, Vec<u8>> = FutureRecord::to(topic).headers(headers);
        message = message.partition(record.partition);
        message.key = record.key.as_ref();
        message.payload = record.value.as_ref();
        let sent = producer.send(message, LIMIT).await;
        let delivery = sent.map_err(|(error, _)| error).with_context(|| format!("writing to {topic}"))?;
        written.push(Record { partition: delivery.partition, offset: delivery.offset, ..record });
    }
    Ok(written)
}

/// Everything that a topic holds of committed data.
pub(crate) fn read_all(brokers: &str, topic: &str) -> Result<Vec<Record>> {
    let consumer: BaseConsumer = client(brokers).create()?;
    let metadata = consumer.fetch_metadata(Some(topic), LIMIT)?;
    let partitions = metadata.topics().first().map_or(0, |found| found.partitions().len());
    ensure!(partitions > 0, "there is no topic {topic}");
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions)? {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut records, mut open, deadline) = (Vec::new(), partitions, Instant::now() + LIMIT);
    while open > 0 {
        ensure!(Instant::now() < deadline, "{topic} could not be read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(message) => records.push(record(&message?)),
        }
    }
    Ok(records)
}

fn record(message: &impl Message) -> Record {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
