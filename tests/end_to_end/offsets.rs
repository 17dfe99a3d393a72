//! Positions that a stream cannot go on from: it halts and names a command, and exactly that command goes on.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use xtask::installation::clickhouse_number;

use crate::admin::metric;
use crate::drift::stream;
use crate::topics::{Record, create, produce, read_all};
use crate::wait::{s, until};
use crate::world::{Answer, World, ended};

/// A stream of its own: topic, table, group and file of declarations.
struct Own {
    name: &'static str,
    topic: String,
    table: String,
    streams: String,
}

impl Own {
    async fn declare(world: &World, name: &'static str) -> Result<Self> {
        let (topic, table) = (format!("offsets.{name}"), format!("offsets_{name}"));
        create(&world.brokers()?, &topic).await?;
        let sql = format!("CREATE TABLE nova.{table} AS nova.user_follow_events");
        world.clickhouse()?.query(&sql).await.context(sql)?;
        let file = world.stack.run_dir.subdir("streams")?.join(format!("{topic}.toml"));
        std::fs::write(&file, stream(name, &topic, "public.follows", &table, ""))?;
        Ok(Self { name, topic, table, streams: file.display().to_string() })
    }

    fn common(&self) -> [&str; 4] {
        ["--set", "kafka.group_prefix=offsets", "--streams", &self.streams]
    }

    async fn nova(&self, world: &World, args: &[&str]) -> Result<Answer> {
        world.nova(&[args, &self.common()].concat()).await
    }

    /// `nova offsets show` of this stream, as JSON; the exit code must be `code`.
    async fn shown(&self, world: &World, code: i32) -> Result<Value> {
        let answer = self.nova(world, &["offsets", "show", "--stream", self.name, "-o", "json"]).await?;
        ensure!(answer.code == Some(code), "{answer:?}");
        Ok(serde_json::from_str(&answer.stdout)?)
    }

    /// Runs the stream until the table holds so many rows, then ends it in order.
    async fn runs_to(&self, world: &World, log: &str, rows: i64, more: &[&str]) -> Result<()> {
        let args = [&["--stream", self.name], more, &self.common()].concat();
        let worker = world.installation.run_worker(log, &args).await?;
        self.holds(world, rows).await?;
        let refused = self.nova(world, &self.set("earliest", &["--execute"])).await?;
        ensure!(refused.code == Some(1), "while it runs: {refused:?}");
        for word in ["active members: nova (127.0.0.1)", "Stop every `nova run`"] {
            ensure!(refused.stderr.contains(word), "{word}: {refused:?}");
        }
        until("the gauge of retention", s(20), async || {
            metric(&worker.admin, "nova_retention_used_ratio", &[("stream", self.name)]).await
        })
        .await?;
        let code = ended(&worker.process, Signal::SIGTERM).await?;
        ensure!(code == Some(0), "exit code {code:?} after SIGTERM");
        Ok(())
    }

    async fn holds(&self, world: &World, rows: i64) -> Result<()> {
        let sql = format!("SELECT count() FROM nova.{}", self.table);
        until(&format!("{rows} rows in {}", self.table), s(30), async || {
            let found = clickhouse_number(world.clickhouse()?, &sql).await?;
            ensure!(found == rows, "{found} rows");
            Ok(())
        })
        .await?;
        let sql = format!("SELECT uniqExact(event_id) FROM nova.{}", self.table);
        let changes = clickhouse_number(world.clickhouse()?, &sql).await?;
        ensure!(changes == rows, "{rows} rows of {changes} changes");
        Ok(())
    }

    /// Runs the stream, which must halt with these words; answers the command that it names.
    async fn halts(&self, world: &mut World, log: &str, words: &[&str]) -> Result<String> {
        let args = [&["--stream", self.name][..], &self.common()].concat();
        let worker = world.installation.spawn_worker(log, &args)?;
        let status =
            until("`nova run` halts", s(60), async || worker.process.exit_status().context("it still runs"))
                .await?;
        let log = std::fs::read_to_string(worker.process.log())?;
        let said = log.rsplit_once("nova: ").map_or("", |(_, said)| said).to_owned();
        world.note(&format!("said at the end:\n{said}"));
        ensure!(status.code() == Some(1), "{status}");
        for word in words {
            ensure!(said.contains(word), "the end does not say `{word}`");
        }
        let command = said.split('`').find(|part| part.starts_with("nova offsets set"));
        Ok(command.context("the end names no command")?.to_owned())
    }

    /// Runs a command as it was printed, with the options that choose this installation.
    async fn run_printed(&self, world: &World, command: &str) -> Result<Answer> {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        self.nova(world, &words).await
    }

    fn set<'a>(&self, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["offsets", "set", "--stream", self.name, "--to", to], more].concat()
    }

    async fn clear(self, world: &World) -> Result<()> {
        world.clickhouse()?.query(&format!("DROP TABLE nova.{} SYNC", self.table)).await?;
        Ok(())
    }
}

/// So many inserts of follows as Debezium wrote them.
pub(crate) async fn follows(world: &mut World, count: usize) -> Result<Vec<Record>> {
    world.traffic(3, 200.0).await?;
    let brokers = world.brokers()?;
    until(&format!("{count} follows in Kafka"), s(30), async || {
        let inserts = read_all(&brokers, "cdc.follows")?.into_iter().filter(|record| {
            let value = record.value.as_deref().unwrap_or_default();
            serde_json::from_slice::<Value>(value).is_ok_and(|value| value["op"] == "c")
        });
        let found: Vec<Record> =
            inserts.take(count).map(|record| Record { partition: 0, ..record }).collect();
        ensure!(found.len() == count, "{} of {count}", found.len());
        Ok(found)
    })
    .await
}

