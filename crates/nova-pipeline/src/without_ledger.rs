//! What exactly-once costs is measured against the same pipeline without it: no announcement, no look at the group before
//! a commit, no de-duplication token; offsets alone, committed after each insert. At least once.
//!
//! Invariant: without the feature `without-ledger` none of this can be chosen; with it, only by the environment
//! variable `WITHOUT_LEDGER=1`.

use crate::{OffsetCommit, PipelineError, Ranges, Source};

/// Whether this process runs without the ledger.
#[cfg(feature = "without-ledger")]
#[must_use]
pub fn is_chosen() -> bool {
    static CHOSEN: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| std::env::var_os("WITHOUT_LEDGER").is_some_and(|value| value == "1"));
    *CHOSEN
}

/// Never: this build cannot run without the ledger.
#[cfg(not(feature = "without-ledger"))]
#[inline]
#[must_use]
pub const fn is_chosen() -> bool {
    false
}

/// Moves the offsets past a batch that is inserted, with nothing beside them; does nothing unless it is chosen.
pub(crate) async fn commit(source: &impl Source, ranges: &Ranges) -> Result<(), PipelineError> {
    if !is_chosen() {
        return Ok(());
    }
    let ends = ranges.iter().map(|(partition, range)| OffsetCommit {
        partition,
        offset: range.end,
        metadata: String::new(),
    });
    source.commit(&ends.collect::<Vec<_>>()).await
}
