//! The tables of a rebuild: made from the table's own DDL, found again by a command that goes on, dropped at the end.
//!
//! Source of `CREATE TABLE … AS`: <https://clickhouse.com/docs/sql-reference/statements/create/table#with-a-schema-similar-to-other-table>.
//!
//! Invariant: the shadow has the columns, keys, indices and projections that the table has now, or the rebuild is refused: a
//! partition is exchanged only between tables of one structure.

use nova_pipeline::Ranges;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::lineage::inside;
use crate::sql::{identifier, literal_content};
use crate::{ClickHouseError, Client};

/// Which rows are made anew: those of messages in ranges of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The topic.
    pub topic: String,
    /// Half-open offset ranges, by partition.
    pub ranges: Ranges,
}

impl Scope {
    /// The condition that a row is of the scope.
    pub(super) fn holds(&self) -> String {
        let Some(inside) = inside(&self.ranges) else { return "0".to_owned() };
        format!("(topic = '{}' AND {inside})", literal_content(&self.topic))
    }
}

/// A partition of the table in which the scope has rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Month {
    /// The partition's id, such as `202601`.
    pub partition: String,
    /// Rows of the scope.
    pub rows: u64,
    /// Other rows, which an exchange copies.
    pub others: u64,
}

/// What is built beside one table.
#[derive(Debug, Clone)]
pub struct Shadow {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) scope: Scope,
    /// The columns that an INSERT names: all that are stored.
    pub(super) columns: Vec<String>,
    name: String,
}

