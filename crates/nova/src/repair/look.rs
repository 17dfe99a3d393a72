//! One stream compared anew, for a repair: the windows that it touches, as of a fresh snapshot.

use nova_reconcile::repair::Look;
use nova_reconcile::{Difference, ReconcileError, Reconciler, Scope, SnapshotTaken, compare};
use nova_streams::Stream;

use crate::config::Config;
use crate::exit::Failure;
use crate::reconcile::reconciler;

/// Differences that a look lists, far above what a plan holds.
const LISTED: usize = 1_000_000;

/// Looks at one stream.
pub(super) struct LiveLook<'s> {
    stream: &'s Stream,
    group: String,
    reconciler: Reconciler,
}

impl<'s> LiveLook<'s> {
    pub(super) fn new(stream: &'s Stream, config: &Config) -> Result<Self, Failure> {
        let mut reconciler = reconciler(config, Scope::default())?;
        reconciler.options.compare.max_listed = LISTED;
        Ok(Self { stream, group: config.group(&stream.name), reconciler })
    }
}

impl Look for LiveLook<'_> {
    type Error = ReconcileError;

    /// The ranges are looked at as one, from the first to the last: rows between them cost time and change nothing.
    async fn look(
        &self,
        ranges_ms: &[(i64, i64)],
    ) -> Result<(SnapshotTaken, Vec<Difference>), ReconcileError> {
        let mut options = self.reconciler.options.compare.clone();
        // A row without a time is in no range but the whole one.
        options.scope.since_ms =
            ranges_ms.iter().map(|(from, _)| *from).min().filter(|from| *from > i64::MIN);
        options.scope.until_ms = ranges_ms.iter().map(|(_, to)| *to).max().filter(|to| *to < i64::MAX);
        let routes = nova_reconcile::routes(&[(self.stream, self.group.clone())]);
        let mut snapshot = self.reconciler.snapshot(&routes, &|_| {}).await?;
        let report = compare(&self.reconciler.clickhouse, &mut snapshot, self.stream, &options).await;
        let taken = snapshot.taken().clone();
        snapshot.close().await;
        let report = report?;
        if report.listed_all {
            return Ok((taken, report.differences));
        }
        let reason =
            format!("more than {LISTED} differences in the windows of the plan: rebuild the table instead");
        Err(ReconcileError::Refused { stream: self.stream.name.clone(), reason })
    }
}
