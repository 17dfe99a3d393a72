//! Everything a chaos run works on: the servers, each behind a lock of its own, Nova, and the timeline.
//!
//! Invariant: a server is replaced only under its write lock, so whoever holds the read lock speaks to a handle that
//! stays. Nobody waits for a second server while holding the lock of one; a member's lock is taken after a server's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};

use super::at_least_once;
use super::clock::Skew;
use super::connector::Connector;
use super::fleet::Fleet;
use super::hush::Hush;
use super::ledger;
use super::offsets::{self, Committed};
use super::timeline::Timeline;
use super::traffic;
use crate::cli::ChaosArgs;
use crate::installation::Installation;
use crate::stack::{
    ClickHouseServer, ConnectServer, KafkaServer, Lifetime, PostgresServer, Stack, StackOptions,
};
use crate::traffic::Table;
use crate::workspace;

/// Members that are always there; `member-join-leave` adds one more.
const MEMBERS: usize = 2;
/// Short enough that a stopped member is taken for dead, and a stopped ClickHouse for slow, within one fault.
const SESSION_TIMEOUT: &str = "6s";
const REQUEST_TIMEOUT: &str = "3s";
/// A killed Connect waits at its next start until its open transaction has timed out; by default for a minute.
const MORE_SETTINGS: &str = "[connect.extra]\n\"producer.override.transaction.timeout.ms\" = \"10000\"\n";
const GROUPS_WITHIN: Duration = Duration::from_secs(60);
/// Partitions of each topic, as the installation makes them.
const PARTITIONS: usize = 4;

/// The system under test. Fields are dropped, and so stopped, in this order.
pub(super) struct Site {
    pub(super) fleet: Fleet,
    pub(super) connect: RwLock<ConnectServer>,
    pub(super) kafka: RwLock<KafkaServer>,
    pub(super) postgres: RwLock<PostgresServer>,
    pub(super) clickhouse: RwLock<ClickHouseServer>,
    pub(super) installation: Installation,
    pub(super) timeline: Timeline,
    /// What the seed decides about the whole run, in words.
    pub(super) conditions: String,
    /// `host:port` of Kafka; it stays over restarts.
    pub(super) broker: String,
    pub(super) connector: Connector,
    pub(super) hush: Hush,
    /// The folder, and no server any more.
    stack: Stack,
}

impl Site {
    /// Starts the servers and Nova, and makes the ledger table.
    ///
    /// # Errors
    /// When something does not start.
    pub(super) async fn start(args: &ChaosArgs, seed: u64) -> Result<Self> {
        let mut stack = Stack::start(StackOptions::default()).await?;
        stack.clickhouse()?.process().context("chaos kills ClickHouse; unset NOVA_CLICKHOUSE_URL")?;
        let skew = if Skew::is_for(seed) { Some(Skew::build(&stack.run_dir).await?) } else { None };
        let nova = program(args).await?;
        let installation = Installation::prepare_with(nova, &stack, Lifetime::WithOwner).await?;
        configure(&installation, &args.group_protocol)?;
        installation.install().await?;
        ledger::install(&installation.postgres).await?;
        traffic::spread_over_months(&installation.postgres).await?;
        let connector = Connector::new(&stack.connect()?.url())?;
        let at_least_once = args.at_least_once || at_least_once::of_seed(seed);
        if at_least_once {
            let connect = stack.connect.as_mut().context("no Connect")?;
            at_least_once::set(&connector, connect, &stack.run_dir).await?;
        }
        let conditions = conditions(skew.as_ref(), at_least_once);
        let fleet = Fleet::start(&installation, MEMBERS, skew).await?;
        let broker = stack.kafka()?.bootstrap();
        let site = Self {
            fleet,
            connect: RwLock::new(stack.connect.take().context("no Connect")?),
            kafka: RwLock::new(stack.kafka.take().context("no Kafka")?),
            postgres: RwLock::new(stack.postgres.take().context("no PostgreSQL")?),
            clickhouse: RwLock::new(stack.clickhouse.take().context("no ClickHouse")?),
            installation,
            timeline: Timeline::start(),
            conditions,
            broker,
            connector,
            hush: Hush::default(),
            stack,
        };
        site.groups_have_begun().await?;
        site.connector_has_noted().await?;
        Ok(Self { timeline: Timeline::start(), ..site })
    }

