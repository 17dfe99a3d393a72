//! `nova doctor`: content with an installation that works, and precise about one that does not.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::world::World;

/// What is broken, how it is repaired, and the words that name it and its cure.
const FAULTS: [(&str, &str, [&str; 3]); 4] = [
    (
        "ALTER TABLE likes REPLICA IDENTITY DEFAULT",
        "ALTER TABLE likes REPLICA IDENTITY FULL",
        ["public.likes", "not FULL", "ALTER TABLE likes REPLICA IDENTITY FULL"],
    ),
    (
        "ALTER PUBLICATION nova_cdc DROP TABLE follows",
        "ALTER PUBLICATION nova_cdc ADD TABLE follows",
        ["publication nova_cdc", "follows", "ALTER PUBLICATION nova_cdc ADD TABLE"],
    ),
    (
        "ALTER PUBLICATION nova_cdc SET (publish_via_partition_root = false)",
        "ALTER PUBLICATION nova_cdc SET (publish_via_partition_root = true)",
        ["publication nova_cdc", "publish_via_partition_root", "ALTER PUBLICATION nova_cdc SET"],
    ),
    (
        "REVOKE SELECT ON comments FROM nova_replication",
        "GRANT SELECT ON comments TO nova_replication",
        ["public.comments", "nova_replication", "GRANT SELECT"],
    ),
];

/// GIVEN a healthy installation / THEN no check fails; WHEN something is broken / THEN one does, with name and cure.
pub(crate) async fn doctor(world: &mut World) -> Result<()> {
    let (code, failed) = failures(world, &[]).await?;
    ensure!(code == Some(0) && failed.is_empty(), "healthy, and yet {code:?}: {failed:#?}");
    for (breaks, repairs, words) in FAULTS {
        sqlx::query(breaks).execute(world.postgres()).await?;
        let found = failures(world, &[]).await;
        sqlx::query(repairs).execute(world.postgres()).await?;
        let (code, failed) = found?;
        ensure!(code == Some(1), "{breaks}: exit code {code:?}, failed: {failed:#?}");
        named(&failed, &words).context(breaks)?;
    }
    for (setting, code, words) in [
        ("clickhouse.url=http://127.0.0.1:1", 5, ["ClickHouse", "127.0.0.1:1", "clickhouse.url"]),
        ("kafka.brokers=127.0.0.1:1", 5, ["Kafka", "127.0.0.1:1", "brokers"]),
        ("postgres.password=wrong", 1, ["PostgreSQL", "nova_reader", "password"]),
        ("connect.connector=other", 1, ["Kafka Connect", "other", "nova connector apply"]),
        ("clickhouse.database=nova_none", 1, ["ClickHouse", "pending", "nova migrate"]),
    ] {
        let (found, failed) = failures(world, &["--set", setting]).await?;
        ensure!(found == Some(code), "{setting}: exit code {found:?} instead of {code}, failed: {failed:#?}");
        named(&failed, &words).context(setting)?;
    }
    let (code, failed) = failures(world, &[]).await?;
    ensure!(code == Some(0) && failed.is_empty(), "repaired, and yet {code:?}: {failed:#?}");
    let table = world.nova(&["doctor"]).await?;
    ensure!(table.code == Some(0) && !table.stdout.contains("FAIL"), "{table:?}");
    ensure!(!table.stdout.contains("read by no stream"), "{}", table.stdout);
    ensure!(table.stdout.lines().count() > 20, "too little was looked at:\n{}", table.stdout);
    Ok(())
}

/// The exit code, and one line for each check that failed.
async fn failures(world: &World, args: &[&str]) -> Result<(Option<i32>, Vec<String>)> {
    let answer = world.nova(&[&["doctor", "-o", "json"], args].concat()).await?;
    let document: Value = serde_json::from_str(&answer.stdout).with_context(|| format!("{answer:?}"))?;
    let checks = document["checks"].as_array().context("no checks")?;
    let failed = checks.iter().filter(|check| check["level"] == "fail");
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let line = |check| ["group", "name", "finding", "cure"].map(|key| text(check, key)).join(" | ");
    Ok((answer.code, failed.map(line).collect()))
}

fn named(failed: &[String], words: &[&str]) -> Result<()> {
    let fits = |line: &&String| words.iter().all(|word| line.contains(word));
    ensure!(failed.iter().any(|line| fits(&line)), "no failed check says {words:?}: {failed:#?}");
    Ok(())
}
