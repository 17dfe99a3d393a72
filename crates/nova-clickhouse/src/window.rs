//! Whether a table remembers tokens for as long as a late insert may still arrive.
//!
//! Every recovery asks the table first, so the window protects against one thing only: a worker that the group has
//! given up sends, or has sent, an insert whose batch a new owner has completed meanwhile. It must find its token.
//!
//! Invariant: the formula is [`ReplayHorizon::needed`] and nowhere else; start-up and `nova doctor` ask it.

use std::time::Duration;

use nova_pipeline::{ErrorKind, PipelineError};
use thiserror::Error;

use crate::TableInfo;
use crate::schema::window_setting;
use crate::sql::identifier;

/// Entries that one stream adds to a table's log per linger: the log has one for each *part* of an insert, and each
/// member of the group inserts for itself. Two members that touch four months each, or eight that touch one.
const PARTS_PER_LINGER: u64 = 8;

/// What decides how late an insert may arrive, and how much is inserted meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayHorizon {
    /// Streams that write into the table.
    pub streams: u64,
    /// How often a stream inserts (`pipeline.linger`).
    pub linger: Duration,
    /// How long an insert may be under way (`clickhouse.request_timeout`).
    pub request_timeout: Duration,
    /// How long the group waits for a silent member (`kafka.session_timeout`).
    pub session_timeout: Duration,
}

/// A table that would forget a token too early. The message says how to make its window long enough.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "table `{table}` recognises repeats among its last {found} parts, and {needed} may lie between an insert and its repeat; {cure}"
)]
pub struct ShortWindow {
    /// The table.
    pub table: String,
    /// The window it has, in parts.
    pub found: u64,
    /// The window it needs, in parts.
    pub needed: u64,
    /// The statement that makes it so.
    pub cure: String,
}

impl From<ShortWindow> for PipelineError {
    fn from(error: ShortWindow) -> Self {
        Self::new(ErrorKind::Misconfigured, error.to_string())
    }
}

impl ReplayHorizon {
    /// Parts that may be added to the table between the insert that completed a batch and the last one that may still
    /// arrive for it:
    ///
    /// `streams × 8 × ceil((request_timeout + session_timeout) / linger)`
    ///
    /// 8 parts a linger are two members that touch four months each, or eight that touch one.
    /// A member may announce batches until the group has given it up (session timeout), and the insert that follows
    /// is under way for a request timeout at most. A stream inserts once per linger; batches that fill up earlier
    /// (`pipeline.batch_rows` far below its default) insert more often, and such a window is set by hand.
    #[must_use]
    pub fn needed(&self) -> u64 {
        let late_ms = (self.request_timeout + self.session_timeout).as_millis();
        let inserts = late_ms.div_ceil(self.linger.as_millis().max(1));
        let inserts = u64::try_from(inserts).unwrap_or(u64::MAX);
        self.streams.saturating_mul(PARTS_PER_LINGER).saturating_mul(inserts)
    }

    /// Refuses a table whose window is shorter than [`ReplayHorizon::needed`].
    ///
    /// # Errors
    /// [`ShortWindow`], with what was found, what is needed and the statement that cures it.
    pub fn check(&self, database: &str, table: &TableInfo) -> Result<(), ShortWindow> {
        let (found, needed) = (table.deduplication_window, self.needed());
        if found >= needed {
            return Ok(());
        }
        let name = &table.schema.name;
        let cure = format!(
            "ALTER TABLE {}.{} MODIFY SETTING {} = {needed}",
            identifier(database),
            identifier(name),
            window_setting(&table.engine)
        );
        Err(ShortWindow { table: name.clone(), found, needed, cure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(streams: u64) -> ReplayHorizon {
        ReplayHorizon {
            streams,
            linger: Duration::from_millis(300),
            request_timeout: Duration::from_secs(60),
            session_timeout: Duration::from_secs(45),
        }
    }

    #[test]
    fn the_defaults_fit_the_shipped_window_for_three_streams_and_not_for_four() {
        // 105 s are 350 lingers of 300 ms, 8 parts each.
        assert_eq!(defaults(1).needed(), 2_800);
        assert_eq!(defaults(3).needed(), 8_400);
        assert!(defaults(4).needed() > 10_000);
    }

    #[test]
    fn part_of_a_linger_counts_whole_and_no_linger_does_not_divide_by_zero() {
        let horizon = ReplayHorizon { linger: Duration::from_secs(100), ..defaults(1) };
        assert_eq!(horizon.needed(), 16);
        let horizon = ReplayHorizon { linger: Duration::ZERO, ..defaults(1) };
        assert_eq!(horizon.needed(), 840_000);
        let horizon = ReplayHorizon { request_timeout: Duration::MAX / 2, ..horizon };
        assert_eq!(horizon.needed(), u64::MAX);
    }
}
