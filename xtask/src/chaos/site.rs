//! Everything a chaos run works on: the servers, each behind a lock of its own, Nova, and the timeline.
//!
//! Invariant: a server is replaced only under its write lock, so whoever holds the read lock speaks to a handle that
//! stays. Nobody waits for a second server while holding the lock of one; a member's lock is taken after a server's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};

use super::fleet::Fleet;
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

/// Members that are always there; `member-join-leave` adds one more.
const MEMBERS: usize = 2;
/// Short enough that a stopped member is taken for dead, and a stopped ClickHouse for slow, within one fault.
const SESSION_TIMEOUT: &str = "6s";
const REQUEST_TIMEOUT: &str = "3s";
/// A killed Connect waits at its next start until its open transaction has timed out; by default for a minute.
const MORE_SETTINGS: &str = "[connect.extra]\n\"producer.override.transaction.timeout.ms\" = \"10000\"\n";
/// Enough of a Java exception to know it again.
const CAUSE_CHARS: usize = 200;
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
    /// `host:port` of Kafka; it stays over restarts.
    pub(super) broker: String,
    /// Connect's REST interface.
    pub(super) connect_url: String,
    /// The folder, and no server any more.
    stack: Stack,
}

impl Site {
    /// Starts the servers and Nova, and makes the ledger table.
    ///
    /// # Errors
    /// When something does not start.
    pub(super) async fn start(args: &ChaosArgs) -> Result<Self> {
        let mut stack = Stack::start(StackOptions::default()).await?;
        stack.clickhouse()?.process().context("chaos kills ClickHouse; unset NOVA_CLICKHOUSE_URL")?;
        let mut installation = Installation::prepare(&stack, Lifetime::WithOwner).await?;
        if let Some(nova) = &args.nova {
            installation.nova = nova.canonicalize().with_context(|| nova.display().to_string())?;
        }
        configure(&installation, &args.group_protocol)?;
        installation.install().await?;
        ledger::install(&installation.postgres).await?;
        traffic::spread_over_months(&installation.postgres).await?;
        let fleet = Fleet::start(&installation, MEMBERS).await?;
        let (broker, connect_url) = (stack.kafka()?.bootstrap(), stack.connect()?.url());
        let site = Self {
            fleet,
            connect: RwLock::new(stack.connect.take().context("no Connect")?),
            kafka: RwLock::new(stack.kafka.take().context("no Kafka")?),
            postgres: RwLock::new(stack.postgres.take().context("no PostgreSQL")?),
            clickhouse: RwLock::new(stack.clickhouse.take().context("no ClickHouse")?),
            installation,
            timeline: Timeline::start(),
            broker,
            connect_url,
            stack,
        };
        site.groups_have_begun().await?;
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
            all.extend(offsets::committed(&self.broker, &format!("nova-{}", table.name())).await?);
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

    /// Does what an operator's tools do meanwhile: restarts members that ended and connector tasks that failed.
    ///
    /// # Errors
    /// When a member cannot be started.
    pub(super) async fn keep(&self) -> Result<()> {
        self.fleet.keep(&self.installation, &self.timeline).await?;
        // Connect may be away right now; the next round asks again.
        if let Ok(Some(cause)) = self.restart_failed_tasks().await {
            self.timeline.remark("task-failed", format!("restarted by request: {cause}"));
        }
        Ok(())
    }

    /// Restarts the connector's failed tasks; answers why one had failed.
    async fn restart_failed_tasks(&self) -> Result<Option<String>> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        let connector = format!("{}/connectors/nova-cdc", self.connect_url);
        let text = client.get(format!("{connector}/status")).send().await?.error_for_status()?.text().await?;
        let status: serde_json::Value = serde_json::from_str(&text)?;
        let tasks = status.get("tasks").and_then(|tasks| tasks.as_array()).context("no tasks")?;
        let failed = |task: &&serde_json::Value| task.get("state").is_some_and(|state| state == "FAILED");
        let Some(task) = tasks.iter().find(failed) else { return Ok(None) };
        let trace = task.get("trace").and_then(|trace| trace.as_str()).unwrap_or_default();
        let causes: Vec<&str> = trace.lines().filter(|line| !line.starts_with(['\t', ' '])).collect();
        let cause = causes.join(" | ").chars().take(CAUSE_CHARS).collect();
        let url = format!("{connector}/restart?includeTasks=true&onlyFailed=true");
        client.post(url).send().await?.error_for_status()?;
        Ok(Some(cause))
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
