//! Says on stderr what a comparison waits for and does: a spinner on a terminal, a line per step elsewhere.

use std::sync::{Mutex, PoisonError};

use nova_reconcile::{Progress, Waiting};

use crate::bar::Bar;

/// Shown until dropped.
pub struct Told {
    bar: Bar,
    /// The step of the last line.
    last: Mutex<String>,
}

impl Told {
    pub fn start() -> Self {
        Self { bar: Bar::spinning("taking a snapshot"), last: Mutex::default() }
    }

    pub fn tell(&self, progress: &Progress) {
        let (step, figure) = match progress {
            Progress::Waiting(Waiting::Slot { bytes }) => (
                "waiting for the replication slot".to_owned(),
                format!(": {bytes} bytes of log before the snapshot"),
            ),
            Progress::Waiting(Waiting::Group { stream, messages }) => (
                format!("waiting for the consumer group of {stream}"),
                format!(": at most {messages} messages before the snapshot"),
            ),
            Progress::Comparing { stream } => (format!("comparing {stream}"), String::new()),
            Progress::Done { .. } => return,
        };
        if !self.bar.is_hidden() {
            return self.bar.set_message(format!("{step}{figure}"));
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != step {
            eprintln!("{step} …");
            *last = step;
        }
    }
}
