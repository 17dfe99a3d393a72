//! The command line of `embedded-clickhouse`.
//!
//! Invariant: the password is no flag, for command lines are visible to every user of the machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use embedded_clickhouse::TlsOptions;

/// The real ClickHouse engine behind ClickHouse's HTTP interface, for development and tests.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Path of libchdb.so
    #[arg(long)]
    pub(crate) library: PathBuf,
    /// Data directory; made if missing
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8123")]
    pub(crate) listen: SocketAddr,
    /// Second address, for TLS; with --tls-certificate and --tls-key
    #[arg(long, requires_all = ["tls_certificate", "tls_key"])]
    tls_listen: Option<SocketAddr>,
    /// Certificate chain in PEM; read anew for each connection
    #[arg(long, requires = "tls_listen")]
    tls_certificate: Option<PathBuf>,
    /// Private key in PEM
    #[arg(long, requires = "tls_listen")]
    tls_key: Option<PathBuf>,
    /// Name of the user who may do everything
    #[arg(long, default_value = "default")]
    pub(crate) user: String,
    /// File with the user's password; without it EMBEDDED_CLICKHOUSE_PASSWORD, else none
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// File with further users, `name password` in each line; each has the role of its name in --config-file's users_config
    #[arg(long, requires = "config_file")]
    users_file: Option<PathBuf>,
    /// ClickHouse configuration file for the engine
    #[arg(long)]
    pub(crate) config_file: Option<PathBuf>,
    /// Statements that run at the same time; more wait
    #[arg(long, default_value_t = 32)]
    pub(crate) threads: usize,
    /// File to write the URL to when ready
    #[arg(long)]
    pub(crate) ready_file: Option<PathBuf>,
    /// Time for requests under way after SIGTERM, in seconds
    #[arg(long, default_value_t = 10)]
    pub(crate) shutdown_seconds: u64,
}

impl Arguments {
    /// The TLS listener, when one is asked for.
    pub(crate) fn tls(&self) -> Option<TlsOptions> {
        let listen = self.tls_listen?;
        Some(TlsOptions { listen, certificate: self.tls_certificate.clone()?, key: self.tls_key.clone()? })
    }

    /// Further users and their passwords.
    pub(crate) fn other_users(&self) -> anyhow::Result<Vec<(String, String)>> {
        let Some(file) = &self.users_file else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the users file {}", file.display()))?;
        let user = |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.to_owned()));
        let users = text.lines().map(|line| {
            user(line).with_context(|| format!("{}: write `name password` in each line", file.display()))
        });
        users.collect()
    }

    /// The user's password: the file's text without its line break, else the environment's, else none.
    pub(crate) fn password(&self) -> anyhow::Result<String> {
        match &self.password_file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the password file {}", file.display()))?;
                Ok(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            None => Ok(std::env::var("EMBEDDED_CLICKHOUSE_PASSWORD").unwrap_or_default()),
        }
    }
}
