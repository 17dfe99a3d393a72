//! The loop of one stream: read, batch, send, commit; one batch being filled and at most one being written.
//!
//! Invariant: offsets move only in [`Run::settle`], after the batch is durable; partitions are handed back only after
//! what was read of them is settled, or given up without commit.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nova_streams::Mapping;
use nova_worker::{ProgressHandle, WorkerStatus};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::batch::Batch;
use crate::deliver::Delivery;
use crate::transform;
use crate::{
    DeadLetters, ErrorKind, Ledger, PipelineError, PipelineOptions, Policy, Sink, Source, SourceEvent,
};

/// How often the loop looks around while nothing happens.
const TICK: Duration = Duration::from_millis(500);

type InFlight<B> = Pin<Box<dyn Future<Output = Result<Batch<B>, PipelineError>> + Send>>;

/// One run of a stream, from the first assignment to the drain.
pub(crate) struct Run<S: Source, K: Sink, L> {
    pub(crate) source: Arc<S>,
    pub(crate) mapping: Mapping,
    pub(crate) delivery: Arc<Delivery<K, L>>,
    pub(crate) options: PipelineOptions,
    pub(crate) ledger: Ledger,
    pub(crate) progress: ProgressHandle,
    batch: Batch<K::Block>,
    in_flight: Option<InFlight<K::Block>>,
    stalled_since: Option<Instant>,
    paused: bool,
}

impl<S: Source, K: Sink, L: DeadLetters> Run<S, K, L> {
    pub(crate) fn new(
        source: Arc<S>,
        mapping: Mapping,
        delivery: Arc<Delivery<K, L>>,
        options: PipelineOptions,
        ledger: Ledger,
        progress: ProgressHandle,
    ) -> Self {
        let batch = Batch::new(delivery.sink.block());
        let (in_flight, stalled_since, paused) = (None, None, false);
        Self { source, mapping, delivery, options, ledger, progress, batch, in_flight, stalled_since, paused }
    }

