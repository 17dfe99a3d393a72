//! Live figures while the demo runs: one line that is rewritten on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::say;

/// How often a plain line is written.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Shows figures to a person.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    /// Begins; the form depends on what stderr is.
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner:.green} [{elapsed_precise}] {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, last_line: Instant::now() }
    }

    /// Shows the figures of this moment.
    pub(super) fn show(&mut self, figures: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(figures);
                bar.tick();
            }
            None if self.last_line.elapsed() >= PLAIN_INTERVAL => {
                say(&figures);
                self.last_line = Instant::now();
            }
            None => {}
        }
    }

    /// Ends with a line that stays.
    pub(super) fn finish(self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(line);
    }
}
