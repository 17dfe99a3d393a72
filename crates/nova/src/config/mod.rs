//! What an installation sets: addresses, accounts, limits. File, then environment, then flags; unknown keys refused.
//!
//! Invariant: a configuration is whole and checked before anything is opened or bound, and a secret never leaves
//! [`Secret`] except into the connection that needs it.

mod kafka;
mod load;
mod postgres;
mod reconcile;
mod secret;
mod security;
mod show;
mod telemetry;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nova_pipeline::{NewGroup, PipelineOptions, PoisonLimits};
use serde::{Deserialize, Serialize};

pub use kafka::{GroupProtocol, KafkaConfig};
pub use load::{ConfigError, Loaded};
pub use postgres::{PostgresConfig, SslMode};
pub use reconcile::ReconcileConfig;
pub use secret::{HIDDEN, Secret};
pub use telemetry::TelemetryConfig;

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file of stream declarations; relative to the configuration file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<PathBuf>,
    /// The source of truth.
    pub postgres: PostgresConfig,
    /// The topics.
    pub kafka: KafkaConfig,
    /// Kafka Connect and the connector in it.
    pub connect: ConnectConfig,
    /// The target.
    pub clickhouse: ClickHouseConfig,
    /// Limits of each stream's pipeline.
    pub pipeline: PipelineConfig,
    /// Comparing PostgreSQL with ClickHouse.
    pub reconcile: ReconcileConfig,
    /// Health and metrics, for orchestrators and Prometheus.
    pub monitoring: MonitoringConfig,
    /// The dashboard, for people.
    pub admin: AdminConfig,
    /// Messages on stderr.
    pub log: LogConfig,
    /// Spans.
    pub telemetry: TelemetryConfig,
}

/// Kafka Connect, and what the Debezium connector in it is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectConfig {
    /// Kafka Connect's REST interface.
    pub url: String,
    /// The connector's name.
    pub connector: String,
    /// PostgreSQL's host as Kafka Connect sees it; that of `[postgres]` when empty.
    pub postgres_host: String,
    /// PostgreSQL's CA file as it lies on Kafka Connect's machine; that of `[postgres]` when there is none.
    #[serde(deserialize_with = "security::optional_path")]
    pub postgres_ca_file: Option<PathBuf>,
    /// The role with REPLICATION.
    pub replication_user: String,
    /// Its password.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub replication_password: Secret,
    /// A file that holds the password instead.
    pub replication_password_file: Option<PathBuf>,
    /// The replication slot.
    pub slot: String,
    /// The publication.
    pub publication: String,
    /// Partitions of a topic that `nova connector apply` creates.
    pub partitions: u16,
    /// Replicas of such a topic.
    pub replicas: u16,
    /// How long such a topic keeps its messages.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How often the connector says that it lives, so that the slot moves on while the tables rest.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// How often the connector looks for changes.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Further settings of the connector, as they are.
    pub extra: BTreeMap<String, String>,
}

/// ClickHouse.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseConfig {
    /// The HTTP interface, `http://…` or `https://…`.
    pub url: String,
    /// PEM file of the CAs that are trusted with `https`; the system's when there is none.
    #[serde(deserialize_with = "security::optional_path")]
    pub ca_file: Option<PathBuf>,
    /// The database that holds the event tables.
    pub database: String,
    /// The cluster that `url`'s server belongs to, as servers know it; empty for one server.
    pub cluster: String,
    /// User.
    pub user: String,
    /// Its password.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub password: Secret,
    /// A file that holds the password instead.
    pub password_file: Option<PathBuf>,
    /// How long a connection may take.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long an insert may take.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
}

/// Limits of each stream's pipeline; see [`PipelineOptions`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Bytes of a batch; three of them are in memory at most, per stream.
    pub batch_bytes: usize,
    /// How long the first message of a batch waits for others.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// How long a revoked partition may wait for its last batch.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// How long the whole process may take to end.
    #[serde(with = "humantime_serde")]
    pub shutdown_deadline: Duration,
    /// More dead letters than this within the window halt the stream.
    pub dead_letter_limit: u64,
    /// A greater share of the window's messages than this halts the stream, from 50 dead letters on.
    pub dead_letter_share: f64,
    /// How far back dead letters are counted.
    #[serde(with = "humantime_serde")]
    pub dead_letter_window: Duration,
}

/// Health and metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonitoringConfig {
    /// Where it listens, `host:port`.
    pub listen: String,
    /// A worker that has not moved for so long is not live.
    #[serde(with = "humantime_serde")]
    pub stall_limit: Duration,
}

/// The dashboard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Where it listens, `host:port`; empty: there is none. An address that others can reach needs a token.
    pub listen: String,
    /// What a visitor must know: the password that a browser asks for, or a bearer token.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub token: Secret,
    /// A file that holds the token instead.
    pub token_file: Option<PathBuf>,
}

/// Messages on stderr.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A filter such as `info` or `nova_kafka=debug,info`.
    pub level: String,
}

/// The form of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// An object per line.
    Json,
}

impl Config {
    /// The name of a stream's consumer group.
    pub fn group(&self, stream: &str) -> String {
        format!("{}-{stream}", self.kafka.group_prefix)
    }

    /// The pipeline's limits.
    pub fn pipeline_options(&self, new_group: NewGroup) -> PipelineOptions {
        let PipelineConfig { batch_rows, batch_bytes, linger, drain_timeout, .. } = self.pipeline;
        let PipelineConfig { dead_letter_limit, dead_letter_share, dead_letter_window, .. } = self.pipeline;
        PipelineOptions {
            poison: PoisonLimits {
                window: dead_letter_window,
                count: dead_letter_limit,
                share: dead_letter_share,
            },
            batch_rows,
            batch_bytes,
            linger,
            drain_timeout,
            new_group,
            ..PipelineOptions::default()
        }
    }
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            url: "http://localhost:8083".to_owned(),
            connector: "nova-cdc".to_owned(),
            postgres_host: String::new(),
            postgres_ca_file: None,
            replication_user: "nova_replication".to_owned(),
            replication_password: Secret::default(),
            replication_password_file: None,
            slot: "nova_cdc".to_owned(),
            publication: "nova_cdc".to_owned(),
            partitions: 12,
            replicas: 3,
            retention: Duration::from_secs(30 * 24 * 3600),
            heartbeat: Duration::from_secs(10),
            poll_interval: Duration::from_millis(50),
            extra: BTreeMap::new(),
        }
    }
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: "http://localhost:8123".to_owned(),
            ca_file: None,
            database: "nova".to_owned(),
            cluster: String::new(),
            user: "default".to_owned(),
            password: Secret::default(),
            password_file: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
        }
    }
}

impl Default for PipelineConfig {
    fn default() -> Self {
        let PipelineOptions { batch_rows, batch_bytes, linger, drain_timeout, poison, .. } =
            PipelineOptions::default();
        Self {
            batch_rows,
            batch_bytes,
            linger,
            drain_timeout,
            shutdown_deadline: Duration::from_secs(25),
            dead_letter_limit: poison.count,
            dead_letter_share: poison.share,
            dead_letter_window: poison.window,
        }
    }
}

impl Default for MonitoringConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9464".to_owned(), stall_limit: Duration::from_secs(60) }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9465".to_owned(), token: Secret::default(), token_file: None }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}
