//! From when to when PostgreSQL has rows.

use nova_streams::Stream;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::ReconcileError;
use crate::error::Doing as _;
use crate::source_table::{SourceTable, time_column};
use crate::sql::pg_name;

/// The times of the first and the last row that ClickHouse could hold (1900 to 2299), in milliseconds; `None` without
/// rows.
pub(crate) async fn postgres_span(
    connection: &mut PgConnection,
    stream: &Stream,
    source: &SourceTable,
) -> Result<Option<(i64, i64)>, ReconcileError> {
    let time = pg_name(time_column(stream));
    let edge = |function: &str| {
        format!(
            "(SELECT floor(extract(epoch FROM {function}({time})::timestamptz) * 1000)::int8 FROM {} \
             WHERE {time} >= '1900-01-01' AND {time} < '2299-12-31')",
            source.name
        )
    };
    let sql = format!("SELECT {}, {}", edge("min"), edge("max"));
    let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(AssertSqlSafe(sql))
        .persistent(false)
        .fetch_one(connection)
        .await
        .doing("asking for the first and the last row")?;
    Ok(first.zip(last))
}
