//! `nova repair`: what was broken on purpose is put right beside the application, once, whatever dies in between.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;
use xtask::installation::{DATABASE, clickhouse_number, clickhouse_rows};

use crate::checks::equal;
use crate::engagement::hourly;
use crate::wait::{s, until};
use crate::world::{Answer, Load, World};

const LIKES: &str = "post_engagement_events";
const REASON: &str = "it's a \"test\"\nof two lines, with a tab:\t\\";
/// More rows than a chunk has: a plan with this key is written in several.
const COPIES: u32 = 5_001;

/// The keys that are broken, by what happens to them.
struct Broken {
    lost: String,
    lost_then_unliked: String,
    copied: String,
    altered: String,
    late: String,
    late_beside: String,
    healed: String,
    stranger: String,
}

/// GIVEN rows lost, doubled, altered, moved by a month and made up / WHEN that is reconciled, planned, applied and killed
/// after the first chunk, and applied again, all beside the application / THEN both sides are equal, what has healed
/// meanwhile is left alone, and applying once more writes nothing.
pub(crate) async fn repair(world: &mut World) -> Result<()> {
    world.traffic(2, 200.0).await?;
    equal(world).await?;
    let broken = likes(world).await?;
    equal(world).await?;
    for sql in broken.breaks() {
        query(world, &sql).await?;
    }
    let dir = world.stack.run_dir.subdir("repair")?;
    let load = world.load(100.0);
    load.around(beside(world, &load, &broken, &dir)).await?;

    equal(world).await?;
    hourly(world).await?;
    let answer = world.nova(&["reconcile"]).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let lineage = format!(
        "SELECT count(), uniqExact(kafka_offset), uniqExact(event_id) FROM {DATABASE}.{LIKES} \
         WHERE kafka_partition = 2147483647"
    );
    let written = clickhouse_rows(world.clickhouse()?, &lineage).await?.concat();
    ensure!(written.iter().all(|count| *count == rows().to_string()), "{written:?}");
    refusals(world, &dir).await
}

/// Rows that the plan comes to, but for the key that heals.
const fn rows() -> u32 {
    // lost, lost_then_unliked, the copies, altered, late, late_beside, stranger.
    1 + 1 + COPIES + 2 + 2 + 1 + 1
}

async fn beside(world: &World, load: &Load, broken: &Broken, dir: &Path) -> Result<()> {
    load.goes_on_for(50).await?;
    let report = dir.join("report.json");
    let answer = world.nova(&["reconcile", "--values", "-o", "json"]).await?;
    ensure!(answer.code == Some(3), "{answer:?}");
    std::fs::write(&report, &answer.stdout)?;
    ensure!(found(&answer.stdout)? == broken.expected(), "{:?}", found(&answer.stdout)?);

    let (report, plan) = (text(&report), text(&dir.join("plan.json")));
    let planned = nova(world, 0, &["plan", "--report", &report, "--out", &plan]).await?;
    ensure!(planned.stdout.contains("likes: 8 keys"), "{}", planned.stdout);
    let again = text(&dir.join("again.json"));
    nova(world, 0, &["plan", "--report", &report, "--out", &again]).await?;
    ensure!(std::fs::read(&plan)? == std::fs::read(&again)?, "the same report gave another plan");

    // The application goes on with one of the keys, and another is mended by hand.
    sqlx::query("DELETE FROM likes WHERE id = $1::uuid")
        .bind(&broken.lost_then_unliked)
        .execute(world.postgres())
        .await?;
    query(world, &copy(&broken.healed, "1 AS sign, 901 AS kafka_partition")).await?;

    let dry = nova(world, 0, &["apply", &plan]).await?;
    ensure!(dry.stdout.contains("would be") && dry.stdout.contains(&broken.healed), "{}", dry.stdout);
    ensure!(repaired(world).await? == 0, "a dry run writes nothing");
    nova(world, 2, &["apply", &plan, "--execute"]).await?;
    nova(world, 5, &["apply", &plan, "--set", "clickhouse.url=http://127.0.0.1:1"]).await?;

    killed(world, &plan).await?;
    let amid = repaired(world).await?;
    ensure!(amid > 0 && amid < rows().into(), "{amid} rows after the first chunk");
    load.goes_on_for(50).await?;
    let execute = ["apply", plan.as_str(), "--execute", "--reason", REASON, "--actor", "ops@example"];
    let applied = nova(world, 0, &execute).await?;
    ensure!(applied.stdout.contains(&broken.healed), "what is left out is named: {}", applied.stdout);
    ensure!(repaired(world).await? == i64::from(rows()), "{} rows", repaired(world).await?);
    recorded(world, &["done", "begun", "begun"]).await?;

    let third = nova(world, 0, &execute).await?;
    ensure!(third.stdout.contains("0 rows of +1 and 0 of -1"), "{}", third.stdout);
    ensure!(repaired(world).await? == i64::from(rows()), "{} rows", repaired(world).await?);
    recorded(world, &["done", "begun", "done", "begun", "begun"]).await
}

