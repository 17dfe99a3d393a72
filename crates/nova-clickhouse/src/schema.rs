//! What the server says about a table: its columns for the mapping, and the facts that start-up and `doctor` check.
//!
//! Columns whose type streams cannot write: one that the server fills by itself (DEFAULT, MATERIALIZED, ALIAS,
//! EPHEMERAL) is left out of the schema, as if it were not there; one without is an error, because an insert would
//! fill it with something nobody chose.
//!
//! Invariant: nothing is guessed. A table that is not there is [`ClickHouseError::Schema`] with its name.

use std::collections::BTreeMap;

use nova_streams::{Column, ColumnType, TableSchema};
use serde::Deserialize;

use crate::sql::identifier;
use crate::{ClickHouseError, Client};

/// A table's columns and the facts about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Name and writable columns.
    pub schema: TableSchema,
    /// The engine, `MergeTree` or `ReplicatedMergeTree` for example.
    pub engine: String,
    /// The partition key's expression; empty without one.
    pub partition_key: String,
    /// The sorting key's expression.
    pub sorting_key: String,
    /// How many of the last blocks a repeat is recognised among; 0 means that repeats are not recognised. For a
    /// replicated table its `replicated_deduplication_window`, otherwise `non_replicated_deduplication_window`.
    pub deduplication_window: u64,
    /// Whether the server knows the setting `deduplicate_insert`, which decides over `insert_deduplicate`.
    pub(crate) has_deduplicate_insert: bool,
    types: BTreeMap<String, String>,
}

impl TableInfo {
    /// Asks the server.
    ///
    /// # Errors
    /// No such table, an engine that Nova's tokens and questions do not reach through, a column that streams cannot write and
    /// the server does not fill, or a failed request.
    pub async fn read(client: &Client, table: &str) -> Result<Self, ClickHouseError> {
        let name = [("table", table)];
        let facts: Vec<TableRow> = client
            .query_rows(
                "SELECT engine, engine_full, partition_key, sorting_key FROM system.tables \
                 WHERE database = currentDatabase() AND name = {table:String}",
                &name,
            )
            .await?;
        let Some(facts) = facts.into_iter().next() else {
            return Err(ClickHouseError::Schema(format!(
                "there is no table `{table}` in database `{}`; `nova migrate` makes Nova's tables",
                client.database()
            )));
        };
        check_engine(table, &facts.engine, client.is_of_one_server())?;
        let columns: Vec<ColumnRow> = client
            .query_rows(
                "SELECT name, type, default_kind FROM system.columns \
                 WHERE database = currentDatabase() AND table = {table:String} ORDER BY position",
                &name,
            )
            .await?;
        let setting = window_setting(&facts.engine);
        let deduplication_window = match setting_in(&facts.engine_full, setting) {
            Some(window) => window,
            None => default_of(client, setting).await?,
        };
        let sql = "SELECT count() FROM system.settings WHERE name = 'deduplicate_insert'";
        let has_deduplicate_insert = client.query_text(sql, &[]).await?.trim() != "0";
        let types = columns.iter().map(|column| (column.name.clone(), column.type_text.clone())).collect();
        let TableRow { engine, partition_key, sorting_key, .. } = facts;
        let schema = TableSchema { name: table.to_owned(), columns: writable(table, columns)? };
        Ok(Self {
            schema,
            engine,
            partition_key,
            sorting_key,
            deduplication_window,
            has_deduplicate_insert,
            types,
        })
    }

    /// The server's own spelling of a column's type, `LowCardinality` and time zone included.
    #[must_use]
    pub fn type_text(&self, column: &str) -> Option<&str> {
        self.types.get(column).map(String::as_str)
    }
}

/// Tokens and questions are answered by one server, so the table must be that server's own.
fn check_engine(table: &str, engine: &str, one_server: bool) -> Result<(), ClickHouseError> {
    if engine == "Distributed" {
        return Err(ClickHouseError::Schema(format!(
            "table `{table}` is Distributed: it hands rows on to servers that neither token nor question reaches; set \
             clickhouse.cluster, so that streams write into `<table>_local`"
        )));
    }
    if engine.starts_with("Replicated") && !one_server {
        return Err(ClickHouseError::Schema(format!(
            "table `{table}` is replicated, and only the replica that took an insert can say at once that it is there; set \
             clickhouse.cluster, and let clickhouse.url name one server, not what stands before several"
        )));
    }
    Ok(())
}

