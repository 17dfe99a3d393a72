//! Rows that no worker reads for a table: those of a command.
//!
//! Invariant: the same as for batches. Lineage first, then token: whatever was tried before, and by whomever, the table ends
//! with the rows once.

use std::num::NonZeroU32;
use std::sync::Arc;

use nova_worker::StatusCell;
use tokio_util::sync::CancellationToken;

use crate::deliver::Delivery;
use crate::metrics::StreamMetrics;
use crate::{DeadLetter, DeadLetters, PipelineError, PipelineOptions, Ranges, RowId, Sink};

/// Attempts of each request: somebody waits for the command, and can give it again.
const ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

/// Writes blocks into one table, each once.
pub struct Once<K> {
    pub(crate) delivery: Delivery<K, Nowhere>,
}

impl<K: Sink> Once<K> {
    /// For rows that belong to `topic`, of `stream`.
    pub fn new(stream: &str, topic: &str, sink: K) -> Self {
        let delivery = Delivery {
            stream: stream.to_owned(),
            topic: topic.to_owned(),
            // A command is no member of a group.
            group: String::new(),
            sink,
            dead_letters: None,
            retry: PipelineOptions::default().retry_policy().with_max_attempts(ATTEMPTS),
            status: Arc::new(StatusCell::new()),
            metrics: Arc::new(StreamMetrics::new(stream)),
            shutdown: CancellationToken::new(),
        };
        Self { delivery }
    }

    /// The same with as many attempts as it takes, until `stop`; `status` says meanwhile what is waited for.
    #[must_use]
    pub fn patient(mut self, status: Arc<StatusCell>, stop: CancellationToken) -> Self {
        self.delivery.retry = PipelineOptions::default().retry_policy();
        self.delivery.status = status;
        self.delivery.shutdown = stop;
        self
    }

    /// Repeats a question to the table as an insert is repeated; `what` names it.
    ///
    /// # Errors
    /// The last one of `question`.
    pub async fn asked<T, F>(&self, what: &str, question: impl FnMut() -> F) -> Result<T, PipelineError>
    where
        F: Future<Output = Result<T, PipelineError>>,
    {
        self.delivery.retried(what, question).await
    }

    /// An empty block for the table.
    pub fn block(&self) -> K::Block {
        self.delivery.sink.block()
    }

    /// The rows of these ranges that the table has now.
    ///
    /// # Errors
    /// By kind, those of [`Sink`].
    pub async fn present(&self, ranges: &Ranges) -> Result<Vec<RowId>, PipelineError> {
        let Delivery { sink, topic, .. } = &self.delivery;
        self.delivery.retried("lineage", || sink.present(topic, ranges)).await
    }

    /// Makes the rows of the block durable that the table lacks; `token` names the block.
    ///
    /// # Errors
    /// By kind, those of [`Sink`]; the call can be repeated.
    pub async fn insert(&self, block: &K::Block, ranges: &Ranges, token: &str) -> Result<(), PipelineError> {
        self.delivery.complete(block, ranges, token).await.map(drop)
    }
}

/// Nothing is put aside: whoever gave the command is told.
pub(crate) enum Nowhere {}

impl DeadLetters for Nowhere {
    async fn write(&self, _letters: &[DeadLetter]) -> Result<(), PipelineError> {
        match *self {}
    }
}
