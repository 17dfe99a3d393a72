//! `nova replay` where it must not go on: each refusal says what is possible instead. And into another table.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use xtask::installation::clickhouse_number;

use crate::drift::stream;
use crate::offsets::follows;
use crate::topics::{Record, create, produce, read_all};
use crate::wait::{s, until};
use crate::world::{Answer, World, ended};

const TOPIC: &str = "replay.follows";
const LETTERS: &str = "replay.letters";
const MESSAGES: usize = 20;

/// A stream with a topic, a table and a file of declarations of its own.
struct Own(String);

impl Own {
    async fn declare(world: &mut World) -> Result<Self> {
        // One message of a key: of several inserts without the deletes in between, all but the first would be too many.
        let mut keys = BTreeSet::new();
        world.traffic(3, 200.0).await?;
        let records = follows(world, MESSAGES + 5).await?.into_iter();
        let records: Vec<Record> =
            records.filter(|record| keys.insert(record.key.clone())).take(MESSAGES).collect();
        ensure!(records.len() == MESSAGES, "only {} keys", records.len());
        for topic in [TOPIC, LETTERS] {
            create(&world.brokers()?, topic).await?;
        }
        produce(&world.brokers()?, TOPIC, records).await?;
        for table in ["replay_follows", "replay_copy"] {
            query(world, &format!("CREATE TABLE nova.{table} AS nova.user_follow_events")).await?;
        }
        let file = world.stack.run_dir.subdir("streams")?.join("replay.toml");
        let own = Self(file.display().to_string());
        own.write("")?;
        Ok(own)
    }

    fn write(&self, columns: &str) -> Result<()> {
        let declared = stream("replayed", TOPIC, "public.follows", "replay_follows", "");
        Ok(std::fs::write(&self.0, format!("{declared}{columns}"))?)
    }

    fn common(&self) -> [&str; 6] {
        let [prefix, letters] = ["kafka.group_prefix=replay", "kafka.dead_letter_topic=replay.letters"];
        ["--set", prefix, "--set", letters, "--streams", &self.0]
    }

    /// `nova replay kafka --stream replayed …`; the exit code must be `code`, and stderr must have these words.
    async fn replay(&self, world: &World, args: &[&str], code: i32, words: &[&str]) -> Result<Answer> {
        let command = ["replay", "kafka", "--stream", "replayed"];
        let answer = world.nova(&[&command[..], args, &self.common()].concat()).await?;
        ensure!(answer.code == Some(code), "{args:?}: {answer:?}");
        for word in words {
            ensure!(answer.stderr.contains(word), "{args:?} does not say `{word}`: {answer:?}");
        }
        Ok(answer)
    }

    /// The result of a replay that is executed: rows written, rows that were there, letters, messages refused.
    async fn executed(&self, world: &World, args: &[&str], code: i32) -> Result<Value> {
        let answer = self.replay(world, &[args, &["--execute", "-o", "json"]].concat(), code, &[]).await?;
        let report: Value = serde_json::from_str(&answer.stdout)?;
        let result = &report["result"];
        let sums = &result["sums"];
        Ok(json!([result["rows_written"], sums["already_there"], sums["letters"], result["refused"]]))
    }
}

async fn query(world: &World, sql: &str) -> Result<()> {
    world.clickhouse()?.query(sql).await.context(sql.to_owned())?;
    Ok(())
}

/// GIVEN a stream that nobody has read, tables that do not fit, messages that expired or no longer fit, another job at work /
/// THEN each is refused with what is possible instead, and nothing is done.
pub(crate) async fn replay_refusals(world: &mut World) -> Result<()> {
    let own = Own::declare(world).await?;
    let earliest = &["--from", "earliest"];
    own.replay(world, earliest, 2, &["never committed", "--from-beginning", "--into TABLE"]).await?;
    read(world, &own).await?;
    tables(world, &own).await?;
    at_work(world, &own).await?;
    unfitting(world, &own).await?;
    expired(world, &own).await?;
    for table in ["replay_follows", "replay_copy"] {
        query(world, &format!("DROP TABLE nova.{table} SYNC")).await?;
    }
    query(world, "ALTER TABLE nova.jobs DELETE WHERE stream = 'replayed' SETTINGS mutations_sync = 2").await
}

