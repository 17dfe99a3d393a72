//! `[postgres]`: where the source of truth is, and who reads it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::Secret;

/// PostgreSQL, as `nova doctor` and the dictionaries read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresConfig {
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Whether connections are encrypted and the server's certificate verified.
    pub ssl_mode: SslMode,
    /// PEM file of the CA that issued the server's certificate (libpq's `sslrootcert`).
    #[serde(deserialize_with = "super::security::optional_path")]
    pub ca_file: Option<PathBuf>,
    /// A role that may read the captured tables.
    pub user: String,
    /// Its password.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub password: Secret,
    /// A file that holds the password instead.
    pub password_file: Option<PathBuf>,
    /// The role that owns the source tables: only `nova outbox` logs in as it.
    pub owner: String,
    /// Its password.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub owner_password: Secret,
    /// A file that holds the password instead.
    pub owner_password_file: Option<PathBuf>,
}

/// Two of libpq's modes (<https://www.postgresql.org/docs/current/libpq-ssl.html>): the others encrypt towards whoever
/// answers, or let the server choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// In clear.
    Disable,
    /// TLS only, with a certificate of the CA for the host that was asked for.
    VerifyFull,
}

impl PostgresConfig {
    /// How a role reaches the database.
    pub fn options(&self, user: &str, password: &Secret) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(user)
            .application_name("nova");
        let options = match self.ssl_mode {
            SslMode::Disable => options.ssl_mode(PgSslMode::Disable),
            SslMode::VerifyFull => options.ssl_mode(PgSslMode::VerifyFull),
        };
        let options = match &self.ca_file {
            Some(path) => options.ssl_root_cert(path),
            None => options,
        };
        if password.is_empty() { options } else { options.password(password.expose()) }
    }
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5432,
            database: "nova".to_owned(),
            ssl_mode: SslMode::Disable,
            ca_file: None,
            user: "nova_reader".to_owned(),
            password: Secret::default(),
            password_file: None,
            owner: "postgres".to_owned(),
            owner_password: Secret::default(),
            owner_password_file: None,
        }
    }
}
