//! The production pipeline between a scripted topic and the real engine: `StreamWorker`, the mapping of
//! `config/streams.toml`, the migrations' table and `TableSink`. Only Kafka is played.
//!
//! A worker dies here by being dropped; what it leaves is what it committed, as on a broker.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nova_clickhouse::{Client, MIGRATIONS, Migrator, TableInfo, TableSink};
use nova_pipeline::{
    Committed, Connect, DeadLetter, DeadLetters, Endpoints, Intent, NewGroup, OffsetCommit, PipelineError,
    PipelineOptions, Ranges, Source, SourceEvent, SourceMessage, StartAt, StreamWorker, Watermarks,
};
use nova_streams::{Mapping, StreamSet};
use nova_worker::{BackgroundWorker as _, Backoff, CancellationToken, WorkerContext};
use tokio::sync::watch;

use crate::migrations::values;
use crate::server::{Server, number};

pub(crate) const TOPIC: &str = "cdc.likes";
pub(crate) const TABLE: &str = "post_engagement_events";
const PARTITIONS: i32 = 2;
const DEADLINE: Duration = Duration::from_secs(60);
/// Each tenth message is an update that moves a like into the next month: two rows in two parts.
const UPDATE_EACH: usize = 10;

/// The production tables in database `nova`.
pub(crate) async fn migrated(server: &Server) -> Client {
    let client = server.client_for("nova", "");
    Migrator::new(&client, &values(), MIGRATIONS).apply().await.unwrap();
    client
}

/// A message of the topic.
#[derive(Debug, Clone)]
pub(crate) struct Like {
    partition: i32,
    offset: i64,
    value: String,
}

impl SourceMessage for Like {
    fn partition(&self) -> i32 {
        self.partition
    }
    fn offset(&self) -> i64 {
        self.offset
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn value(&self) -> Option<&[u8]> {
        Some(self.value.as_bytes())
    }
    fn timestamp_ms(&self) -> Option<i64> {
        None
    }
    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        Vec::new()
    }
}

/// Partition → committed offset and metadata.
type Positions = BTreeMap<i32, (i64, String)>;

/// A topic and a group's commits, as a broker keeps them.
#[derive(Default)]
pub(crate) struct Topic {
    log: Mutex<Vec<Like>>,
    likes: AtomicUsize,
    committed: watch::Sender<Positions>,
    /// The commits of the last batch that was announced.
    announced: Mutex<Positions>,
}

impl Topic {
    /// Appends likes over that many months.
    pub(crate) fn append(&self, likes: usize, months: usize) {
        let begun = self.likes.fetch_add(likes, Ordering::Relaxed);
        for number in begun..begun + likes {
            self.emit(number, like(number, number % months));
        }
    }

    /// Appends the last likes once more, as a connector does that was killed before it noted how far it was.
    pub(crate) fn append_again(&self, likes: usize, months: usize) {
        let end = self.likes.load(Ordering::Relaxed);
        for number in end - likes..end {
            let value = like(number, number % months);
            // The first transaction after a start comes without the commit before it.
            let first = number == end - likes;
            let commit = format!(r#"[\"{}\","#, commit(number));
            self.emit(number, if first { value.replace(&commit, "[null,") } else { value });
        }
    }

    /// Appends what a snapshot reads: the likes, but for those that were moved, whose insert the topic never had.
    pub(crate) fn append_snapshot(&self, months: usize) {
        let likes = 0..self.likes.load(Ordering::Relaxed);
        for number in likes.filter(|number| !number.is_multiple_of(UPDATE_EACH)) {
            self.emit(number, message(number, "r", "null", &row(number, number % months)));
        }
    }

    /// Odd offsets only: gaps as transaction markers leave them.
    fn emit(&self, number: usize, value: String) {
        let partition = i32::try_from(number % 2).unwrap();
        let offset = self.end(partition) + 1;
        self.log.lock().unwrap().push(Like { partition, offset, value });
    }

    /// The group is deleted, and what it committed is forgotten.
    pub(crate) fn forget(&self) {
        self.committed.send_modify(BTreeMap::clear);
    }

    /// The topic is deleted and made again, which forgets the group's offsets, too.
    pub(crate) fn make_again(&self) {
        self.log.lock().unwrap().clear();
        self.forget();
    }

    /// Rows that the likes become, however often they are emitted.
    pub(crate) fn rows(&self) -> i64 {
        let likes = self.likes.load(Ordering::Relaxed);
        i64::try_from(likes + likes.div_ceil(UPDATE_EACH)).unwrap()
    }

    fn end(&self, partition: i32) -> i64 {
        let log = self.log.lock().unwrap();
        log.iter().rev().find(|like| like.partition == partition).map_or(0, |like| like.offset + 1)
    }

    fn is_closed(&self, positions: &Positions) -> bool {
        (0..PARTITIONS).all(|partition| {
            positions.get(&partition).is_some_and(|(offset, metadata)| {
                *offset == self.end(partition) && intent(metadata).is_none()
            })
        })
    }

    /// Waits until a batch is announced.
    pub(crate) async fn announced(&self) {
        self.until("an intent", |positions| {
            positions.values().any(|(_, metadata)| intent(metadata).is_some())
        })
        .await;
    }

    /// Waits until everything is committed.
    pub(crate) async fn closed(&self) {
        self.until("the end of the topic is committed", |positions| self.is_closed(positions)).await;
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Positions) -> bool) {
        let mut positions = self.committed.subscribe();
        let found = tokio::time::timeout(DEADLINE, positions.wait_for(|positions| wanted(positions))).await;
        assert!(found.is_ok(), "not in time: {what}: {:?}", self.committed.borrow());
    }

