//! `nova connector status`: the states of the connector and its tasks, with the cause of a failure.

use super::answer::{Part, Status};
use super::rest::{Connect, ConnectError};
use super::slot::{self, Slot, Wal};
use super::{Cause, verdict::Verdict};
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};

/// Prints the states; an error unless all of them are RUNNING.
pub(super) async fn run(config: &Config) -> Outcome {
    let name = &config.connect.connector;
    let connect = Connect::new(&config.connect.url)?;
    let Some(status) = connect.status(name).await? else {
        return Err(missing(name));
    };
    println!("connector {name}: {}", described(&status.connector));
    for (number, task) in status.tasks.iter().enumerate() {
        println!("  task {number}: {}", described(task));
    }
    lost(config).await?;
    status.verdict(name, config)?;
    // RUNNING is all that Connect says while Debezium tries to reach a server again.
    let told = match slot::look(config).await {
        Slot::Read => return Ok(()),
        Slot::Idle | Slot::Absent => "nobody reads it",
        Slot::Unknown => "PostgreSQL does not say whether it is read",
    };
    eprintln!("nova: slot {}: {told}; `nova doctor` says which server does not answer", config.connect.slot);
    Ok(())
}

/// Asks PostgreSQL itself: a task that finds its slot's WAL lost tries for half an hour before it fails (Debezium 3.7).
///
/// # Errors
/// When the WAL is lost. A PostgreSQL that does not answer here is the connector's to report.
pub(super) async fn lost(config: &Config) -> Outcome {
    if !matches!(slot::wal(config).await, Ok(Wal::Lost)) {
        return Ok(());
    }
    let message =
        format!("slot {} has lost WAL: changes were thrown away before they were read", config.connect.slot);
    Err(Failure::new(Exit::Failure, message)
        .with_cure("`nova connector resnapshot` shows the way back (docs/runbooks/lost-slot.md)."))
}

impl Status {
    /// Nothing when all runs; else what is wrong, its cause, and what to do.
    ///
    /// # Errors
    /// Unless connector and tasks are RUNNING.
    pub fn verdict(&self, name: &str, config: &Config) -> Outcome {
        match Verdict::of(Some(self)) {
            Verdict::Running => Ok(()),
            Verdict::Failed => {
                let failure = failed(name, self, config);
                if failure.cure.contains("`nova connector") {
                    return Err(failure);
                }
                // Connect starts no failed task again by itself.
                let cure = format!("{} Then `nova connector restart`.", failure.cure);
                Err(failure.with_cure(cure))
            }
            Verdict::Halted => Err(halted(name, self)),
            Verdict::Pending => Err(Failure::new(Exit::Unavailable, format!("connector {name} does not run yet"))
            .with_cure("Connect is still placing it, or has no worker for it; ask again, and see that a worker runs.")),
        }
    }
}

/// A connector that nobody has registered.
pub fn missing(name: &str) -> Failure {
    Failure::new(Exit::Failure, format!("connector {name} is not registered"))
        .with_cure("Run `nova connector apply`.")
}

/// A failed connector or task, with its cause.
pub(super) fn failed(name: &str, status: &Status, config: &Config) -> Failure {
    let traces = status.tasks.iter().chain([&status.connector]).filter_map(|part| part.trace.as_deref());
    let cause = Cause::of(traces.into_iter().next().unwrap_or_default(), config);
    Failure::new(cause.exit, format!("connector {name} has failed: {}", cause.sentence)).with_cure(cause.cure)
}

/// A connector that somebody paused or stopped; that was on purpose, so nobody but a person undoes it.
pub(super) fn halted(name: &str, status: &Status) -> Failure {
    let state = &status.connector.state;
    Failure::new(Exit::Failure, format!("connector {name} is {state}"))
        .with_cure(format!("Resume it when its time has come: PUT /connectors/{name}/resume on Connect."))
}

fn described(part: &Part) -> String {
    match part.worker_id.as_str() {
        "" => part.state.clone(),
        worker => format!("{} on {worker}", part.state),
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let (exit, cure) = match &error {
            ConnectError::NotOurs => (
                Exit::Usage,
                "Ask what manages the connector, or set connect.url (`--set connect.url=http://…`).",
            ),
            ConnectError::Unreachable { .. } => {
                (Exit::Unavailable, "Start Kafka Connect, or correct connect.url.")
            }
            ConnectError::Answer { .. } => (Exit::Failure, "Correct connect.url."),
            ConnectError::Refused { .. } => (Exit::Failure, "Connect's log has the whole story."),
        };
        Self::new(exit, error.to_string()).with_cure(cure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(connector: &str, task: &str, trace: Option<&str>) -> Status {
        let part = |state: &str, trace: Option<&str>| Part {
            state: state.into(),
            worker_id: "w:8083".into(),
            trace: trace.map(str::to_owned),
        };
        Status { connector: part(connector, None), tasks: vec![part(task, trace)] }
    }

    #[test]
    fn only_running_is_fine_and_the_cause_is_named() {
        let config = Config::default();
        assert!(status("RUNNING", "RUNNING", None).verdict("nova-cdc", &config).is_ok());
        let trace =
            "a.B: x\n\tat a\nCaused by: c.D: ERROR: logical decoding requires wal_level >= logical\n\tat c";
        let failure = status("RUNNING", "FAILED", Some(trace)).verdict("nova-cdc", &config).unwrap_err();
        assert_eq!(failure.exit, Exit::Failure);
        assert!(
            failure.message.ends_with("requires wal_level >= logical")
                && failure.cure.ends_with("`nova connector restart`.")
        );
        let pending = status("UNASSIGNED", "UNASSIGNED", None).verdict("nova-cdc", &config).unwrap_err();
        assert_eq!(pending.exit, Exit::Unavailable);
        let paused = status("PAUSED", "PAUSED", None).verdict("nova-cdc", &config).unwrap_err();
        assert!(paused.message.contains("PAUSED") && paused.cure.contains("resume"));
    }
}