fn admin(world: &World) -> Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", world.brokers()?).create()?)
}

/// GIVEN a stream that has read 10 messages / WHEN the next 5 of 10 more expire / THEN `nova offsets show` and the halt
/// tell so; the command that the halt names goes on with the other 5, and each row is there once.
pub(crate) async fn offsets_expired(world: &mut World) -> Result<()> {
    let follows = follows(world, 20).await?;
    let own = Own::declare(world, "expired").await?;
    let (brokers, topic) = (world.brokers()?, own.topic.clone());
    produce(&brokers, &topic, follows[..10].to_vec()).await?;
    own.halts(world, "expired-new", &["never read it", "--from-beginning", "nova offsets show"]).await?;
    own.runs_to(world, "expired-1", 10, &["--from-beginning"]).await?;
    let shown = own.shown(world, 0).await?;
    ensure!(shown["streams"][0]["partitions"][0]["state"] == "ok", "{shown}");

    produce(&brokers, &topic, follows[10..].to_vec()).await?;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(15))?;
    admin(world)?.delete_records(&before, &AdminOptions::new()).await?;
    let shown = own.shown(world, 3).await?;
    let partition = &shown["streams"][0]["partitions"][0];
    ensure!(partition["state"] == "expired" && partition["expired"] == 5, "{shown}");

    let words = ["offsets.expired[0]@10", "5 messages expired unread", "`nova run --stream expired`"];
    let command = own.halts(world, "expired-2", &words).await?;
    let plan = "--partition 0 --to earliest";
    ensure!(command == format!("nova offsets set --stream expired {plan} --execute"), "{command}");
    unchanged_by_dry_runs(world, &own, &command, &shown).await?;
    let set = own.run_printed(world, &command).await?;
    ensure!(set.code == Some(0) && set.stdout.contains("set; `nova run --stream expired`"), "{set:?}");
    own.runs_to(world, "expired-3", 15, &[]).await?;
    let shown = own.shown(world, 0).await?;
    ensure!(shown["streams"][0]["partitions"][0]["committed"] == 20, "{shown}");
    own.clear(world).await
}

/// Dry runs, and what is refused.
async fn unchanged_by_dry_runs(world: &World, own: &Own, command: &str, shown: &Value) -> Result<()> {
    let dry = own.run_printed(world, command.trim_end_matches(" --execute")).await?;
    ensure!(dry.code == Some(0), "{dry:?}");
    for word in ["10  15  5 messages expired unread", "nothing was changed", "--execute"] {
        ensure!(dry.stdout.contains(word), "{word}: {dry:?}");
    }
    for (to, more, code, word) in [
        ("1970-01-01T00:00:00Z", &[][..], 0, "10  15  5 messages"),
        ("latest", &[], 0, "SKIPS 5 messages"),
        ("latest", &["--execute"], 2, "5 messages of offsets.expired would never be read"),
        ("3", &["--execute"], 2, "15 to 20"),
        ("earliest", &["--partition", "4"], 2, "no partition 4"),
        ("yesterday", &[], 2, "RFC 3339"),
    ] {
        let answer = own.nova(world, &own.set(to, more)).await?;
        let said = format!("{}{}", answer.stdout, answer.stderr);
        ensure!(answer.code == Some(code) && said.contains(word), "--to {to} {more:?}: {answer:?}");
    }
    let table = own.nova(world, &["offsets", "show"]).await?;
    ensure!(table.code == Some(3) && table.stdout.contains(command), "{table:?}");
    let now = own.shown(world, 3).await?;
    // The time left moves on.
    let standing = |shown: &Value| {
        let partition = &shown["streams"][0]["partitions"][0];
        [partition["committed"].clone(), partition["low"].clone(), partition["high"].clone()]
    };
    ensure!(standing(&now) == standing(shown), "{now} after {shown}");
    Ok(())
}

/// GIVEN a stream that has read its topic / WHEN the topic is deleted and made again with old and new changes at other
/// offsets / THEN the stream halts and says so; the command that it names goes on, and each change is there once.
pub(crate) async fn offsets_topic_made_again(world: &mut World) -> Result<()> {
    let follows = follows(world, 15).await?;
    let own = Own::declare(world, "again").await?;
    let (brokers, topic) = (world.brokers()?, own.topic.clone());
    produce(&brokers, &topic, follows[..10].to_vec()).await?;
    own.runs_to(world, "again-1", 10, &["--from-beginning"]).await?;

    for deleted in admin(world)?.delete_topics(&[&topic], &AdminOptions::new()).await? {
        deleted.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
    }
    until("the topic is made again", s(30), async || create(&brokers, &topic).await).await?;
    let made_again = [&follows[10..], &follows[..5]].concat();
    produce(&brokers, &topic, made_again).await?;

    let words = ["the topic was deleted and made again", "offsets.again"];
    let command = own.halts(world, "again-2", &words).await?;
    let set = own.run_printed(world, &command).await?;
    ensure!(set.code == Some(0) && set.stdout.contains("starts here"), "{set:?}");
    own.runs_to(world, "again-3", 15, &[]).await?;
    own.shown(world, 0).await?;
    own.clear(world).await
}
