//! What was done to the system, and when: printed as it happens, kept for the report.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::say;

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Since the start of the faults.
    pub(super) at: Duration,
    pub(super) fault: &'static str,
    pub(super) what: String,
    /// When everything ran again; the same moment for a remark.
    pub(super) healed: Duration,
}

/// All entries of a run.
#[derive(Debug)]
pub(super) struct Timeline {
    started: Instant,
    entries: Mutex<Vec<Entry>>,
}

impl Timeline {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), entries: Mutex::default() }
    }

    /// The time now, on the run's clock.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes a fault that began at `at` and is healed now.
    pub(super) fn healed(&self, at: Duration, fault: &'static str, what: String) {
        self.add(Entry { at, fault, what, healed: self.now() });
    }

    /// Notes something that happened now.
    pub(super) fn remark(&self, fault: &'static str, what: String) {
        let now = self.now();
        self.add(Entry { at: now, fault, what, healed: now });
    }

    fn add(&self, entry: Entry) {
        say(&entry.to_string());
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// The entries so far.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, healed) = (self.at.as_secs_f64(), self.healed.as_secs_f64());
        write!(f, "{at:>6.1} s  {:<18} {}", self.fault, self.what)?;
        if self.healed > self.at { write!(f, "; healed at {healed:.1} s") } else { Ok(()) }
    }
}