    /// Takes the commit of the last batch back: as if its owner had died right before it.
    pub(crate) fn reopen(&self) -> Intent {
        let announced = self.announced.lock().unwrap().clone();
        let intent = announced.values().find_map(|(_, metadata)| intent(metadata)).unwrap();
        self.committed.send_modify(|committed| committed.extend(announced));
        intent
    }
}

/// The batch that is open at a committed offset.
fn intent(metadata: &str) -> Option<Intent> {
    Intent::decode(metadata).unwrap()
}

/// A like, or one that is moved into the next month, as Debezium writes it.
fn like(number: usize, month: usize) -> String {
    if number.is_multiple_of(UPDATE_EACH) {
        message(number, "u", &row(number, month), &row(number, month + 1))
    } else {
        message(number, "c", "null", &row(number, month))
    }
}

fn row(number: usize, month: usize) -> String {
    format!(
        r#"{{"id":"00000000-0000-4000-8000-{number:012}","post_id":"00000000-0000-4000-8000-{:012}",
        "user_id":"00000000-0000-4000-8000-{:012}","created_at":"{}-{:02}-07T11:{:02}:00.000000Z"}}"#,
        number % 7,
        number % 11,
        2015 + month / 12,
        month % 12 + 1,
        number % 60
    )
}

/// Where the transaction of the like begins: each like is one of its own.
fn commit(number: usize) -> usize {
    100 * (number + 1)
}

fn message(number: usize, op: &str, before: &str, after: &str) -> String {
    let (commit, lsn) = (commit(number), commit(number) + 50);
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"version":"3.7.0.Final","connector":"postgresql",
        "name":"cdc","ts_ms":1700000000000,"snapshot":"{}","db":"app","sequence":"[\"{commit}\",\"{lsn}\"]",
        "ts_us":1700000000000000,"ts_ns":1700000000000000000,"schema":"public","table":"likes","txId":{number},
        "lsn":{lsn},"xmin":null}},"transaction":null,"op":"{op}","ts_ms":1700000000001}}"#,
        op == "r"
    )
}

/// One member's view of the topic: it is assigned everything at once, and reads on from where it starts.
struct Member {
    topic: Arc<Topic>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    assigned: bool,
    next: BTreeMap<i32, i64>,
}

impl Source for Member {
    type Message<'a> = Like;

    fn topic(&self) -> &str {
        TOPIC
    }

