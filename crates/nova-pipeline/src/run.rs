//! The loop of one stream: read, batch, send, commit; one batch being filled and at most one being written.
//!
//! Invariant: offsets move only in [`Run::settle`], after the batch is durable; partitions are handed back only after
//! what was read of them is settled, or given up without commit.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nova_streams::Mapping;
use nova_worker::{ProgressHandle, WorkerStatus};
use opentelemetry::trace::SpanContext;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::ahead::Ahead;
use crate::batch::Batch;
use crate::breaker::{Breaker, Tally};
use crate::deliver::Delivery;
use crate::fail_points::{self, Boundary};
use crate::metrics::BatchState;
use crate::trace::{self, traced};
use crate::without_ledger;
use crate::{
    DeadLetters, Durable, ErrorKind, Ledger, PipelineError, PipelineOptions, Planned, PoisonLimits, Policy,
    Position, Sink, Source, Span,
};

/// An intent older than this when its insert begins belongs to a worker that was held up: others may have settled the
/// batch by now, and more inserts may have followed than the table remembers tokens.
const STALE_INTENT: Duration = Duration::from_secs(10);

/// How often the loop looks around while nothing happens.
const TICK: Duration = Duration::from_millis(500);

/// A batch of fewer messages than this, after its linger, is a trickle's.
const TRICKLE_MESSAGES: u64 = 16;
/// Time between a trickle's batches: every insert is a part that ClickHouse must merge, and one and a half of them a second
/// is enough.
const TRICKLE_INTERVAL: Duration = Duration::from_millis(670);

type InFlight = Pin<Box<dyn Future<Output = Result<Durable, PipelineError>> + Send>>;

