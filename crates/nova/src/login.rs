//! Logging in to PostgreSQL, and what it means when that fails.
//!
//! Invariant: a failure says which of three it is: nobody answers, who answers is not to be trusted, or the role is not
//! let in; and what to correct.

use std::time::Duration;

use nova_tls::{Fault, Keys};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::config::{PostgresConfig, Secret};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const KEYS: Keys = Keys { ca_file: "postgres.ca_file", address: "postgres.host" };

/// Why a role has no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFailure {
    /// Which of the three it is.
    pub kind: LoginFailureKind,
    /// What was found.
    pub finding: String,
    /// What to do.
    pub cure: String,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginFailureKind {
    /// Nobody answers.
    Away,
    /// The server's certificate, or its lack of one.
    Untrusted,
    /// The role, its password, or the database.
    Denied,
}

/// Logs `user` in; `section` is the one that holds user and password.
pub async fn log_in(
    postgres: &PostgresConfig,
    user: &str,
    password: &Secret,
    section: &str,
) -> Result<PgConnection, LoginFailure> {
    let options = postgres.options(user, password);
    match timeout(CONNECT_WITHIN, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(failure(&error, section)),
        Err(_) => Err(away(format!("no answer within {} s", CONNECT_WITHIN.as_secs()))),
    }
}

fn failure(error: &sqlx::Error, section: &str) -> LoginFailure {
    if let Some(fault) = Fault::of(error) {
        let cure = sentence(&fault.cure(KEYS));
        return LoginFailure { kind: LoginFailureKind::Untrusted, finding: fault.to_string(), cure };
    }
    match error {
        sqlx::Error::Database(refusal) => {
            let cure = match refusal.code().as_deref() {
                Some("28P01") => format!("Correct user and password in [{section}]."),
                Some("28000") => format!(
                    "Let the role of [{section}] in from here (pg_hba.conf, LOGIN); where TLS is demanded, set \
                     postgres.ssl_mode = \"verify-full\"."
                ),
                Some("3D000") => "Correct postgres.database.".to_owned(),
                _ => "See PostgreSQL's log.".to_owned(),
            };
            let finding = refusal.message().to_owned();
            LoginFailure { kind: LoginFailureKind::Denied, finding, cure }
        }
        sqlx::Error::Tls(reason) => LoginFailure {
            kind: LoginFailureKind::Untrusted,
            finding: format!("no TLS connection comes about: {reason}"),
            cure: "Switch TLS on in PostgreSQL (ssl = on), or correct postgres.host and postgres.port."
                .to_owned(),
        },
        other => away(other.to_string()),
    }
}

fn away(finding: String) -> LoginFailure {
    let cure = "Start PostgreSQL, or correct postgres.host and postgres.port.".to_owned();
    LoginFailure { kind: LoginFailureKind::Away, finding, cure }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), rest.as_str()))
}
