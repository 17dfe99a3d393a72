//! A server process for one test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Response;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "sécret";
const DEADLINE: Duration = Duration::from_secs(30);

/// The engine's library, or a failure that names the cure.
pub(crate) fn library() -> PathBuf {
    let path = std::env::var_os("NOVA_LIBCHDB").map_or_else(cached_library, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask up` (or `cargo xtask test`), which downloads it, or set NOVA_LIBCHDB",
        path.display()
    );
    path
}

fn cached_library() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = folder("NOVA_CACHE_DIR").unwrap_or_else(|| {
        let base =
            folder("XDG_CACHE_HOME").unwrap_or_else(|| folder("HOME").expect("HOME is set").join(".cache"));
        base.join("nova-cdc")
    });
    cache.join("libchdb-26.7.3-stable.1/libchdb.so")
}

pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embedded-clickhouse"));
    command.arg("--library").arg(library()).arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
    command.env("EMBEDDED_CLICKHOUSE_PASSWORD", PASSWORD);
    command
}

/// A running server and its folder.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) data: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_over(tempfile::tempdir().unwrap())
    }

    pub(crate) fn start_over(data: TempDir) -> Self {
        Self::start_with(data, &[])
    }

    pub(crate) fn start_with(data: TempDir, flags: &[&str]) -> Self {
        let mut child =
            command(data.path()).args(flags).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "no URL but {url:?}");
        Self { child, url: url.trim_end().to_owned(), data }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for the process to end; fails at the deadline.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the server did not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The folder of a server that has ended, for the next one.
    pub(crate) fn into_data(mut self) -> TempDir {
        assert!(self.child.try_wait().unwrap().is_some(), "still running");
        std::mem::replace(&mut self.data, tempfile::tempdir().unwrap())
    }

    /// POSTs `body` with URL parameters, as the right user.
    pub(crate) async fn post(&self, parameters: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
        let request = reqwest::Client::new().post(&self.url).query(parameters).body(body.into());
        request.header("X-ClickHouse-Key", PASSWORD.as_bytes()).send().await.unwrap()
    }

    /// The text answer to a statement that must succeed.
    pub(crate) async fn sql(&self, sql: &str) -> String {
        let response = self.post(&[], sql).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{sql}: {text}");
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// HTTP status and `X-ClickHouse-Exception-Code` of an answer.
pub(crate) fn failure(response: &Response) -> (u16, u32) {
    let code = response.headers().get("x-clickhouse-exception-code").expect("an exception code");
    (response.status().as_u16(), code.to_str().unwrap().parse().unwrap())
}

/// A number of the summary header.
pub(crate) fn summary(response: &Response, key: &str) -> u64 {
    let text = response.headers().get("x-clickhouse-summary").unwrap().to_str().unwrap();
    let (_, rest) = text.split_once(&format!("\"{key}\":\"")).unwrap_or_else(|| panic!("{key} in {text}"));
    rest.split('"').next().unwrap().parse().unwrap()
}
