//! What the checks look at, gathered when nothing moves any more: both ends, the topics, the groups, the samples.
//!
//! Invariant: gathered from the servers themselves, never from Nova.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::ledger::{self, Change};
use super::messages::Messages;
use super::offsets::Committed;
use super::poison::Poison;
use super::sampler::Sample;
use super::site::Site;
use crate::compare::query;
use crate::installation::{DATABASE, clickhouse_rows};
use crate::stack::ClickHouseServer;
use crate::traffic::Table;

/// A row of an event table: where it came from, its sign, its mapped columns as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EventRow {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) ordinal: u8,
    pub(super) sign: i8,
    pub(super) row: String,
}

/// The event rows by source table; each in the order of partition, offset and ordinal.
pub(super) type EventRows = BTreeMap<Table, Vec<EventRow>>;

/// Everything at rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// Committed changes, by the writers' own book.
    pub(super) changes: Vec<Change>,
    /// ClickHouse.
    pub(super) rows: EventRows,
    /// The topics.
    pub(super) messages: Messages,
    /// What was written there beside the connector.
    pub(super) poison: Vec<Poison>,
    /// The groups.
    pub(super) committed: Vec<Committed>,
    /// The groups and ClickHouse during the run.
    pub(super) samples: Vec<Sample>,
}

impl Evidence {
    /// Gathers it; what is passed was gathered before.
    ///
    /// # Errors
    /// When a server does not answer.
    pub(super) async fn gather(
        site: &Site,
        messages: Messages,
        poison: Vec<Poison>,
        samples: Vec<Sample>,
    ) -> Result<Self> {
        Ok(Self {
            changes: ledger::read(&site.installation.postgres).await?,
            rows: event_rows(&*site.clickhouse.read().await).await?,
            messages,
            poison,
            committed: site.committed().await?,
            samples,
        })
    }

    /// The event rows of a table.
    pub(super) fn rows_of(&self, table: Table) -> &[EventRow] {
        self.rows.get(&table).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Every event row in ClickHouse.
///
/// # Errors
/// When it does not answer.
pub(super) async fn event_rows(clickhouse: &ClickHouseServer) -> Result<EventRows> {
    let mut all = EventRows::new();
    for table in Table::ALL {
        let query = query(table);
        let sql = format!(
            "SELECT kafka_partition, kafka_offset, ordinal, sign, {} FROM {DATABASE}.{} WHERE topic = '{}' \
             ORDER BY kafka_partition, kafka_offset, ordinal",
            query.clickhouse,
            query.table,
            table.topic()
        );
        let rows =
            clickhouse_rows(clickhouse, &sql).await?.into_iter().map(event_row).collect::<Result<_>>()?;
        all.insert(table, rows);
    }
    Ok(all)
}

fn event_row(fields: Vec<String>) -> Result<EventRow> {
    let [partition, offset, ordinal, sign, row] =
        <[String; 5]>::try_from(fields).ok().context("five columns were asked for")?;
    Ok(EventRow {
        partition: partition.parse()?,
        offset: offset.parse()?,
        ordinal: ordinal.parse()?,
        sign: sign.parse()?,
        row,
    })
}
