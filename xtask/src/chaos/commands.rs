//! Nova's own judges beside the oracle: `nova reconcile` and `nova audit` must find nothing where the oracle finds nothing,
//! and exactly the row that is then corrupted.
//!
//! Invariant: they are run as an operator runs them, and only their JSON is read.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::checks::Check;
use super::evidence::EventRow;
use super::site::Site;
use crate::installation::Installation;
use crate::traffic::Table;

const PROMISE: &str = "reconcile and audit agree";

#[derive(Debug, Deserialize)]
struct Reconciled {
    streams: Vec<ReconciledStream>,
}

#[derive(Debug, Deserialize)]
struct ReconciledStream {
    stream: String,
    verdict: String,
    reason: Option<String>,
    windows: Vec<serde::de::IgnoredAny>,
    differences: Vec<Difference>,
}

#[derive(Debug, Deserialize)]
struct Difference {
    kind: String,
    source_key: String,
    postgres: Option<Vec<Column>>,
    clickhouse: Vec<TableRow>,
}

#[derive(Debug, Deserialize)]
struct TableRow {
    columns: Vec<Column>,
}

#[derive(Debug, Deserialize)]
struct Column {
    value: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Audited {
    streams: Vec<AuditedStream>,
}

#[derive(Debug, Deserialize)]
struct AuditedStream {
    stream: String,
    verdict: String,
    partitions: Vec<AuditedPartition>,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct AuditedPartition {
    counts: Counts,
}

#[derive(Debug, Deserialize)]
struct Counts {
    offsets: u64,
}

#[derive(Debug, Deserialize)]
struct Finding {
    kind: String,
    partition: u32,
    offset: u64,
    ordinal: Option<u8>,
}

/// Both find nothing.
///
/// # Errors
/// When a command cannot be run, or says nothing that can be read.
pub(super) async fn agree(site: &Site) -> Result<Check> {
    let (reconciled, audited) = both(&site.installation).await?;
    let mut findings = Vec::new();
    for ReconciledStream { stream, verdict, reason, differences, .. } in &reconciled.streams {
        if verdict != "equal" {
            findings.push(format!("reconcile: {stream}: {verdict} {reason:?} {:?}", differences.first()));
        }
    }
    for AuditedStream { stream, verdict, findings: found, .. } in &audited.streams {
        if verdict != "agrees" {
            findings.push(format!(
                "audit: {stream}: {verdict}, {} findings: {:?}",
                found.len(),
                found.first()
            ));
        }
    }
    for table in Table::ALL.iter().filter(|table| !is_in(&reconciled, **table)) {
        findings.push(format!("reconcile has not looked at {}", table.stream()));
    }
    let windows: usize = reconciled.streams.iter().map(|stream| stream.windows.len()).sum();
    let partitions = audited.streams.iter().flat_map(|stream| &stream.partitions);
    let offsets: u64 = partitions.map(|partition| partition.counts.offsets).sum();
    Ok(Check::new(PROMISE, format!("{windows} windows, {offsets} offsets"), &findings))
}

fn is_in(reconciled: &Reconciled, table: Table) -> bool {
    reconciled.streams.iter().any(|stream| stream.stream == table.stream())
}

/// What they say that is not just this: one row, of one key, is wrong.
///
/// # Errors
/// As [`agree`].
pub(super) async fn beyond(site: &Site, table: Table, event: &EventRow) -> Result<Vec<String>> {
    let (reconciled, audited) = both(&site.installation).await?;
    let mut found = Vec::new();
    let mut named = 0;
    for stream in &reconciled.streams {
        for difference in &stream.differences {
            if stream.stream == table.stream() && difference.is_of(&event.row) {
                named += 1;
            } else {
                found.push(format!("reconcile names {}: {} {difference:?}", stream.stream, difference.kind));
            }
        }
    }
    if named != 1 {
        found.push(format!("reconcile names the row {named} times"));
    }
    let mut named = 0;
    for stream in &audited.streams {
        for finding in &stream.findings {
            let Finding { kind, partition, offset, ordinal } = finding;
            let is_it =
                (*partition, *offset, *ordinal) == (event.partition, event.offset, Some(event.ordinal));
            if stream.stream == table.stream() && is_it {
                named += 1;
            // What a snapshot read later was left out for the state's sake, which is gone: docs/audit.md, "Limits".
            } else if stream.stream != table.stream() || kind != "missing" {
                found.push(format!("audit names {}: {finding:?}", stream.stream));
            }
        }
    }
    if named != 1 {
        found.push(format!("audit names the row {named} times"));
    }
    Ok(found)
}

impl Difference {
    /// Whether it is of the key of a row as the oracle writes it, the key in front.
    fn is_of(&self, row: &str) -> bool {
        let mut parts = row.split('|');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if first == self.source_key {
            return true;
        }
        let states = self.clickhouse.iter().map(|state| &state.columns).chain(&self.postgres);
        states.into_iter().any(|columns| {
            let has = |text: &str| columns.iter().any(|column| column.value.as_deref() == Some(text));
            has(first) && has(second)
        })
    }
}

async fn both(installation: &Installation) -> Result<(Reconciled, Audited)> {
    let reconciled = said(installation, &["reconcile", "-o", "json"]).await?;
    Ok((reconciled, said(installation, &["audit", "-o", "json"]).await?))
}

/// What the command says, whatever its exit code is: 3 stands for findings.
async fn said<T: DeserializeOwned>(installation: &Installation, args: &[&str]) -> Result<T> {
    let output = installation.nova_output(args).await?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!("`nova {}` ({}): {}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_known_by_its_key_or_by_the_columns_of_a_composite_one() {
        let text = r#"{"kind": "extra", "source_key": "k", "postgres": null,
            "clickhouse": [{"sum": 1, "columns": [{"name": "f", "value": "a"}, {"name": "g", "value": "b"}]}]}"#;
        let difference: Difference = serde_json::from_str(text).unwrap();
        assert!(difference.is_of("k|7") && difference.is_of("a|b|7"));
        assert!(!difference.is_of("a|c|7") && !difference.is_of("l|7"));
    }
}
