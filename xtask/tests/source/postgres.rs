//! A throw-away PostgreSQL, reached through a Unix socket in its own temporary folder, so that no port can be taken.
//! Invariant: dropping it ends the server that it started and removes the folder.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, migrate::Migrator};

pub(crate) struct Postgres {
    server: Child,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Starts a server with logical WAL; needs the PostgreSQL programs, which Debian keeps outside of PATH.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        if let Some(user) = server_user() {
            chown(folder.path(), Some(user.uid), Some(user.gid)).unwrap();
        }
        let made = command("initdb")
            .args([
                "--auth=trust",
                "--username=postgres",
                "--no-sync",
                "--encoding=UTF8",
                "--no-locale",
                "-D",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let server = command("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "wal_level=logical", "-c", "fsync=off"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let postgres = Self { server, folder };
        postgres.wait_until_ready().await;
        postgres
    }

    /// A new, migrated database.
    pub(crate) async fn migrated(&self, database: &str) -> PgPool {
        let admin = self.pool("postgres", "postgres").await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(&admin).await.unwrap();
        let pool = self.pool(database, "postgres").await.unwrap();
        migrator().await.run(&pool).await.unwrap();
        pool
    }

    pub(crate) async fn pool(&self, database: &str, user: &str) -> sqlx::Result<PgPool> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.folder.path())
            .username(user)
            .database(database);
        PgPoolOptions::new().max_connections(8).connect_with(options).await
    }

    async fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = self.pool("postgres", "postgres").await {
            assert!(Instant::now() < deadline, "PostgreSQL is not ready: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.server.id().try_into().unwrap());
        // An immediate shutdown: the data is thrown away anyway.
        let _ = kill(pid, Signal::SIGQUIT);
        let _ = self.server.wait();
    }
}

pub(crate) async fn migrator() -> Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/postgres/migrations");
    Migrator::new(folder.as_path()).await.unwrap()
}

/// PostgreSQL refuses to run as root.
fn server_user() -> Option<User> {
    geteuid().is_root().then(|| User::from_name("postgres").unwrap().unwrap())
}

fn command(program: &str) -> Command {
    let debian = |version: u32| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{program}"));
    let path = (14..=20).rev().map(debian).find(|path| path.exists()).unwrap_or_else(|| program.into());
    let mut command = Command::new(path);
    command.current_dir("/");
    if let Some(user) = server_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}
