//! A source, a sink and a dead-letter topic in memory, with scripted faults that are consumed in order.

mod block;
mod replay;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nova_streams::{Column, ColumnType, Mapping, StreamSet, TableSchema};
use tokio::sync::{Notify, mpsc};

pub(crate) use block::{FakeBlock, FakeRow, resolve, seen};

use crate::{
    Committed, Connect, DeadLetter, DeadLetters, Endpoints, ErrorKind, OffsetCommit, PipelineError, Ranges,
    Resolved, RowId, Seen, Sink, Source, SourceEvent, SourceMessage, StartAt, Watermarks,
};

/// A message that owns its bytes.
#[derive(Debug, Clone)]
pub(crate) struct FakeMessage {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

impl SourceMessage for FakeMessage {
    fn partition(&self) -> i32 {
        self.partition
    }
    fn offset(&self) -> i64 {
        self.offset
    }
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }
    fn timestamp_ms(&self) -> Option<i64> {
        None
    }
    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        vec![("trace".to_owned(), Some(b"7".to_vec()))]
    }
}

/// What a test sees and steers, shared with the fakes of every run.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) committed: Mutex<BTreeMap<i32, (i64, String)>>,
    pub(crate) commits: Mutex<Vec<OffsetCommit>>,
    pub(crate) commit_faults: Mutex<VecDeque<ErrorKind>>,
    pub(crate) started: Mutex<Vec<StartAt>>,
    pub(crate) released: Mutex<Vec<i32>>,
    pub(crate) pauses: Mutex<Vec<bool>>,
    pub(crate) closed: Mutex<usize>,
    /// What the broker holds, for reading again.
    pub(crate) log_of_topic: Mutex<Vec<FakeMessage>>,
    pub(crate) inserted: Mutex<Vec<(String, Vec<FakeRow>)>>,
    pub(crate) insert_faults: Mutex<VecDeque<InsertFault>>,
    pub(crate) attempts: Mutex<Vec<(String, Vec<FakeRow>)>>,
    pub(crate) hold: Notify,
    pub(crate) letters: Mutex<Vec<DeadLetter>>,
    pub(crate) letter_faults: Mutex<VecDeque<ErrorKind>>,
    pub(crate) log: Mutex<Vec<&'static str>>,
    /// Happens while the table is asked about doubts, once.
    pub(crate) amid_doubts: Mutex<Option<fn(&World)>>,
}

/// What an insert does instead of simply working.
#[derive(Debug, Clone, Copy)]
pub(crate) enum InsertFault {
    /// Refuses, without effect.
    Reject(ErrorKind),
    /// Writes, and the reply is lost.
    FailAfterWrite,
    /// Answers with success and writes nothing: the token is remembered, its part is not.
    DropSilently,
    /// Waits until the test lets go.
    Hold,
}

impl World {
    /// The group's committed offset.
    pub(crate) fn offset(&self, partition: i32) -> Option<i64> {
        self.committed.lock().unwrap().get(&partition).map(|(offset, _)| *offset)
    }

    /// All rows of the table.
    pub(crate) fn rows(&self) -> Vec<FakeRow> {
        self.inserted.lock().unwrap().iter().flat_map(|(_, rows)| rows.iter().copied()).collect()
    }

    fn note(&self, what: &'static str) {
        self.log.lock().unwrap().push(what);
    }
}

pub(crate) struct FakeSource {
    world: Arc<World>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<SourceEvent<FakeMessage>>>,
}

impl Source for FakeSource {
    type Message<'a> = FakeMessage;

    fn topic(&self) -> &str {
        "cdc.likes"
    }

    async fn next(&self) -> Result<SourceEvent<FakeMessage>, PipelineError> {
        match self.events.lock().await.recv().await {
            Some(event) => Ok(event),
            None => std::future::pending().await,
        }
    }

    fn ready(&self) -> impl Iterator<Item = Result<SourceEvent<FakeMessage>, PipelineError>> {
        std::iter::from_fn(|| self.events.try_lock().ok()?.try_recv().ok().map(Ok))
    }

    async fn committed(&self) -> Result<Vec<Committed>, PipelineError> {
        let committed = self.world.committed.lock().unwrap();
        let position = |partition: i32| {
            let (offset, metadata) = committed.get(&partition).cloned().unzip();
            Committed { partition, offset, metadata: metadata.unwrap_or_default() }
        };
        Ok((0..3).map(position).collect())
    }

    async fn watermarks(&self, partitions: &[i32]) -> Result<Vec<Watermarks>, PipelineError> {
        Ok(partitions
            .iter()
            .map(|partition| Watermarks { partition: *partition, low: 0, high: 1_000 })
            .collect())
    }

    async fn start(&self, positions: &[StartAt]) -> Result<(), PipelineError> {
        self.world.started.lock().unwrap().extend_from_slice(positions);
        Ok(())
    }

