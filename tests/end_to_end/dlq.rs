//! Dead letters are listed, retried once the cause is mended, and discarded; whatever dies in between.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::process::Command;
use xtask::installation::clickhouse_number;

use crate::drift::stream;
use crate::offsets::follows;
use crate::topics::{Record, create, produce, read_all};
use crate::wait::{s, until};
use crate::world::{Answer, World, ended};

const TOPIC: &str = "dlq.follows";
const LETTERS: &str = "dlq.letters";
const TABLE: &str = "nova.dlq_follows";

/// The stream's file of declarations, and the settings that every command needs.
struct Own(String);

impl Own {
    /// A column that no message fits.
    async fn declare(world: &World) -> Result<Self> {
        for topic in [TOPIC, LETTERS] {
            create(&world.brokers()?, topic).await?;
        }
        query(world, &format!("CREATE TABLE {TABLE} AS nova.user_follow_events")).await?;
        query(world, &format!("ALTER TABLE {TABLE} ADD COLUMN tag UInt64")).await?;
        let file = world.stack.run_dir.subdir("streams")?.join("dlq.toml");
        let declared = stream("dlq", TOPIC, "public.follows", "dlq_follows", "");
        std::fs::write(&file, format!("{declared}tag = {{ field = \"follower_id\" }}\n"))?;
        Ok(Self(file.display().to_string()))
    }

    fn common(&self) -> [&str; 6] {
        let [prefix, letters] = ["kafka.group_prefix=dlq", "kafka.dead_letter_topic=dlq.letters"];
        ["--set", prefix, "--set", letters, "--streams", &self.0]
    }

    /// `nova dlq …`; the exit code must be `code`.
    async fn dlq(&self, world: &World, code: i32, args: &[&str]) -> Result<Answer> {
        let answer = world.nova(&[&["dlq"], args, &self.common()].concat()).await?;
        ensure!(answer.code == Some(code), "dlq {args:?}: {answer:?}");
        Ok(answer)
    }

    /// The same, as JSON.
    async fn json(&self, world: &World, code: i32, args: &[&str]) -> Result<Value> {
        let answer = self.dlq(world, code, &[args, &["-o", "json"]].concat()).await?;
        serde_json::from_str(&answer.stdout).with_context(|| answer.stdout.clone())
    }

    /// Letters by what was done: open, retried, discarded.
    async fn standing(&self, world: &World) -> Result<Value> {
        let listed = self.json(world, 0, &["list"]).await?;
        let groups = listed["groups"].as_array().context("no groups")?.clone();
        let sum = |key: &str| groups.iter().filter_map(|group| group[key].as_u64()).sum::<u64>();
        Ok(json!([sum("open"), sum("retried"), sum("discarded")]))
    }

    /// What a retry has done, or would do: letters by outcome.
    async fn retry(&self, world: &World, code: i32, more: &[&str]) -> Result<Value> {
        let told = self.json(world, code, &[&["retry"], more].concat()).await?;
        let outcomes = told["outcomes"].as_array().context("no outcomes")?;
        Ok(outcomes.iter().map(|group| json!([group["outcome"], group["letters"], group["rows"]])).collect())
    }

