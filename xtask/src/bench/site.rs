//! The servers and programs of a benchmark, and its topics.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::process::Command;

use super::args::{BenchArgs, Measurement};
use crate::stack::{ClickHouseServer, KafkaServer, Server, Stack, StackOptions};
use crate::{command, say, workspace};

/// A topic that is full.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) partitions: u16,
    pub(super) months: u64,
    /// Bytes on the broker's disk.
    pub(super) stored_bytes: u64,
    #[serde(flatten)]
    pub(super) content: Content,
}

/// What a topic holds, as its writer says.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(super) struct Content {
    pub(super) messages: u64,
    /// Of the values, uncompressed.
    pub(super) bytes: u64,
    /// Rows that the messages must become.
    pub(super) rows: i64,
    /// The sum of their signs.
    pub(super) state: i64,
}

/// Servers, programs and topics.
pub(super) struct Site {
    stack: Stack,
    pub(super) nova: PathBuf,
    /// The same with the ledger off; only for [`Measurement::Ledger`].
    pub(super) without_ledger: Option<PathBuf>,
    /// Where these two are; goes with this handle.
    _programs: TempDir,
    pub(super) bench_topic: PathBuf,
    /// Settings for every `nova`.
    pub(super) settings: Vec<String>,
    topics: BTreeMap<String, Topic>,
    /// How many databases were made; each contestant has one of its own.
    databases: u32,
}

impl Site {
    /// Builds everything for speed and starts Kafka and ClickHouse.
    pub(super) async fn start(args: &BenchArgs, measurements: &[Measurement]) -> Result<Self> {
        say("building nova, the ClickHouse front and the bench's helper for speed");
        let bench_topic = workspace::build_release("nova-kafka", "--example", "bench_topic", "").await?;
        // Copies: both programs have the same path, and whoever builds meanwhile does not change what runs here.
        let programs = tempfile::tempdir().context("no temporary folder for the programs")?;
        let program = async |name: &str, features: &str| {
            let built = workspace::build_release("nova", "--bin", "nova", features).await?;
            let copy = programs.path().join(name);
            fs::copy(&built, &copy).with_context(|| format!("copying {}", built.display()))?;
            Ok::<_, anyhow::Error>(copy)
        };
        let without_ledger = match measurements.contains(&Measurement::Ledger) {
            true => Some(program("nova-without-ledger", "nova-pipeline/without-ledger").await?),
            false => None,
        };
        let nova = program("nova", "").await?;
        let servers = [Server::Kafka, Server::ClickHouse];
        let options = StackOptions { announce: true, release: true, ..StackOptions::only(&servers) };
        let stack = Stack::start(options).await?;
        let (settings, topics) = (args.set.clone(), BTreeMap::new());
        let site = Self {
            stack,
            nova,
            without_ledger,
            _programs: programs,
            bench_topic,
            settings,
            topics,
            databases: 0,
        };
        site.create_topic("nova.dead-letters", 1).await?;
        Ok(site)
    }

    pub(super) fn kafka(&self) -> Result<&KafkaServer> {
        self.stack.kafka()
    }

    pub(super) fn clickhouse(&self) -> Result<&ClickHouseServer> {
        self.stack.clickhouse()
    }

    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        self.stack.run_dir.subdir(name)
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.stack.stop().await
    }

    /// A name that no database and no group has had.
    pub(super) fn new_name(&mut self) -> String {
        self.databases += 1;
        format!("bench_{}", self.databases)
    }

    /// A topic of so many changes; the same one when it is asked for again.
    pub(super) async fn topic(&mut self, messages: u64, partitions: u16, months: u64) -> Result<Topic> {
        let name = format!("cdc.likes-{messages}-{partitions}-{months}");
        if let Some(topic) = self.topics.get(&name) {
            return Ok(topic.clone());
        }
        self.create_topic(&name, partitions).await?;
        say(&format!("writing {messages} changes to {name}"));
        let mut fill = self.helper("fill", &name, partitions)?;
        fill.args(["--messages", &messages.to_string(), "--months", &months.to_string()]);
        let output = command::run("filling the topic", &mut fill).await?;
        let content = serde_json::from_slice(&output.stdout).context("what the topic holds")?;
        let stored_bytes = self.stored_bytes(&name)?;
        let topic = Topic { name: name.clone(), partitions, months, stored_bytes, content };
        self.topics.insert(name, topic.clone());
        Ok(topic)
    }

    /// The helper that speaks to Kafka, with its first arguments.
    pub(super) fn helper(&self, work: &str, topic: &str, partitions: u16) -> Result<Command> {
        let mut command = Command::new(&self.bench_topic);
        command.args([work, "--brokers", &self.kafka()?.bootstrap(), "--topic", topic]);
        command.args(["--partitions", &partitions.to_string()]);
        Ok(command)
    }

    pub(super) async fn create_topic(&self, topic: &str, partitions: u16) -> Result<()> {
        let kafka = self.kafka()?;
        let (brokers, partitions) = (kafka.bootstrap(), partitions.to_string());
        let args =
            ["--bootstrap-server", &brokers, "--create", "--topic", topic, "--partitions", &partitions];
        kafka.tool("org.apache.kafka.tools.TopicCommand", &args).await.map(drop)
    }

    /// The size of a topic's segments; index files have room in advance and are not counted.
    fn stored_bytes(&self, topic: &str) -> Result<u64> {
        let mut bytes = 0;
        for partition in fs::read_dir(self.stack.run_dir.path().join("kafka/data"))? {
            let partition = partition?;
            let name = partition.file_name().to_string_lossy().into_owned();
            if name.rsplit_once('-').is_none_or(|(of, _)| of != topic) {
                continue;
            }
            for file in fs::read_dir(partition.path())? {
                let file = file?;
                if file.path().extension().is_some_and(|extension| extension == "log") {
                    bytes += file.metadata()?.len();
                }
            }
        }
        Ok(bytes)
    }
}
