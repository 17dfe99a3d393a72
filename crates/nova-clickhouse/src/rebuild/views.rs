//! Views over a rebuilt table. Refreshable ones are made anew from the rows; one that is filled at insert never sees an
//! exchange, so it is named beforehand.
//!
//! Source: <https://clickhouse.com/docs/materialized-view/refreshable-materialized-view>.
//!
//! Invariant: a view counts as one over the table when its query names the table; one too many is made anew for nothing.

use serde::{Deserialize, Serialize};

use crate::sql::identifier;
use crate::{ClickHouseError, Client};

/// A materialized view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its name in the database.
    pub name: String,
    /// Whether it is made anew as a whole; otherwise rows are added as they are inserted.
    #[serde(deserialize_with = "flag")]
    pub refreshable: bool,
}

fn flag<'de, D: serde::Deserializer<'de>>(number: D) -> Result<bool, D::Error> {
    u8::deserialize(number).map(|number| number != 0)
}

/// The materialized views whose query names the table, by name.
///
/// # Errors
/// See [`ClickHouseError`].
pub async fn views_over(client: &Client, table: &str) -> Result<Vec<View>, ClickHouseError> {
    let sql = "SELECT name, toUInt8(name IN (SELECT view FROM system.view_refreshes WHERE database = currentDatabase())) \
               AS refreshable FROM system.tables \
               WHERE database = currentDatabase() AND engine = 'MaterializedView' \
               AND has(splitByRegexp('[^0-9A-Za-z_]+', create_table_query), {table:String}) ORDER BY name";
    client.query_rows(sql, &[("table", table)]).await
}

impl View {
    /// Makes a refreshable view anew and waits until it is.
    ///
    /// # Errors
    /// What the refresh failed with.
    pub async fn refresh(&self, client: &Client) -> Result<(), ClickHouseError> {
        let view = format!("{}.{}", identifier(client.database()), identifier(&self.name));
        client.execute(&format!("SYSTEM REFRESH VIEW {view}")).await?;
        client.execute(&format!("SYSTEM WAIT VIEW {view}")).await
    }
}