/// Runs the stream until it has read everything.
async fn read(world: &World, own: &Own) -> Result<()> {
    let args = [&["--stream", "replayed", "--from-beginning"][..], &own.common()].concat();
    let worker = world.installation.run_worker("replayed", &args).await?;
    until("all rows", s(60), async || {
        let found = clickhouse_number(world.clickhouse()?, "SELECT count() FROM nova.replay_follows").await?;
        ensure!(found == i64::try_from(MESSAGES)?, "{found} rows");
        Ok(())
    })
    .await?;
    let code = ended(&worker.process, Signal::SIGTERM).await?;
    ensure!(code == Some(0), "exit code {code:?} after SIGTERM");
    Ok(())
}

async fn tables(world: &World, own: &Own) -> Result<()> {
    let earliest = ["--from", "earliest"];
    let into = |table| [&earliest[..], &["--into", table]].concat();
    own.replay(world, &into("nowhere"), 2, &["no table `nowhere`"]).await?;
    own.replay(world, &into("post_events"), 2, &["follower_id", "post_events"]).await?;
    let other = world.nova(&["replay", "kafka", "--stream", "nobody", "--from", "earliest"]).await?;
    ensure!(other.code == Some(2) && other.stderr.contains("no stream `nobody`"), "{other:?}");

    let plan = own.replay(world, &into("replay_copy"), 0, &[]).await?;
    ensure!(
        plan.stdout.contains("at most 20 messages") && plan.stdout.contains("nothing was done"),
        "{plan:?}"
    );
    let jobs = "SELECT count() FROM nova.jobs WHERE stream = 'replayed'";
    ensure!(clickhouse_number(world.clickhouse()?, jobs).await? == 0, "a plan is on record");
    ensure!(own.executed(world, &into("replay_copy"), 0).await? == json!([20, 0, 0, 0]));
    ensure!(own.executed(world, &into("replay_copy"), 0).await? == json!([0, 20, 0, 0]));
    let same = "SELECT count() FROM (SELECT * EXCEPT ingested_at FROM nova.replay_follows \
                INTERSECT SELECT * EXCEPT ingested_at FROM nova.replay_copy)";
    ensure!(clickhouse_number(world.clickhouse()?, same).await? == 20, "the copy is another");

    query(
        world,
        "ALTER TABLE nova.replay_follows DELETE WHERE kafka_offset IN (3, 4, 17) SETTINGS mutations_sync = 2",
    )
    .await?;
    let part = ["--from", "4", "--to", "99"];
    let plan = own.replay(world, &part, 0, &[]).await?;
    ensure!(plan.stdout.contains("ends at 20, not 99"), "{plan:?}");
    ensure!(own.executed(world, &part, 0).await? == json!([2, 14, 0, 0]));
    ensure!(own.executed(world, &earliest, 0).await? == json!([1, 19, 0, 0]));
    Ok(())
}

