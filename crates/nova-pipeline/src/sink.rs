//! Where rows go: one table, one insert per batch.
//!
//! Invariant: *encoded* and *durable* are different things. [`Sink::insert`] returns `Ok` only when the rows are
//! in the table; progress moves on that and on nothing else. After any other answer the table itself is asked
//! ([`Sink::present`]) which rows it has; what is sent again is the same rows in the same bytes.

use std::collections::BTreeSet;
use std::future::Future;

use nova_streams::Row;
use uuid::Uuid;

use crate::{PipelineError, Ranges};

/// The partition of rows that no message made: those that `nova repair` writes. No topic has it, so nothing that asks
/// for a partition's rows ever meets them; what asks for a topic's rows does.
pub const REPAIR_PARTITION: i32 = i32::MAX;

/// The same for the rows that `nova backfill` writes.
pub const BACKFILL_PARTITION: i32 = i32::MAX - 1;

/// Which row of which message: the lineage that a row carries in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Which of the message's rows, from 0.
    pub ordinal: u8,
    /// The change's own identity: tells rows of a topic that was deleted and made again from today's at the same
    /// offsets.
    pub event_id: Uuid,
}

/// What a message's rows say, and whether the table may know it already from another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A change that the source emits for the first time.
    New,
    /// A change that the source may have emitted before, in an earlier message of the same partition: its rows count
    /// only if the table has none of the same event.
    Doubtful,
    /// No change but a state, read by a snapshot (one row, +1): what counts is the difference to the state that the
    /// same key has before the message: by all rows of the topic in other partitions, by those of earlier offsets in
    /// its own partition, and by those of earlier messages of the block that are kept.
    State {
        /// The partition holds rows of another topic of the same name, which was deleted: their offsets say nothing
        /// about today's order, so rows of *later* offsets count as well, unless they are the block's own.
        afresh: bool,
    },
}

/// One message as rows.
#[derive(Debug, Clone, Copy)]
pub struct MessageRows<'r, 'a> {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The change's own identity.
    pub event_id: Uuid,
    /// Position of the change in the write-ahead log, where the message carries one; the table's `source_lsn`.
    pub lsn: u64,
    /// What the rows say.
    pub standing: Standing,
    /// The rows; at least one.
    pub rows: &'r [Row<'a>],
}

/// A block after its doubts were resolved.
#[derive(Debug)]
pub struct Resolved<B> {
    /// What is to be inserted: it has no doubts any more.
    pub block: B,
    /// Messages left out since the table, or an earlier message of the block, has the same change.
    pub repeated: u64,
    /// Messages left out since the table has the state that they tell.
    pub known: u64,
}

/// What a table has of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The partition.
    pub partition: i32,
    /// The offset after the last message that has rows.
    pub next_offset: i64,
    /// The greatest `source_lsn` of all its rows.
    pub lsn: u64,
}

/// The rows of one batch for one table, encoded as they arrive.
pub trait Block: Send + Sync + Sized + 'static {
    /// Appends all rows of the message, or none of them.
    ///
    /// # Errors
    /// A row that does not fit the table; the block is as it was before.
    fn push(&mut self, message: &MessageRows<'_, '_>) -> Result<(), PipelineError>;

    /// An empty block for rows that will be absorbed by blocks such as this one.
    fn part(&self) -> Self;

    /// Appends the first rows of `part`, in order, one for each of `standings`, which takes the place of the row's own.
    /// Leaves the part empty.
    fn absorb(&mut self, part: &mut Self, standings: &[Standing]);

    /// Whether any of its messages stands otherwise than [`Standing::New`].
    fn has_doubts(&self) -> bool;

    /// The same rows without those that are `present`.
    fn without(&self, present: &BTreeSet<RowId>) -> Self;

    /// Rows so far.
    fn rows(&self) -> usize;

    /// Encoded size so far, in bytes.
    fn bytes(&self) -> usize;
}

/// A table that takes blocks.
pub trait Sink: Send + Sync + 'static {
    /// The encoded form of a batch.
    type Block: Block;

    /// The table's name.
    fn table(&self) -> &str;

    /// An empty block for the table.
    fn block(&self) -> Self::Block;

    /// Inserts the block; one attempt, no retries. `token` names the batch: a repeat with the same token adds nothing.
    ///
    /// # Errors
    /// By kind: the pipeline's policy table decides what follows.
    fn insert(
        &self,
        block: &Self::Block,
        token: &str,
    ) -> impl Future<Output = Result<(), PipelineError>> + Send;

    /// The rows of these ranges of `topic` that the table has now, by lineage; a row that is there twice comes twice.
    ///
    /// # Errors
    /// By kind, as for an insert.
    fn present(
        &self,
        topic: &str,
        ranges: &Ranges,
    ) -> impl Future<Output = Result<Vec<RowId>, PipelineError>> + Send;

    /// Resolves the doubts of a block that covers `ranges` of `topic`, by what the table has of *other* messages of the
    /// topic: rows outside of the ranges, and rows inside of them that are not the block's own. A row is its own where
    /// the block has a message of the same partition, offset *and* event; others are what a deleted topic of the same
    /// name has left at these offsets. So the answer is the same however much of the block is there already, provided
    /// that all batches before it are durable; also the order of the rows that a state becomes must not depend on
    /// the order in which the table answers. `all`: every message that stands as new is doubted, too.
    ///
    /// Rows of later offsets decide nothing about a state ([`Standing::State`]): a batch may be formed again after
    /// others have gone on, and offsets may be set back by hand behind rows that are there.
    ///
    /// # Errors
    /// By kind, as for an insert.
    fn resolve(
        &self,
        topic: &str,
        ranges: &Ranges,
        block: &Self::Block,
        all: bool,
    ) -> impl Future<Output = Result<Resolved<Self::Block>, PipelineError>> + Send;

    /// What the table has of each of these partitions of `topic`; one without rows is left out.
    ///
    /// # Errors
    /// By kind, as for an insert.
    fn seen(
        &self,
        topic: &str,
        partitions: &[i32],
    ) -> impl Future<Output = Result<Vec<Seen>, PipelineError>> + Send;
}
