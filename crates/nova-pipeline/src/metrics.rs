//! The names of what a pipeline counts, and the handles of one stream. Names follow Vector's component metrics where
//! they exist; `nova_` marks our own. No label carries a key or a value of user data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use crate::ErrorKind;
use crate::batch::Batch;

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
/// Dead letters acknowledged, by stream and kind.
pub const DEAD_LETTERS: &str = "nova_dead_letters_total";
/// Rows of a batch, by stream.
pub const BATCH_ROWS: &str = "nova_batch_rows";
/// Seconds from the first attempt of a batch until it is durable, retries included, by stream.
pub const WRITE_SECONDS: &str = "nova_batch_write_seconds";
/// Seconds from the commit in PostgreSQL until durable in ClickHouse, oldest change of each batch, by stream.
pub const FRESHNESS_SECONDS: &str = "nova_freshness_seconds";
/// Partitions owned, by stream.
pub const PARTITIONS: &str = "nova_assigned_partitions";
/// Assignments and revocations, by stream.
pub const REBALANCES: &str = "nova_rebalances_total";
/// 1 while delivery from the broker is paused, by stream.
pub const PAUSED: &str = "nova_consumption_paused";

/// Tells the metrics recorder what the metrics mean.
pub fn describe() {
    describe_counter!(RECEIVED, "Messages read");
    describe_counter!(SENT, "Rows made durable");
    describe_counter!(SENT_BYTES, "Encoded bytes made durable");
    describe_counter!(DISCARDED, "Messages that became no rows, by reason");
    describe_counter!(ERRORS, "Failures, by kind");
    describe_counter!(DEAD_LETTERS, "Dead letters acknowledged by the broker, by kind");
    describe_histogram!(BATCH_ROWS, "Rows of a batch");
    describe_histogram!(WRITE_SECONDS, "Seconds until a batch is durable, retries included");
    describe_histogram!(
        FRESHNESS_SECONDS,
        "Seconds from the commit in PostgreSQL until durable, oldest change of a batch"
    );
    describe_gauge!(PARTITIONS, "Partitions owned");
    describe_counter!(REBALANCES, "Assignments, revocations and losses of partitions");
    describe_gauge!(PAUSED, "1 while delivery from the broker is paused");
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

/// Handles of one stream's metrics, looked up once.
pub(crate) struct StreamMetrics {
    stream: String,
    received: Counter,
    sent: Counter,
    sent_bytes: Counter,
    batch_rows: Histogram,
    write_seconds: Histogram,
    freshness: Histogram,
    pub(crate) partitions: Gauge,
    pub(crate) rebalances: Counter,
    pub(crate) paused: Gauge,
}

impl StreamMetrics {
    pub(crate) fn new(stream: &str) -> Self {
        let label = || stream.to_owned();
        Self {
            stream: stream.to_owned(),
            received: counter!(RECEIVED, "stream" => label()),
            sent: counter!(SENT, "stream" => label()),
            sent_bytes: counter!(SENT_BYTES, "stream" => label()),
            batch_rows: histogram!(BATCH_ROWS, "stream" => label()),
            write_seconds: histogram!(WRITE_SECONDS, "stream" => label()),
            freshness: histogram!(FRESHNESS_SECONDS, "stream" => label()),
            partitions: gauge!(PARTITIONS, "stream" => label()),
            rebalances: counter!(REBALANCES, "stream" => label()),
            paused: gauge!(PAUSED, "stream" => label()),
        }
    }

    /// Counts a batch that is durable.
    pub(crate) fn durable<B: crate::Block>(&self, batch: &Batch<B>, sent: Sent, took: Duration) {
        self.received.increment(batch.messages);
        self.sent.increment(sent.rows as u64);
        self.sent_bytes.increment(sent.bytes as u64);
        for (reason, count) in &batch.skipped {
            counter!(DISCARDED, "stream" => self.stream.clone(), "reason" => reason.name()).increment(*count);
        }
        for letter in &batch.letters {
            counter!(DEAD_LETTERS, "stream" => self.stream.clone(), "kind" => letter.kind.to_string())
                .increment(1);
        }
        if sent.rows == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a metric; batches are far below 2^52 rows")]
        self.batch_rows.record(sent.rows as f64);
        self.write_seconds.record(took);
        if let Some(age) = batch.oldest_commit_us.and_then(age_of) {
            self.freshness.record(age);
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind) {
        counter!(ERRORS, "stream" => self.stream.clone(), "kind" => kind.to_string()).increment(1);
    }
}

/// Time since `commit_us`; `None` when the clocks of the two machines disagree so far that it lies ahead.
fn age_of(commit_us: i64) -> Option<Duration> {
    let committed = UNIX_EPOCH + Duration::from_micros(u64::try_from(commit_us).ok()?);
    SystemTime::now().duration_since(committed).ok()
}
