//! A table that messages reach as they reached it first.
//!
//! A replay of old messages leaves out what later ones have made good meanwhile, which is right where nobody knows why rows
//! are missing. A rebuild knows: it took them away. Each message becomes what a worker made of it.
//!
//! Invariant: nothing but doubts and lineage decides which rows are written.

use std::collections::BTreeSet;

use nova_pipeline::{PipelineError, Ranges, Replayable, Resolved, RowId, Seen, Sink};

use crate::{RowBinaryBlock, TableSink};

/// The sink, without a replay's forbearance.
#[derive(Debug, Clone)]
pub struct AsDelivered(pub TableSink);

impl Sink for AsDelivered {
    type Block = RowBinaryBlock;

    fn table(&self) -> &str {
        self.0.table()
    }

    fn block(&self) -> RowBinaryBlock {
        self.0.block()
    }

    async fn insert(&self, block: &RowBinaryBlock, token: &str) -> Result<(), PipelineError> {
        self.0.insert(block, token).await
    }

    async fn present(&self, topic: &str, ranges: &Ranges) -> Result<Vec<RowId>, PipelineError> {
        self.0.present(topic, ranges).await
    }

    async fn resolve(
        &self,
        topic: &str,
        ranges: &Ranges,
        block: &RowBinaryBlock,
        all: bool,
    ) -> Result<Resolved<RowBinaryBlock>, PipelineError> {
        self.0.resolve(topic, ranges, block, all).await
    }

    async fn seen(&self, topic: &str, partitions: &[i32]) -> Result<Vec<Seen>, PipelineError> {
        self.0.seen(topic, partitions).await
    }
}

impl Replayable for AsDelivered {
    async fn settled(&self, _topic: &str, _block: &RowBinaryBlock) -> Result<BTreeSet<RowId>, PipelineError> {
        Ok(BTreeSet::new())
    }

    async fn surplus(&self, _topic: &str, _block: &RowBinaryBlock) -> Result<BTreeSet<RowId>, PipelineError> {
        Ok(BTreeSet::new())
    }
}