/// The user's grants, one statement each, as `SHOW GRANTS` writes them.
///
/// # Errors
/// A failed request.
pub async fn grants(client: &Client) -> Result<Vec<String>, ClickHouseError> {
    let text = client.query_text("SHOW GRANTS FORMAT TabSeparatedRaw", &[]).await?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Whether the user may do this to the table; `privilege` is ClickHouse's word, `INSERT` for example.
///
/// # Errors
/// A failed request; a server before 24.8 does not know `CHECK GRANT`.
pub async fn check_grant(
    client: &Client,
    privilege: &'static str,
    table: &str,
) -> Result<bool, ClickHouseError> {
    let sql = format!("CHECK GRANT {privilege} ON {}.{}", identifier(client.database()), identifier(table));
    Ok(client.query_text(&sql, &[]).await?.trim() == "1")
}

#[derive(Deserialize)]
struct TableRow {
    engine: String,
    engine_full: String,
    partition_key: String,
    sorting_key: String,
}

#[derive(Deserialize)]
struct ColumnRow {
    name: String,
    #[serde(rename = "type")]
    type_text: String,
    default_kind: String,
}

fn writable(table: &str, rows: Vec<ColumnRow>) -> Result<Vec<Column>, ClickHouseError> {
    let mut columns = Vec::with_capacity(rows.len());
    for ColumnRow { name, type_text, default_kind } in rows {
        let has_default = !default_kind.is_empty();
        match ColumnType::parse(&type_text) {
            Ok(column_type) => columns.push(Column { name, column_type, has_default }),
            Err(_) if has_default => {}
            Err(error) => {
                return Err(ClickHouseError::Schema(format!(
                    "table `{table}`, column `{name}`: {error}; give the column a DEFAULT, or another type"
                )));
            }
        }
    }
    Ok(columns)
}

pub(crate) fn window_setting(engine: &str) -> &'static str {
    if engine.starts_with("Replicated") || engine.starts_with("Shared") {
        "replicated_deduplication_window"
    } else {
        "non_replicated_deduplication_window"
    }
}

/// The number of a setting in the text of an engine: `… SETTINGS a = 1, b = 2`.
fn setting_in(engine_full: &str, setting: &str) -> Option<u64> {
    let (_, settings) = engine_full.split_once("SETTINGS ")?;
    settings
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim() == setting)
        .and_then(|(_, value)| value.trim().trim_matches('\'').parse().ok())
}

async fn default_of(client: &Client, setting: &str) -> Result<u64, ClickHouseError> {
    let sql = "SELECT value FROM system.merge_tree_settings WHERE name = {name:String}";
    let text = client.query_text(sql, &[("name", setting)]).await?;
    text.trim()
        .parse()
        .map_err(|_| client.unreadable(format!("merge tree setting `{setting}` is `{}`", text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, type_text: &str, default_kind: &str) -> ColumnRow {
        ColumnRow { name: name.into(), type_text: type_text.into(), default_kind: default_kind.into() }
    }

    #[test]
    fn a_column_that_streams_cannot_write_needs_a_default() {
        let kept =
            writable("t", vec![row("id", "UInt64", ""), row("tags", "Map(String, String)", "DEFAULT")])
                .unwrap();
        assert_eq!(kept.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["id"]);
        let error = writable("t", vec![row("tags", "Map(String, String)", "")]).unwrap_err().to_string();
        assert!(error.contains("column `tags`") && error.contains("DEFAULT"), "{error}");
    }

    #[test]
    fn a_table_that_one_server_does_not_answer_for_is_refused_with_the_cure() {
        for one_server in [false, true] {
            assert_eq!(check_engine("t", "MergeTree", one_server), Ok(()));
            let error = check_engine("t", "Distributed", one_server).unwrap_err().to_string();
            assert!(error.contains("`t`") && error.contains("clickhouse.cluster"), "{error}");
        }
        assert_eq!(check_engine("t", "ReplicatedMergeTree", true), Ok(()));
        let error = check_engine("t", "ReplicatedMergeTree", false).unwrap_err().to_string();
        assert!(error.contains("`t`") && error.contains("clickhouse.url"), "{error}");
    }

    #[test]
    fn settings_are_read_by_their_whole_name() {
        let text = "MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100, index_granularity = 8192";
        assert_eq!(setting_in(text, "non_replicated_deduplication_window"), Some(100));
        assert_eq!(setting_in(text, "replicated_deduplication_window"), None);
        assert_eq!(setting_in("MergeTree ORDER BY a", "index_granularity"), None);
    }
}
