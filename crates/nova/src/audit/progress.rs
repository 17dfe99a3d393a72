//! How far the audit is, on stderr: a bar on a terminal; at the end, the rate.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shown until finished or dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// So many offsets are to be done.
    pub(super) fn start(offsets: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::with_draw_target(
                Some(offsets),
                indicatif::ProgressDrawTarget::hidden(),
            ));
        }
        let bar = ProgressBar::new(offsets);
        let style =
            ProgressStyle::with_template("auditing {wide_bar} {pos}/{len} offsets, {per_sec}, {eta} left");
        Self(if let Ok(style) = style { bar.with_style(style) } else { bar })
    }

    pub(super) fn add(&self, offsets: u64) {
        self.0.inc(offsets);
    }

    pub(super) fn finish(&self, took: Duration) {
        self.0.finish_and_clear();
        let offsets = self.0.position();
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = offsets.saturating_mul(1_000) / millis;
        eprintln!("{offsets} offsets in {:.1} s, {rate} a second", took.as_secs_f64());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
