//! Who drains the topic, and how it is measured.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::sleep;

use super::process::Usage;
use super::site::{Site, TABLE, TOPIC};
use crate::command;
use crate::installation::clickhouse_rows;
use crate::stack::{Launch, Lifetime, ServerProcess, StopManner, free_port};
use crate::workspace;

const DRAINED_WITHIN: Duration = Duration::from_secs(900);
/// How often the table is asked for its number of rows.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A way from the topic into the table, or, for librdkafka alone, nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// librdkafka reads and throws away: the ceiling
    Librdkafka,
    /// `nova run`, exactly once
    Nova,
    /// ClickHouse's Kafka engine with a materialized view
    KafkaEngine,
}

impl Contestant {
    pub(super) const ALL: [Self; 3] = [Self::Librdkafka, Self::Nova, Self::KafkaEngine];

    /// Drains the whole topic once.
    pub(super) async fn drain(self, site: &Site, round: u32) -> Result<Figures> {
        match self {
            Self::Librdkafka => librdkafka(site).await,
            Self::Nova => nova(site, &format!("nova_{round}")).await,
            Self::KafkaEngine => kafka_engine(site, &format!("engine_{round}")).await,
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Librdkafka => "librdkafka alone",
            Self::Nova => "nova",
            Self::KafkaEngine => "Kafka engine",
        })
    }
}

/// What one drain took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Figures {
    /// From the first poll (for `nova`: from its start) until the last row was visible.
    pub(super) seconds: f64,
    /// Processor time of the reading process; of ClickHouse itself for the Kafka engine: 0.
    pub(super) client_cpu_seconds: f64,
    /// Processor time of ClickHouse.
    pub(super) server_cpu_seconds: f64,
    /// Peak memory of the reading process, in MiB.
    pub(super) client_peak_mib: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, client_cpu_seconds, server_cpu_seconds, client_peak_mib } = self;
        write!(
            f,
            "{seconds:.2} s, CPU {client_cpu_seconds:.2} s + ClickHouse {server_cpu_seconds:.2} s, {client_peak_mib:.0} MiB"
        )
    }
}

#[derive(Deserialize)]
struct ReadAlone {
    seconds: f64,
    cpu_seconds: f64,
}

async fn librdkafka(site: &Site) -> Result<Figures> {
    let mut read = Command::new(&site.bench_topic);
    read.args(["read", "--brokers", &site.kafka()?.bootstrap(), "--topic", TOPIC]);
    read.args(["--partitions", &site.partitions.to_string()]);
    read.args(["--messages", &site.topic.messages.to_string()]);
    let output = command::run("reading the topic", &mut read).await?;
    let read: ReadAlone = serde_json::from_slice(&output.stdout).context("what reading took")?;
    Ok(Figures {
        seconds: read.seconds,
        client_cpu_seconds: read.cpu_seconds,
        server_cpu_seconds: 0.0,
        client_peak_mib: 0.0,
    })
}

async fn nova(site: &Site, name: &str) -> Result<Figures> {
    site.create_table(name).await?;
    let folder = site.folder(name)?;
    let (config, streams) = (folder.join("nova.toml"), folder.join("streams.toml"));
    fs::write(&streams, likes_alone()?)?;
    let clickhouse = site.clickhouse()?;
    let text = format!(
        "streams = {streams:?}\n[kafka]\nbrokers = \"{}\"\ngroup_prefix = \"{name}\"\n\
         [clickhouse]\nurl = \"{}\"\ndatabase = \"{name}\"\nuser = \"{}\"\npassword = \"{}\"\n",
        site.kafka()?.bootstrap(),
        clickhouse.url(),
        clickhouse.user(),
        clickhouse.password(),
    );
    fs::write(&config, text)?;
    let server = clickhouse.process()?.pid();
    let (server_before, begun) = (Usage::of(server)?, Instant::now());
    let args = ["--config", config.to_str().context("a path that is not UTF-8")?, "run", "--stream", "likes"];
    let listen = format!("admin.listen=127.0.0.1:{}", free_port()?);
    let process = ServerProcess::spawn(Launch {
        name: "nova run",
        program: site.nova.clone(),
        args: args.iter().copied().chain(["--from-beginning", "--set", &listen]).map(str::to_owned).collect(),
        envs: Vec::new(),
        account: None,
        dir: folder.clone(),
        log: folder.join("nova.log"),
        stop: StopManner::Terminate,
        lifetime: Lifetime::WithOwner,
    })?;
    all_rows(site, name, Some(&process)).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let (client, server) = (Usage::of(process.pid())?, Usage::of(server)?);
    process.kill(Signal::SIGTERM)?;
    ensure!(process.wait_ended(Duration::from_secs(30)), "nova did not end within 30 s of SIGTERM");
    right_rows(site, name).await?;
    Ok(Figures {
        seconds,
        client_cpu_seconds: client.cpu_seconds,
        server_cpu_seconds: server.cpu_seconds - server_before.cpu_seconds,
        client_peak_mib: client.peak_mib,
    })
}

