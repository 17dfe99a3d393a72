//! The names of what a pipeline counts, and the handles of one stream. Names follow Vector's component metrics where
//! they exist; `nova_` marks our own.
//!
//! Invariant: a series that an alert asks about is there from the stream's start, at 0: Prometheus sees no increase in a
//! counter that begins at 1.

mod catalogue;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

pub use catalogue::{METRICS, Metric, MetricKind};

use crate::batch::Batch;
use crate::{ErrorKind, Policy};

/// Messages read, by stream.
pub const RECEIVED: &str = "component_received_events_total";
/// Rows made durable, by stream.
pub const SENT: &str = "component_sent_events_total";
/// Encoded bytes made durable, by stream.
pub const SENT_BYTES: &str = "component_sent_bytes_total";
/// Messages that became no rows, by stream and reason.
pub const DISCARDED: &str = "component_discarded_events_total";
/// Failures, by stream and kind.
pub const ERRORS: &str = "component_errors_total";
/// Attempts that were repeated, by stream and step.
pub const RETRIES: &str = "nova_retries_total";
/// Dead letters acknowledged, by stream and kind.
pub const DEAD_LETTERS: &str = "nova_dead_letters_total";
/// Batches that reached a state of the ledger, by stream and `BatchState`.
pub const BATCHES: &str = "nova_batches_total";
/// Batches about which the table was asked, by stream and `Doubt`.
pub const DOUBTS: &str = "nova_doubts_settled_total";
/// Rows of a batch, by stream.
pub const BATCH_ROWS: &str = "nova_batch_rows";
/// Encoded bytes of a batch, by stream.
pub const BATCH_BYTES: &str = "nova_batch_bytes";
/// How full the batch is that is being filled, by stream.
pub const BATCH_FILL: &str = "nova_batch_fill_ratio";
/// Seconds of one insert that was answered with success, by stream.
pub const INSERT_SECONDS: &str = "nova_insert_seconds";
/// Seconds from the first attempt of a batch until it is durable, retries included, by stream.
pub const WRITE_SECONDS: &str = "nova_batch_write_seconds";
/// Seconds from the commit in PostgreSQL until durable in ClickHouse, oldest change of each batch, by stream.
pub const FRESHNESS_SECONDS: &str = "nova_freshness_seconds";
/// Partitions owned, by stream.
pub const PARTITIONS: &str = "nova_assigned_partitions";
/// Assignments, revocations and losses, by stream and kind.
pub const REBALANCES: &str = "nova_rebalances_total";
/// 1 while delivery from the broker is paused, by stream.
pub const PAUSED: &str = "nova_consumption_paused";

/// A step in a batch's life, as [`BATCHES`] counts them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BatchState {
    /// Its ranges are fixed.
    Planned,
    /// The group's metadata names it.
    Intended,
    /// Its rows are in the table.
    Durable,
    /// The offsets have moved past it.
    Committed,
}

impl BatchState {
    const ALL: [Self; 4] = [Self::Planned, Self::Intended, Self::Durable, Self::Committed];

    fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Intended => "intended",
            Self::Durable => "durable",
            Self::Committed => "committed",
        }
    }
}

/// Why the table had to be asked about a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Doubt {
    /// The source may have told its changes before.
    Source,
    /// An insert was not answered with success.
    Answer,
    /// It was announced long before its insert, or its messages were read before.
    Reread,
    /// A former owner left it open.
    Takeover,
}

impl Doubt {
    const ALL: [Self; 4] = [Self::Source, Self::Answer, Self::Reread, Self::Takeover];

    fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Answer => "answer",
            Self::Reread => "reread",
            Self::Takeover => "takeover",
        }
    }
}

/// What of a batch was written, as opposed to being there already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) rows: usize,
    bytes: usize,
}

impl Sent {
    pub(crate) fn all(block: &impl crate::Block) -> Self {
        Self { rows: block.rows(), bytes: block.bytes() }
    }
}

/// Handles of one stream's metrics; those of every batch are looked up once.
pub(crate) struct StreamMetrics {
    stream: String,
    received: Counter,
    sent: Counter,
    sent_bytes: Counter,
    batches: [Counter; BatchState::ALL.len()],
    batch_rows: Histogram,
    batch_bytes: Histogram,
    pub(crate) fill: Gauge,
    pub(crate) insert_seconds: Histogram,
    write_seconds: Histogram,
    freshness: Histogram,
    pub(crate) partitions: Gauge,
    pub(crate) paused: Gauge,
}