    /// Runs until shutdown, then drains.
    pub(crate) async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), PipelineError> {
        let source = Arc::clone(&self.source);
        // Also without partitions a member is ready: it stands by for a rebalance.
        self.delivery.status.set(WorkerStatus::Running);
        loop {
            self.progress.record();
            self.regulate()?;
            let reading = self.has_room() || self.paused;
            let send_at = self.send_at();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.drain().await,
                written = written(&mut self.in_flight) => self.settle(written?).await?,
                () = due(send_at) => self.send(),
                event = source.next(), if reading => match event? {
                    SourceEvent::Message(message) => {
                        transform::take(&self.mapping, source.topic(), &message, &mut self.batch)?;
                    }
                    SourceEvent::EndOfPartition(partition) => debug!(partition, "read to the end"),
                    SourceEvent::Assigned(partitions) => self.assigned(&partitions).await?,
                    SourceEvent::Revoked(partitions) => self.revoked(&partitions).await?,
                    SourceEvent::Lost(partitions) => self.lost(&partitions).await?,
                },
                () = sleep(TICK) => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        !self.batch.is_full(&self.options)
    }

    /// When to send the batch: at once when it is full, else after its linger; never while another is being written.
    fn send_at(&self) -> Option<Instant> {
        if self.in_flight.is_some() {
            return None;
        }
        let due = self.batch.due(&self.options)?;
        Some(if self.has_room() { due } else { Instant::now() })
    }

    /// Pauses delivery when a full batch has waited for too long, and takes it up again when there is room.
    ///
    /// Not reading for a moment costs nothing; a pause makes the client drop what it fetched in advance. So the pause
    /// comes late, and in time before the group takes a silent member for dead.
    fn regulate(&mut self) -> Result<(), PipelineError> {
        if self.has_room() {
            self.stalled_since = None;
            if std::mem::take(&mut self.paused) {
                self.source.resume()?;
                self.delivery.metrics.paused.set(0.0);
                info!(stream = self.delivery.stream, "consumption goes on");
            }
            return Ok(());
        }
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        if !self.paused && since.elapsed() >= self.options.stall_grace {
            self.source.pause()?;
            self.paused = true;
            self.delivery.metrics.paused.set(1.0);
            warn!(
                stream = self.delivery.stream,
                "consumption is paused: the batch before is still being written"
            );
        }
        Ok(())
    }

    /// Starts to write the batch; the next one is filled meanwhile.
    fn send(&mut self) {
        let next = Batch::new(self.delivery.sink.block());
        let batch = std::mem::replace(&mut self.batch, next);
        self.in_flight = Some(Box::pin(Arc::clone(&self.delivery).write(batch)));
    }

    /// Commits what a durable batch allows.
    async fn settle(&mut self, batch: Batch<K::Block>) -> Result<(), PipelineError> {
        self.in_flight = None;
        let commits = self.ledger.durable(&batch.ranges);
        if commits.is_empty() {
            return Ok(());
        }
        let delivery = Arc::clone(&self.delivery);
        delivery.retried("commit of offsets", || self.source.commit(&commits)).await
    }

    /// Sends and settles everything in hand.
    async fn flush(&mut self) -> Result<(), PipelineError> {
        loop {
            if let Some(in_flight) = self.in_flight.take() {
                let batch = in_flight.await?;
                self.settle(batch).await?;
            } else if self.batch.is_empty() {
                return Ok(());
            } else {
                self.send();
            }
        }
    }

    /// The graceful end: what is in hand is made durable and committed, if the servers let us.
    async fn drain(&mut self) -> Result<(), PipelineError> {
        match self.flush().await {
            // Shutdown ends the retries. Nothing is lost: the offsets are held, the next run reads these again.
            Err(error) if error.kind.policy() == Policy::Retry => {
                warn!(stream = self.delivery.stream, "drained without the last batch: {error}");
                Ok(())
            }
            other => other,
        }
    }

    async fn assigned(&mut self, partitions: &[i32]) -> Result<(), PipelineError> {
        let delivery = Arc::clone(&self.delivery);
        let committed = delivery.retried("committed offsets", || self.source.committed()).await?;
        let watermarks = delivery.retried("watermarks", || self.source.watermarks(partitions)).await?;
        let starts = self.ledger.recover(&committed, &watermarks)?;
        let establish = Ledger::establish(&starts, &committed);
        self.source.start(&starts).await?;
        if !establish.is_empty() {
            delivery.retried("first commit", || self.source.commit(&establish)).await?;
        }
        self.rebalanced("assigned", partitions);
        Ok(())
    }

    async fn revoked(&mut self, partitions: &[i32]) -> Result<(), PipelineError> {
        let drained = timeout(self.options.drain_timeout, self.flush()).await;
        self.ledger.give_up(partitions);
        self.source.release(partitions).await?;
        self.rebalanced("revoked", partitions);
        drained.unwrap_or_else(|_| {
            let message = "the last batch of revoked partitions was not durable in time; it is read again";
            Err(PipelineError::new(ErrorKind::Fenced, message))
        })
    }

    /// Somebody else owns these already: what is in hand of them is written, but not committed.
    async fn lost(&mut self, partitions: &[i32]) -> Result<(), PipelineError> {
        self.ledger.give_up(partitions);
        self.source.release(partitions).await?;
        self.rebalanced("lost", partitions);
        Ok(())
    }

    fn rebalanced(&self, what: &str, partitions: &[i32]) {
        let owned = self.ledger.owned();
        self.delivery.metrics.rebalances.increment(1);
        self.delivery.metrics.partitions.set(u32::try_from(owned).unwrap_or(u32::MAX));
        info!(stream = self.delivery.stream, ?partitions, owned, "partitions {what}");
    }
}

/// The batch being written, when it is durable; never, while there is none.
async fn written<B>(in_flight: &mut Option<InFlight<B>>) -> Result<Batch<B>, PipelineError> {
    match in_flight {
        Some(future) => future.await,
        None => pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
