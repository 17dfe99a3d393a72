//! A TRUNCATE has no rows: its stream halts at it, unless it is declared to pass over it.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use xtask::installation::clickhouse_number;

use crate::admin::metric;
use crate::drift::{RUN, stream};
use crate::topics::{Record, create, produce, read_all};
use crate::wait::{s, until};
use crate::world::{World, ended};

const TOPIC: &str = "drift.truncate";
const ROWS: &str = "SELECT count() FROM nova.truncated_follows";

/// GIVEN a topic with an insert, a TRUNCATE and an insert / THEN the stream halts at the second message and names it;
/// WHEN it is declared to skip / THEN a new run goes on behind it.
pub(crate) async fn truncate(world: &mut World) -> Result<()> {
    world.traffic(1, 100.0).await?;
    let brokers = world.brokers()?;
    create(&brokers, TOPIC).await?;
    let [first, second] = inserts(&brokers).await?;
    let records = vec![first.clone(), truncation(&first)?, second];
    let records = records.into_iter().map(|record| Record { partition: 0, ..record }).collect();
    produce(&brokers, TOPIC, records).await?;
    let clickhouse = world.clickhouse()?;
    clickhouse.query("CREATE TABLE nova.truncated_follows AS nova.user_follow_events").await?;

    let file = world.stack.run_dir.subdir("streams")?.join("truncate.toml");
    let declare = |more| {
        let text = stream("truncated", TOPIC, "public.follows", "truncated_follows", more);
        std::fs::write(&file, text).context("writing the streams")
    };
    let path = file.display().to_string();
    let args = [&RUN[..], &[&path]].concat();
    declare("")?;
    let worker = world.installation.spawn_worker("truncate", &args)?;
    let status = until("`nova run` ends at the TRUNCATE", s(60), async || {
        worker.process.exit_status().context("it still runs")
    })
    .await?;
    let log = std::fs::read_to_string(worker.process.log())?;
    let said = log.rsplit_once("nova: ").map_or("", |(_, said)| said);
    world.note(&format!("said at the end:\n{said}"));
    ensure!(status.code() == Some(1), "{status}");
    for word in ["drift.truncate[0]@1", "truncate", "public.follows", "on_truncate"] {
        ensure!(said.contains(word), "the end does not say {word}");
    }

    declare("on_truncate = \"skip\"\n")?;
    let worker = world.installation.run_worker("truncate-skipped", &args).await?;
    until("the rows around the TRUNCATE", s(30), async || {
        let rows = clickhouse_number(world.clickhouse()?, ROWS).await?;
        ensure!(rows == 2, "{rows} rows");
        Ok(())
    })
    .await?;
    let skipped = [("stream", "truncated"), ("reason", "truncate")];
    let skipped = metric(&worker.admin, "component_discarded_events_total", &skipped).await?;
    ensure!((skipped - 1.0).abs() < 0.5, "{skipped} skips are counted");
    ended(&worker.process, Signal::SIGTERM).await?;
    world.clickhouse()?.query("DROP TABLE nova.truncated_follows SYNC").await?;
    Ok(())
}

/// Two inserts of follows as Debezium wrote them.
async fn inserts(brokers: &str) -> Result<[Record; 2]> {
    until("two follows in Kafka", s(30), async || {
        let inserts = read_all(brokers, "cdc.follows")?.into_iter().filter(|record| {
            let value = record.value.as_deref().unwrap_or_default();
            serde_json::from_slice::<Value>(value).is_ok_and(|value| value["op"] == "c")
        });
        let found: Vec<Record> = inserts.take(2).collect();
        <[Record; 2]>::try_from(found).ok().context("fewer than two")
    })
    .await
}

/// What Debezium writes for a TRUNCATE (recorded in nova-debezium's fixtures): no key, both images null.
fn truncation(insert: &Record) -> Result<Record> {
    let mut value: Value = serde_json::from_slice(insert.value.as_deref().unwrap_or_default())?;
    for (path, new) in [("/op", json!("t")), ("/after", Value::Null), ("/before", Value::Null)] {
        *value.pointer_mut(path).with_context(|| format!("no {path}"))? = new;
    }
    Ok(Record { key: None, value: Some(serde_json::to_vec(&value)?), ..Record::default() })
}
