//! Waiting until a server answers: by condition, with a deadline, and with its own words when it does not.
//!
//! Invariant: no fixed sleep; a server that has exited is noticed at once and not waited for.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout};

use super::process::ServerProcess;

const PROBE_INTERVAL: Duration = Duration::from_millis(50);
const PROBE_LIMIT: Duration = Duration::from_secs(3);
const TAIL_LINES: usize = 20;

/// A server did not become ready.
#[derive(Debug, thiserror::Error)]
#[error("{name} {what}\nlast lines of {log} (NOVA_KEEP_LOGS=1 keeps the folder):\n{tail}")]
pub struct NotReady {
    name: &'static str,
    what: String,
    log: String,
    tail: String,
}

impl NotReady {
    /// Whether the server itself says that its port was taken, in the words of the JVM, PostgreSQL or libc.
    #[must_use]
    pub fn port_was_taken(&self) -> bool {
        ["Address already in use", "address already in use", "Failed to bind"]
            .iter()
            .any(|words| self.tail.contains(words))
    }
}

/// Probes until `probe` succeeds.
///
/// # Errors
/// [`NotReady`] when the process ends first or `deadline` passes, with the last lines of its log.
pub async fn wait_ready<F>(process: &ServerProcess, deadline: Duration, mut probe: F) -> Result<()>
where
    F: AsyncFnMut() -> Result<()>,
{
    let end = Instant::now() + deadline;
    loop {
        let answer = timeout(PROBE_LIMIT, probe()).await.unwrap_or_else(|_| Err(anyhow!("no answer in 3 s")));
        let Err(last) = answer else { return Ok(()) };
        if let Some(status) = process.exit_status() {
            return Err(not_ready(process, format!("ended before it was ready ({status})")).into());
        }
        if Instant::now() >= end {
            let what = format!("was not ready within {} s: {last:#}", deadline.as_secs());
            return Err(not_ready(process, what).into());
        }
        sleep(PROBE_INTERVAL).await;
    }
}

fn not_ready(process: &ServerProcess, what: String) -> NotReady {
    let log = process.log();
    NotReady { name: process.name(), what, log: log.display().to_string(), tail: tail(log, TAIL_LINES) }
}

/// The last `lines` lines of a text file, indented; a note when there are none.
#[must_use]
fn tail(path: &Path, lines: usize) -> String {
    let text =
        std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    last_lines(&text, lines)
}

/// The last `lines` lines of a text, indented; a note when there are none.
#[must_use]
pub(crate) fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if all.is_empty() {
        return "  (it wrote nothing)".to_owned();
    }
    let skipped = all.len().saturating_sub(lines);
    all.iter().skip(skipped).map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::launch::{Launch, Lifetime, StopManner};

    fn shell(dir: &Path, script: &str) -> ServerProcess {
        let args = vec!["-c".into(), script.into()];
        let (program, stop, lifetime) = ("sh".into(), StopManner::Terminate, Lifetime::WithOwner);
        let (dir, log) = (dir.to_owned(), dir.join("log"));
        let launch =
            Launch { name: "Kafka", program, args, envs: vec![], account: None, dir, log, stop, lifetime };
        ServerProcess::spawn(launch).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_ends_is_reported_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let process = shell(dir.path(), "echo 'java.net.BindException: Address already in use'; exit 1");
        let error = wait_ready(&process, Duration::from_secs(30), async || Err(anyhow!("refused")))
            .await
            .unwrap_err();
        let not_ready: &NotReady = error.downcast_ref().unwrap();
        assert!(not_ready.port_was_taken());
        assert!(error.to_string().starts_with("Kafka ended before it was ready (exit status: 1)"), "{error}");
        assert!(error.to_string().contains("  java.net.BindException"), "{error}");
    }

    #[tokio::test]
    async fn a_deadline_names_the_last_probe_error() {
        let dir = tempfile::tempdir().unwrap();
        let process = shell(dir.path(), "exec sleep 600");
        let error = wait_ready(&process, Duration::ZERO, async || Err(anyhow!("refused"))).await.unwrap_err();
        assert!(error.to_string().contains("was not ready within 0 s: refused"), "{error}");
        assert!(error.to_string().contains("(it wrote nothing)"), "{error}");
    }

    #[test]
    fn only_the_last_lines_are_shown() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "  b\n  c");
    }
}
