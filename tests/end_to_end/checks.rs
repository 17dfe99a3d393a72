//! What must be true of the event tables whenever traffic has paused, whatever happened before.

use anyhow::{Result, ensure};
use xtask::compare::{TableComparison, compare_all};
use xtask::installation::{DATABASE, clickhouse_rows};

use crate::wait::{s, until};
use crate::world::World;

/// The event tables.
pub(crate) const TABLES: [&str; 3] = ["post_events", "user_follow_events", "post_engagement_events"];

/// Waits until both ends are equal, then checks that they became so in the right way.
pub(crate) async fn equal(world: &World) -> Result<Vec<TableComparison>> {
    let tables = until("both ends are equal", s(90), async || {
        let tables = compare_all(world.postgres(), world.clickhouse()?).await?;
        for table in &tables {
            let TableComparison { table: name, postgres_rows, clickhouse_rows, different, samples } = table;
            let name = name.name();
            ensure!(
                *different == 0,
                "{name}: {different} rows differ ({postgres_rows} in PostgreSQL, {clickhouse_rows} in ClickHouse): {samples:?}"
            );
        }
        Ok(tables)
    })
    .await?;
    for table in TABLES {
        each_message_once(world, table).await?;
        each_key_there_or_not(world, table).await?;
    }
    Ok(tables)
}

async fn each_message_once(world: &World, table: &str) -> Result<()> {
    let sql = format!(
        "SELECT topic, kafka_partition, kafka_offset, ordinal, count() AS times FROM {DATABASE}.{table} \
         GROUP BY topic, kafka_partition, kafka_offset, ordinal HAVING times > 1 LIMIT 5"
    );
    let doubled = clickhouse_rows(world.clickhouse()?, &sql).await?;
    ensure!(doubled.is_empty(), "{table}: rows of one message more than once: {doubled:?}");
    Ok(())
}

/// The state of each key is a row or none.
pub(crate) async fn each_key_there_or_not(world: &World, table: &str) -> Result<()> {
    let sql = format!(
        "SELECT topic, source_key, sum(sign) AS state FROM {DATABASE}.{table} \
         GROUP BY topic, source_key HAVING state NOT IN (0, 1) LIMIT 5"
    );
    let wrong = clickhouse_rows(world.clickhouse()?, &sql).await?;
    ensure!(wrong.is_empty(), "{table}: keys whose state is neither 0 nor 1: {wrong:?}");
    Ok(())
}

/// Runs a little traffic and waits until it has arrived: the proof that a fault is over.
pub(crate) async fn goes_on(world: &mut World) -> Result<()> {
    let before = rows(&equal(world).await?);
    let report = world.traffic(2, 100.0).await?;
    ensure!(report.transactions >= 150, "the application itself is held up: {report}");
    let after = rows(&equal(world).await?);
    ensure!(after != before, "no row came or went: {before:?}");
    Ok(())
}

fn rows(tables: &[TableComparison]) -> Vec<i64> {
    tables.iter().map(|table| table.clickhouse_rows).collect()
}
