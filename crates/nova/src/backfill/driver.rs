//! What a backfill rests on while it runs: snapshots that slot and group have passed, the job's pace and its record.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nova_reconcile::backfill::{Driver, Filled};
use nova_reconcile::{ReconcileError, Reconciler, Route, Snapshot, routes};
use nova_streams::Stream;

use super::progress::Done;
use crate::exit::{Exit, Failure};
use crate::job::Job;
use crate::reconcile::Told;

/// For a plan: everything goes on at once, and nothing is kept.
pub(super) struct PlanDriver<'a> {
    reconciler: &'a Reconciler,
    routes: Vec<Route>,
}

impl<'a> PlanDriver<'a> {
    pub(super) fn new(reconciler: &'a Reconciler, stream: &Stream, group: String) -> Self {
        Self { reconciler, routes: routes(&[(stream, group)]) }
    }

    /// The result of a plan, unless somebody ends it.
    pub(super) async fn interruptible<T>(
        &self,
        planning: impl Future<Output = Result<T, ReconcileError>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            planned = planning => Ok(planned?),
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted; nothing was written")),
        }
    }
}

impl Driver for PlanDriver<'_> {
    async fn snapshot(&self) -> Result<Snapshot, ReconcileError> {
        let told = Told::start();
        self.reconciler.snapshot(&self.routes, &|progress| told.tell(progress)).await
    }

    fn filled(&self, _window: usize, _filled: &Filled) {}

    async fn go_on(&self, _rows: usize) -> bool {
        true
    }

    fn done(&self, _window: usize) {}
}

/// For the work.
pub(super) struct JobDriver<'a> {
    plain: PlanDriver<'a>,
    job: &'a Job,
    done: Mutex<Done>,
}

impl<'a> JobDriver<'a> {
    pub(super) fn new(
        reconciler: &'a Reconciler,
        stream: &Stream,
        group: String,
        job: &'a Job,
        done: Done,
    ) -> Self {
        Self { plain: PlanDriver::new(reconciler, stream, group), job, done: Mutex::new(done) }
    }

    /// What became of the rows of all windows that are done, in this process and in those before.
    pub(super) fn into_filled(self) -> Filled {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner).filled
    }

    fn lock(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, done: &Done) {
        if let Err(failure) = self.job.advance(done.sums(), done) {
            tracing::warn!("a checkpoint is not on record: {failure}");
        }
    }
}

impl Driver for JobDriver<'_> {
    async fn snapshot(&self) -> Result<Snapshot, ReconcileError> {
        self.plain.snapshot().await
    }

    fn filled(&self, window: usize, filled: &Filled) {
        let mut done = self.lock();
        done.fill(window, filled);
        self.note(&done);
    }

    async fn go_on(&self, rows: usize) -> bool {
        self.job.pass(rows).await;
        !self.job.is_stopping()
    }

    fn done(&self, window: usize) {
        let mut done = self.lock();
        done.end(window);
        self.note(&done);
    }
}