    /// Leaves data and logs behind, and answers where.
    pub(super) fn keep_logs(&mut self) -> PathBuf {
        self.stack.run_dir.keep();
        self.stack.run_dir.path().to_owned()
    }

    /// What the groups have committed, by topic and partition.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub(super) async fn committed(&self) -> Result<Vec<Committed>> {
        let mut all = Vec::new();
        for table in Table::ALL {
            all.extend(offsets::committed(&self.broker, &format!("nova-{}", table.stream())).await?);
        }
        Ok(all)
    }

    /// Every partition has a committed offset: from here on a member needs no leave to begin.
    async fn groups_have_begun(&self) -> Result<()> {
        let deadline = Instant::now() + GROUPS_WITHIN;
        while self.committed().await?.len() < Table::ALL.len() * PARTITIONS {
            if Instant::now() >= deadline {
                bail!(
                    "not every partition has a committed offset {} s after Nova was ready",
                    GROUPS_WITHIN.as_secs()
                );
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// The connector may be killed from here on: it goes on where it was. A row that is no change of the application
    /// gives it something to note.
    async fn connector_has_noted(&self) -> Result<()> {
        let signal = "INSERT INTO debezium_signal (id, type, data) \
                      VALUES (gen_random_uuid(), 'log', '{\"message\": \"chaos begins\"}')";
        sqlx::query(signal).execute(&self.installation.postgres).await.context("a first change")?;
        let deadline = Instant::now() + GROUPS_WITHIN;
        while !self.connector.has_noted().await.unwrap_or_default() {
            ensure!(
                Instant::now() < deadline,
                "the connector has noted nothing in {} s",
                GROUPS_WITHIN.as_secs()
            );
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Does what an operator's tools do meanwhile: restarts members that ended and connector tasks that failed.
    ///
    /// # Errors
    /// When a member cannot be started.
    pub(super) async fn keep(&self) -> Result<()> {
        self.fleet.keep(&self.installation, &self.timeline).await?;
        // Connect may be away right now; the next round asks again.
        if let Ok(Some(cause)) = self.connector.restart_failed_tasks().await {
            self.timeline.remark("task-failed", format!("restarted by request: {cause}"));
        }
        Ok(())
    }
}

fn conditions(skew: Option<&Skew>, at_least_once: bool) -> String {
    let connector = if at_least_once { "connector at least once" } else { "connector exactly once" };
    skew.map_or_else(|| connector.to_owned(), |skew| format!("{connector}, {skew}"))
}

async fn program(args: &ChaosArgs) -> Result<PathBuf> {
    match &args.nova {
        Some(nova) => Ok(nova.clone()),
        None => workspace::build_binary_with("nova", "nova-pipeline/failpoints").await,
    }
}

/// Writes our settings into the configuration that the installation made.
fn configure(installation: &Installation, group_protocol: &str) -> Result<()> {
    let mut text = std::fs::read_to_string(&installation.config).context("nova.toml")?;
    let kafka = format!("session_timeout = \"{SESSION_TIMEOUT}\"\ngroup_protocol = \"{group_protocol}\"\n");
    let clickhouse = format!("request_timeout = \"{REQUEST_TIMEOUT}\"\n");
    for (section, settings) in [("[kafka]\n", kafka), ("[clickhouse]\n", clickhouse)] {
        ensure!(text.contains(section), "nova.toml has no section {section}");
        text = text.replacen(section, &format!("{section}{settings}"), 1);
    }
    text.push_str(MORE_SETTINGS);
    std::fs::write(&installation.config, text).context("nova.toml")
}