/// The declaration of `likes` from the shipped file, so that the table's window is asked for one stream.
fn likes_alone() -> Result<String> {
    let text = fs::read_to_string(workspace::root().join("config/streams.toml"))?;
    let (_, from) = text.split_once("[streams.likes]").context("config/streams.toml has no likes")?;
    let likes = from.split("\n[streams.").enumerate().filter_map(|(index, part)| match index {
        0 => Some(part.to_owned()),
        _ => part.strip_prefix("likes").map(|part| format!("\n[streams.likes{part}")),
    });
    Ok(format!("[streams.likes]{}", likes.collect::<String>()))
}

async fn kafka_engine(site: &Site, name: &str) -> Result<Figures> {
    site.create_table(name).await?;
    let clickhouse = site.clickhouse()?;
    let server = clickhouse.process()?.pid();
    clickhouse.query(&queue(name, &site.kafka()?.bootstrap())).await?;
    let (before, begun) = (Usage::of(server)?, Instant::now());
    clickhouse.query(&view(name)).await?;
    all_rows(site, name, None).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = Usage::of(server)?;
    clickhouse.query(&format!("DROP TABLE {name}.view SYNC")).await?;
    clickhouse.query(&format!("DROP TABLE {name}.queue SYNC")).await?;
    right_rows(site, name).await?;
    Ok(Figures {
        seconds,
        client_cpu_seconds: 0.0,
        server_cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        client_peak_mib: 0.0,
    })
}

/// Parsed once into typed columns: the fastest of the forms tried (`docs/performance.md`).
fn queue(database: &str, brokers: &str) -> String {
    let row = "Tuple(id UUID, post_id UUID, user_id UUID, created_at DateTime64(6, 'UTC'))";
    format!(
        "CREATE TABLE {database}.queue (before {row}, after {row}, op LowCardinality(String), \
         source Tuple(lsn UInt64, txId UInt64)) ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', \
         kafka_topic_list = '{TOPIC}', kafka_group_name = '{database}', kafka_format = 'JSONEachRow', \
         kafka_num_consumers = 2, kafka_thread_per_consumer = 1, \
         input_format_skip_unknown_fields = 1, input_format_null_as_default = 1, \
         date_time_input_format = 'best_effort'"
    )
}

fn view(database: &str) -> String {
    format!(
        "CREATE MATERIALIZED VIEW {database}.view TO {database}.{TABLE} AS \
         WITH arrayJoin(multiIf(op = 'd', [(toInt8(-1), before, toUInt8(0))], \
           op = 'u', [(toInt8(-1), before, toUInt8(0)), (toInt8(1), after, toUInt8(1))], \
           [(toInt8(1), after, toUInt8(0))])) AS part \
         SELECT toDateTime64(part.2.created_at, 3, 'UTC') AS event_time, \
           'like' AS event_type, part.2.post_id AS post_id, part.2.user_id AS user_id, \
           toUInt32(0) AS dwell_time_ms, part.1 AS sign, \
           reinterpretAsUUID(sipHash128(source.lsn, source.txId)) AS event_id, part.2.id AS source_key, \
           source.lsn AS source_lsn, source.txId AS source_tx, _topic AS topic, \
           toUInt32(_partition) AS kafka_partition, toUInt64(_offset) AS kafka_offset, part.3 AS ordinal \
         FROM {database}.queue"
    )
}

/// Waits until the table has as many rows as the topic must become.
async fn all_rows(site: &Site, database: &str, process: Option<&ServerProcess>) -> Result<()> {
    let deadline = Instant::now() + DRAINED_WITHIN;
    loop {
        let rows = numbers(site, &format!("SELECT count() FROM {database}.{TABLE}")).await?;
        if rows.first().is_some_and(|rows| *rows >= site.topic.rows) {
            return Ok(());
        }
        if let Some(status) = process.and_then(ServerProcess::exit_status) {
            let log = process.map(|process| fs::read_to_string(process.log()).unwrap_or_default());
            anyhow::bail!(
                "nova ended ({status}) with {rows:?} of {} rows:\n{}",
                site.topic.rows,
                log.unwrap_or_default()
            );
        }
        ensure!(Instant::now() < deadline, "{database}: {rows:?} of {} rows in 15 min", site.topic.rows);
        sleep(LOOK_EVERY).await;
    }
}

/// A fast answer that is wrong does not count. The table makes room afterwards.
async fn right_rows(site: &Site, database: &str) -> Result<()> {
    let sql = format!(
        "SELECT count(), sum(sign), uniqExact(kafka_partition, kafka_offset, ordinal) FROM {database}.{TABLE}"
    );
    let found = numbers(site, &sql).await?;
    let expected = vec![site.topic.rows, site.topic.state, site.topic.rows];
    ensure!(
        found == expected,
        "{database}: rows, sum of signs, distinct rows are {found:?}, not {expected:?}"
    );
    site.clickhouse()?.query(&format!("DROP DATABASE {database} SYNC")).await.map(drop)
}

async fn numbers(site: &Site, sql: &str) -> Result<Vec<i64>> {
    let rows = clickhouse_rows(site.clickhouse()?, sql).await?;
    rows.concat().iter().map(|number| number.parse().context("a number from ClickHouse")).collect()
}
