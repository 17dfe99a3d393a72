//! What is so now, of every server and stream: `nova status`, `nova lag` and whoever else shows it read this and nothing
//! else.
//!
//! Invariant: asking changes nothing. The servers are asked side by side and with a limit of time; one that does not answer
//! is a fact, and hides nothing of the others.

mod asked;
mod comparisons;
mod connector;
#[cfg(test)]
pub mod example;
mod findings;
mod jobs;
mod letters;
mod pace;
mod postgres;
mod standing;
mod state;
mod streams;

use std::time::Duration;

use chrono::Utc;
use nova_clickhouse::Client;
use nova_pipeline::PipelineError;
use nova_reconcile::history::HeatMap;
use nova_streams::Stream;
use serde::Serialize;
use tokio::time::Instant;

pub use asked::{Asked, Server, Unanswered, ask};
pub use comparisons::Comparison;
pub use connector::{ConnectorFacts, Trouble};
pub use findings::{Finding, conclude};
pub use jobs::{JobFacts, JobStanding};
pub use letters::LetterFacts;
#[cfg(test)]
pub use pace::Pace;
pub use postgres::PostgresFacts;
pub use standing::{PartitionFacts, Standing, standing};
#[cfg(test)]
pub use state::position;
pub use state::{State, open_batch, open_range};
pub use streams::{KafkaFacts, Named, StreamFacts, StreamLag};

use crate::config::Config;
use crate::exit::Failure;
use crate::run::clickhouse_client;

/// What takes reading, and changes slowly, is asked for again after this time.
const SLOWLY: Duration = Duration::from_secs(15);

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// When the asking began, in milliseconds since 1970.
    pub taken_ms: i64,
    /// The version of `nova` that asked.
    pub nova_version: &'static str,
    /// PostgreSQL, and the replication slot; `None` where no password for it is configured, and so nobody means to ask it.
    pub postgres: Option<Server<PostgresFacts>>,
    /// Kafka Connect, and the connector; `None` where `connect.url` is empty: something else looks after them.
    pub connect: Option<Server<ConnectorFacts>>,
    /// Kafka.
    pub kafka: Server<KafkaFacts>,
    /// ClickHouse.
    pub clickhouse: Server<ClickHouseFacts>,
    /// The streams, in the order of their declarations.
    pub streams: Vec<StreamFacts>,
    /// The dead letters of the last day; `None` when there is no topic for them.
    pub letters: Asked<Option<LetterFacts>>,
    /// Replays, rebuilds and backfills: at work, cut off, and the last that ended; newest first.
    pub jobs: Asked<Vec<JobFacts>>,
    /// The newest comparisons of each stream, newest first.
    pub comparisons: Asked<Vec<Comparison>>,
    /// The heat map of each stream's newest comparison.
    pub heat_maps: Asked<Vec<HeatMap>>,
    /// What is not as it should be, and what to do; empty when all is well.
    pub findings: Vec<Finding>,
}

impl Facts {
    /// The newest comparison of a stream.
    pub fn last_comparison(&self, stream: &str) -> Option<&Comparison> {
        let runs = self.comparisons.known()?;
        runs.iter().find(|run| run.stream == stream)
    }
}

/// What ClickHouse says of itself.
#[derive(Debug, Clone, Serialize)]
pub struct ClickHouseFacts {
    /// Its version.
    pub version: String,
}

/// Asks, as often as it is wanted; keeps what the next look can use.
#[derive(Debug)]
pub struct Gatherer {
    config: Config,
    groups: streams::Groups,
    clickhouse: Client,
    postgres: postgres::Postgres,
    slow: Option<(Instant, Slow)>,
}

#[derive(Debug, Clone)]
struct Slow {
    letters: Asked<Option<LetterFacts>>,
    comparisons: Asked<Vec<Comparison>>,
    heat_maps: Asked<Vec<HeatMap>>,
}

impl Gatherer {
    /// For these streams; nothing is asked yet.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new<'s>(config: &Config, streams: impl IntoIterator<Item = &'s Stream>) -> Result<Self, Failure> {
        let named = streams.into_iter().map(|stream| Named::of(stream, config)).collect();
        Ok(Self {
            groups: streams::Groups::new(config, named),
            clickhouse: clickhouse_client(&config.clickhouse)?,
            postgres: postgres::Postgres::default(),
            slow: None,
            config: config.clone(),
        })
    }

    /// Where the streams stand in their topics, and nothing else.
    pub async fn lags(&mut self) -> (Server<KafkaFacts>, Vec<StreamLag>) {
        self.groups.look().await
    }

    /// Asks everybody.
    pub async fn gather(&mut self) -> Facts {
        let taken_ms = Utc::now().timestamp_millis();
        let Self { config, groups, clickhouse, postgres, slow } = self;
        let streams = async {
            let (kafka, lags) = groups.look().await;
            (kafka, streams::with_rows(clickhouse, lags).await)
        };
        let (postgres, connect, (kafka, streams), server, jobs, slow) = tokio::join!(
            if_meant(
                !config.postgres.password.is_empty(),
                Server::ask(postgres::Postgres::place(config), postgres.look(config))
            ),
            if_meant(
                !config.connect.url.is_empty(),
                Server::ask(config.connect.url.clone(), connector::look(config))
            ),
            streams,
            Server::ask(config.clickhouse.url.clone(), version(clickhouse)),
            ask("ClickHouse", jobs::look(clickhouse)),
            slowly(slow, config, clickhouse),
        );
        let mut facts = Facts {
            taken_ms,
            nova_version: env!("CARGO_PKG_VERSION"),
            postgres,
            connect,
            kafka,
            clickhouse: server,
            streams,
            letters: slow.letters,
            jobs,
            comparisons: slow.comparisons,
            heat_maps: slow.heat_maps,
            findings: Vec::new(),
        };
        facts.findings = findings::of(&facts);
        facts
    }
}

/// Asks whom the configuration means to be asked.
async fn if_meant<T>(meant: bool, asking: impl Future<Output = T>) -> Option<T> {
    if meant { Some(asking.await) } else { None }
}

async fn version(client: &Client) -> Result<ClickHouseFacts, PipelineError> {
    let version = client.query_text("SELECT version()", &[]).await?.trim().to_owned();
    Ok(ClickHouseFacts { version })
}

async fn slowly(kept: &mut Option<(Instant, Slow)>, config: &Config, client: &Client) -> Slow {
    if let Some((at, slow)) = kept
        && at.elapsed() < SLOWLY
    {
        return slow.clone();
    }
    let (letters, comparisons, heat_maps) = tokio::join!(
        ask("Kafka", letters::look(config)),
        ask("ClickHouse", comparisons::look(client)),
        ask("ClickHouse", comparisons::heat_maps(client))
    );
    let slow = Slow { letters, comparisons, heat_maps };
    *kept = Some((Instant::now(), slow.clone()));
    slow
}
