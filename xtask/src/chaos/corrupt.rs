//! The oracle is tested on the real tables at the very end: one row is corrupted on purpose, and exactly that row
//! must be found.

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::checks::{Check, once};
use super::commands;
use super::evidence::{EventRow, Evidence, event_rows};
use super::site::Site;
use crate::compare::{compare_all, query};
use crate::installation::DATABASE;
use crate::stack::ClickHouseServer;
use crate::traffic::Table;

const PROMISE: &str = "one corrupted row is found";

/// What is done to the row.
#[derive(Debug, Clone, Copy)]
enum Corruption {
    Doubled,
    Removed,
    SignTurned,
}

/// Corrupts one row, chosen by the seed, and looks whether state, changes, `nova reconcile` and `nova audit` name that row and no other.
///
/// # Errors
/// When a server refuses.
pub(super) async fn check(
    seed: u64,
    site: &Site,
    evidence: &Evidence,
    clickhouse: &ClickHouseServer,
) -> Result<Check> {
    let mut rng = StdRng::seed_from_u64(seed);
    let all: Vec<(Table, &EventRow)> =
        evidence.rows.iter().flat_map(|(table, rows)| rows.iter().map(|row| (*table, row))).collect();
    let Some((table, event)) = all.get(rng.random_range(0..all.len().max(1))).copied() else {
        let findings = ["there is no row to corrupt".to_owned()];
        return Ok(Check::new(PROMISE, "no rows".to_owned(), &findings));
    };
    let corruption = match rng.random_range(0..3) {
        0 => Corruption::Doubled,
        1 => Corruption::Removed,
        _ => Corruption::SignTurned,
    };
    clickhouse.query(&statement(corruption, table, event)).await?;

    let mut findings = Vec::new();
    let rows = event_rows(clickhouse).await?;
    let changes = once::differences(&evidence.changes, &rows);
    if changes.is_empty() || changes.iter().any(|found| found.table != table || found.row != event.row) {
        findings.push(format!("the changes' check finds {changes:?}"));
    }
    let states = compare_all(&site.installation.postgres, clickhouse).await?;
    let different: u64 = states.iter().map(|state| state.different).sum();
    let named = states.iter().flat_map(|state| state.samples.iter().map(|(row, _)| (state.table, row)));
    if different != 1 || named.clone().any(|(found, row)| found != table || *row != event.row) {
        findings.push(format!("the state's check finds {:?}", named.collect::<Vec<_>>()));
    }
    findings.extend(commands::beyond(site, table, event).await?);
    Ok(Check::new(PROMISE, format!("{corruption:?}: {} {}", table.name(), event.row), &findings))
}

fn statement(corruption: Corruption, table: Table, event: &EventRow) -> String {
    let target = format!("{DATABASE}.{}", query(table).table);
    let EventRow { partition, offset, ordinal, .. } = event;
    let place = format!(
        "topic = '{}' AND kafka_partition = {partition} AND kafka_offset = {offset} AND ordinal = {ordinal}",
        table.topic()
    );
    match corruption {
        Corruption::Doubled => {
            format!(
                "INSERT INTO {target} SETTINGS insert_deduplicate = 0 SELECT * FROM {target} WHERE {place}"
            )
        }
        Corruption::Removed => {
            format!("ALTER TABLE {target} DELETE WHERE {place} SETTINGS mutations_sync = 2")
        }
        Corruption::SignTurned => {
            format!("ALTER TABLE {target} UPDATE sign = -sign WHERE {place} SETTINGS mutations_sync = 2")
        }
    }
}
