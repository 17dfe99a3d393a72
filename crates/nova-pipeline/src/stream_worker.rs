//! A stream as a background worker: connects, runs the loop, and turns failures into restarts or a halt.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use nova_streams::Mapping;
use nova_worker::{BackgroundWorker, StatusCell, WorkerContext, WorkerError, WorkerHealth};
use tracing::info;

use crate::deliver::Delivery;
use crate::metrics::StreamMetrics;
use crate::run::Run;
use crate::{DeadLetters, Ledger, PipelineError, PipelineOptions, Policy, Sink, Source};

/// Both ends of a stream, connected and checked against each other.
pub struct Endpoints<S, K, L> {
    /// The topic.
    pub source: S,
    /// The stream, compiled against the table.
    pub mapping: Mapping,
    /// The table.
    pub sink: K,
    /// Where poison goes; `None` halts the stream at the first.
    pub dead_letters: Option<L>,
}

/// What [`Connect::connect`] answers.
pub type Connected<C> = Result<
    Endpoints<<C as Connect>::Source, <C as Connect>::Sink, <C as Connect>::DeadLetters>,
    PipelineError,
>;

/// Connects a stream's ends, anew for each run of its worker.
pub trait Connect: Send + Sync + 'static {
    /// The topic's side.
    type Source: Source;
    /// The table's side.
    type Sink: Sink;
    /// The place for poison.
    type DeadLetters: DeadLetters;

    /// Connects and checks: the table must be what the stream declares.
    fn connect(&self) -> impl Future<Output = Connected<Self>> + Send;
}

/// Runs one stream.
pub struct StreamWorker<C> {
    stream: String,
    group: String,
    options: PipelineOptions,
    connect: C,
    status: Arc<StatusCell>,
}

impl<C: Connect> StreamWorker<C> {
    /// A worker for `stream`, as a member of the consumer group `group`.
    pub fn new(stream: &str, group: &str, options: PipelineOptions, connect: C) -> Self {
        let status = Arc::new(StatusCell::new());
        Self { stream: stream.to_owned(), group: group.to_owned(), options, connect, status }
    }

    async fn run_once(
        &self,
        context: &WorkerContext,
        metrics: &Arc<StreamMetrics>,
    ) -> Result<(), PipelineError> {
        let Endpoints { source, mapping, sink, dead_letters } = tokio::select! {
            () = context.shutdown().cancelled() => return Ok(()),
            endpoints = self.connect.connect() => endpoints?,
        };
        let source = Arc::new(source);
        let delivery = Arc::new(Delivery {
            stream: self.stream.clone(),
            group: self.group.clone(),
            topic: source.topic().to_owned(),
            sink,
            dead_letters,
            retry: self.options.retry_policy(),
            status: Arc::clone(&self.status),
            metrics: Arc::clone(metrics),
            shutdown: context.shutdown().clone(),
        });
        let ledger = Ledger::new(&self.stream, &self.group, source.topic(), self.options.new_group);
        let (options, progress) = (self.options.clone(), context.progress().clone());
        let mut run = Run::new(Arc::clone(&source), mapping, delivery, options, ledger, progress);
        let ended = run.run(context.shutdown()).await;
        drop(run);
        metrics.ended();
        // Leaving in order spares the group the session timeout, whatever ended the run.
        let closed = source.close().await;
        // A client says its last farewell when it is dropped, and waits for the answer.
        let _ = tokio::task::spawn_blocking(move || drop(source)).await;
        ended.and(closed)
    }
}

#[async_trait]
impl<C: Connect> BackgroundWorker for StreamWorker<C> {
    fn name(&self) -> &str {
        &self.stream
    }

    async fn run(&self, context: WorkerContext) -> Result<(), WorkerError> {
        let _running = self.status.start();
        info!(stream = self.stream, group = self.group, attempt = context.attempt(), "stream starts");
        let metrics = Arc::new(StreamMetrics::new(&self.stream));
        self.run_once(&context, &metrics).await.map_err(|error| {
            metrics.error(error.kind);
            let advice = error.way_on(&self.stream);
            match error.kind.policy() {
                Policy::Retry | Policy::Restart => WorkerError::transient(error).with_advice(advice),
                Policy::DeadLetter | Policy::Halt => WorkerError::fatal(error).with_advice(advice),
            }
        })
    }

    fn health_check(&self) -> WorkerHealth {
        self.status.health()
    }
}
