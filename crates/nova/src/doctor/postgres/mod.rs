//! PostgreSQL: can Debezium read its changes, whole, and does it?
//!
//! Invariant: the catalog alone is asked, by the reading role; nothing needs a superuser.

mod publication;
mod roles;
mod server;
mod slot;
mod tables;

use nova_streams::StreamSet;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::check::{Check, Group, Level};
use crate::config::{Config, PostgresConfig, Secret};
use crate::login::{LoginFailure, LoginFailureKind, log_in};
use crate::slot::Slot;

pub use slot::checks as slot_checks;

const GROUP: Group = Group("PostgreSQL");

/// How a role reaches the database.
pub fn postgres_options(config: &PostgresConfig, user: &str, password: &Secret) -> PgConnectOptions {
    config.options(user, password)
}

/// All checks of PostgreSQL.
pub(super) async fn checks(config: &Config, streams: &StreamSet) -> Vec<Check> {
    let postgres = &config.postgres;
    let place = format!("{}:{}/{}", postgres.host, postgres.port, postgres.database);
    let name = format!("{} at {place}", postgres.user);
    let mut connection = match log_in(postgres, &postgres.user, &postgres.password, "postgres").await {
        Ok(connection) => connection,
        Err(failure) => {
            let skipped = ["server", "roles", "publication", "tables", "slot"];
            let skipped = skipped.map(|name| GROUP.skipped(name, "needs the connection above"));
            return std::iter::once(refused(&name, failure)).chain(skipped).collect();
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
    let mut connection = log_in(postgres, &postgres.user, &postgres.password, "postgres").await.ok()?;
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

/// A login that failed.
fn refused(name: &str, failure: LoginFailure) -> Check {
    let LoginFailure { kind, finding, cure } = failure;
    match kind {
        LoginFailureKind::Denied => GROUP.fail(name, finding, cure),
        LoginFailureKind::Away | LoginFailureKind::Untrusted => GROUP.unreachable(name, finding, cure),
    }
}