    /// Kills a retry as soon as the first row is there.
    async fn retry_killed(&self, world: &World) -> Result<()> {
        let mut command = Command::new(&world.installation.nova);
        command.arg("--config").arg(&world.installation.config).args(["dlq", "retry", "--execute"]);
        command.args(self.common()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut retry = command.kill_on_drop(true).spawn()?;
        until("the first row", s(30), async || {
            ensure!(rows(world).await? > 0, "no row yet");
            Ok(())
        })
        .await?;
        Ok(retry.kill().await?)
    }
}

async fn query(world: &World, sql: &str) -> Result<()> {
    world.clickhouse()?.query(sql).await.context(sql.to_owned())?;
    Ok(())
}

async fn rows(world: &World) -> Result<i64> {
    clickhouse_number(world.clickhouse()?, &format!("SELECT count() FROM {TABLE}")).await
}

/// GIVEN messages that do not fit a column / WHEN its type is mended and they are retried, killed, retried again and once
/// more without the marks / THEN each change is there once; what is poison for good stays open until it is discarded.
pub(crate) async fn dlq(world: &mut World) -> Result<()> {
    let own = Own::declare(world).await?;
    poisoned(world, &own).await?;
    listed(world, &own).await?;

    // Nothing is mended: 5 inserts, 1 of them told again, 1 message that is no JSON.
    ensure!(own.retry(world, 0, &[]).await? == json!([["open", 6, 0], ["open", 1, 0]]));
    own.retry(world, 4, &["--execute"]).await?;
    ensure!(own.standing(world).await? == json!([7, 0, 0]), "nothing is done");
    query(world, &format!("ALTER TABLE {TABLE} MODIFY COLUMN tag String")).await?;
    let would = own.retry(world, 0, &[]).await?;
    ensure!(would == json!([["open", 1, 0], ["rows", 5, 5], ["skipped", 1, 0]]), "{would}");
    ensure!(rows(world).await? == 0, "a dry run writes nothing");
    own.dlq(world, 5, &["retry", "--execute", "--set", "clickhouse.url=http://127.0.0.1:1"]).await?;

    own.retry_killed(world).await?;
    own.retry(world, 4, &["--execute"]).await?;
    once(world).await?;
    ensure!(own.standing(world).await? == json!([1, 6, 0]), "{}", own.standing(world).await?);
    // As if it had died before it could mark.
    query(world, "TRUNCATE TABLE nova.dead_letter_actions").await?;
    let again = own.retry(world, 4, &["--execute"]).await?;
    ensure!(again == json!([["open", 1, 0], ["skipped", 1, 0], ["there", 5, 5]]), "{again}");
    once(world).await?;
    discarded(world, &own).await?;
    query(world, &format!("DROP TABLE {TABLE} SYNC")).await
}

/// Runs the stream until all its messages are put aside; then a letter is there twice, beside what is none.
async fn poisoned(world: &mut World, own: &Own) -> Result<()> {
    let follows = follows(world, 5).await?;
    let brokers = world.brokers()?;
    let poison = Record { value: Some(b"no JSON at all".to_vec()), ..Record::default() };
    produce(&brokers, TOPIC, [&follows[..], &follows[..1], &[poison]].concat()).await?;
    let args = [&["--stream", "dlq", "--from-beginning"][..], &own.common()].concat();
    let worker = world.installation.run_worker("dlq", &args).await?;
    let letters = until("7 letters", s(30), async || {
        let letters = read_all(&brokers, LETTERS)?;
        ensure!(letters.len() == 7, "{} letters", letters.len());
        Ok(letters)
    })
    .await?;
    let code = ended(&worker.process, Signal::SIGTERM).await?;
    ensure!(code == Some(0), "exit code {code:?} after SIGTERM");
    let foreign = Record { value: Some(b"by hand".to_vec()), ..Record::default() };
    let tombstone = Record { key: Some(b"x".to_vec()), ..Record::default() };
    produce(&brokers, LETTERS, vec![letters[0].clone(), foreign, tombstone]).await?;
    Ok(())
}

async fn listed(world: &World, own: &Own) -> Result<()> {
    let listed = own.json(world, 0, &["list"]).await?;
    let head = ["topic", "matching", "open", "letters", "repeated", "foreign"].map(|key| listed[key].clone());
    ensure!(json!(head) == json!([LETTERS, 7, 7, 7, 1, 2]), "{listed}");
    ensure!(listed["groups"][0]["example"] == format!("{TOPIC}/0/0"), "{listed}");
    ensure!(listed["groups"][0]["kind"] == "unmappable" && listed["groups"][0]["letters"] == 6, "{listed}");
    let lines = own.dlq(world, 0, &["list", "--kind", "malformed", "-o", "jsonl"]).await?;
    ensure!(lines.stdout.lines().count() == 1 && !lines.stdout.contains("no JSON at all"), "{lines:?}");
    let shown = own.json(world, 0, &["show", &format!("{TOPIC}/0/6")]).await?;
    ensure!(shown[0]["value"]["text"] == "no JSON at all" && shown[0]["status"] == "open", "{shown}");
    for (args, code, word) in [
        (&["show", "dlq.follows/0/7"][..], 1, "no dead letter dlq.follows/0/7"),
        (&["show", "dlq.follows"], 2, "TOPIC/PARTITION/OFFSET"),
        (&["list", "--set", "kafka.dead_letter_topic="], 2, "kafka.dead_letter_topic"),
        (&["list", "--set", "clickhouse.database=system"], 2, "nova migrate"),
    ] {
        // The last of two settings counts.
        let args = [&own.common()[..], &["dlq"], args].concat();
        let answer = world.nova(&args).await?;
        ensure!(answer.code == Some(code) && answer.stderr.contains(word), "{args:?}: {answer:?}");
    }
    Ok(())
}

async fn once(world: &World) -> Result<()> {
    let sql = format!("SELECT uniqExact(event_id) FROM {TABLE} WHERE topic = '{TOPIC}' AND kafka_offset < 5");
    let (rows, changes) = (rows(world).await?, clickhouse_number(world.clickhouse()?, &sql).await?);
    ensure!((rows, changes) == (5, 5), "{rows} rows of {changes} changes at their own offsets");
    Ok(())
}

async fn discarded(world: &World, own: &Own) -> Result<()> {
    own.dlq(world, 2, &["discard", "--matching", "JSON"]).await?;
    let reason = ["discard", "--matching", "JSON", "--reason", "by hand, 31 January"];
    let dry = own.json(world, 0, &reason).await?;
    ensure!(dry["letters"] == 1 && dry["executed"] == false, "{dry}");
    ensure!(own.standing(world).await? == json!([1, 6, 0]), "a dry run marks nothing");
    own.dlq(world, 0, &[&reason[..], &["--execute"]].concat()).await?;
    ensure!(own.standing(world).await? == json!([0, 6, 1]), "{}", own.standing(world).await?);
    let shown = own.dlq(world, 0, &["show", "--discarded"]).await?;
    ensure!(shown.stdout.contains("by hand, 31 January"), "{shown:?}");
    let retried = own.dlq(world, 0, &["retry", "--execute"]).await?;
    ensure!(retried.stdout == "no open dead letters match\n", "{retried:?}");
    // Who names it may take that back; it is still poison.
    own.dlq(world, 4, &["retry", &format!("{TOPIC}/0/6"), "--execute"]).await?;
    Ok(())
}