impl StreamMetrics {
    pub(crate) fn new(stream: &str) -> Self {
        let label = || stream.to_owned();
        let metrics = Self {
            stream: stream.to_owned(),
            received: counter!(RECEIVED, "stream" => label()),
            sent: counter!(SENT, "stream" => label()),
            sent_bytes: counter!(SENT_BYTES, "stream" => label()),
            batches: BatchState::ALL
                .map(|state| counter!(BATCHES, "stream" => label(), "state" => state.name())),
            batch_rows: histogram!(BATCH_ROWS, "stream" => label()),
            batch_bytes: histogram!(BATCH_BYTES, "stream" => label()),
            fill: gauge!(BATCH_FILL, "stream" => label()),
            insert_seconds: histogram!(INSERT_SECONDS, "stream" => label()),
            write_seconds: histogram!(WRITE_SECONDS, "stream" => label()),
            freshness: histogram!(FRESHNESS_SECONDS, "stream" => label()),
            partitions: gauge!(PARTITIONS, "stream" => label()),
            paused: gauge!(PAUSED, "stream" => label()),
        };
        metrics.begin();
        metrics
    }

    /// Makes the series of all bounded labels.
    fn begin(&self) {
        for kind in ErrorKind::ALL {
            self.count(ERRORS, "kind", kind.to_string(), 0);
            if kind.policy() == Policy::DeadLetter {
                self.count(DEAD_LETTERS, "kind", kind.to_string(), 0);
            }
        }
        for reason in nova_streams::SkipReason::ALL {
            self.count(DISCARDED, "reason", reason.name(), 0);
        }
        for doubt in Doubt::ALL {
            self.count(DOUBTS, "doubt", doubt.name(), 0);
        }
        for kind in ["assigned", "revoked", "lost"] {
            self.rebalanced(kind, 0);
        }
        self.count(RETRIES, "step", "insert", 0);
    }

    /// Counts a batch that is durable.
    pub(crate) fn durable<B: crate::Block>(&self, batch: &Batch<B>, sent: Sent, took: Duration) {
        self.reached(BatchState::Durable);
        self.received.increment(batch.messages);
        self.sent.increment(sent.rows as u64);
        self.sent_bytes.increment(sent.bytes as u64);
        for (reason, count) in &batch.skipped {
            self.count(DISCARDED, "reason", reason.name(), *count);
        }
        for letter in &batch.letters {
            self.count(DEAD_LETTERS, "kind", letter.kind.to_string(), 1);
        }
        if sent.rows == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "metrics; batches are far below 2^52 rows and bytes")]
        let (rows, bytes) = (sent.rows as f64, sent.bytes as f64);
        self.batch_rows.record(rows);
        self.batch_bytes.record(bytes);
        self.write_seconds.record(took);
        if let Some(age) = batch.oldest_commit_us.and_then(age_of) {
            self.freshness.record(age);
        }
    }

    /// Counts a batch that has come so far.
    pub(crate) fn reached(&self, state: BatchState) {
        if let Some(counter) = self.batches.get(state as usize) {
            counter.increment(1);
        }
    }

    /// Counts a batch that is settled by what the table said.
    pub(crate) fn settled(&self, doubt: Doubt) {
        self.count(DOUBTS, "doubt", doubt.name(), 1);
    }

    /// Counts partitions that came or went: `assigned`, `revoked` or `lost`.
    pub(crate) fn rebalanced(&self, kind: &'static str, times: u64) {
        self.count(REBALANCES, "kind", kind, times);
    }

    /// A run has ended: nothing is owned, filled or paused any more.
    pub(crate) fn ended(&self) {
        for gauge in [&self.partitions, &self.fill, &self.paused] {
            gauge.set(0.0);
        }
    }

    /// Counts a failure that is not repeated by itself.
    pub(crate) fn error(&self, kind: ErrorKind) {
        self.count(ERRORS, "kind", kind.to_string(), 1);
    }

    /// Counts a failed attempt of `step` that is repeated.
    pub(crate) fn retry(&self, step: &str, kind: ErrorKind) {
        self.error(kind);
        self.count(RETRIES, "step", step.replace(' ', "_"), 1);
    }

    fn count(
        &self,
        name: &'static str,
        label: &'static str,
        value: impl Into<metrics::SharedString>,
        by: u64,
    ) {
        counter!(name, "stream" => self.stream.clone(), label => value.into()).increment(by);
    }
}

/// Time since `commit_us`; `None` when the clocks of the two machines disagree so far that it lies ahead.
fn age_of(commit_us: i64) -> Option<Duration> {
    let committed = UNIX_EPOCH + Duration::from_micros(u64::try_from(commit_us).ok()?);
    SystemTime::now().duration_since(committed).ok()
}
