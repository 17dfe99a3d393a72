//! How far the audit is, on stderr: a bar on a terminal; at the end, the rate.

use std::time::Duration;

use crate::bar::Bar;

/// Shown until finished or dropped.
pub(super) struct Progress(Bar);

impl Progress {
    /// So many offsets are to be done.
    pub(super) fn start(offsets: u64) -> Self {
        Self(Bar::counting(offsets, "auditing {wide_bar} {pos}/{len} offsets, {per_sec}, {eta} left"))
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