    async fn release(&self, partitions: &[i32]) -> Result<(), PipelineError> {
        self.world.note("release");
        self.world.released.lock().unwrap().extend_from_slice(partitions);
        Ok(())
    }

    fn pause(&self) -> Result<(), PipelineError> {
        self.world.pauses.lock().unwrap().push(true);
        Ok(())
    }

    fn resume(&self) -> Result<(), PipelineError> {
        self.world.pauses.lock().unwrap().push(false);
        Ok(())
    }

    async fn commit(&self, commits: &[OffsetCommit]) -> Result<(), PipelineError> {
        if let Some(kind) = self.world.commit_faults.lock().unwrap().pop_front() {
            return Err(PipelineError::new(kind, "scripted"));
        }
        self.world.note("commit");
        self.world.commits.lock().unwrap().extend_from_slice(commits);
        for commit in commits {
            self.world
                .committed
                .lock()
                .unwrap()
                .insert(commit.partition, (commit.offset, commit.metadata.clone()));
        }
        Ok(())
    }

    async fn reread(
        &self,
        ranges: &Ranges,
        visit: &mut (dyn FnMut(&dyn SourceMessage) -> Result<(), PipelineError> + Send),
    ) -> Result<(), PipelineError> {
        let log = self.world.log_of_topic.lock().unwrap().clone();
        log.iter()
            .filter(|message| ranges.contains(message.partition, message.offset))
            .try_for_each(|message| visit(message))
    }

    async fn close(&self) -> Result<(), PipelineError> {
        *self.world.closed.lock().unwrap() += 1;
        Ok(())
    }
}

pub(crate) struct FakeSink {
    pub(crate) world: Arc<World>,
}

impl Sink for FakeSink {
    type Block = FakeBlock;

    fn table(&self) -> &str {
        "post_engagement_events"
    }

    fn block(&self) -> FakeBlock {
        FakeBlock::default()
    }

    async fn insert(&self, block: &FakeBlock, token: &str) -> Result<(), PipelineError> {
        self.world.attempts.lock().unwrap().push((token.to_owned(), block.0.clone()));
        let fault = self.world.insert_faults.lock().unwrap().pop_front();
        match fault {
            Some(InsertFault::Reject(kind)) => return Err(PipelineError::new(kind, "scripted")),
            Some(InsertFault::Hold) => self.world.hold.notified().await,
            Some(InsertFault::DropSilently) => return Ok(()),
            Some(InsertFault::FailAfterWrite) | None => {}
        }
        self.world.note("insert");
        let mut inserted = self.world.inserted.lock().unwrap();
        if !inserted.iter().any(|(known, _)| known == token) {
            inserted.push((token.to_owned(), block.0.clone()));
        }
        match fault {
            Some(InsertFault::FailAfterWrite) => Err(PipelineError::new(ErrorKind::LostReply, "scripted")),
            _ => Ok(()),
        }
    }

    async fn present(&self, _topic: &str, ranges: &Ranges) -> Result<Vec<RowId>, PipelineError> {
        let rows = self.world.rows().into_iter().map(|row| row.id);
        Ok(rows.filter(|row| ranges.contains(row.partition, row.offset)).collect())
    }

    async fn resolve(
        &self,
        _topic: &str,
        ranges: &Ranges,
        block: &FakeBlock,
        all: bool,
    ) -> Result<Resolved<FakeBlock>, PipelineError> {
        self.world.note(if all { "resolve all" } else { "resolve" });
        let amid = self.world.amid_doubts.lock().unwrap().take();
        amid.inspect(|amid| amid(&self.world));
        Ok(resolve(&self.world.rows(), ranges, block, all))
    }

    async fn seen(&self, _topic: &str, partitions: &[i32]) -> Result<Vec<Seen>, PipelineError> {
        self.world.note("seen");
        Ok(seen(&self.world.rows(), partitions))
    }
}

pub(crate) struct FakeDeadLetters(pub(crate) Arc<World>);

impl DeadLetters for FakeDeadLetters {
    async fn write(&self, letters: &[DeadLetter]) -> Result<(), PipelineError> {
        if let Some(kind) = self.0.letter_faults.lock().unwrap().pop_front() {
            return Err(PipelineError::new(kind, "scripted"));
        }
        self.0.note("letters");
        self.0.letters.lock().unwrap().extend_from_slice(letters);
        Ok(())
    }
}

/// Gives each run a new source; events sent before are waiting in it.
pub(crate) struct FakeConnect {
    pub(crate) world: Arc<World>,
    pub(crate) sender: Arc<Mutex<mpsc::UnboundedSender<SourceEvent<FakeMessage>>>>,
    pub(crate) first: Mutex<Option<mpsc::UnboundedReceiver<SourceEvent<FakeMessage>>>>,
    pub(crate) failures: Mutex<VecDeque<ErrorKind>>,
    pub(crate) with_dead_letters: bool,
    pub(crate) delay: Duration,
}

