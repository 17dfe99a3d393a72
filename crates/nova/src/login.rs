//! Logging in to PostgreSQL, and what it means when that fails.
//!
//! Invariant: a failure says which of three it is: nobody answers, who answers is not to be trusted, or the role is not
//! let in; and what to correct.

use std::time::Duration;

use nova_tls::{Fault, Keys};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::config::{PostgresConfig, Secret};
use crate::exit::{Exit, Failure};

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
    /// Nobody answers, or nobody is let in now.
    Away,
    /// The server's certificate, or its lack of one.
    Untrusted,
    /// The role, its password, or the database: that does not pass by itself.
    Denied,
}

impl LoginFailure {
    /// Ends a command that did nothing yet: 5 for a server that cannot be used, 2 for a role that is not let in.
    pub fn ends(self, postgres: &PostgresConfig, user: &str) -> Failure {
        let exit = match self.kind {
            LoginFailureKind::Away | LoginFailureKind::Untrusted => Exit::Unavailable,
            LoginFailureKind::Denied => Exit::Usage,
        };
        let PostgresConfig { host, port, database, .. } = postgres;
        let place = format!("PostgreSQL at {host}:{port}/{database}, as {user}");
        Failure::new(exit, format!("{place}: {}", self.finding)).with_cure(self.cure)
    }
}

/// Logs `user` in; `section` is the one that holds user and password.
pub async fn log_in(
    postgres: &PostgresConfig,
    user: &str,
    password: &Secret,
    section: &str,
) -> Result<PgConnection, LoginFailure> {
    log_in_by(&postgres.options(user, password), section).await
}

/// The same with options of the caller's.
pub async fn log_in_by(options: &PgConnectOptions, section: &str) -> Result<PgConnection, LoginFailure> {
    match timeout(CONNECT_WITHIN, PgConnection::connect_with(options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(login_failure(&error, section)),
        Err(_) => Err(away(format!("no answer within {} s", CONNECT_WITHIN.as_secs()))),
    }
}

/// What an error says of a login; `section` is the one that holds user and password.
pub fn login_failure(error: &sqlx::Error, section: &str) -> LoginFailure {
    if let Some(fault) = Fault::of(error) {
        let cure = sentence(&fault.cure(KEYS));
        return LoginFailure { kind: LoginFailureKind::Untrusted, finding: fault.to_string(), cure };
    }
    match error {
        sqlx::Error::Database(refusal) => refused(refusal.as_ref(), section),
        sqlx::Error::Tls(reason) => LoginFailure {
            kind: LoginFailureKind::Untrusted,
            finding: format!("no TLS connection comes about: {reason}"),
            cure: "Switch TLS on in PostgreSQL (ssl = on), or correct postgres.host and postgres.port."
                .to_owned(),
        },
        other => away(other.to_string()),
    }
}

/// By SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn refused(refusal: &dyn DatabaseError, section: &str) -> LoginFailure {
    let (kind, cure) = match refusal.code().as_deref() {
        Some("28P01") => (LoginFailureKind::Denied, format!("Correct user and password in [{section}].")),
        Some("28000") => (
            LoginFailureKind::Denied,
            format!(
                "Let the role of [{section}] in from here (pg_hba.conf, LOGIN); where TLS is demanded, set \
                 postgres.ssl_mode = \"verify-full\"."
            ),
        ),
        Some("3D000") => (LoginFailureKind::Denied, "Correct postgres.database.".to_owned()),
        Some("42501") => {
            (LoginFailureKind::Denied, "GRANT CONNECT ON DATABASE to the role, or name another.".to_owned())
        }
        // It starts, ends, or has too many connections: that passes.
        _ => (LoginFailureKind::Away, "Wait until it takes connections; its log says more.".to_owned()),
    };
    LoginFailure { kind, finding: refusal.message().to_owned(), cure }
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error as StdError;

    use sqlx::error::ErrorKind;

    use super::*;

    /// A refusal with this SQLSTATE.
    #[derive(Debug, thiserror::Error)]
    #[error("refused")]
    struct Refusal(&'static str);

    impl DatabaseError for Refusal {
        fn message(&self) -> &str {
            "refused"
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }
        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn a_server_that_starts_is_away_and_a_wrong_password_is_not() {
        for (code, kind, exit) in [
            ("57P03", LoginFailureKind::Away, Exit::Unavailable),
            ("53300", LoginFailureKind::Away, Exit::Unavailable),
            ("28P01", LoginFailureKind::Denied, Exit::Usage),
            ("28000", LoginFailureKind::Denied, Exit::Usage),
            ("3D000", LoginFailureKind::Denied, Exit::Usage),
        ] {
            let found = login_failure(&sqlx::Error::Database(Box::new(Refusal(code))), "postgres");
            assert_eq!(found.kind, kind, "{code}");
            let failure = found.ends(&PostgresConfig::default(), "reader");
            assert_eq!(failure.exit, exit, "{code}");
            assert_eq!(failure.message, "PostgreSQL at localhost:5432/nova, as reader: refused");
        }
    }
}