impl Shadow {
    /// The shadow of a job; nothing is made yet. `client` should allow requests of hours: a month is copied by one.
    ///
    /// # Errors
    /// [`ClickHouseError::Schema`] for a table that is not there, or whose partitions cannot be exchanged.
    pub async fn new(client: Client, table: &str, job: Uuid, scope: Scope) -> Result<Self, ClickHouseError> {
        let engine = client
            .query_text(
                "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
                &[("table", table)],
            )
            .await?;
        let engine = engine.trim();
        if !engine.ends_with("MergeTree") || engine.starts_with("Replicated") || engine.starts_with("Shared")
        {
            let found = if engine.is_empty() {
                "is not there".to_owned()
            } else {
                format!("has the engine {engine}")
            };
            return Err(ClickHouseError::Schema(format!(
                "table `{table}` {found}: a rebuild exchanges partitions of a MergeTree table on one server; \
                 `nova replay kafka --into` fills another table, which you can exchange yourself"
            )));
        }
        let columns = client
            .query_text(
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} \
                 AND default_kind IN ('', 'DEFAULT') ORDER BY position FORMAT TabSeparatedRaw",
                &[("table", table)],
            )
            .await?;
        let columns = columns.lines().map(identifier).collect();
        let id = job.simple().to_string();
        // The first digits of a job's id are the time: jobs of the same minute share them.
        let name = format!("{table}__rebuild_{}", id.get(24..).unwrap_or(&id));
        Ok(Self { client, table: table.to_owned(), scope, columns, name })
    }

    /// The table that the pipeline fills.
    #[must_use]
    pub fn filled(&self) -> &str {
        &self.name
    }

    /// The view of what the table will be: what is filled so far, and everything of the table that is not made anew.
    #[must_use]
    pub fn asked(&self) -> String {
        format!("{}_asked", self.name)
    }

    /// What the names of tables begin with in which a partition is put together.
    pub(super) fn assembled(&self) -> String {
        format!("{}_month_", self.name)
    }

    /// The name in its database, quoted.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}.{}", identifier(self.client.database()), identifier(name))
    }

    /// The partitions in which the table has rows of the scope.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn months(&self) -> Result<Vec<Month>, ClickHouseError> {
        let holds = self.scope.holds();
        let sql = format!(
            "SELECT _partition_id AS partition, countIf({holds}) AS rows, countIf(NOT {holds}) AS others FROM {} \
             GROUP BY partition HAVING rows > 0 ORDER BY partition",
            self.path(&self.table)
        );
        self.client.query_rows(&sql, &[]).await
    }

    /// Names of tables and views that rebuilds of the table have left behind, and not this one.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn left_behind(&self) -> Result<Vec<String>, ClickHouseError> {
        let sql = "SELECT name FROM system.tables WHERE database = currentDatabase() \
                   AND startsWith(name, concat({table:String}, '__rebuild_')) AND NOT startsWith(name, {own:String}) \
                   ORDER BY name FORMAT TabSeparatedRaw";
        let text = self.client.query_text(sql, &[("table", &self.table), ("own", &self.name)]).await?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Makes what is not there yet. `true`: the table to fill is new, whatever was filled before is gone.
    ///
    /// # Errors
    /// [`ClickHouseError::Schema`] if the table was altered since the shadow was made; a failed request.
    pub async fn create(&self) -> Result<bool, ClickHouseError> {
        let is_new = self.structure(&self.name).await?.is_none();
        let sql =
            format!("CREATE TABLE IF NOT EXISTS {} AS {}", self.path(&self.name), self.path(&self.table));
        self.client.execute(&sql).await?;
        if self.structure(&self.name).await? != self.structure(&self.table).await? {
            return Err(ClickHouseError::Schema(format!(
                "`{}` has not the columns, keys, indices, projections and settings of `{}`, which was altered since; \
                 `DROP TABLE {}` and give the same command again: it fills it anew",
                self.name,
                self.table,
                self.path(&self.name)
            )));
        }
        let columns = self.columns.join(", ");
        let view = format!(
            "CREATE OR REPLACE VIEW {} AS SELECT {columns} FROM {} UNION ALL SELECT {columns} FROM {} WHERE NOT {}",
            self.path(&self.asked()),
            self.path(&self.name),
            self.path(&self.table),
            self.scope.holds()
        );
        self.client.execute(&view).await?;
        Ok(is_new)
    }

    /// Drops everything that was made.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn drop_all(&self) -> Result<(), ClickHouseError> {
        self.client.execute(&format!("DROP VIEW IF EXISTS {}", self.path(&self.asked()))).await?;
        self.drop_assembled().await?;
        self.client.execute(&format!("DROP TABLE IF EXISTS {} SYNC", self.path(&self.name))).await
    }

    /// Drops what partitions were put together in. When it is done, no exchange of the rebuild is under way on the server, and
    /// none that arrives late finds what to exchange with: `SYNC` waits for the statements that use a table.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub(super) async fn drop_assembled(&self) -> Result<(), ClickHouseError> {
        let sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {begin:String}) \
                   FORMAT TabSeparatedRaw";
        let names = self.client.query_text(sql, &[("begin", &self.assembled())]).await?;
        for name in names.lines() {
            self.client.execute(&format!("DROP TABLE IF EXISTS {} SYNC", self.path(name))).await?;
        }
        Ok(())
    }

    /// The table's definition from its columns on; `None` where there is none.
    async fn structure(&self, name: &str) -> Result<Option<String>, ClickHouseError> {
        let sql = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() \
                   AND name = {table:String} FORMAT TabSeparatedRaw";
        let text = self.client.query_text(sql, &[("table", name)]).await?;
        Ok(text.split_once('(').map(|(_, structure)| structure.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_topics_ranges_and_an_empty_one_holds_nothing() {
        let ranges = Ranges::from_iter([(0, 3..5), (1, 0..2)]);
        let scope = Scope { topic: "it's".to_owned(), ranges };
        assert_eq!(
            scope.holds(),
            "(topic = 'it\\'s' AND ((kafka_partition = 0 AND kafka_offset >= 3 AND kafka_offset < 5) OR \
             (kafka_partition = 1 AND kafka_offset >= 0 AND kafka_offset < 2)))"
        );
        let scope = Scope { ranges: Ranges::default(), ..scope };
        assert_eq!(scope.holds(), "0");
    }
}
