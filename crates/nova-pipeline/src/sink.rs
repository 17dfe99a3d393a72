//! Where rows go: one table, one insert per batch.
//!
//! Invariant: *encoded* and *durable* are different things. [`Sink::insert`] returns `Ok` only when the rows are
//! in the table; progress moves on that and on nothing else. After any other answer the table itself is asked
//! ([`Sink::present`]) which rows it has; what is sent again is the same rows in the same bytes.

use std::collections::BTreeSet;
use std::future::Future;

use nova_streams::Row;

use crate::{PipelineError, Ranges};

/// Which row of which message: the lineage that a row carries in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Which of the message's rows, from 0.
    pub ordinal: u8,
}

/// The rows of one batch for one table, encoded as they arrive.
pub trait Block: Send + Sync + Sized + 'static {
    /// Appends all rows of the message at `offset`, or none of them.
    ///
    /// # Errors
    /// A row that does not fit the table; the block is as it was before.
    fn push(&mut self, partition: i32, offset: i64, rows: &[Row<'_>]) -> Result<(), PipelineError>;

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
}
