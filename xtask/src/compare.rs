//! Both ends side by side: PostgreSQL's rows against the states that `sum(sign)` leaves in ClickHouse.
//!
//! Invariant: a table is equal only if every mapped column of every row is, each as often on one side as on the other.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sqlx::PgPool;

use crate::installation::{DATABASE, clickhouse_rows};
use crate::stack::ClickHouseServer;
use crate::traffic::Table;

/// How a source table is read on both sides: the same text for the same row.
pub(crate) struct Query {
    /// A text expression over the PostgreSQL table.
    pub(crate) postgres: &'static str,
    /// The same over the ClickHouse table.
    pub(crate) clickhouse: &'static str,
    /// The ClickHouse table.
    pub(crate) table: &'static str,
}

/// What one table has on both sides.
#[derive(Debug, Clone)]
pub struct TableComparison {
    /// The table.
    pub table: Table,
    /// Rows in PostgreSQL.
    pub postgres_rows: u64,
    /// `sum(sign)` in ClickHouse.
    pub clickhouse_rows: i64,
    /// Rows that one side has more often than the other.
    pub different: u64,
    /// Some of them, as text, with the surplus on ClickHouse's side.
    pub samples: Vec<(String, i64)>,
}

/// How many differing rows are kept to be shown.
const SAMPLES: usize = 5;

/// How the rows of `table` are read on both sides.
pub(crate) fn query(table: Table) -> Query {
    match table {
        Table::Posts => Query {
            postgres: "concat_ws('|', id, floor(extract(epoch from created_at) * 1000)::bigint, author_id, visibility)",
            clickhouse: "concat_ws('|', post_id, toUnixTimestamp64Milli(event_time), author_id, visibility)",
            table: "post_events",
        },
        Table::Follows => Query {
            postgres: "concat_ws('|', follower_id, followee_id, floor(extract(epoch from created_at) * 1000)::bigint)",
            clickhouse: "concat_ws('|', follower_id, followee_id, toUnixTimestamp64Milli(event_time))",
            table: "user_follow_events",
        },
        Table::Comments | Table::Likes => Query {
            postgres: "concat_ws('|', id, floor(extract(epoch from created_at) * 1000)::bigint, post_id, user_id)",
            clickhouse: "concat_ws('|', source_key, toUnixTimestamp64Milli(event_time), post_id, user_id)",
            table: "post_engagement_events",
        },
        // What each version of an event says, and what it says by leaving it out.
        Table::Outbox => Query {
            postgres: "concat_ws('|', id, event_type, \
                CASE payload->>'version' WHEN '1' THEN (payload->>'timestamp')::bigint * 1000 \
                     WHEN '2' THEN (payload->>'timestamp')::bigint \
                     ELSE floor(extract(epoch from (payload->>'timestamp')::timestamptz) * 1000)::bigint END, \
                payload->>'post_id', payload->>'user_id', \
                CASE payload->>'version' WHEN '1' THEN 0 ELSE coalesce((payload->>'dwell_time_ms')::bigint, 0) END)",
            clickhouse: "concat_ws('|', event_id, event_type, toUnixTimestamp64Milli(event_time), post_id, user_id, dwell_time_ms)",
            table: "post_engagement_events",
        },
    }
}

/// Compares one table.
///
/// # Errors
/// When a side cannot be read.
pub async fn compare(
    postgres: &PgPool,
    clickhouse: &ClickHouseServer,
    table: Table,
) -> Result<TableComparison> {
    let Query { postgres: row, clickhouse: state, table: target } = query(table);
    let name = table.name();
    let sql = format!("SELECT {row} FROM {name}");
    let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_all(postgres)
        .await
        .with_context(|| format!("reading {name} in PostgreSQL"))?;
    let sql = format!(
        "SELECT {state} AS row, sum(sign) AS times FROM {DATABASE}.{target} WHERE topic = '{}' \
         GROUP BY row HAVING times != 0",
        table.topic()
    );
    let states = clickhouse_rows(clickhouse, &sql).await?;

    let postgres_rows = rows.len() as u64;
    let mut surplus: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        *surplus.entry(row).or_default() -= 1;
    }
    let mut clickhouse_rows = 0;
    for state in states {
        let [row, times] = <[String; 2]>::try_from(state).ok().context("two columns were asked for")?;
        let times: i64 = times.parse()?;
        clickhouse_rows += times;
        *surplus.entry(row).or_default() += times;
    }
    surplus.retain(|_, times| *times != 0);
    let different = surplus.len() as u64;
    let samples = surplus.into_iter().take(SAMPLES).collect();
    Ok(TableComparison { table, postgres_rows, clickhouse_rows, different, samples })
}

/// Compares all tables.
///
/// # Errors
/// When a side cannot be read.
pub async fn compare_all(postgres: &PgPool, clickhouse: &ClickHouseServer) -> Result<Vec<TableComparison>> {
    let mut tables = Vec::new();
    for table in Table::ALL {
        tables.push(compare(postgres, clickhouse, table).await?);
    }
    Ok(tables)
}
