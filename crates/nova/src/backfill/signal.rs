//! Debezium's signal table: a row is a request to the connector, which reads it from the replication stream.
//!
//! Invariant: it is written by the connector's own role, the only one that has to have the right.

use nova_streams::Stream;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::config::Config;
use crate::connector::SIGNAL_TABLE;
use crate::exit::{Exit, Failure, Outcome};
use crate::login::log_in;

/// Characters of a signal's data (`varchar(2048)`).
pub(super) const MAX_DATA: usize = 2_048;

/// A session that may write signals.
pub(super) struct Signals {
    connection: PgConnection,
    role: String,
}

impl Signals {
    /// Logs in as the connector's role, and looks whether signals arrive.
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        let (connect, postgres) = (&config.connect, &config.postgres);
        let role = connect.replication_user.clone();
        let login = log_in(postgres, &role, &connect.replication_password, "connect").await;
        let connection = login.map_err(|failure| failure.ends(postgres, &role))?;
        let mut signals = Self { connection, role };
        signals.check(&connect.publication).await?;
        Ok(signals)
    }

    async fn check(&mut self, publication: &str) -> Outcome {
        let found: (Option<bool>, bool) = sqlx::query_as(
            "SELECT has_table_privilege(to_regclass($1)::oid, 'SELECT') AND has_table_privilege(to_regclass($1)::oid, 'INSERT'), \
             EXISTS (SELECT FROM pg_publication_tables WHERE pubname = $2 AND schemaname || '.' || tablename = $1)",
        )
        .bind(SIGNAL_TABLE)
        .bind(publication)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| failed("looking at the signal table", &error))?;
        let role = &self.role;
        let (what, cure) = match found {
            (Some(true), true) => return Ok(()),
            (None, _) => (
                format!("there is no table {SIGNAL_TABLE}"),
                "Apply schemas/postgres (0004_publication.sql, 0005_roles.sql).".to_owned(),
            ),
            (Some(false), _) => (
                format!("{role} may not read and write {SIGNAL_TABLE}"),
                format!("GRANT SELECT, INSERT, DELETE ON {SIGNAL_TABLE} TO {role}."),
            ),
            (Some(true), false) => (
                format!(
                    "{SIGNAL_TABLE} is not in publication {publication}: the connector would never see a signal"
                ),
                format!("ALTER PUBLICATION {publication} ADD TABLE {SIGNAL_TABLE}."),
            ),
        };
        Err(Failure::new(Exit::Failure, format!("PostgreSQL: {what}")).with_cure(cure))
    }

    /// Lets PostgreSQL plan to read the rows, which shows whether the condition is one; answers its estimate of them.
    pub(super) async fn plan(&mut self, stream: &Stream, filter: &str) -> Result<u64, Failure> {
        let (schema, table) = stream.source.split_once('.').unwrap_or(("public", &stream.source));
        let name = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let condition = if filter.is_empty() { "true" } else { filter };
        let sql = format!("EXPLAIN SELECT * FROM {}.{} WHERE {condition}", name(schema), name(table));
        let planned =
            sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut self.connection);
        let lines: Vec<String> = planned.await.map_err(|error| match error {
            sqlx::Error::Database(reason) => Failure::new(
                Exit::Usage,
                format!("PostgreSQL cannot read {} with `{filter}`: {reason}", stream.source),
            )
            .with_cure("--where takes what stands behind WHERE, on the table's columns."),
            error => failed("planning to read the table", &error),
        })?;
        Ok(lines.first().and_then(|line| rows_in(line)).unwrap_or_default())
    }

    /// Writes a signal; answers its id, and a position in the log behind it.
    pub(super) async fn send(&mut self, kind: &str, data: &str) -> Result<(Uuid, u64), Failure> {
        let id = Uuid::new_v4();
        let sql = format!("INSERT INTO {SIGNAL_TABLE} (id, type, data) VALUES ($1, $2, $3)");
        sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(kind)
            .bind(data)
            .execute(&mut self.connection)
            .await
            .map_err(|error| failed("writing the signal", &error))?;
        let lsn: i64 = sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8")
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| failed("asking for the log's position", &error))?;
        Ok((id, lsn.unsigned_abs()))
    }

    /// Chunks that the connector has read so far, of all tables and times.
    pub(super) async fn chunks(&mut self) -> Result<i64, Failure> {
        let sql = format!("SELECT count(*) FROM {SIGNAL_TABLE} WHERE type = 'snapshot-window-close'");
        let counted = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await;
        counted.map_err(|error| failed("counting chunks", &error))
    }
}

fn failed(doing: &str, error: &sqlx::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("PostgreSQL, {doing}: {error}"))
}

/// `Seq Scan on likes  (cost=0.00..14.50 rows=450 width=56)`
fn rows_in(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" rows=")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_read_from_the_plan() {
        assert_eq!(rows_in("Seq Scan on likes  (cost=0.00..14.50 rows=450 width=56)"), Some(450));
        assert_eq!(rows_in("Result"), None);
    }
}
