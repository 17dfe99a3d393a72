//! The record of a stack that was left running by `up`: `target/nova-stack.json`.
//!
//! Invariant: a recorded process is identified by pid and start time, so that a reused pid is never signalled.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Stack;
use super::launch::StopManner;
use super::process::ServerProcess;

/// A stack that was left running.
#[derive(Debug, Serialize, Deserialize)]
pub struct StackState {
    /// Its data and logs.
    pub run_dir: PathBuf,
    /// Its processes, in the order in which they are to be stopped.
    pub processes: Vec<RecordedProcess>,
    /// Name and value of what a client needs, as environment variables.
    pub addresses: Vec<(String, String)>,
}

/// One process of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordedProcess {
    /// Name for messages.
    pub name: String,
    /// Process id.
    pub pid: i32,
    /// When it started, in clock ticks since the machine's start.
    pub start_ticks: u64,
    /// How it is stopped.
    pub stop: StopManner,
}

impl RecordedProcess {
    /// The record of a running process.
    ///
    /// # Errors
    /// When it has just ended.
    pub fn of(process: &ServerProcess) -> Result<Self> {
        let (name, pid) = (process.name(), process.pid());
        let start_ticks = running_since(pid).with_context(|| format!("{name} (pid {pid}) has just ended"))?;
        Ok(Self { name: name.to_owned(), pid, start_ticks, stop: process.stop_manner() })
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        running_since(self.pid) == Some(self.start_ticks)
    }
}

impl StackState {
    /// The state of a running stack.
    ///
    /// # Errors
    /// When one of its processes has just ended.
    pub fn of(stack: &Stack) -> Result<Self> {
        let processes = stack.processes().into_iter().map(RecordedProcess::of).collect::<Result<_>>()?;
        Ok(Self { run_dir: stack.run_dir.path().to_owned(), processes, addresses: addresses(stack) })
    }

    /// Reads the record; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or is not such a record.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let state = serde_json::from_str(&text).with_context(|| {
            format!("{} is not a record of a stack; look at it and remove it", path.display())
        })?;
        Ok(Some(state))
    }

    /// Writes the record, readable by its owner only: it holds passwords.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing the record as JSON")?;
        let beside = path.with_extension("json.new");
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).write(true).truncate(true).mode(0o600).open(&beside);
        file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .and_then(|()| fs::rename(&beside, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn addresses(stack: &Stack) -> Vec<(String, String)> {
    let mut list = Vec::new();
    let mut add = |name: &str, value: &str| list.push((name.to_owned(), value.to_owned()));
    if let Some(postgres) = &stack.postgres {
        add("NOVA_POSTGRES_URL", &postgres.admin_url());
    }
    if let Some(kafka) = &stack.kafka {
        add("NOVA_KAFKA_BOOTSTRAP", &kafka.bootstrap());
    }
    if let Some(connect) = &stack.connect {
        add("NOVA_CONNECT_URL", &connect.url());
    }
    if let Some(clickhouse) = &stack.clickhouse {
        add("NOVA_CLICKHOUSE_URL", clickhouse.url());
        add("NOVA_CLICKHOUSE_USER", clickhouse.user());
        add("NOVA_CLICKHOUSE_PASSWORD", clickhouse.password());
    }
    list
}

/// The start time of a running process in clock ticks; `None` when it has ended, also as an unreaped zombie.
#[must_use]
pub fn running_since(pid: i32) -> Option<u64> {
    start_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of proc_pid_stat(5). The name in field 2 may hold spaces and parentheses: count from its last one.
fn start_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_an_awkward_name() {
        let stat = "77 (a ) b (c) S 1 77 77 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 9 0 123456 1000 50 18446744073709551615";
        assert_eq!(start_ticks(stat), Some(123_456));
        assert_eq!(start_ticks(&stat.replace(") S ", ") Z ")), None);
        assert_eq!(start_ticks("nonsense"), None);
    }

    #[test]
    fn a_reused_pid_is_not_taken_for_the_recorded_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let start_ticks = running_since(pid).unwrap();
        let mut recorded =
            RecordedProcess { name: "Kafka".into(), pid, start_ticks, stop: StopManner::Terminate };
        assert!(recorded.is_alive());
        recorded.start_ticks += 1;
        assert!(!recorded.is_alive());
    }

    #[test]
    fn the_record_is_private_and_reads_back() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stack.json");
        assert!(StackState::read(&path).unwrap().is_none());
        let process =
            RecordedProcess { name: "Kafka".into(), pid: 7, start_ticks: 9, stop: StopManner::PostgresFast };
        let addresses = vec![("NOVA_KAFKA_BOOTSTRAP".to_owned(), "127.0.0.1:9".to_owned())];
        StackState { run_dir: "/run".into(), processes: vec![process], addresses }.write(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read = StackState::read(&path).unwrap().unwrap();
        assert_eq!((read.processes[0].pid, read.processes[0].start_ticks), (7, 9));
        assert_eq!(read.addresses[0].1, "127.0.0.1:9");
        fs::write(&path, "{}").unwrap();
        assert!(StackState::read(&path).unwrap_err().to_string().contains("not a record"));
    }
}
