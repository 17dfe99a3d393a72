//! One PostgreSQL server with logical WAL, on TCP at 127.0.0.1 only, with a password.
//!
//! Invariant: it uses its own new data folder; clusters of the machine are neither read nor touched.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use super::account::Account;
use super::launch::{Launch, StopManner};
use super::options::Site;
use super::process::ServerProcess;
use super::protection::{ServerFiles, TLS_ONLY_ROLES};
use super::readiness::wait_ready;

const USER: &str = "postgres";
const DATABASE: &str = "nova";
const READY_WITHIN: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(10);

/// A running PostgreSQL server with an empty database `nova`.
#[derive(Debug)]
pub struct PostgresServer {
    /// Its process (the postmaster).
    pub process: ServerProcess,
    port: u16,
    password: String,
    data: PathBuf,
    bin: PathBuf,
    tls: Option<ServerFiles>,
}

impl PostgresServer {
    /// Makes a cluster with the programs of the folder `bin` and starts the server on `port`.
    ///
    /// # Errors
    /// When `initdb` fails or the server does not answer in time.
    pub async fn start(site: Site<'_>, bin: &Path, port: u16) -> Result<Self> {
        let account = Account::unprivileged()?;
        let home = site.run_dir.subdir("postgres")?;
        if let Some(account) = account {
            account.own(&home)?;
        }
        let password = uuid::Uuid::new_v4().simple().to_string();
        let data = home.join("data");
        initdb(bin, &home, &password, account).await?;
        let launch = Launch {
            name: "PostgreSQL",
            program: bin.join("postgres"),
            args: vec!["-D".to_owned(), data.display().to_string()],
            envs: vec![],
            account,
            dir: home,
            log: site.run_dir.log("postgres"),
            stop: StopManner::PostgresFast,
            lifetime: site.options.lifetime,
        };
        append_settings(&data, port, site.options.fsync)?;
        let protection = site.options.protection.as_ref();
        let tls = protection.map(|protection| protection.install(&data, account)).transpose()?;
        if tls.is_some() {
            demand_tls(&data)?;
        }
        let process = ServerProcess::spawn(launch)?;
        let server = Self { process, port, password, data, bin: bin.to_owned(), tls };
        server.wait_ready("postgres").await?;
        let mut connection = PgConnection::connect(&server.url("postgres")).await?;
        sqlx::query("CREATE DATABASE nova")
            .execute(&mut connection)
            .await
            .context("creating the database nova")?;
        connection.close().await?;
        Ok(server)
    }

    /// Starts the server again on its port and data; ends it first (fast shutdown) when it still runs.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn restart(&mut self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + READY_WITHIN;
        loop {
            self.process.respawn(GRACE)?;
            // After SIGKILL the orphaned backends hold the shared memory a moment longer; the server refuses until then.
            match self.wait_ready(DATABASE).await {
                Err(_) if self.process.exit_status().is_some() && tokio::time::Instant::now() < deadline => {}
                answer => return answer,
            }
        }
    }

    async fn wait_ready(&self, database: &str) -> Result<()> {
        let url = self.url(database);
        wait_ready(&self.process, READY_WITHIN, async || {
            Ok(PgConnection::connect(&url).await?.close().await?)
        })
        .await
    }

    /// Gives a protected server another certificate, for connections from now on or a moment later.
    ///
    /// # Errors
    /// When the stack is not protected, or a file cannot be read or written.
    pub fn replace_certificate(&self, by: &Path) -> Result<()> {
        let tls = self.tls.as_ref().context("this stack was started without protection")?;
        tls.replace_certificate(by)?;
        self.process.kill(Signal::SIGHUP)
    }

    /// URL of the database `nova` for the superuser.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url(DATABASE)
    }

    /// The superuser, who owns the source tables, and its password.
    #[must_use]
    pub fn owner(&self) -> (&'static str, &str) {
        (USER, &self.password)
    }

    /// URL of the database `database` for the superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's name.
    #[must_use]
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The superuser's password, made up for this stack.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder of PostgreSQL's programs (`psql`, `pg_waldump`, …).
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }
}

async fn initdb(bin: &Path, home: &Path, password: &str, account: Option<Account>) -> Result<()> {
    let secret = home.join("password");
    let _ = fs::remove_file(&secret);
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&secret)?;
    std::io::Write::write_all(&mut file, password.as_bytes()).context("writing the password for initdb")?;
    let mut command = Command::new(bin.join("initdb"));
    command.arg("-D").arg(home.join("data")).arg(format!("--pwfile={}", secret.display()));
    command.args([
        "--username=postgres",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    command.current_dir(home);
    if let Some(account) = account {
        account.own(&secret)?;
        command.uid(account.uid).gid(account.gid);
    }
    let made = crate::command::run("making the PostgreSQL cluster", &mut command).await;
    fs::remove_file(&secret).context("removing the password file of initdb")?;
    made.map(drop)
}

/// Later lines of `postgresql.conf` win over those that `initdb` wrote.
fn append_settings(data: &Path, port: u16, fsync: bool) -> Result<()> {
    let path = data.join("postgresql.conf");
    let fsync = if fsync { "on" } else { "off" };
    let settings = format!(
        "\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nwal_level = logical\n\
         fsync = {fsync}\nmax_wal_senders = 20\nmax_replication_slots = 20\nmax_connections = 200\n\
         timezone = 'UTC'\nlog_timezone = 'UTC'\n"
    );
    let mut text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    text.push_str(&settings);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

/// Switches TLS on, and refuses Nova's roles without it; the first line of `pg_hba.conf` that fits counts.
fn demand_tls(data: &Path) -> Result<()> {
    let settings = data.join("postgresql.conf");
    let text = fs::read_to_string(&settings).with_context(|| format!("reading {}", settings.display()))?;
    fs::write(&settings, format!("{text}ssl = on\n"))
        .with_context(|| format!("writing {}", settings.display()))?;
    let access = data.join("pg_hba.conf");
    let text = fs::read_to_string(&access).with_context(|| format!("reading {}", access.display()))?;
    fs::write(&access, format!("hostnossl all {TLS_ONLY_ROLES} all reject\n{text}"))
        .with_context(|| format!("writing {}", access.display()))
}
