//! A stack that speaks TLS and lets nobody in without a login.
//!
//! Invariant: beside the protected ways in stand the plain ones of every stack, on 127.0.0.1, for whoever sets the stack
//! up; what is tested uses the protected ones only.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::account::Account;

/// Roles of PostgreSQL that are refused without TLS.
pub(super) const TLS_ONLY_ROLES: &str = "nova_reader,nova_replication";

/// Files in PEM, and users.
#[derive(Debug, Clone)]
pub struct Protection {
    /// The servers' certificate, for the name `localhost`.
    pub certificate: PathBuf,
    /// A certificate for the same key whose time is over; Kafka has a listener with it.
    pub expired: PathBuf,
    /// The key of both.
    pub key: PathBuf,
    /// The CA behind the certificate, as clients take it.
    pub ca: PathBuf,
    /// Kafka's users (SCRAM-SHA-512) and their passwords. What they may do, ACLs say.
    pub kafka_users: Vec<(String, String)>,
    /// The one of them that Kafka Connect logs in as; `None` sends it through the plain listener.
    pub connect_user: Option<String>,
    /// ClickHouse's users beside `default`.
    pub clickhouse_users: Vec<ClickHouseUser>,
}

/// A user of ClickHouse, who may do no more than this.
#[derive(Debug, Clone)]
pub struct ClickHouseUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// Grants in ClickHouse's own words, without their `TO …`.
    pub grants: Vec<String>,
}

impl Protection {
    /// What makes Kafka Connect and its clients log in.
    pub(super) fn connect_login(&self) -> Vec<(String, String)> {
        let user = self.kafka_users.iter().find(|(name, _)| self.connect_user.as_ref() == Some(name));
        let Some((name, password)) = user else { return Vec::new() };
        let jaas = format!(
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{name}\" password=\"{password}\";"
        );
        let login = [
            ("security.protocol", "SASL_SSL".to_owned()),
            ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
            ("sasl.jaas.config", jaas),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", self.ca.display().to_string()),
        ];
        // The worker's own clients, and those that it makes for connectors.
        let prefixes = ["", "producer.", "consumer.", "admin."];
        let each = |prefix: &str| login.clone().map(|(key, value)| (format!("{prefix}{key}"), value));
        prefixes.into_iter().flat_map(each).collect()
    }

    /// Puts a copy of certificate and key into `folder`, for a server that runs under `account`.
    pub(super) fn install(&self, folder: &Path, account: Option<Account>) -> Result<ServerFiles> {
        let files = ServerFiles { folder: folder.to_owned(), account };
        files.write("server.key", &read(&self.key)?)?;
        files.replace_certificate(&self.certificate)?;
        Ok(files)
    }

    /// The expired or the valid certificate and its key as Kafka takes them, in one file of `folder`.
    pub(super) fn keystore(&self, folder: &Path, expired: bool) -> Result<PathBuf> {
        let (name, certificate) =
            if expired { ("expired.pem", &self.expired) } else { ("keystore.pem", &self.certificate) };
        let files = ServerFiles { folder: folder.to_owned(), account: None };
        files.write(name, &[read(&self.key)?, read(certificate)?].concat())
    }
}

/// A server's own copies.
#[derive(Debug, Clone)]
pub(super) struct ServerFiles {
    folder: PathBuf,
    account: Option<Account>,
}

impl ServerFiles {
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    /// Puts another certificate in the place of the server's, in one step.
    pub(super) fn replace_certificate(&self, by: &Path) -> Result<()> {
        let new = self.write("server.crt.new", &read(by)?)?;
        fs::rename(new, self.certificate()).context("replacing a server's certificate")
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.folder.join(name);
        // PostgreSQL refuses a key that others may read.
        let file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("making {}", path.display()))?;
        std::io::Write::write_all(&mut file, content)
            .with_context(|| format!("writing {}", path.display()))?;
        if let Some(account) = self.account {
            account.own(&path)?;
        }
        Ok(path)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}
