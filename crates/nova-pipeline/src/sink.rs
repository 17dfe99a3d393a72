//! Where rows go: one table, one insert per batch.
//!
//! Invariant: *encoded* and *durable* are different things. [`Sink::insert`] returns `Ok` only when the rows are
//! in the table; progress moves on that and on nothing else. A retry sends the very same bytes with the same token.

use std::future::Future;

use nova_streams::Row;

use crate::PipelineError;

/// The rows of one batch for one table, encoded as they arrive.
pub trait Block: Send + Sync + 'static {
    /// Appends all rows of one message, or none of them.
    ///
    /// # Errors
    /// A row that does not fit the table; the block is as it was before.
    fn push(&mut self, rows: &[Row<'_>]) -> Result<(), PipelineError>;

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
}
