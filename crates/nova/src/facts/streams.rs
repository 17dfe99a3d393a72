//! The streams: where their groups stand, how fast they are, how fresh their tables.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use nova_clickhouse::{Client, newest_row_age_ms};
use nova_kafka::KafkaConnection;
use nova_pipeline::{PipelineError, Ranges};
use nova_streams::Stream;
use serde::Serialize;
use tokio::time::Instant;

use super::asked::{Asked, Server, Unanswered, ask};
use super::pace::{Pace, Paces};
use super::standing::{PartitionFacts, Standing, standing};
use crate::config::{Config, GroupProtocol};
use crate::run::kafka_connection;

/// Offsets before the committed one among which the newest row is looked for.
const NEWEST_AMONG: i64 = 10_000;
/// A topic's retention is asked for again after this time.
const RETENTION_HOLDS: Duration = Duration::from_secs(600);

/// A stream's name, and the names of what it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The stream.
    pub stream: String,
    /// The worker that runs it.
    pub worker: String,
    /// Its consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The table.
    pub table: String,
}

/// Where a stream stands in its topic.
#[derive(Debug, Clone, Serialize)]
pub struct StreamLag {
    /// Which stream.
    #[serde(flatten)]
    pub named: Named,
    /// Where its group stands.
    pub standing: Asked<Standing>,
    /// How fast it is; `None` after one look.
    pub pace: Option<Pace>,
}

/// A stream from its topic to its table.
#[derive(Debug, Clone, Serialize)]
pub struct StreamFacts {
    /// Where it stands in its topic.
    #[serde(flatten)]
    pub lag: StreamLag,
    /// How old the newest row is that the table has of the last messages read, in seconds; `None` if it has none of them.
    pub newest_row_seconds: Asked<Option<f64>>,
}

/// What Kafka answered.
#[derive(Debug, Clone, Serialize)]
pub struct KafkaFacts {
    /// Of how many streams.
    pub streams: usize,
}

/// The way to the streams' groups.
#[derive(Debug)]
pub(super) struct Groups {
    connection: KafkaConnection,
    streams: Vec<Named>,
    retention_ms: BTreeMap<String, i64>,
    retention_asked: Instant,
    paces: Paces,
    /// Whether the broker tells who the members are; not of groups by KIP-848, which look empty.
    tells_members: bool,
}

impl Named {
    /// Of a declared stream.
    pub fn of(stream: &Stream, config: &Config) -> Self {
        Self {
            stream: stream.name.clone(),
            worker: stream.worker.clone(),
            group: config.group(&stream.name),
            topic: stream.topic.clone(),
            table: stream.table.clone(),
        }
    }
}

impl Groups {
    pub(super) fn new(config: &Config, streams: Vec<Named>) -> Self {
        Self {
            connection: kafka_connection(config),
            streams,
            retention_ms: BTreeMap::new(),
            retention_asked: Instant::now(),
            paces: Paces::default(),
            tells_members: config.kafka.group_protocol == GroupProtocol::Classic,
        }
    }

    /// Asks for all streams side by side.
    pub(super) async fn look(&mut self) -> (Server<KafkaFacts>, Vec<StreamLag>) {
        let place = self.connection.brokers.clone();
        if self.retention_asked.elapsed() > RETENTION_HOLDS {
            self.retention_ms.clear();
            self.retention_asked = Instant::now();
        }
        let whom = format!("Kafka at {place}");
        let begun = Instant::now();
        let found = join_all(self.streams.iter().map(|stream| {
            let retention_ms = self.retention_ms.get(&stream.topic).copied();
            let asking = standing(&self.connection, &stream.group, &stream.topic, retention_ms);
            ask(&whom, asking)
        }));
        let found = found.await;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = Instant::now();
        let mut lags = Vec::new();
        for (named, mut standing) in self.streams.iter().zip(found) {
            let mut pace = None;
            if let Asked::Known(standing) = &mut standing {
                standing.members = standing.members.take().filter(|_| self.tells_members);
                let retention_ms = standing.retention_ms.map(|ms| (named.topic.clone(), ms));
                self.retention_ms.extend(retention_ms);
                pace = self.paces.look(&named.stream, standing, now);
            }
            lags.push(StreamLag { named: named.clone(), standing, pace });
        }
        (Server { place, took_ms, answer: together(&lags) }, lags)
    }
}

/// Kafka is away when it answered nothing at all.
fn together(lags: &[StreamLag]) -> Asked<KafkaFacts> {
    let away = |unanswered: &&Unanswered| unanswered.away;
    let errors: Vec<&Unanswered> = lags.iter().filter_map(|lag| lag.standing.error()).filter(away).collect();
    match errors.first() {
        Some(first) if errors.len() == lags.len() => Asked::Unknown((*first).clone()),
        _ => Asked::Known(KafkaFacts { streams: lags.len() - errors.len() }),
    }
}

/// Adds how fresh the tables are.
pub(super) async fn with_rows(client: &Client, lags: Vec<StreamLag>) -> Vec<StreamFacts> {
    let rows = join_all(lags.iter().map(|lag| newest(client, lag))).await;
    let facts = |(lag, newest_row_seconds)| StreamFacts { lag, newest_row_seconds };
    lags.into_iter().zip(rows).map(facts).collect()
}

async fn newest(client: &Client, lag: &StreamLag) -> Asked<Option<f64>> {
    let standing = match &lag.standing {
        Asked::Known(standing) => standing,
        Asked::Unknown(unanswered) => return Asked::Unknown(unanswered.clone()),
    };
    let last = |at: &PartitionFacts| {
        let end = at.committed.filter(|end| *end > 0)?;
        Some((at.partition, (end - NEWEST_AMONG).max(0)..end))
    };
    let ranges: Ranges = standing.partitions.iter().filter_map(last).collect();
    ask("ClickHouse", async {
        let age = newest_row_age_ms(client, &lag.named.table, &lag.named.topic, &ranges).await;
        #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
        let seconds = |ms: i64| ms as f64 / 1000.0;
        Ok::<_, PipelineError>(age?.map(seconds))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(standing: Asked<Standing>) -> StreamLag {
        let name = || "likes".to_owned();
        let named = Named { stream: name(), worker: name(), group: name(), topic: name(), table: name() };
        StreamLag { named, standing, pace: None }
    }

    #[test]
    fn kafka_is_away_when_no_stream_got_an_answer() {
        let unknown = |away| lag(Asked::Unknown(Unanswered { error: "e".to_owned(), away }));
        let known =
            || lag(Asked::Known(Standing { retention_ms: None, members: None, partitions: Vec::new() }));
        assert!(together(&[unknown(true), unknown(true)]).error().is_some_and(|error| error.away));
        assert_eq!(together(&[unknown(true), known()]).known().map(|facts| facts.streams), Some(1));
        assert!(together(&[unknown(true), unknown(false)]).known().is_some(), "a topic is missing");
        assert!(together(&[]).known().is_some());
    }
}
