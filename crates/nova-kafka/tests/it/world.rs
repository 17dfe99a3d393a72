//! Topics, writers and readers for the tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nova_kafka::{
    GroupProtocol, KafkaConnection, KafkaMessage, KafkaOptions, KafkaSource, TopicSpec, create_topics,
};
use nova_pipeline::{OffsetCommit, PipelineError, Source, SourceEvent, SourceMessage, StartAt};
use rdkafka::ClientConfig;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::watch;

use crate::broker::Broker;

pub(crate) const SOON: Duration = Duration::from_secs(30);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A topic of its own on a broker.
pub(crate) struct World {
    pub(crate) connection: KafkaConnection,
    pub(crate) topic: String,
    pub(crate) group: String,
    producer: FutureProducer,
    _broker: Option<Arc<Broker>>,
}

impl World {
    pub(crate) async fn new(partitions: i32) -> Self {
        let broker = Broker::shared().await;
        Self { _broker: Some(Arc::clone(&broker)), ..Self::on(&broker, partitions).await }
    }

    pub(crate) async fn on(broker: &Broker, partitions: i32) -> Self {
        let connection = KafkaConnection::new(broker.address(), "nova-test");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (topic, group) = (format!("cdc.test{number}"), format!("nova.test{number}"));
        create(&connection, &topic, partitions, &[]).await;
        let producer = ClientConfig::new().set("bootstrap.servers", &connection.brokers).create().unwrap();
        Self { connection, topic, group, producer, _broker: None }
    }

    pub(crate) fn options(&self) -> KafkaOptions {
        let mut options = KafkaOptions::new(self.connection.clone(), &self.group, &self.topic);
        options.session_timeout = Duration::from_secs(6);
        options
    }

    pub(crate) fn options_with(&self, group_protocol: GroupProtocol) -> KafkaOptions {
        KafkaOptions { group_protocol, ..self.options() }
    }

    pub(crate) async fn source(&self) -> KafkaSource {
        KafkaSource::connect(&self.options()).await.unwrap()
    }

    /// A source that has been assigned everything and reads from `offset` of each of `partitions`.
    pub(crate) async fn started(&self, partitions: i32, offset: i64) -> KafkaSource {
        let source = self.source().await;
        let assigned = assigned(&source).await;
        assert_eq!(assigned, (0..partitions).collect::<Vec<_>>());
        start(&source, &assigned, offset).await;
        source
    }

    /// Writes one message with its number as value.
    pub(crate) async fn write(&self, partition: i32, value: &str) {
        let record = FutureRecord::<str, str>::to(&self.topic).partition(partition).payload(value);
        self.producer.send(record, SOON).await.unwrap();
    }

    pub(crate) async fn write_numbers(&self, partition: i32, numbers: std::ops::Range<i64>) {
        for number in numbers {
            self.write(partition, &number.to_string()).await;
        }
    }
}

pub(crate) async fn create(
    connection: &KafkaConnection,
    topic: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) {
    let configs: BTreeMap<_, _> = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let spec = TopicSpec { name: topic.to_owned(), partitions, replication: 1, configs };
    create_topics(connection, &[spec]).await.unwrap();
}

pub(crate) async fn start(source: &KafkaSource, partitions: &[i32], offset: i64) {
    let positions: Vec<_> = partitions.iter().map(|&partition| StartAt { partition, offset }).collect();
    source.start(&positions).await.unwrap();
}

