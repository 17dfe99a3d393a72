//! The end of a run: everything committed arrives, the groups commit it, the members leave in order.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use super::checks::Check;
use super::messages::{self, Messages};
use super::site::Site;
use crate::compare::query;
use crate::installation::{DATABASE, clickhouse_number};
use crate::traffic::Table;

/// For the backlog of the worst outage, sessions that must time out, and Connect's own recovery.
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
const COMMITTED_WITHIN: Duration = Duration::from_secs(30);
/// Above `pipeline.shutdown_deadline`, 25 s.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(250);

/// Drains, then stops all members; answers what the topics hold, and whether all went well.
///
/// # Errors
/// When a server cannot be asked.
pub(super) async fn drain(site: &Site) -> Result<(Messages, Check)> {
    let mut findings = Vec::new();
    let begun = Instant::now();
    if !within(DRAINED_WITHIN, async || {
        site.keep().await?;
        arrived(site).await
    })
    .await
    {
        let seconds = DRAINED_WITHIN.as_secs();
        findings.push(format!("ClickHouse lacks rows {seconds} s after the last fault"));
    }
    let took = begun.elapsed();
    let mut messages = messages::read_streams(&*site.kafka.read().await).await?;
    if !within(COMMITTED_WITHIN, async || committed(site, &messages).await).await {
        findings.push(format!(
            "messages are not committed {} s after their rows were there",
            COMMITTED_WITHIN.as_secs()
        ));
    }
    site.keep().await?;
    findings.extend(site.fleet.stop(STOPPED_WITHIN).await?);
    // Only now is the last of them written.
    messages.letters = messages::read_letters(&*site.kafka.read().await).await?;
    let entries = site.timeline.entries();
    let by_itself = entries.iter().filter(|entry| entry.fault == "ended-by-itself");
    findings.extend(by_itself.map(|entry| format!("at {:.1} s {}", entry.at.as_secs_f64(), entry.what)));
    let tasks = entries.iter().filter(|entry| entry.fault == "task-failed").count();
    let figures =
        format!("drained after {:.1} s; connector tasks restarted by request: {tasks}", took.as_secs_f64());
    Ok((messages, Check::new("goes on by itself, ends in order", figures, &findings)))
}

/// Asks until the answer is yes; an error is a no, since servers may still be coming back.
pub(super) async fn within(deadline: Duration, mut done: impl AsyncFnMut() -> Result<bool>) -> bool {
    let end = Instant::now() + deadline;
    while !done().await.unwrap_or_default() {
        if Instant::now() >= end {
            return false;
        }
        sleep(POLL).await;
    }
    true
}

/// ClickHouse has at least as many rows as were committed, for each table.
pub(super) async fn arrived(site: &Site) -> Result<bool> {
    let sql = "SELECT source, count(before) + count(after) FROM chaos_ledger WHERE before IS DISTINCT FROM after \
               GROUP BY source";
    let expected: Vec<(String, i64)> =
        sqlx::query_as(sql).fetch_all(&site.installation.postgres).await.context("counting chaos_ledger")?;
    let expected: BTreeMap<String, i64> = expected.into_iter().collect();
    let clickhouse = site.clickhouse.read().await;
    for table in Table::ALL {
        let (name, target) = (table.name(), query(table).table);
        let sql = format!("SELECT count() FROM {DATABASE}.{target} WHERE topic = '{}'", table.topic());
        if clickhouse_number(&clickhouse, &sql).await? < expected.get(name).copied().unwrap_or_default() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Every group has committed past the last message of each partition.
pub(super) async fn committed(site: &Site, messages: &Messages) -> Result<bool> {
    let mut last: BTreeMap<(String, i64), u64> = BTreeMap::new();
    for ((table, partition), end) in messages.ends() {
        last.insert((table.topic().to_owned(), i64::from(partition)), end);
    }
    for at in site.committed().await? {
        let past = u64::try_from(at.offset).unwrap_or_default();
        if last.remove(&(at.topic, i64::from(at.partition))).is_some_and(|end| past <= end) {
            return Ok(false);
        }
    }
    Ok(last.is_empty())
}