    async fn next(&self) -> Result<SourceEvent<Like>, PipelineError> {
        match self.ready().next() {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    fn ready(&self) -> impl Iterator<Item = Result<SourceEvent<Like>, PipelineError>> {
        std::iter::from_fn(|| {
            let mut state = self.state.lock().unwrap();
            if !std::mem::replace(&mut state.assigned, true) {
                return Some(Ok(SourceEvent::Assigned((0..PARTITIONS).collect())));
            }
            let log = self.topic.log.lock().unwrap();
            let next = |like: &&Like| state.next.get(&like.partition).is_some_and(|at| like.offset >= *at);
            let like = log.iter().find(next).cloned()?;
            state.next.insert(like.partition, like.offset + 1);
            Some(Ok(SourceEvent::Message(like)))
        })
    }

    async fn committed(&self) -> Result<Vec<Committed>, PipelineError> {
        let committed = self.topic.committed.borrow();
        let position = |partition| {
            let (offset, metadata) = committed.get(&partition).cloned().unzip();
            Committed { partition, offset, metadata: metadata.unwrap_or_default() }
        };
        Ok((0..PARTITIONS).map(position).collect())
    }

    async fn watermarks(&self, partitions: &[i32]) -> Result<Vec<Watermarks>, PipelineError> {
        let marks =
            |partition: &i32| Watermarks { partition: *partition, low: 0, high: self.topic.end(*partition) };
        Ok(partitions.iter().map(marks).collect())
    }

    async fn start(&self, positions: &[StartAt]) -> Result<(), PipelineError> {
        let positions = positions.iter().map(|at| (at.partition, at.offset));
        self.state.lock().unwrap().next.extend(positions);
        Ok(())
    }

    async fn release(&self, _partitions: &[i32]) -> Result<(), PipelineError> {
        Ok(())
    }

    fn pause(&self) -> Result<(), PipelineError> {
        Ok(())
    }

    fn resume(&self) -> Result<(), PipelineError> {
        Ok(())
    }

    async fn commit(&self, commits: &[OffsetCommit]) -> Result<(), PipelineError> {
        let position = |at: &OffsetCommit| (at.partition, (at.offset, at.metadata.clone()));
        let announced = commits.iter().filter(|at| intent(&at.metadata).is_some());
        let announced: Positions = announced.map(position).collect();
        if !announced.is_empty() {
            *self.topic.announced.lock().unwrap() = announced;
        }
        self.topic.committed.send_modify(|committed| committed.extend(commits.iter().map(position)));
        Ok(())
    }

    async fn reread(
        &self,
        ranges: &Ranges,
        visit: &mut (dyn FnMut(&dyn SourceMessage) -> Result<(), PipelineError> + Send),
    ) -> Result<(), PipelineError> {
        let log = self.topic.log.lock().unwrap().clone();
        let wanted = log.iter().filter(|like| ranges.contains(like.partition, like.offset));
        wanted.into_iter().try_for_each(|like| visit(like))
    }

    async fn close(&self) -> Result<(), PipelineError> {
        Ok(())
    }
}

struct NoLetters;

impl DeadLetters for NoLetters {
    async fn write(&self, _letters: &[DeadLetter]) -> Result<(), PipelineError> {
        Ok(())
    }
}

struct Connector {
    topic: Arc<Topic>,
    client: Client,
}

impl Connect for Connector {
    type Source = Member;
    type Sink = TableSink;
    type DeadLetters = NoLetters;

    async fn connect(&self) -> Result<Endpoints<Member, TableSink, NoLetters>, PipelineError> {
        let streams =
            StreamSet::parse("streams.toml", include_str!("../../../../config/streams.toml")).unwrap();
        let table = TableInfo::read(&self.client, TABLE).await?;
        let mapping = Mapping::compile(streams.get("likes").unwrap(), &table.schema).unwrap();
        let sink = TableSink::new(self.client.clone(), &table, mapping.columns())?;
        let source = Member { topic: Arc::clone(&self.topic), state: Mutex::default() };
        Ok(Endpoints { source, mapping, sink, dead_letters: None })
    }
}

/// Runs a worker on the topic until it is told to stop, which it must survive.
pub(crate) async fn work(topic: &Arc<Topic>, client: &Client, stop: &CancellationToken) {
    let pause = Duration::from_millis(50);
    let options = PipelineOptions {
        linger: pause,
        backoff: Backoff { initial: pause, max: pause, factor: 1.0, jitter: false },
        new_group: NewGroup::FromBeginning,
        ..PipelineOptions::default()
    };
    let connect = Connector { topic: Arc::clone(topic), client: client.clone() };
    let worker = StreamWorker::new("likes", "nova-likes", options, connect);
    worker.run(WorkerContext::new(stop.clone())).await.unwrap();
}

/// Runs a worker until all of the topic is committed.
pub(crate) async fn work_off(topic: &Arc<Topic>, client: &Client) {
    let stop = CancellationToken::new();
    let conduct = async {
        topic.closed().await;
        stop.cancel();
    };
    tokio::join!(work(topic, client, &stop), conduct);
}

/// Every row of every change once, and the projection says what the rows say.
pub(crate) async fn assert_exactly_once(topic: &Topic, client: &Client) {
    let distinct = "SELECT uniqExact(event_id, ordinal) FROM post_engagement_events";
    assert_eq!(number(client, "SELECT count() FROM post_engagement_events").await, topic.rows());
    assert_eq!(number(client, distinct).await, topic.rows());
    let hourly = |settings: &str| {
        format!(
            "SELECT toStartOfHour(event_time) AS hour, post_id, event_type, sum(sign), sum(sign * dwell_time_ms) \
             FROM post_engagement_events GROUP BY hour, post_id, event_type ORDER BY ALL SETTINGS {settings}"
        )
    };
    let projected = hourly("optimize_use_projections = 1, force_optimize_projection = 1");
    let recounted = hourly("optimize_use_projections = 0");
    let (projected, recounted) = (
        client.query_text(&projected, &[]).await.unwrap(),
        client.query_text(&recounted, &[]).await.unwrap(),
    );
    let lines: BTreeSet<&str> = projected.lines().collect();
    assert!(!lines.is_empty());
    assert_eq!(projected, recounted, "the projection and a recount from the rows");
}
