//! What operators do, each command under the user that `docs/security.md` gives it to: it does its job, and a rebuild is
//! refused to whoever may only add rows.

use anyhow::{Context, Result, ensure};
use rdkafka::producer::{FutureProducer, FutureRecord};
use xtask::compare::compare_all;
use xtask::installation::clickhouse_number;

use crate::site::Site;
use crate::wait::{s, until};

const LIKES: &str = "nova.post_engagement_events";
const ALTERED: &str = "SELECT countIf(dwell_time_ms = 77) FROM nova.post_engagement_events";
const REBUILD: [&str; 9] =
    ["replay", "kafka", "--stream", "likes", "--mode", "rebuild", "--from", "earliest", "--execute"];

/// GIVEN workers that run, and rows that an administrator broke / WHEN each command is given as its user / THEN it does
/// what it says, and both ends are equal again.
pub(crate) async fn commands(site: &Site) -> Result<()> {
    let worker = site
        .installation
        .run_worker(
            "cdc-2",
            &["cdc", "--set", "log.level=trace", "--set", "kafka.librdkafka.debug=conf,security"],
        )
        .await?;
    let events = site.installation.run_worker("events-2", &["events"]).await?;
    dead_letter(site).await?;
    questions(site).await?;
    repair(site).await.context("repair")?;
    replay(site).await.context("replay")?;
    rebuild(site).await.context("rebuild")?;
    backfill(site).await.context("backfill")?;
    site.nova_ok(&[], &["outbox", "maintain", "--execute"]).await?;
    let log = std::fs::read_to_string(worker.process.log())?;
    ensure!(log.contains("librdkafka"), "no words of librdkafka's at level trace");
    ensure!(site.passwords().all(|password| !log.contains(password)), "a password stands in the log");
    drop((worker, events));
    site.nova_ok(&[], &["reconcile"]).await.map(drop)
}

/// Poison is put aside by the worker, and discarded by a person.
async fn dead_letter(site: &Site) -> Result<()> {
    let producer: FutureProducer = site.kafka_as("nova-connect")?.create()?;
    let poison = FutureRecord::<str, str>::to("cdc.likes").payload("no JSON").key("k");
    producer.send(poison, s(10)).await.map_err(|(error, _)| error)?;
    until("the letter is listed", s(30), async || {
        let listed = site.nova_ok(&[], &["dlq", "list", "--open"]).await?;
        ensure!(listed.contains("malformed"), "{listed}");
        Ok(())
    })
    .await?;
    let discard = ["dlq", "discard", "--stream", "likes", "--reason", "a test's", "--execute"];
    site.nova_ok(&[], &discard).await.map(drop)
}

/// Commands that only ask; some of them need no more than what dashboards have.
async fn questions(site: &Site) -> Result<()> {
    for command in [&["audit"][..], &["repair", "list"], &["reconcile", "history"], &["connector", "status"]]
    {
        site.nova_ok(&[], command).await?;
    }
    let reader = site.accounts("nova", "nova_reader")?;
    for settings in [&[][..], &reader] {
        for command in [&["status"][..], &["lag"], &["offsets", "show"]] {
            until("all is well", s(30), async || site.nova_ok(settings, command).await).await?;
        }
    }
    Ok(())
}

async fn repair(site: &Site) -> Result<()> {
    let some =
        "SELECT source_key FROM nova.user_follow_events GROUP BY source_key HAVING sum(sign) = 1 LIMIT 3";
    breaks(site, &format!("ALTER TABLE nova.user_follow_events DELETE WHERE source_key IN ({some})")).await?;
    let compare = ["reconcile", "--stream", "follows", "--values", "-o", "json"];
    let found = site.nova(&[], &compare).await?;
    ensure!(found.code == Some(3), "{found:#?}");
    let dir = site.stack.run_dir.subdir("repair")?;
    let (report, plan) = (dir.join("report.json"), dir.join("plan.json"));
    std::fs::write(&report, found.stdout)?;
    let [report, plan] = [report, plan].map(|path| path.display().to_string());
    site.nova_ok(&[], &["repair", "plan", "--report", &report, "--out", &plan]).await?;
    site.nova_ok(&[], &["repair", "apply", &plan, "--reason", "a test's", "--execute"]).await?;
    equal(site).await
}

async fn replay(site: &Site) -> Result<()> {
    breaks(site, &format!("ALTER TABLE {LIKES} DELETE WHERE topic = 'cdc.likes'")).await?;
    site.nova_ok(&[], &["replay", "kafka", "--stream", "likes", "--from", "earliest", "--execute"]).await?;
    equal(site).await
}

async fn rebuild(site: &Site) -> Result<()> {
    breaks(site, &format!("ALTER TABLE {LIKES} UPDATE dwell_time_ms = 77 WHERE topic = 'cdc.likes'")).await?;
    let altered = async || clickhouse_number(site.stack.clickhouse()?, ALTERED).await;
    let before = altered().await?;
    ensure!(before > 0, "nothing was altered");
    let refused = site.nova(&[], &REBUILD).await?;
    let told = ["CREATE TABLE", "grants"].iter().all(|word| refused.stderr.contains(word));
    ensure!(refused.code == Some(1) && told && altered().await? == before, "{refused:#?}");
    site.nova_ok(&site.accounts("nova", "nova_migrator")?, &REBUILD).await?;
    ensure!(altered().await? == 0, "rows are as they were");
    equal(site).await
}

async fn backfill(site: &Site) -> Result<()> {
    breaks(site, "ALTER TABLE nova.post_events DELETE WHERE 1").await?;
    site.nova_ok(&[], &["backfill", "--stream", "posts", "--execute"]).await?;
    equal(site).await
}

/// As an administrator, who may.
async fn breaks(site: &Site, mutation: &str) -> Result<()> {
    site.stack.clickhouse()?.query(&format!("{mutation} SETTINGS mutations_sync = 2")).await.map(drop)
}

async fn equal(site: &Site) -> Result<()> {
    for table in compare_all(&site.installation.postgres, site.stack.clickhouse()?).await? {
        ensure!(table.different == 0 && table.postgres_rows > 0, "{table:?}");
    }
    Ok(())
}
