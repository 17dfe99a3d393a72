//! Says on stderr what a comparison waits for and does: a spinner on a terminal, a line per step elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use nova_reconcile::{Progress, Waiting};

/// Shown until dropped.
pub struct Told {
    bar: Option<ProgressBar>,
    /// The step of the last line.
    last: Mutex<String>,
}

impl Told {
    pub fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_message("taking a snapshot");
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, last: Mutex::new(String::new()) }
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
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{step}{figure}"));
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != step {
            eprintln!("{step} …");
            *last = step;
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