/// Kills an application as soon as its first chunk is there. Before the next one it looks at both servers again.
async fn killed(world: &World, plan: &str) -> Result<()> {
    let mut command = Command::new(&world.installation.nova);
    command.arg("--config").arg(&world.installation.config).args(["repair", "apply", plan, "--execute"]);
    command.args(["--reason", REASON, "--actor", "ops@example"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut apply = command.kill_on_drop(true).spawn()?;
    until("the first chunk", s(60), async || {
        ensure!(repaired(world).await? > 0, "no row yet");
        Ok(())
    })
    .await?;
    Ok(apply.kill().await?)
}

/// Entries of the list, the newest first.
async fn recorded(world: &World, phases: &[&str]) -> Result<()> {
    let listed = nova(world, 0, &["list", "-o", "json"]).await?;
    let entries: Value = serde_json::from_str(&listed.stdout)?;
    let entries = entries.as_array().context("no entries")?;
    let found: Vec<&Value> = entries.iter().map(|entry| &entry["phase"]).collect();
    ensure!(json!(found) == json!(phases), "{found:?}");
    for entry in entries {
        ensure!(entry["actor"] == "ops@example" && entry["reason"] == REASON, "{entry}");
        ensure!(entry["stream"] == "likes", "{entry}");
    }
    Ok(())
}

/// Plans that are not to be applied, and reports that are none.
async fn refusals(world: &World, dir: &Path) -> Result<()> {
    let plan = std::fs::read_to_string(dir.join("plan.json"))?;
    let write = |name: &str, content: &str| -> Result<String> {
        let path: PathBuf = dir.join(name);
        std::fs::write(&path, content)?;
        Ok(text(&path))
    };
    let edited = write("edited.json", &plan.replace("\"sign\": -1", "\"sign\": 1"))?;
    let cut = write("cut.json", plan.get(..plan.len() / 2).unwrap_or_default())?;
    let other = write("other.json", &plan.replacen("\"version\": 1", "\"version\": 2", 1))?;
    let streams = write("none.toml", &crate::drift::stream("good", "t", "public.follows", "drift", ""))?;
    let whole = text(&dir.join("plan.json"));
    let (report, missing) = (text(&dir.join("report.json")), text(&dir.join("missing.json")));
    for (args, words) in [
        (vec!["apply", &edited], vec!["digest", "Make it again"]),
        (vec!["apply", &cut], vec!["cut.json", "nova repair plan"]),
        (vec!["apply", &other], vec!["version 2"]),
        (vec!["apply", &missing], vec!["missing.json", "nova repair plan"]),
        (vec!["apply", &report], vec!["report.json", "nova repair plan"]),
        (vec!["apply", &whole, "--streams", &streams], vec!["likes", "good"]),
        (vec!["plan", "--report", &missing], vec!["missing.json", "nova reconcile"]),
        (vec!["plan", "--report", &report, "--stream", "like"], vec!["`like`", "likes"]),
    ] {
        let answer = nova(world, 2, &args).await?;
        ensure!(
            words.iter().all(|word| answer.stderr.contains(word)),
            "{args:?} does not say {words:?}: {answer:?}"
        );
    }
    Ok(())
}

impl Broken {
    fn breaks(&self) -> Vec<String> {
        let gone = |key: &str| {
            format!(
                "ALTER TABLE {DATABASE}.{LIKES} DELETE WHERE topic = 'cdc.likes' AND source_key = '{key}' \
                 SETTINGS mutations_sync = 2"
            )
        };
        let copies = format!("arrayJoin(range({COPIES})) AS kafka_offset, 950 AS kafka_partition");
        let late = "event_time - INTERVAL 31 DAY AS event_time, 900 AS kafka_partition";
        vec![
            copy(&self.copied, &copies),
            copy(&self.altered, "-1 AS sign, 900 AS kafka_partition"),
            copy(&self.altered, "reinterpretAsUUID(toUInt128(7)) AS user_id, 902 AS kafka_partition"),
            copy(&self.late, late),
            copy(&self.late, "-1 AS sign, 901 AS kafka_partition"),
            copy(&self.late_beside, late),
            copy(&self.healed, "-1 AS sign, 900 AS kafka_partition"),
            copy(&self.healed, &format!("toUUID('{}') AS source_key, 903 AS kafka_partition", self.stranger)),
            gone(&self.lost),
            gone(&self.lost_then_unliked),
        ]
    }

    fn expected(&self) -> Vec<(String, String)> {
        let mut expected = vec![
            (&self.lost, "missing"),
            (&self.lost_then_unliked, "missing"),
            (&self.copied, "doubled"),
            (&self.altered, "different"),
            (&self.late, "different"),
            (&self.late_beside, "different"),
            (&self.healed, "missing"),
            (&self.stranger, "extra"),
        ]
        .into_iter()
        .map(|(key, kind)| (key.clone(), kind.to_owned()))
        .collect::<Vec<_>>();
        expected.sort_unstable();
        expected
    }
}

/// Differences of a report: keys and kinds.
fn found(report: &str) -> Result<Vec<(String, String)>> {
    let report: Value = serde_json::from_str(report)?;
    let mut found = Vec::new();
    for stream in report["streams"].as_array().context("streams")? {
        for difference in stream["differences"].as_array().context("differences")? {
            let text = |key: &str| difference[key].as_str().unwrap_or_default().to_owned();
            found.push((text("source_key"), text("kind")));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Likes that the traffic does not know, so that it leaves them alone.
async fn likes(world: &World) -> Result<Broken> {
    let (post, created_at): (String, String) = sqlx::query_as(
        "INSERT INTO posts (id, author_id, body) SELECT gen_random_uuid(), id, 'to be repaired' FROM users \
         ORDER BY id LIMIT 1 RETURNING id::text, created_at::text",
    )
    .fetch_one(world.postgres())
    .await?;
    let keys: Vec<String> = sqlx::query_scalar(
        "INSERT INTO likes (id, post_id, post_created_at, user_id) \
         SELECT gen_random_uuid(), $1::uuid, $2::timestamptz, id FROM users ORDER BY id LIMIT 7 RETURNING id::text",
    )
    .bind(post)
    .bind(created_at)
    .fetch_all(world.postgres())
    .await?;
    let keys = keys.into_iter().chain([Uuid::new_v4().to_string()]).collect::<Vec<_>>();
    let keys = <[String; 8]>::try_from(keys).ok().context("seven likes")?;
    let [lost, lost_then_unliked, copied, altered, late, late_beside, healed, stranger] = keys;
    Ok(Broken { lost, lost_then_unliked, copied, altered, late, late_beside, healed, stranger })
}

/// The key's row once more, with changes; under lineage that no message has.
fn copy(key: &str, replace: &str) -> String {
    format!(
        "INSERT INTO {DATABASE}.{LIKES} SELECT * REPLACE ({replace}) FROM (SELECT * FROM {DATABASE}.{LIKES} \
         WHERE topic = 'cdc.likes' AND source_key = '{key}' AND sign = 1 AND kafka_partition < 900 LIMIT 1)"
    )
}

async fn repaired(world: &World) -> Result<i64> {
    let sql = format!("SELECT count() FROM {DATABASE}.{LIKES} WHERE kafka_partition = 2147483647");
    clickhouse_number(world.clickhouse()?, &sql).await
}

async fn query(world: &World, sql: &str) -> Result<()> {
    world.clickhouse()?.query(sql).await.context(sql.to_owned())?;
    Ok(())
}

/// `nova repair …`; the exit code must be `code`.
async fn nova(world: &World, code: i32, args: &[&str]) -> Result<Answer> {
    let answer = world.nova(&[&["repair"], args].concat()).await?;
    ensure!(answer.code == Some(code), "repair {args:?}: {answer:?}");
    Ok(answer)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
