//! Messages between being read and being durable: rows, dead letters and the offsets they cover.
//!
//! Invariant: every message that was read is in exactly one batch, as rows, a counted skip or a dead letter.

use std::collections::BTreeMap;

use nova_streams::SkipReason;
use tokio::time::Instant;

use crate::breaker::Tally;
use crate::trace::BatchTrace;
use crate::{Block, DeadLetter, PipelineOptions, Position, Ranges};

/// What has been read since the last batch was sent.
#[derive(Debug)]
pub(crate) struct Batch<B> {
    /// The rows, encoded.
    pub(crate) block: B,
    /// The offsets of all messages, rows or not.
    pub(crate) ranges: Ranges,
    /// How far the source had come before the first message, by partition.
    pub(crate) starts: BTreeMap<i32, Position>,
    /// Whether the table may have rows of its messages from an earlier reading.
    pub(crate) past: bool,
    /// Messages that cannot become rows.
    pub(crate) letters: Vec<DeadLetter>,
    /// Messages that became no rows, by reason.
    pub(crate) skipped: BTreeMap<SkipReason, u64>,
    /// Messages read.
    pub(crate) messages: u64,
    /// Source commit time of the oldest change, in microseconds since 1970; what freshness is measured from.
    pub(crate) oldest_commit_us: Option<i64>,
    /// What its span will tell.
    pub(crate) trace: BatchTrace,
    opened: Option<Instant>,
    letter_bytes: usize,
}

/// Room for so many rows and bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Room {
    /// What is left of it.
    pub(crate) fn without(self, taken: Self) -> Self {
        Self { rows: self.rows.saturating_sub(taken.rows), bytes: self.bytes.saturating_sub(taken.bytes) }
    }

    /// Whether nothing more fits.
    pub(crate) fn is_none(self) -> bool {
        self.rows == 0 || self.bytes == 0
    }
}

impl<B: Block> Batch<B> {
    /// An empty batch.
    pub(crate) fn new(block: B) -> Self {
        Self {
            block,
            ranges: Ranges::default(),
            starts: BTreeMap::new(),
            past: false,
            letters: Vec::new(),
            skipped: BTreeMap::new(),
            messages: 0,
            oldest_commit_us: None,
            trace: BatchTrace::new(),
            opened: None,
            letter_bytes: 0,
        }
    }

    /// A message is about to be taken: notes how far the source had come.
    pub(crate) fn begin(&mut self, partition: i32, offset: i64, position: &Position) {
        if self.ranges.end(partition).is_none() {
            self.starts.insert(partition, position.clone());
            self.past |= position.is_past(offset);
        }
    }

    /// Counts a message in; its rows are in the block already.
    pub(crate) fn add(&mut self, partition: i32, offset: i64) {
        self.ranges.extend(partition, offset);
        self.messages += 1;
        self.opened.get_or_insert_with(Instant::now);
    }

    /// Notes the commit time of a change.
    pub(crate) fn note_commit_time(&mut self, commit_us: i64) {
        self.oldest_commit_us = Some(self.oldest_commit_us.map_or(commit_us, |oldest| oldest.min(commit_us)));
    }

    /// Keeps a message that cannot become rows.
    pub(crate) fn keep_letter(&mut self, letter: DeadLetter) {
        self.letter_bytes +=
            letter.key.as_ref().map_or(0, Vec::len) + letter.value.as_ref().map_or(0, Vec::len);
        self.letters.push(letter);
    }

    /// Counts a message that became no rows.
    pub(crate) fn skip(&mut self, reason: SkipReason, messages: u64) {
        *self.skipped.entry(reason).or_default() += messages;
    }

    /// The same where there may be none.
    pub(crate) fn skip_some(&mut self, reason: SkipReason, messages: u64) {
        if messages > 0 {
            self.skip(reason, messages);
        }
    }

    /// What the breaker counts.
    pub(crate) fn tally(&self) -> Tally {
        Tally { messages: self.messages, letters: u64::try_from(self.letters.len()).unwrap_or(u64::MAX) }
    }

    /// Whether nothing has been read.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether a limit is reached.
    pub(crate) fn is_full(&self, options: &PipelineOptions) -> bool {
        self.room(options).is_none()
    }

    /// What may still come into it.
    pub(crate) fn room(&self, options: &PipelineOptions) -> Room {
        let bytes = self.block.bytes() + self.letter_bytes;
        let whole = Room { rows: options.batch_rows, bytes: options.batch_bytes };
        whole.without(Room { rows: self.block.rows(), bytes })
    }

    /// How near it is to the limit that it is nearest to; 1 is full.
    pub(crate) fn fill(&self, options: &PipelineOptions) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let share = |of: usize, limit: usize| of as f64 / limit.max(1) as f64;
        let bytes = self.block.bytes() + self.letter_bytes;
        share(self.block.rows(), options.batch_rows).max(share(bytes, options.batch_bytes))
    }

    /// When the batch is to be sent at the latest; `None` while it is empty.
    pub(crate) fn due(&self, options: &PipelineOptions) -> Option<Instant> {
        self.opened.map(|opened| opened + options.linger)
    }
}
