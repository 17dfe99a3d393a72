//! The role that Debezium logs in with.

use sqlx::PgConnection;

use super::{GROUP, refused};
use crate::config::Config;
use crate::connector::SIGNAL_TABLE;
use crate::doctor::check::Check;
use crate::login::log_in;

pub(super) async fn checks(connection: &mut PgConnection, user: &str) -> Result<Vec<Check>, sqlx::Error> {
    let name = format!("role {user}");
    let found: Option<(bool, bool)> =
        sqlx::query_as("SELECT rolreplication, rolsuper FROM pg_roles WHERE rolname = $1")
            .bind(user)
            .fetch_optional(&mut *connection)
            .await?;
    let role = match found {
        None => {
            let cure =
                format!("Apply schemas/postgres, or CREATE ROLE {user} LOGIN REPLICATION PASSWORD '…'.");
            return Ok(vec![GROUP.fail(name, "missing", cure)]);
        }
        Some((_, true)) => GROUP.fail(
            &name,
            "is a superuser",
            format!("ALTER ROLE {user} NOSUPERUSER; it needs no more than REPLICATION."),
        ),
        Some((false, false)) => {
            GROUP.fail(&name, "lacks REPLICATION", format!("ALTER ROLE {user} REPLICATION."))
        }
        Some((true, false)) => GROUP.ok(&name, "REPLICATION, no superuser"),
    };
    let signals: Option<bool> = sqlx::query_scalar(
        "SELECT has_table_privilege($1::name, signals, 'SELECT') AND has_table_privilege($1::name, signals, 'INSERT') \
         AND has_table_privilege($1::name, signals, 'DELETE') FROM (SELECT to_regclass($2)::oid AS signals) AS asked",
    )
    .bind(user)
    .bind(SIGNAL_TABLE)
    .fetch_one(connection)
    .await?;
    // Whether the table is there at all is a question of the publication.
    if signals == Some(false) {
        let finding = format!("may not read, write and clear {SIGNAL_TABLE}: incremental snapshots fail");
        let cure = format!("GRANT SELECT, INSERT, DELETE ON {SIGNAL_TABLE} TO {user}.");
        return Ok(vec![role, GROUP.warn(format!("{name}: signals"), finding, cure)]);
    }
    Ok(vec![role])
}

/// Whether the role can log in from here.
pub(super) async fn login(config: &Config) -> Check {
    let user = &config.connect.replication_user;
    let name = format!("login of {user}");
    match log_in(&config.postgres, user, &config.connect.replication_password, "connect").await {
        Ok(_) => GROUP.ok(name, "logged in"),
        Err(failure) => refused(&name, failure),
    }
}
