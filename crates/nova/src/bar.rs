//! Bars and spinners on stderr, for terminals alone.
//!
//! Invariant: off a terminal nothing is drawn, and whatever ends the work, the line is cleared.

use std::io::IsTerminal as _;
use std::ops::Deref;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shown until dropped.
pub struct Bar(ProgressBar);

impl Bar {
    /// For so many units, as indicatif's template says.
    pub fn counting(total: u64, template: &str) -> Self {
        Self::on_terminal(|| {
            let style = ProgressStyle::with_template(template);
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        })
    }

    /// For what has no number, with words that may change.
    pub fn spinning(words: impl Into<String>) -> Self {
        Self::on_terminal(|| {
            let bar = ProgressBar::new_spinner().with_message(words.into());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        })
    }

    fn on_terminal(bar: impl FnOnce() -> ProgressBar) -> Self {
        Self(if std::io::stderr().is_terminal() { bar() } else { ProgressBar::hidden() })
    }
}

impl Deref for Bar {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.0
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