/// One run of a stream, from the first assignment to the drain.
pub(crate) struct Run<S: Source, K: Sink, L> {
    pub(crate) source: Arc<S>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) topic: Arc<str>,
    pub(crate) delivery: Arc<Delivery<K, L>>,
    pub(crate) options: PipelineOptions,
    pub(crate) ledger: Ledger,
    pub(crate) progress: ProgressHandle,
    /// How far the source has come, by owned partition; moves with every message that is read.
    pub(crate) positions: BTreeMap<i32, Position>,
    breaker: Breaker,
    /// Messages that are read and not yet in the batch.
    pub(crate) ahead: Ahead<K::Block>,
    pub(crate) batch: Batch<K::Block>,
    in_flight: Option<InFlight>,
    /// The span of the batch that was sent last, until its commit is on its way.
    sent: SpanContext,
    /// When the last batch was sent.
    sent_at: Option<Instant>,
    /// When the durable batch is committed on its own, unless the next intent takes it along before.
    close_at: Option<Instant>,
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
        let breaker = Breaker::new(options.poison);
        let (in_flight, sent_at, close_at, stalled_since, paused) = (None, None, None, None, false);
        Self {
            topic: source.topic().into(),
            source,
            mapping: Arc::new(mapping),
            delivery,
            options,
            ledger,
            progress,
            positions: BTreeMap::new(),
            breaker,
            ahead: Ahead::new(),
            batch,
            in_flight,
            sent: SpanContext::NONE,
            sent_at,
            close_at,
            stalled_since,
            paused,
        }
    }

    /// Runs until shutdown, then drains: what is in hand is made durable and committed, if the servers let us.
    pub(crate) async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), PipelineError> {
        match self.go_on(shutdown).await {
            // Shutdown ends the retries, whatever they were for; the group may be rebalancing, since other members end, too.
            // Nothing is lost: the offsets are held, and whoever comes next settles what stands announced.
            Err(error)
                if shutdown.is_cancelled()
                    && matches!(error.kind.policy(), Policy::Retry | Policy::Restart) =>
            {
                warn!(stream = self.delivery.stream, "drained without the last batch: {error}");
                Ok(())
            }
            other => other,
        }
    }

    async fn go_on(&mut self, shutdown: &CancellationToken) -> Result<(), PipelineError> {
        let source = Arc::clone(&self.source);
        // Also without partitions a member is ready: it stands by for a rebalance.
        self.delivery.status.set(WorkerStatus::Running);
        loop {
            self.progress.record();
            self.regulate()?;
            let reading = self.paused || !(self.ahead.is_full() || self.room().is_none());
            let (send_at, close_at) = (self.send_at(), self.close_at);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.flush().await,
                written = written(&mut self.in_flight) => self.settle(&written?),
                burst = self.ahead.next() => self.take_formed(burst?)?,
                () = due(send_at) => self.send()?,
                () = due(close_at) => self.close_settled().await?,
                event = source.next(), if reading => self.take_in(&source, event?).await?,
                () = sleep(TICK) => {}
            }
        }
    }

    fn is_full(&self) -> bool {
        self.batch.is_full(&self.options)
    }

    /// When to send the batch: at once when it is full, else after its linger, and a trickle's not too soon after the one
    /// before; never while another is being written.
    fn send_at(&self) -> Option<Instant> {
        if self.in_flight.is_some() {
            return None;
        }
        let due = self.batch.due(&self.options)?;
        if self.is_full() {
            return Some(Instant::now());
        }
        let is_trickle = self.batch.tally().messages < TRICKLE_MESSAGES;
        let spaced = self.sent_at.filter(|_| is_trickle).map(|sent_at| sent_at + TRICKLE_INTERVAL);
        Some(spaced.map_or(due, |spaced| due.max(spaced)))
    }

    /// Pauses delivery when a full batch has waited for too long, and takes it up again when there is room.
    ///
    /// Not reading for a moment costs nothing; a pause makes the client drop what it fetched in advance. So the pause
    /// comes late, and in time before the group takes a silent member for dead.
    fn regulate(&mut self) -> Result<(), PipelineError> {
        self.delivery.metrics.fill.set(self.batch.fill(&self.options));
        if !self.is_full() {
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

    /// Announces the batch and starts to write it; the next one is filled meanwhile.
    fn send(&mut self) -> Result<(), PipelineError> {
        self.sent_at = Some(Instant::now());
        let next = Batch::new(self.delivery.sink.block());
        let mut batch = std::mem::replace(&mut self.batch, next);
        if let Some(tally) = self.breaker.trips(batch.tally()) {
            return Err(self.too_much_poison(tally, &batch));
        }
        let spans = std::mem::take(&mut batch.starts).into_iter().map(|(partition, start)| {
            let end = self.positions.get(&partition).cloned().unwrap_or_default();
            (partition, Span { start, end })
        });
        let planned = Planned::new(batch.ranges.clone(), spans.collect());
        self.delivery.metrics.reached(BatchState::Planned);
        let closes = self.ledger.has_settled();
        let (intended, commits) = self.ledger.intend(planned, now_ms(), self.mapping.fingerprint())?;
        let (source, delivery) = (Arc::clone(&self.source), Arc::clone(&self.delivery));
        let stands = self.ledger.replace(&commits);
        self.close_at = None;
        let process = batch.traced_as(&delivery);
        let before = std::mem::replace(&mut self.sent, trace::context_of(&process));
        let write = async move {
            let announced = Instant::now();
            fail_points::reach(Boundary::BeforeIntent);
            let commit = delivery.commit(&*source, &stands, &commits);
            traced(trace::announce(&delivery, &before), commit).await?;
            delivery.metrics.reached(BatchState::Intended);
            if closes {
                delivery.metrics.reached(BatchState::Committed);
            }
            fail_points::reach(Boundary::AfterIntent);
            #[cfg(feature = "mutants")]
            crate::mutants::commit_before_insert(&*source, intended.ranges()).await?;
            let all = batch.past || announced.elapsed() > STALE_INTENT;
            let Some(batch) = delivery.resolve(&*source, batch, intended.ranges(), all).await? else {
                let message = "others have settled the batch that this worker announced, and moved on";
                return Err(PipelineError::new(ErrorKind::Fenced, message));
            };
            delivery.write(&batch, all || announced.elapsed() > STALE_INTENT).await?;
            without_ledger::commit(&*source, intended.ranges()).await?;
            Ok(intended.durable())
        };
        self.in_flight = Some(Box::pin(traced(process, write)));
        Ok(())
    }

    fn too_much_poison(&self, Tally { messages, letters }: Tally, batch: &Batch<K::Block>) -> PipelineError {
        let PoisonLimits { window, count, share } = self.options.poison;
        let first = batch.letters.first();
        let (offset, reason) = first.map_or((0, ""), |letter| (letter.offset, letter.reason.as_str()));
        let partition = first.map_or(0, |letter| letter.partition);
        let (topic, stream) = (&self.delivery.topic, &self.delivery.stream);
        let message = format!(
            "stream `{stream}`: {letters} of the last {messages} messages cannot become rows, beginning with \
             {topic}[{partition}]@{offset}: {reason}. That is more than `pipeline.dead_letter_limit` ({count}) or \
             `pipeline.dead_letter_share` ({share}) allow within {} s; nothing of it was put aside, and the offsets \
             stand before it",
            window.as_secs()
        );
        PipelineError::new(ErrorKind::Poisoned, message)
    }

    /// Takes note of a durable batch. Its commit rides with the next intent, or is made when none follows for a while.
    fn settle(&mut self, durable: &Durable) {
        self.in_flight = None;
        self.ledger.settled(durable);
        self.close_at = Some(Instant::now() + self.options.linger);
    }

    async fn close_settled(&mut self) -> Result<(), PipelineError> {
        self.close_at = None;
        let commits = self.ledger.close();
        if commits.is_empty() {
            return Ok(());
        }
        let delivery = Arc::clone(&self.delivery);
        fail_points::reach(Boundary::BeforeCommit);
        let stands = self.ledger.replace(&commits);
        let sent = std::mem::replace(&mut self.sent, SpanContext::NONE);
        let commit = delivery.commit(&*self.source, &stands, &commits);
        traced(trace::commit(&delivery, &sent), commit).await?;
        delivery.metrics.reached(BatchState::Committed);
        fail_points::reach(Boundary::AfterCommit);
        Ok(())
    }

    /// Sends and settles everything in hand.
    async fn flush(&mut self) -> Result<(), PipelineError> {
        self.finish_ahead().await?;
        loop {
            if let Some(in_flight) = self.in_flight.take() {
                let durable = in_flight.await?;
                self.settle(&durable);
            } else if self.batch.is_empty() {
                return self.close_settled().await;
            } else {
                self.send()?;
            }
        }
    }

    pub(crate) async fn revoked(&mut self, partitions: &[i32]) -> Result<(), PipelineError> {
        #[cfg(feature = "mutants")]
        if crate::mutants::Mutant::RevokeWithoutDrain.is_chosen() {
            return self.source.release(partitions).await;
        }
        let drained = timeout(self.options.drain_timeout, self.flush()).await;
        self.give_up(partitions);
        self.source.release(partitions).await?;
        self.rebalanced("revoked", partitions);
        drained.unwrap_or_else(|_| {
            let message = "the last batch of revoked partitions was not durable in time; it is read again";
            Err(PipelineError::new(ErrorKind::Fenced, message))
        })
    }

    /// Somebody else may own these already. What is in hand must not outlive the loss: the group can give the same
    /// partitions back at once, and then it would be announced anew beside the same messages read again.
    pub(crate) async fn lost(&mut self, partitions: &[i32]) -> Result<(), PipelineError> {
        self.give_up(partitions);
        self.source.release(partitions).await?;
        self.rebalanced("lost", partitions);
        #[cfg(feature = "mutants")]
        if crate::mutants::Mutant::KeptAfterLoss.is_chosen() {
            return Ok(());
        }
        if self.in_flight.is_none() && self.batch.is_empty() {
            return Ok(());
        }
        let message = "partitions were lost with messages in hand; they are read again by whoever owns them";
        Err(PipelineError::new(ErrorKind::Fenced, message))
    }

    fn give_up(&mut self, partitions: &[i32]) {
        self.ledger.give_up(partitions);
        self.positions.retain(|partition, _| !partitions.contains(partition));
    }

    pub(crate) fn rebalanced(&self, what: &'static str, partitions: &[i32]) {
        let owned = self.ledger.owned();
        self.delivery.metrics.rebalanced(what, 1);
        self.delivery.metrics.partitions.set(u32::try_from(owned).unwrap_or(u32::MAX));
        info!(stream = self.delivery.stream, ?partitions, owned, "partitions {what}");
    }
}

/// The worker's clock, for people who read an intent; nothing is decided by it.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or_default()
}

/// The batch being written, when it is durable; never, while there is none.
async fn written(in_flight: &mut Option<InFlight>) -> Result<Durable, PipelineError> {
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
