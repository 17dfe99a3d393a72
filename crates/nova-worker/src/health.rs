//! What a worker says about itself, and what liveness and readiness conclude from it.
//!
//! Invariant: liveness is false only where restarting the process could help; readiness is true only for a worker that
//! does its work now.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// The state of one worker. Serialized with a tag: `{"status":"degraded","reason":"…"}`; durations in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum WorkerStatus {
    /// Started, not yet working.
    Starting,
    /// Working, or idle with nothing to do.
    Running,
    /// Alive but held up, for example retrying against a server that is down.
    Degraded {
        /// What holds it up.
        reason: String,
    },
    /// Waiting for its next attempt after a transient failure.
    Restarting {
        /// Why the last attempt ended.
        reason: String,
        /// The number of the attempt to come.
        attempt: u32,
        /// Time left until then.
        #[serde(rename = "next_in_ms", serialize_with = "as_millis")]
        next_in: Duration,
    },
    /// Ended by a failure; stays so until somebody acts.
    Halted {
        /// Why it ended.
        reason: String,
        /// What the operator can do.
        #[serde(skip_serializing_if = "Option::is_none")]
        advice: Option<String>,
    },
    /// Ended in order: done, or drained.
    Stopped,
}

/// A worker's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerHealth {
    /// The state itself.
    #[serde(flatten)]
    pub status: WorkerStatus,
    /// A few facts for the operator (partitions, lag); units belong into the key. Serialized as a map.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<(Cow<'static, str>, String)>,
    /// Age of the last progress, or of the attempt if there was none yet; `None` if nobody keeps count.
    #[serde(rename = "last_progress_age_ms", serialize_with = "as_optional_millis")]
    pub last_progress: Option<Duration>,
}

impl WorkerHealth {
    /// A health without details.
    #[must_use]
    pub fn new(status: WorkerStatus) -> Self {
        Self { status, detail: Vec::new(), last_progress: None }
    }

    /// Adds one fact.
    #[must_use]
    pub fn with_detail(mut self, key: impl Into<Cow<'static, str>>, value: impl ToString) -> Self {
        self.detail.push((key.into(), value.to_string()));
        self
    }

    /// Sets the age of the last progress.
    #[must_use]
    pub fn with_last_progress(mut self, age: Duration) -> Self {
        self.last_progress = Some(age);
        self
    }

    /// False only for a worker that should move and has not for longer than `stall_limit`. A halted worker counts as live:
    /// killing the process would not cure it, and would take the healthy workers along.
    #[must_use]
    pub fn is_live(&self, stall_limit: Duration) -> bool {
        match self.status {
            WorkerStatus::Starting | WorkerStatus::Running | WorkerStatus::Degraded { .. } => {
                self.last_progress.is_none_or(|age| age <= stall_limit)
            }
            WorkerStatus::Restarting { .. } | WorkerStatus::Halted { .. } | WorkerStatus::Stopped => true,
        }
    }

    /// True for a running worker only.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status == WorkerStatus::Running
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn as_millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(millis(*duration))
}

fn as_optional_millis<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    age.map(millis).serialize(serializer)
}

fn as_map<S: Serializer>(facts: &[(Cow<'static, str>, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(facts.iter().map(|(key, value)| (key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn halted() -> WorkerStatus {
        WorkerStatus::Halted { reason: "column gone".to_owned(), advice: None }
    }

    #[test]
    fn liveness_asks_for_progress_only_where_it_is_due() {
        let late = |status| {
            WorkerHealth::new(status).with_last_progress(LIMIT + Duration::from_millis(1)).is_live(LIMIT)
        };
        assert!(!late(WorkerStatus::Starting));
        assert!(!late(WorkerStatus::Running));
        assert!(!late(WorkerStatus::Degraded { reason: String::new() }));
        assert!(late(WorkerStatus::Stopped));
        assert!(late(halted()));
        assert!(WorkerHealth::new(WorkerStatus::Running).with_last_progress(LIMIT).is_live(LIMIT));
        assert!(WorkerHealth::new(WorkerStatus::Running).is_live(LIMIT));
    }

    #[test]
    fn only_a_running_worker_is_ready() {
        assert!(WorkerHealth::new(WorkerStatus::Running).is_ready());
        for status in [
            WorkerStatus::Starting,
            WorkerStatus::Degraded { reason: String::new() },
            WorkerStatus::Stopped,
            halted(),
        ] {
            assert!(!WorkerHealth::new(status).is_ready());
        }
    }

    #[test]
    fn serializes_flat_with_times_in_milliseconds() {
        let status = WorkerStatus::Restarting {
            reason: "refused".to_owned(),
            attempt: 3,
            next_in: Duration::from_millis(1500),
        };
        let health =
            WorkerHealth::new(status).with_detail("partitions", 4).with_last_progress(Duration::from_secs(2));
        let expected = serde_json::json!({
            "status": "restarting", "reason": "refused", "attempt": 3, "next_in_ms": 1500,
            "detail": { "partitions": "4" }, "last_progress_age_ms": 2000,
        });
        assert_eq!(serde_json::to_value(health).unwrap(), expected);
        let bare = serde_json::to_value(WorkerHealth::new(halted())).unwrap();
        assert_eq!(
            bare,
            serde_json::json!({ "status": "halted", "reason": "column gone", "last_progress_age_ms": null })
        );
    }
}
