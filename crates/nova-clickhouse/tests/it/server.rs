//! A real engine for one test. Whatever way the test ends, the process is ended by its handle and its folder removed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nova_clickhouse::{Client, ClientOptions, TableInfo, TableSink};
use nova_pipeline::{MessageRows, Standing};
use nova_streams::{ColumnType, Row};
use tempfile::TempDir;
use uuid::Uuid;

const START_DEADLINE: Duration = Duration::from_secs(60);

/// A running engine with an empty database `it`.
pub(crate) struct Server {
    process: Child,
    password: String,
    pub(crate) url: String,
    folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with("", "").await
    }

    /// With a password, and with this ClickHouse configuration.
    pub(crate) async fn start_with(password: &str, configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config_file = folder.path().join("config.xml");
        std::fs::write(&config_file, format!("<clickhouse>{configuration}</clickhouse>")).unwrap();
        let process = run(&folder, password, "127.0.0.1:0");
        let mut server = Self { process, password: password.to_owned(), url: String::new(), folder };
        server.ready().await;
        server.client_for("default", password).execute("CREATE DATABASE it ENGINE = Atomic").await.unwrap();
        server
    }

    /// Starts it again after [`Server::kill`], on its address and data.
    pub(crate) async fn start_again(&mut self) {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        self.process = run(&self.folder, &self.password, &address);
        self.ready().await;
    }

    async fn ready(&mut self) {
        let output = self.process.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        self.url =
            tokio::time::timeout(START_DEADLINE, line).await.unwrap().unwrap().unwrap().trim().to_owned();
        assert!(!self.url.is_empty(), "embedded-clickhouse ended before it was ready; its reason is above");
    }

    /// A client of database `it`.
    pub(crate) fn client(&self) -> Client {
        self.client_for("it", "")
    }

    pub(crate) fn client_for(&self, database: &str, password: &str) -> Client {
        Client::new(ClientOptions {
            url: self.url.clone(),
            ca_file: None,
            database: database.to_owned(),
            user: "default".to_owned(),
            password: password.into(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
        })
        .unwrap()
    }

    /// Ends the process now.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A sink for these columns of a table, types as the table has them.
pub(crate) async fn sink(client: &Client, table: &str, columns: &[&str]) -> TableSink {
    let info = TableInfo::read(client, table).await.unwrap();
    let columns: Vec<(String, ColumnType)> = columns
        .iter()
        .map(|name| ((*name).to_owned(), info.schema.column(name).unwrap().column_type.clone()))
        .collect();
    TableSink::new(client.clone(), &info, &columns).unwrap()
}

/// A new change, for tests that care about its rows alone.
pub(crate) fn message<'r, 'a>(offset: i64, rows: &'r [Row<'a>]) -> MessageRows<'r, 'a> {
    MessageRows { partition: 0, offset, event_id: Uuid::nil(), lsn: 0, standing: Standing::New, rows }
}

/// One number.
pub(crate) async fn number(client: &Client, sql: &str) -> i64 {
    client.query_text(sql, &[]).await.unwrap().trim().parse().unwrap()
}

fn run(folder: &TempDir, password: &str, listen: &str) -> Child {
    Command::new(binary())
        .arg("--config-file")
        .arg(folder.path().join("config.xml"))
        .arg("--library")
        .arg(library())
        .arg("--data")
        .arg(folder.path().join("data"))
        .args(["--listen", listen])
        .env("EMBEDDED_CLICKHOUSE_PASSWORD", password)
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Beside this test's own executable, built if it is not there yet.
fn binary() -> PathBuf {
    let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let binary = profile.join("embedded-clickhouse");
    if !binary.exists() {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--package", "embedded-clickhouse"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .status()
            .unwrap();
        assert!(
            status.success() && binary.exists(),
            "`cargo build -p embedded-clickhouse` did not make {}",
            binary.display()
        );
    }
    binary
}

fn library() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let library = variable("NOVA_LIBCHDB").unwrap_or_else(|| {
        variable("NOVA_CACHE_DIR")
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("nova-cdc")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/nova-cdc")))
            .unwrap()
            .join("libchdb-26.7.3-stable.1/libchdb.so")
    });
    if !library.exists() {
        panic!("{} is missing: `cargo xtask up` fetches it, or set NOVA_LIBCHDB", library.display());
    }
    library
}