impl FakeConnect {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            world: Arc::clone(world),
            sender: Arc::new(Mutex::new(sender)),
            first: Mutex::new(Some(receiver)),
            failures: Mutex::default(),
            with_dead_letters: true,
            delay: Duration::ZERO,
        }
    }
}

impl Connect for FakeConnect {
    type Source = FakeSource;
    type Sink = FakeSink;
    type DeadLetters = FakeDeadLetters;

    async fn connect(&self) -> Result<Endpoints<FakeSource, FakeSink, FakeDeadLetters>, PipelineError> {
        tokio::time::sleep(self.delay).await;
        if let Some(kind) = self.failures.lock().unwrap().pop_front() {
            return Err(PipelineError::new(kind, "scripted"));
        }
        let receiver = self.first.lock().unwrap().take().unwrap_or_else(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            *self.sender.lock().unwrap() = sender;
            receiver
        });
        let mapping = mapping();
        let world = Arc::clone(&self.world);
        Ok(Endpoints {
            source: FakeSource { world: Arc::clone(&world), events: tokio::sync::Mutex::new(receiver) },
            mapping,
            sink: FakeSink { world: Arc::clone(&world) },
            dead_letters: self.with_dead_letters.then_some(FakeDeadLetters(world)),
        })
    }
}

pub(crate) fn mapping() -> Mapping {
    mapping_of(
        r#"
        [streams.likes]
        worker = "cdc"
        topic = "cdc.likes"
        format = "debezium"
        source = "public.likes"
        table = "post_engagement_events"
        key = ["id"]
        time = "created_at"
        [streams.likes.columns]
        user_id = { field = "user_id" }
    "#,
    )
}

/// The mapping of `[streams.likes]` onto a table with one column of its own.
pub(crate) fn mapping_of(text: &str) -> Mapping {
    let streams = StreamSet::parse("streams.toml", text).unwrap();
    let lineage = [
        ("sign", "Int8"),
        ("event_id", "UUID"),
        ("source_key", "UUID"),
        ("source_lsn", "UInt64"),
        ("source_tx", "UInt64"),
        ("topic", "LowCardinality(String)"),
        ("kafka_partition", "UInt32"),
        ("kafka_offset", "UInt64"),
        ("ordinal", "UInt8"),
        ("user_id", "Int64"),
    ];
    let column = |(name, text): (&str, &str)| Column {
        name: name.to_owned(),
        column_type: ColumnType::parse(text).unwrap(),
        has_default: false,
    };
    let table = TableSchema {
        name: "post_engagement_events".to_owned(),
        columns: lineage.into_iter().map(column).collect(),
    };
    Mapping::compile(streams.get("likes").unwrap(), &table).unwrap()
}

/// An insert of a like, as Debezium writes it; one transaction each.
pub(crate) fn like(partition: i32, offset: i64) -> SourceEvent<FakeMessage> {
    let lsn = 10 * offset + 15;
    let commit = (10 * offset + 10).to_string();
    let change = format!(r#""before":null,"after":{{"id":"l{partition}-{offset}","user_id":7}},"op":"c""#);
    let key = format!("l{partition}-{offset}");
    SourceEvent::Message(message(
        partition,
        offset,
        &key,
        &change,
        &source(Some(&commit), lsn, 700 + offset, "false"),
    ))
}

/// The `source` block of a change.
pub(crate) fn source(commit: Option<&str>, lsn: i64, tx: i64, snapshot: &str) -> String {
    let commit = commit.map_or("null".to_owned(), |commit| format!(r#"\"{commit}\""#));
    format!(
        r#"{{"version":"3.7.0.Final","connector":"postgresql","name":"cdc","ts_ms":1700000000000,
        "snapshot":"{snapshot}","db":"app","sequence":"[{commit},\"{lsn}\"]","ts_us":1700000000000000,
        "ts_ns":1700000000000000000,"schema":"public","table":"likes","txId":{tx},"lsn":{lsn},"xmin":null}}"#
    )
}

/// A message at an offset: `change` holds the images and `op`.
pub(crate) fn message(partition: i32, offset: i64, key: &str, change: &str, source: &str) -> FakeMessage {
    let value =
        format!(r#"{{{change},"source":{source},"transaction":null,"ts_ms":1700000000001}}"#).into_bytes();
    let key = Some(format!(r#"{{"id":"{key}"}}"#).into_bytes());
    FakeMessage { partition, offset, key, value: Some(value) }
}

/// A message that is not JSON.
pub(crate) fn poison(partition: i32, offset: i64) -> SourceEvent<FakeMessage> {
    SourceEvent::Message(FakeMessage { partition, offset, key: None, value: Some(b"poison".to_vec()) })
}
