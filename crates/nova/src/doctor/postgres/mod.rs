//! PostgreSQL: can Debezium read its changes, whole, and does it?
//!
//! Invariant: the catalog alone is asked, by the reading role; nothing needs a superuser.

mod publication;
mod roles;
mod server;
mod slot;
mod tables;

use std::time::Duration;

use nova_streams::StreamSet;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::check::{Check, Group, Level};
use crate::config::{Config, PostgresConfig, Secret};
use crate::slot::Slot;

pub use slot::checks as slot_checks;

const GROUP: Group = Group("PostgreSQL");
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How a role reaches the database.
pub fn postgres_options(config: &PostgresConfig, user: &str, password: &Secret) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .database(&config.database)
        .username(user)
        .application_name("nova");
    if password.is_empty() { options } else { options.password(password.expose()) }
}

/// All checks of PostgreSQL.
pub(super) async fn checks(config: &Config, streams: &StreamSet) -> Vec<Check> {
    let postgres = &config.postgres;
    let place = format!("{}:{}/{}", postgres.host, postgres.port, postgres.database);
    let name = format!("{} at {place}", postgres.user);
    let mut connection = match connect(config, &postgres.user, &postgres.password).await {
        Ok(connection) => connection,
        Err(error) => {
            let skipped = ["server", "roles", "publication", "tables", "slot"];
            let skipped = skipped.map(|name| GROUP.skipped(name, "needs the connection above"));
            return std::iter::once(refused(&name, "postgres", &error)).chain(skipped).collect();
        }
    };
    let mut checks = vec![GROUP.ok(name, "logged in"), roles::login(config).await];
    checks.extend(source(&mut connection, config, streams).await);
    let name = &config.connect.slot;
    let slot = Slot::look(&mut connection, name).await;
    add(&mut checks, "slot", slot.map(|slot| slot_checks(name, slot.as_ref())));
    checks
}

/// What would keep a connector from working, as far as it can be seen from here; `None` when PostgreSQL cannot be
/// asked. Debezium retries such failures without end, and reads RUNNING meanwhile.
pub async fn source_failures(config: &Config, streams: &StreamSet) -> Option<Vec<Check>> {
    let postgres = &config.postgres;
    let mut connection = connect(config, &postgres.user, &postgres.password).await.ok()?;
    let checks = source(&mut connection, config, streams).await;
    Some(checks.into_iter().filter(|check| check.level == Level::Fail).collect())
}

async fn source(connection: &mut PgConnection, config: &Config, streams: &StreamSet) -> Vec<Check> {
    let mut checks = Vec::new();
    let server = server::checks(connection, &config.connect.slot).await;
    add(&mut checks, "server", server);
    let role = roles::checks(connection, &config.connect.replication_user).await;
    add(&mut checks, "roles", role);
    let publication = publication::checks(connection, &config.connect.publication, streams).await;
    add(&mut checks, "publication", publication);
    for stream in streams.iter() {
        let table = tables::checks(connection, stream, &config.connect.replication_user).await;
        add(&mut checks, &stream.source, table);
    }
    checks
}

fn add(checks: &mut Vec<Check>, name: &str, found: Result<Vec<Check>, sqlx::Error>) {
    match found {
        Ok(found) => checks.extend(found),
        Err(error) => {
            checks.push(GROUP.fail(name, format!("cannot be read: {error}"), "See PostgreSQL's log."))
        }
    }
}

async fn connect(config: &Config, user: &str, password: &Secret) -> Result<PgConnection, sqlx::Error> {
    let options = postgres_options(&config.postgres, user, password);
    let connecting = timeout(CONNECT_WITHIN, PgConnection::connect_with(&options)).await;
    connecting.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// A login that failed: nobody there, or the wrong name or password. `section` holds the settings.
fn refused(name: &str, section: &str, error: &sqlx::Error) -> Check {
    match error {
        sqlx::Error::Database(refusal) => {
            let cure = match refusal.code().as_deref() {
                Some("28P01" | "28000") => format!("Correct user and password in [{section}]."),
                Some("3D000") => "Correct postgres.database.".to_owned(),
                _ => "See PostgreSQL's log.".to_owned(),
            };
            GROUP.fail(name, refusal.message(), cure)
        }
        sqlx::Error::PoolTimedOut => {
            let finding = format!("no answer within {} s", CONNECT_WITHIN.as_secs());
            GROUP.unreachable(name, finding, "Start PostgreSQL, or correct postgres.host and postgres.port.")
        }
        other => {
            let cure = "Start PostgreSQL, or correct postgres.host and postgres.port.";
            GROUP.unreachable(name, other.to_string(), cure)
        }
    }
}
