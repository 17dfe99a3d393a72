//! Says on stderr what is being waited for: a spinner on a terminal, one plain line elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressBar;

/// Shown until dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn start(message: String) -> Self {
        if !std::io::stderr().is_terminal() {
            eprintln!("{message} …");
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(message);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