/// The next event, whatever it is.
pub(crate) async fn event<T>(
    source: &KafkaSource,
    wanted: impl Fn(&SourceEvent<KafkaMessage<BorrowedMessage<'_>>>) -> Option<T>,
) -> T {
    let waiting = async {
        loop {
            if let Some(found) = wanted(&source.next().await.unwrap()) {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("the wanted event did not come"))
}

pub(crate) async fn assigned(source: &KafkaSource) -> Vec<i32> {
    let mut partitions = event(source, |event| match event {
        SourceEvent::Assigned(partitions) => Some(partitions.clone()),
        _ => None,
    })
    .await;
    partitions.sort_unstable();
    partitions
}

/// (partition, offset, value) of the next message.
pub(crate) async fn message(source: &KafkaSource) -> (i32, i64, String) {
    event(source, |event| match event {
        SourceEvent::Message(message) => Some((
            message.partition(),
            message.offset(),
            String::from_utf8(message.value().unwrap_or_default().to_vec()).unwrap(),
        )),
        _ => None,
    })
    .await
}

pub(crate) async fn failure(source: &KafkaSource) -> PipelineError {
    let waiting = async {
        loop {
            if let Err(error) = source.next().await {
                return error;
            }
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("no error came"))
}

pub(crate) fn commit(partition: i32, offset: i64, metadata: &str) -> OffsetCommit {
    OffsetCommit { partition, offset, metadata: metadata.to_owned() }
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(what: &str, within: Duration, ask: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A reader as the pipeline is one: starts at what is committed, commits what it has before it releases.
pub(crate) struct Reader {
    pub(crate) source: KafkaSource,
    /// How long it drains before it releases.
    pub(crate) drains_for: Duration,
    /// What it was told and got, in order.
    pub(crate) heard: watch::Sender<Heard>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Heard {
    pub(crate) messages: Vec<(i32, i64)>,
    pub(crate) owned: Vec<i32>,
    pub(crate) revoked: u32,
    pub(crate) lost: u32,
}

impl Reader {
    pub(crate) fn new(source: KafkaSource, drains_for: Duration) -> Self {
        Self { source, drains_for, heard: watch::Sender::default() }
    }

    /// Reads until `stop` says so.
    pub(crate) async fn read(&self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            never = self.read_on() => match never {},
            stopped = stop.wait_for(|stop| *stop) => drop(stopped.unwrap()),
        }
    }

    async fn read_on(&self) -> std::convert::Infallible {
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        loop {
            match self.source.next().await.unwrap() {
                SourceEvent::Message(message) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    next.insert(partition, offset + 1);
                    self.heard.send_modify(|heard| heard.messages.push((partition, offset)));
                }
                SourceEvent::EndOfPartition(_) => {}
                SourceEvent::Assigned(partitions) => {
                    let committed = self.source.committed().await.unwrap();
                    let at = |partition: &i32| {
                        committed.iter().find(|c| c.partition == *partition).unwrap().offset
                    };
                    let starts =
                        partitions.iter().map(|p| StartAt { partition: *p, offset: at(p).unwrap_or(0) });
                    self.source.start(&starts.collect::<Vec<_>>()).await.unwrap();
                    self.heard.send_modify(|heard| heard.owned.extend(&partitions));
                }
                SourceEvent::Revoked(partitions) => {
                    self.heard.send_modify(|heard| heard.revoked += 1);
                    // The drain under test; nothing waits for it to be over.
                    tokio::time::sleep(self.drains_for).await;
                    let commits: Vec<_> = partitions
                        .iter()
                        .filter_map(|p| next.remove(p).map(|offset| commit(*p, offset, "")))
                        .collect();
                    self.source.commit(&commits).await.unwrap();
                    self.gone(&partitions);
                    self.source.release(&partitions).await.unwrap();
                }
                SourceEvent::Lost(partitions) => {
                    next.retain(|partition, _| !partitions.contains(partition));
                    self.heard.send_modify(|heard| heard.lost += 1);
                    self.gone(&partitions);
                    self.source.release(&partitions).await.unwrap();
                }
            }
        }
    }

    fn gone(&self, partitions: &[i32]) {
        self.heard.send_modify(|heard| heard.owned.retain(|partition| !partitions.contains(partition)));
    }

    /// Waits until what was heard is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl FnMut(&Heard) -> bool) {
        let mut heard = self.heard.subscribe();
        let waited = tokio::time::timeout(SOON, heard.wait_for(wanted)).await.map(|found| found.is_ok());
        assert!(waited.is_ok_and(|found| found), "{what}: {:?}", self.heard.borrow());
    }
}
