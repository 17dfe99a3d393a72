//! What the states of a connector and its tasks come to, and when to believe it.
//!
//! Invariant: one look decides nothing. After a change, Connect shows the old state for up to a second, and a task is
//! RUNNING before it has opened its slot; so a verdict counts when it has stood for a while.

use std::time::Duration;

use tokio::time::Instant;

use super::answer::Status;

/// How long a verdict must stand.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// What the states come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything runs.
    Running,
    /// The connector or a task has failed.
    Failed,
    /// Somebody paused or stopped it.
    Halted,
    /// Not there yet.
    Pending,
}

impl Verdict {
    pub(super) fn of(status: Option<&Status>) -> Self {
        let Some(Status { connector, tasks }) = status else { return Self::Pending };
        let states = || tasks.iter().chain([connector]).map(|part| part.state.as_str());
        if states().any(|state| state == "FAILED") {
            Self::Failed
        } else if matches!(connector.state.as_str(), "PAUSED" | "STOPPED") {
            Self::Halted
        } else if !tasks.is_empty() && states().all(|state| state == "RUNNING") {
            Self::Running
        } else {
            Self::Pending
        }
    }
}

/// Watches until a verdict has stood long enough.
#[derive(Debug, Default)]
pub(super) struct Settling {
    standing: Option<(Verdict, Instant)>,
}

impl Settling {
    /// Takes in what was seen at `now`; the verdict, once it counts. Pending never does.
    pub(super) fn observe(&mut self, seen: Verdict, now: Instant) -> Option<Verdict> {
        match self.standing {
            Some((standing, since)) if standing == seen => {
                let settled = seen != Verdict::Pending && now.duration_since(since) >= SETTLED_AFTER;
                settled.then_some(seen)
            }
            _ => {
                self.standing = Some((seen, now));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Part;
    use super::*;

    fn status(connector: &str, tasks: &[&str]) -> Status {
        let part = |state: &str| Part { state: state.into(), worker_id: String::new(), trace: None };
        Status { connector: part(connector), tasks: tasks.iter().map(|state| part(state)).collect() }
    }

    #[test]
    fn running_means_connector_and_at_least_one_task() {
        for (connector, tasks, expected) in [
            ("RUNNING", &["RUNNING"][..], Verdict::Running),
            ("RUNNING", &[], Verdict::Pending),
            ("UNASSIGNED", &["RUNNING"], Verdict::Pending),
            ("RUNNING", &["RUNNING", "FAILED"], Verdict::Failed),
            ("PAUSED", &["PAUSED"], Verdict::Halted),
            ("STOPPED", &[], Verdict::Halted),
        ] {
            assert_eq!(Verdict::of(Some(&status(connector, tasks))), expected, "{connector} {tasks:?}");
        }
        assert_eq!(Verdict::of(None), Verdict::Pending);
    }

    #[test]
    fn a_verdict_counts_only_after_it_has_stood() {
        let mut settling = Settling::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(settling.observe(Verdict::Running, at(0)), None);
        assert_eq!(settling.observe(Verdict::Running, at(2)), None);
        // The old state went away: the count begins anew.
        assert_eq!(settling.observe(Verdict::Pending, at(3)), None);
        assert_eq!(settling.observe(Verdict::Running, at(4)), None);
        assert_eq!(settling.observe(Verdict::Running, at(6)), None);
        assert_eq!(settling.observe(Verdict::Running, at(7)), Some(Verdict::Running));
        assert_eq!(settling.observe(Verdict::Pending, at(8)), None);
        assert_eq!(settling.observe(Verdict::Pending, at(20)), None);
    }
}
