//! What PostgreSQL's catalog says about a stream's table.
//!
//! Invariant: the table is read only through itself, never through its partitions, which need no grants.

use nova_streams::{Format, Stream};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::ReconcileError;
use crate::error::Doing as _;
use crate::outbox;
use crate::sql::pg_name;

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceColumn {
    pub(crate) name: String,
    /// The type's short name, `int8`, `timestamptz`; that of the base type for a domain.
    pub(crate) type_name: String,
    /// Whether the type is an enum.
    pub(crate) is_enum: bool,
    /// The element's type, for an array.
    pub(crate) element: Option<String>,
}

impl SourceColumn {
    /// The expression that gives the very text of a message; `None` for types whose text Debezium writes in another
    /// way.
    pub(crate) fn text(&self) -> Option<String> {
        let name = pg_name(&self.name);
        Some(match self.type_name.as_str() {
            "text" | "varchar" => name,
            _ if self.is_enum => format!("{name}::text"),
            "json" | "jsonb" | "xml" | "uuid" | "name" | "citext" | "cidr" | "macaddr" | "macaddr8" => {
                format!("{name}::text")
            }
            // A cast would take the padding away, or add the netmask.
            "bpchar" | "inet" => format!("CASE WHEN {name} IS NOT NULL THEN format('%s', {name}) END"),
            _ => return None,
        })
    }
}

/// The column of a stream's source by which windows are cut: for events the one that they carry themselves.
pub(crate) fn time_column(stream: &Stream) -> &str {
    match stream.format {
        Format::Debezium => &stream.time,
        Format::Envelope => "timestamp",
    }
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct SourceTable {
    /// Quoted, with its schema; of events a subquery that reads them.
    pub(crate) name: String,
    pub(crate) columns: Vec<SourceColumn>,
    /// Whether an index begins with the stream's time column, or the table is partitioned.
    pub(crate) by_time: bool,
    /// Its pages; 0 for a partitioned table.
    pub(crate) pages: i64,
    /// Conditions that share it out, where neither time nor pages do.
    pub(crate) pieces: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct ColumnRow {
    name: String,
    type_name: String,
    is_enum: bool,
    element: Option<String>,
}

impl SourceTable {
    /// Asks the catalog.
    ///
    /// # Errors
    /// No such table, or no connection.
    pub(crate) async fn read(connection: &mut PgConnection, stream: &Stream) -> Result<Self, ReconcileError> {
        let (schema, table) = stream.source.split_once('.').unwrap_or(("public", &stream.source));
        let facts: Option<(i64, bool, i64)> = sqlx::query_as(
            "SELECT c.oid::int8, c.relkind = 'p' OR EXISTS (SELECT FROM pg_index i JOIN pg_attribute a \
             ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND i.indisvalid \
             AND i.indpred IS NULL AND a.attname = $3), \
             pg_relation_size(c.oid) / current_setting('block_size')::int8 \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        )
        .bind(schema)
        .bind(table)
        .bind(&stream.time)
        .fetch_optional(&mut *connection)
        .await
        .doing("looking for the table")?;
        let (oid, by_time, pages) = facts.ok_or_else(|| ReconcileError::Refused {
            stream: stream.name.clone(),
            reason: format!("PostgreSQL has no table {schema}.{table}; correct `source`"),
        })?;
        let columns: Vec<ColumnRow> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT a.attname::text AS name, coalesce(b.typname, t.typname)::text AS type_name, \
             coalesce(b.typtype, t.typtype) = 'e' AS is_enum, e.typname::text AS element FROM pg_attribute a \
             JOIN pg_type t ON t.oid = a.atttypid \
             LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd' \
             LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' \
             WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        )))
        .fetch_all(connection)
        .await
        .doing("reading the table's columns")?;
        let columns = columns.into_iter().map(|row| SourceColumn {
            name: row.name,
            type_name: row.type_name,
            is_enum: row.is_enum,
            element: row.element,
        });
        let name = format!("{}.{}", pg_name(schema), pg_name(table));
        let table = Self { name, columns: columns.collect(), by_time, pages, pieces: Vec::new() };
        match stream.format {
            Format::Debezium => Ok(table),
            Format::Envelope => outbox::events(stream, &table),
        }
    }

    /// The column of that name.
    pub(crate) fn column(&self, name: &str) -> Option<&SourceColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}
