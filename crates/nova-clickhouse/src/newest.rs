//! How long ago a table last took a row of a topic: how fresh readers find it.
//!
//! Invariant: the question reads the few granules that the index by offset leaves, whatever the size of the table, and the
//! age is by the server's clock alone.

use nova_pipeline::Ranges;
use serde::Deserialize;

use crate::lineage::inside;
use crate::sql::identifier;
use crate::{ClickHouseError, Client};

#[derive(Deserialize)]
struct Answer {
    rows: u64,
    age_ms: i64,
}

/// The age, in milliseconds, of the newest row whose message lies in these ranges of `topic`; `None` if there is none.
///
/// # Errors
/// See [`ClickHouseError`]; a table without `ingested_at` refuses.
pub async fn newest_row_age_ms(
    client: &Client,
    table: &str,
    topic: &str,
    ranges: &Ranges,
) -> Result<Option<i64>, ClickHouseError> {
    let Some(inside) = inside(ranges) else { return Ok(None) };
    let sql = format!(
        "SELECT count() AS rows, toInt64(dateDiff('millisecond', max(ingested_at), now64(3))) AS age_ms \
         FROM {} WHERE topic = {{topic:String}} AND {inside}",
        identifier(table)
    );
    let answer: Vec<Answer> = client.query_rows(&sql, &[("topic", topic)]).await?;
    Ok(answer.into_iter().find(|answer| answer.rows > 0).map(|answer| answer.age_ms.max(0)))
}
