//! The one statement that changes the table: a partition gives way to the one that was put together.
//!
//! Source: <https://clickhouse.com/docs/sql-reference/statements/alter/partition#replace-partition>. On MergeTree the new
//! parts appear and the old ones vanish under one lock; parts inserted after that stay. A partition without rows replaces
//! nothing, so what the table has there is moved away instead.
//!
//! Invariant: the caller has remembered from where to heal before it calls this. Both statements name the table in which the
//! partition was put together, so neither can happen after that was dropped.

use crate::ClickHouseError;
use crate::sql::literal_content;

use super::carry::{Assembled, of_partition};

impl Assembled<'_> {
    /// Exchanges the partition.
    pub(super) async fn exchange(&self) -> Result<(), ClickHouseError> {
        let (table, own) = (self.shadow.path(&self.shadow.table), self.shadow.path(&self.name));
        let id = literal_content(&self.id);
        let client = &self.shadow.client;
        let count = format!("SELECT count() FROM {own} WHERE {}", of_partition(&self.id));
        let sql = if client.query_text(&count, &[]).await?.trim() == "0" {
            format!("ALTER TABLE {table} MOVE PARTITION ID '{id}' TO TABLE {own}")
        } else {
            format!("ALTER TABLE {table} REPLACE PARTITION ID '{id}' FROM {own}")
        };
        client.execute(&sql).await
    }
}