/// Another process on the same table, and one that was killed.
async fn at_work(world: &World, own: &Own) -> Result<()> {
    let row = |id: &str, age: u32| {
        format!(
            "INSERT INTO nova.jobs (job_id, seq, kind, stream, target, state, actor, process, at) SELECT \
             '{id}', 1, 'rebuild', 'replayed', 'replay_follows', 'running', 'ops@elsewhere', '{id}', now64(3) - {age}"
        )
    };
    query(world, &row("00000000-0000-0000-0000-000000000001", 40)).await?;
    ensure!(own.executed(world, &["--from", "earliest", "--anew"], 0).await? == json!([0, 20, 0, 0]));
    let other = "00000000-0000-0000-0000-000000000002";
    query(world, &row(other, 0)).await?;
    let refused = ["--from", "earliest", "--anew", "--execute"];
    own.replay(world, &refused, 1, &[other, "rebuild", "ops@elsewhere", "30 s"]).await?;
    ensure!(
        own.executed(world, &["--from", "earliest", "--into", "replay_copy"], 0).await?
            == json!([0, 20, 0, 0])
    );
    query(world, "ALTER TABLE nova.jobs DELETE WHERE process LIKE '00000000%' SETTINGS mutations_sync = 2")
        .await
}

/// A column that no message fits any more.
async fn unfitting(world: &World, own: &Own) -> Result<()> {
    let earliest = ["--from", "earliest"];
    query(world, "ALTER TABLE nova.replay_follows ADD COLUMN tag UInt64").await?;
    own.write("tag = { field = \"follower_id\" }\n")?;
    ensure!(own.executed(world, &earliest, 0).await? == json!([0, 20, 0, 0]), "the rows are there");
    query(world, "TRUNCATE TABLE nova.replay_follows").await?;
    let few = [&earliest[..], &["--set", "pipeline.dead_letter_limit=5", "--execute"]].concat();
    own.replay(world, &few, 1, &["20 of the last 20 messages", "dead_letter_limit", "replay.follows[0]@0"])
        .await?;
    ensure!(read_all(&world.brokers()?, LETTERS)?.is_empty(), "nothing was put aside");
    ensure!(own.executed(world, &earliest, 4).await? == json!([0, 0, 20, 20]));
    ensure!(read_all(&world.brokers()?, LETTERS)?.len() == MESSAGES, "all are put aside");
    ensure!(own.executed(world, &earliest, 0).await? == json!([0, 0, 20, 0]), "they lie there");
    ensure!(read_all(&world.brokers()?, LETTERS)?.len() == MESSAGES, "and are not put aside twice");
    query(world, "ALTER TABLE nova.replay_follows MODIFY COLUMN tag String").await?;
    ensure!(own.executed(world, &earliest, 0).await? == json!([0, 0, 20, 0]), "letters are nova dlq's");
    let retried = world.nova(&[&["dlq", "retry", "--execute"], &own.common()[..]].concat()).await?;
    ensure!(retried.code == Some(0), "{retried:?}");
    ensure!(own.executed(world, &earliest, 0).await? == json!([0, 20, 0, 0]));
    query(world, "TRUNCATE TABLE nova.replay_follows").await?;
    ensure!(
        own.executed(world, &earliest, 0).await? == json!([20, 0, 0, 0]),
        "one that was retried had its rows"
    );
    let poison = Record { value: Some(b"no JSON at all".to_vec()), ..Record::default() };
    produce(&world.brokers()?, TOPIC, vec![poison]).await?;
    ensure!(own.executed(world, &earliest, 0).await? == json!([0, 20, 0, 0]), "it is the live stream's");
    Ok(())
}

async fn expired(world: &World, own: &Own) -> Result<()> {
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(TOPIC, 0, Offset::Offset(5))?;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", world.brokers()?).create()?;
    admin.delete_records(&before, &AdminOptions::new()).await?;
    let words =
        ["nothing before offset 5", "--from earliest", "nova backfill --stream replayed", "nova repair"];
    own.replay(world, &["--from", "4"], 2, &words).await?;
    own.replay(world, &["--from", "2001-01-01T00:00:00Z", "--execute"], 2, &words).await?;
    let plan = own.replay(world, &["--from", "earliest", "--anew"], 0, &[]).await?;
    ensure!(plan.stdout.contains("begins at 5: what was before has expired"), "{plan:?}");
    ensure!(own.executed(world, &["--from", "5"], 0).await? == json!([0, 15, 0, 0]));
    Ok(())
}
