//! Wires a declared stream to Kafka and ClickHouse; done anew for each run of its worker.

use nova_clickhouse::{Client, ReplayHorizon, TableInfo, TableSink};
use nova_kafka::{KafkaConnection, KafkaDeadLetters, KafkaOptions, KafkaSource};
use nova_pipeline::{Connect, Endpoints, ErrorKind, PipelineError};
use nova_streams::{Mapping, Stream, StreamSet};

use crate::config::{ClickHouseConfig, Config, GroupProtocol, KafkaConfig};

/// A stream's ends, not yet connected.
pub struct StreamConnect {
    stream: Stream,
    kafka: KafkaOptions,
    dead_letter_topic: String,
    client: Client,
    horizon: ReplayHorizon,
}

impl StreamConnect {
    /// What is needed to connect `stream`, one of `streams`.
    pub fn new(stream: &Stream, streams: &StreamSet, config: &Config, client: Client) -> Self {
        let KafkaConfig { group_protocol, instance_id, session_timeout, fetch_buffer_bytes, .. } =
            &config.kafka;
        let mut kafka =
            KafkaOptions::new(config.kafka.connection(), config.group(&stream.name), &stream.topic);
        kafka.group_protocol = match group_protocol {
            GroupProtocol::Classic => nova_kafka::GroupProtocol::Classic,
            GroupProtocol::Consumer => nova_kafka::GroupProtocol::Consumer,
        };
        kafka.group_instance_id = instance_id.as_ref().map(|id| format!("{id}-{}", stream.name));
        kafka.session_timeout = *session_timeout;
        kafka.queue_kbytes = fetch_buffer_bytes / 1024;
        Self {
            stream: stream.clone(),
            kafka,
            dead_letter_topic: config.kafka.dead_letter_topic.clone(),
            client,
            horizon: replay_horizon(config, streams, &stream.table),
        }
    }
}

impl Connect for StreamConnect {
    type Source = KafkaSource;
    type Sink = TableSink;
    type DeadLetters = KafkaDeadLetters;

    async fn connect(&self) -> Result<Endpoints<KafkaSource, TableSink, KafkaDeadLetters>, PipelineError> {
        let table = TableInfo::read(&self.client, &self.stream.table).await?;
        let mapping = compile(&self.stream, &table)?;
        self.horizon.check(self.client.database(), &table)?;
        let sink = TableSink::new(self.client.clone(), &table, mapping.columns())?;
        let dead_letters = if self.dead_letter_topic.is_empty() {
            None
        } else {
            Some(KafkaDeadLetters::connect(&self.kafka.connection, &self.dead_letter_topic).await?)
        };
        let source = KafkaSource::connect(&self.kafka).await?;
        Ok(Endpoints { source, mapping, sink, dead_letters })
    }
}

/// Checks a stream against its table as it is now.
pub fn compile(stream: &Stream, table: &TableInfo) -> Result<Mapping, PipelineError> {
    Mapping::compile(stream, &table.schema)
        .map_err(|error| PipelineError::new(ErrorKind::SchemaMismatch, error.to_string()))
}

/// How late an insert into `table` may still arrive. All declared streams count, whichever process runs them.
pub fn replay_horizon(config: &Config, streams: &StreamSet, table: &str) -> ReplayHorizon {
    let writers = streams.iter().filter(|stream| stream.table == table).count();
    ReplayHorizon {
        streams: u64::try_from(writers).unwrap_or(u64::MAX),
        linger: config.pipeline.linger,
        request_timeout: config.clickhouse.request_timeout,
        session_timeout: config.kafka.session_timeout,
    }
}

/// How the brokers are reached.
pub fn kafka_connection(config: &Config) -> KafkaConnection {
    config.kafka.connection()
}

/// A client of the configured ClickHouse.
pub fn clickhouse_client(config: &ClickHouseConfig) -> Result<Client, PipelineError> {
    let ClickHouseConfig { url, ca_file, database, user, password, connect_timeout, request_timeout, .. } =
        config;
    let client = Client::new(nova_clickhouse::ClientOptions {
        url: url.clone(),
        ca_file: ca_file.clone(),
        database: database.clone(),
        user: user.clone(),
        password: password.to_secret_string(),
        connect_timeout: *connect_timeout,
        request_timeout: *request_timeout,
    });
    // Where it can hold a password, the address is not repeated.
    let shown = if url.contains(['@', '?']) { "…" } else { url };
    let client = client
        .map_err(|error| PipelineError::new(error.kind(), format!("clickhouse.url = `{shown}`: {error}")))?;
    Ok(if config.cluster.is_empty() { client } else { client.of_one_server() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_streams_fit_the_shipped_window_by_default() {
        let streams =
            StreamSet::parse("streams.toml", include_str!("../../../../config/streams.toml")).unwrap();
        for (table, writers) in [("post_engagement_events", 3), ("post_events", 1), ("other", 0)] {
            let horizon = replay_horizon(&Config::default(), &streams, table);
            assert_eq!(horizon.streams, writers, "{table}");
            assert!(horizon.needed() <= 10_000, "{table}: {}", horizon.needed());
        }
    }
}
