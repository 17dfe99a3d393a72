//! The servers of a benchmark and the topic that everybody drains.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::cli::BenchArgs;
use crate::command;
use crate::stack::{ClickHouseServer, KafkaServer, Server, Stack, StackOptions};
use crate::{say, workspace};

/// The topic; the stream of the same table reads it.
pub(super) const TOPIC: &str = "cdc.likes";
/// The table.
pub(super) const TABLE: &str = "post_engagement_events";

/// What the topic holds, as its writer says.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Topic {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Rows that the messages must become.
    pub(super) rows: i64,
    /// The sum of their signs.
    pub(super) state: i64,
}

/// Servers, programs and the topic.
pub(super) struct Site {
    stack: Stack,
    pub(super) nova: PathBuf,
    pub(super) bench_topic: PathBuf,
    pub(super) topic: Topic,
    pub(super) partitions: u16,
}

impl Site {
    /// Builds everything for speed, starts Kafka and ClickHouse, and fills the topic.
    pub(super) async fn start(args: &BenchArgs) -> Result<Self> {
        say("building nova, the ClickHouse front and the bench's helper for speed");
        let nova = workspace::build_release("nova", "--bin", "nova").await?;
        let bench_topic = workspace::build_release("nova-kafka", "--example", "bench_topic").await?;
        let servers = [Server::Kafka, Server::ClickHouse];
        let options = StackOptions { announce: true, release: true, ..StackOptions::only(&servers) };
        let stack = Stack::start(options).await?;
        for (topic, partitions) in [(TOPIC, args.partitions), ("nova.dead-letters", 1)] {
            create_topic(stack.kafka()?, topic, partitions).await?;
        }
        say(&format!("writing {} changes to {TOPIC}, {} partitions", args.messages, args.partitions));
        let mut fill = Command::new(&bench_topic);
        fill.args(["fill", "--brokers", &stack.kafka()?.bootstrap(), "--topic", TOPIC]);
        fill.args(["--partitions", &args.partitions.to_string()]);
        fill.args(["--messages", &args.messages.to_string(), "--months", &args.months.to_string()]);
        let output = command::run("filling the topic", &mut fill).await?;
        let topic = serde_json::from_slice(&output.stdout).context("what the topic holds")?;
        Ok(Self { stack, nova, bench_topic, topic, partitions: args.partitions })
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

    /// The production table, empty, in a database of its own.
    pub(super) async fn create_table(&self, database: &str) -> Result<()> {
        let clickhouse = self.clickhouse()?;
        clickhouse.query(&format!("CREATE DATABASE {database} ENGINE = Atomic")).await?;
        let mut files: Vec<PathBuf> = fs::read_dir(workspace::root().join("clickhouse"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        let mut found = 0;
        for file in files {
            // Comments end at their line; none of the statements holds a `;` elsewhere.
            let text = fs::read_to_string(&file).unwrap_or_default().replace("${database}", database);
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            for statement in lines.join("\n").split(';') {
                let create = format!("CREATE TABLE IF NOT EXISTS {database}.{TABLE}");
                let alter = format!("ALTER TABLE {database}.{TABLE}");
                if [create, alter].iter().any(|begin| statement.trim_start().starts_with(begin)) {
                    found += 1;
                    clickhouse.query(statement).await.with_context(|| file.display().to_string())?;
                }
            }
        }
        ensure!(found > 0, "clickhouse/ does not create {TABLE}");
        Ok(())
    }
}

async fn create_topic(kafka: &KafkaServer, topic: &str, partitions: u16) -> Result<()> {
    let (brokers, partitions) = (kafka.bootstrap(), partitions.to_string());
    let args = ["--bootstrap-server", &brokers, "--create", "--topic", topic, "--partitions", &partitions];
    kafka.tool("org.apache.kafka.tools.TopicCommand", &args).await.map(drop)
}
