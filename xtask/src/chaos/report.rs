//! What a run prints at its end: the timeline, the verdict of each check, one line per seed.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use super::checks::Check;
use super::timeline::Entry;

/// The result of one seed.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) seed: u64,
    pub(super) faults: u64,
    /// What the seed decides about the whole run.
    pub(super) conditions: String,
    /// Committed changes, by the writers' book.
    pub(super) changes: usize,
    pub(super) event_rows: usize,
    /// Times that the application lost PostgreSQL.
    pub(super) interruptions: u64,
    pub(super) timeline: Vec<Entry>,
    pub(super) checks: Vec<Check>,
    /// Where Kafka itself has lost sight of a transaction; then the run says nothing.
    pub(super) hanging: Vec<String>,
    /// Start of the servers and checks included.
    pub(super) took: Duration,
    /// Data and logs, kept after a failure.
    pub(super) kept: Option<PathBuf>,
}

impl Outcome {
    /// A run that could not be brought to its end.
    pub(super) fn unfinished(seed: u64, error: &anyhow::Error) -> Self {
        let finding = format!("{error:#}");
        let checks = vec![Check::new("the run comes to its end", "-".to_owned(), &[finding])];
        Self { seed, checks, ..Self::default() }
    }

    pub(super) fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(Check::holds)
    }

    /// Whether the run says nothing, because Kafka keeps messages from everybody.
    pub(super) fn is_void(&self) -> bool {
        !self.holds() && !self.hanging.is_empty()
    }

    fn verdict(&self) -> String {
        if self.is_void() {
            return format!("void: Kafka lost sight of a transaction in {}", self.hanging.join(", "));
        }
        let failed: Vec<_> =
            self.checks.iter().filter(|check| !check.holds()).map(|check| check.promise).collect();
        if failed.is_empty() { "ok".to_owned() } else { format!("FAILED: {}", failed.join("; ")) }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}\n{}", self.seed, self.verdict(), self.conditions)?;
        for entry in &self.timeline {
            writeln!(f, "{entry}")?;
        }
        writeln!(f, "\n| promise | verdict | looked at |\n| --- | --- | --- |")?;
        for check in &self.checks {
            let verdict =
                if check.holds() { "ok".to_owned() } else { format!("FAILED ({})", check.findings) };
            writeln!(f, "| {} | {verdict} | {} |", check.promise, check.figures)?;
        }
        for check in self.checks.iter().filter(|check| !check.holds()) {
            writeln!(f, "\n{}: the first of {} findings:", check.promise, check.findings)?;
            for finding in &check.first {
                writeln!(f, "  {finding}")?;
            }
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "\ndata and logs are kept in {}", kept.display())?;
        }
        Ok(())
    }
}

/// All seeds as a table in Markdown.
pub(super) fn summary(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| seed | conditions | faults | committed changes | event rows | PostgreSQL lost | seconds | verdict |\n\
         | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for outcome in outcomes {
        let Outcome { seed, conditions, faults, changes, event_rows, interruptions, took, .. } = outcome;
        let (seconds, verdict) = (took.as_secs(), outcome.verdict());
        let _ = writeln!(
            text,
            "| {seed} | {conditions} | {faults} | {changes} | {event_rows} | {interruptions} | {seconds} | {verdict} |"
        );
    }
    text
}
