//! The pipeline's promises on scripted faults, with the clock under the tests' control.

mod ahead;
mod bursts;
mod counted;
mod ends;
mod events;
mod rebalances;
mod redelivery;
mod repeats;
mod replay;
mod takeover;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use nova_worker::{BackgroundWorker, WorkerContext, WorkerError, WorkerStatus};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::{advance, timeout};
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::fakes::{FakeBlock, FakeConnect, FakeMessage, FakeRow, InsertFault, World, like, mapping, poison};
use crate::transform::take;
use crate::{ErrorKind, NewGroup, PipelineOptions, Position, Ranges, SourceEvent, Standing, StreamWorker};

/// A running worker on fakes.
struct Bench {
    world: Arc<World>,
    worker: Arc<StreamWorker<FakeConnect>>,
    sender: Arc<Mutex<UnboundedSender<SourceEvent<FakeMessage>>>>,
    shutdown: CancellationToken,
    running: JoinSet<Result<(), WorkerError>>,
}

impl Bench {
    fn start(adjust: impl FnOnce(&World, &mut FakeConnect, &mut PipelineOptions)) -> Self {
        let world = Arc::new(World::default());
        let mut connect = FakeConnect::new(&world);
        let mut options =
            PipelineOptions { new_group: NewGroup::FromBeginning, ..PipelineOptions::default() };
        adjust(&world, &mut connect, &mut options);
        let sender = Arc::clone(&connect.sender);
        let worker = Arc::new(StreamWorker::new("likes", "nova-likes", options, connect));
        let shutdown = CancellationToken::new();
        let mut running = JoinSet::new();
        let (task, context) = (Arc::clone(&worker), WorkerContext::new(shutdown.clone()));
        running.spawn(async move { task.run(context).await });
        Self { world, worker, sender, shutdown, running }
    }

    fn send(&self, events: impl IntoIterator<Item = SourceEvent<FakeMessage>>) {
        for event in events {
            self.sender.lock().unwrap().send(event).unwrap();
        }
    }

    /// Waits, in the clock of the test, until the condition holds.
    async fn until(&self, what: &str, condition: impl Fn(&World) -> bool) {
        let met = async {
            while !condition(&self.world) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(Duration::from_secs(600), met).await.is_ok(), "not in time: {what}");
    }

    async fn ended(&mut self) -> Result<(), WorkerError> {
        timeout(Duration::from_secs(600), self.running.join_next())
            .await
            .expect("ends")
            .expect("ran")
            .expect("no panic")
    }

    async fn stop(&mut self) {
        self.shutdown.cancel();
        self.ended().await.expect("a graceful end");
    }

    /// The offsets of all rows in the table.
    fn rows(&self) -> Vec<i64> {
        self.world
            .inserted
            .lock()
            .unwrap()
            .iter()
            .flat_map(|(_, rows)| rows.iter().map(|row| row.id.offset))
            .collect()
    }

    fn committed(&self, partition: i32) -> Option<i64> {
        self.world.offset(partition)
    }
}

fn assigned(partitions: &[i32]) -> SourceEvent<FakeMessage> {
    SourceEvent::Assigned(partitions.to_vec())
}

#[tokio::test(start_paused = true)]
async fn messages_become_one_insert_after_the_linger_and_are_committed_after_it() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0, 1]), like(0, 0), like(1, 5), like(0, 1)]);
    bench.until("commit", |world| world.offset(0) == Some(2)).await;
    assert_eq!(bench.world.inserted.lock().unwrap().len(), 1);
    assert_eq!((bench.committed(0), bench.committed(1)), (Some(2), Some(6)));
    let log = bench.world.log.lock().unwrap().clone();
    assert_eq!(
        log,
        ["seen", "commit", "commit", "insert", "commit"],
        "look back, start, intent, insert, end"
    );
    assert_eq!(bench.worker.health_check().status, WorkerStatus::Running);
    bench.stop().await;
    assert_eq!(bench.worker.health_check().status, WorkerStatus::Stopped);
    assert_eq!(*bench.world.closed.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_wait_for_the_linger() {
    let mut bench = Bench::start(|_, _, options| {
        options.batch_rows = 2;
        options.linger = Duration::from_secs(3_600);
    });
    bench.send([assigned(&[0]), like(0, 0), like(0, 1), like(0, 2)]);
    bench.until("first batch", |world| !world.inserted.lock().unwrap().is_empty()).await;
    assert_eq!(bench.rows(), [0, 1]);
    bench.stop().await;
    assert_eq!(bench.rows(), [0, 1, 2], "the drain writes what is in hand");
}

#[tokio::test(start_paused = true)]
async fn an_outage_holds_offsets_and_degrades_until_the_server_is_back() {
    let outage = [ErrorKind::Unavailable, ErrorKind::Overloaded, ErrorKind::ReadOnly];
    let mut bench = Bench::start(|world, _, _| {
        world.insert_faults.lock().unwrap().extend(outage.map(InsertFault::Reject));
    });
    bench.send([assigned(&[0]), like(0, 0)]);
    bench.until("attempts", |world| world.attempts.lock().unwrap().len() == 2).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(matches!(bench.worker.health_check().status, WorkerStatus::Degraded { .. }));
    assert_eq!(bench.committed(0), Some(0), "established, not moved");
    bench.until("commit", |world| world.offset(0) == Some(1)).await;
    assert_eq!(bench.worker.health_check().status, WorkerStatus::Running);
    assert!(bench.world.letters.lock().unwrap().is_empty(), "an outage never makes a dead letter");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_answered_by_a_question_and_only_then_by_the_same_rows_and_token() {
    for (fault, sent) in [(InsertFault::FailAfterWrite, 1), (InsertFault::Reject(ErrorKind::LostReply), 2)] {
        let mut bench = Bench::start(|world, _, _| world.insert_faults.lock().unwrap().push_back(fault));
        bench.send([assigned(&[0]), like(0, 0), like(0, 1)]);
        bench.until("commit", |world| world.offset(0) == Some(2)).await;
        let attempts = bench.world.attempts.lock().unwrap().clone();
        assert_eq!(attempts.len(), sent, "{fault:?}");
        assert!(attempts.iter().all(|attempt| *attempt == attempts[0]), "{attempts:?}");
        assert_eq!(bench.rows(), [0, 1]);
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn poison_is_put_aside_and_acknowledged_before_its_offset_moves() {
    let mut bench = Bench::start(|world, _, _| {
        world.letter_faults.lock().unwrap().push_back(ErrorKind::Unavailable);
    });
    bench.send([assigned(&[0]), like(0, 0), poison(0, 1), like(0, 2)]);
    bench.until("commit", |world| world.offset(0) == Some(3)).await;
    assert_eq!(bench.rows(), [0, 2]);
    let letters = bench.world.letters.lock().unwrap().clone();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].offset, letters[0].kind), (1, ErrorKind::Malformed));
    assert_eq!(letters[0].value.as_deref(), Some(b"poison".as_slice()));
    assert_eq!(*bench.world.log.lock().unwrap(), ["seen", "commit", "commit", "letters", "insert", "commit"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn poison_without_a_dead_letter_topic_halts_with_its_coordinates() {
    let mut bench = Bench::start(|_, connect, _| connect.with_dead_letters = false);
    bench.send([assigned(&[0]), poison(0, 7)]);
    let error = bench.ended().await.unwrap_err();
    assert!(!error.is_transient() && error.reason().contains("cdc.likes[0]@7"), "{}", error.reason());
    assert!(error.reason().contains("`kafka.dead_letter_topic`"), "{}", error.reason());
    assert!(error.advice().is_some_and(|advice| advice.contains("`nova run --stream likes`")), "{error:?}");
    assert_eq!(bench.committed(0), Some(7), "not past the poison");
}

#[tokio::test(start_paused = true)]
async fn more_poison_than_the_limits_allow_halts_and_puts_nothing_aside() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0]), like(0, 0)].into_iter().chain((1..60).map(|offset| poison(0, offset))));
    let error = bench.ended().await.unwrap_err();
    assert!(!error.is_transient());
    let text = error.to_string();
    for part in ["59 of the last 60", "cdc.likes[0]@1:", "pipeline.dead_letter_share", "stand before it"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(bench.world.letters.lock().unwrap().is_empty(), "nothing is put aside");
    assert_eq!((bench.rows(), bench.committed(0)), (vec![], Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_block_halts_and_commits_nothing() {
    let mut bench = Bench::start(|world, _, _| {
        world.insert_faults.lock().unwrap().push_back(InsertFault::Reject(ErrorKind::SchemaMismatch));
    });
    bench.send([assigned(&[0]), like(0, 0)]);
    let error = bench.ended().await.unwrap_err();
    assert!(!error.is_transient() && error.reason().starts_with("cdc.likes[0]@0..1: "), "{}", error.reason());
    assert!(error.advice().is_some_and(|advice| advice.contains("`nova run --stream likes`")), "{error:?}");
    assert_eq!(bench.committed(0), Some(0));
    assert_eq!(*bench.world.closed.lock().unwrap(), 1, "leaves the group although it halts");
}

#[tokio::test(start_paused = true)]
async fn backpressure_pauses_and_resumes_and_loses_nothing() {
    let mut bench = Bench::start(|world, _, options| {
        options.batch_rows = 2;
        world.insert_faults.lock().unwrap().push_back(InsertFault::Hold);
    });
    bench.send([assigned(&[0])].into_iter().chain((0..6).map(|offset| like(0, offset))));
    bench.until("pause", |world| *world.pauses.lock().unwrap() == [true]).await;
    bench.world.hold.notify_one();
    bench.until("all rows", |world| world.offset(0) == Some(6)).await;
    assert_eq!(bench.rows(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(*bench.world.pauses.lock().unwrap(), [true, false]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_during_an_outage_ends_in_time_and_loses_nothing() {
    let mut bench = Bench::start(|world, _, _| {
        world.insert_faults.lock().unwrap().extend([InsertFault::Reject(ErrorKind::Unavailable); 50]);
    });
    bench.send([assigned(&[0]), like(0, 0)]);
    bench.until("an attempt", |world| !world.attempts.lock().unwrap().is_empty()).await;
    advance(Duration::from_secs(1)).await;
    bench.stop().await;
    assert_eq!(bench.committed(0), Some(0));
}

#[tokio::test(start_paused = true)]
async fn skips_alone_move_the_offsets_without_an_insert() {
    let mut bench = Bench::start(|_, _, _| {});
    let tombstone = SourceEvent::Message(FakeMessage { partition: 0, offset: 0, key: None, value: None });
    bench.send([assigned(&[0]), tombstone]);
    bench.until("commit", |world| world.offset(0) == Some(1)).await;
    assert!(bench.world.attempts.lock().unwrap().is_empty());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn keeps_the_rules_of_a_background_worker() {
    use nova_worker::conformance::{Limits, Scenario, check};

    let factory = |scenario| async move {
        let world = Arc::new(World::default());
        let connect = FakeConnect::new(&world);
        let load = match scenario {
            Scenario::Load => (0..50_000).map(|offset| like(0, offset)).collect(),
            _ => Vec::new(),
        };
        for event in [assigned(&[0])].into_iter().chain(load) {
            connect.sender.lock().unwrap().send(event).unwrap();
        }
        if matches!(scenario, Scenario::TransientFailure) {
            connect.failures.lock().unwrap().push_back(ErrorKind::Unavailable);
        }
        let options = PipelineOptions { new_group: NewGroup::FromBeginning, ..PipelineOptions::default() };
        Arc::new(StreamWorker::new("likes", "nova-likes", options, connect)) as Arc<dyn BackgroundWorker>
    };
    let limits = Limits { start: Duration::from_secs(5), stop: Duration::from_secs(30) };
    check(factory, limits).await.unwrap();
}

fn open_token() -> String {
    [(0, 3..5), (1, 0..1)].into_iter().collect::<Ranges>().token("cdc.likes", "post_engagement_events")
}

/// The row that a like becomes.
fn row(partition: i32, offset: i64) -> FakeRow {
    let SourceEvent::Message(message) = like(partition, offset) else { panic!("a message") };
    rows_of(&[message])[0]
}

/// The rows that messages become, as if nothing were doubtful.
fn rows_of(messages: &[FakeMessage]) -> Vec<FakeRow> {
    let mut batch = Batch::new(FakeBlock::default());
    let mapping = mapping();
    for message in messages {
        take(&mapping, "cdc.likes", message, &mut Position::default(), &mut batch).unwrap();
    }
    batch.block.0.iter().map(|row| FakeRow { standing: Standing::New, ..*row }).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_intent_prevents_the_insert() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0])]);
    bench.until("established", |world| world.commits.lock().unwrap().len() == 1).await;
    bench.world.commit_faults.lock().unwrap().push_back(ErrorKind::Fenced);
    bench.send([like(0, 0)]);
    assert!(bench.ended().await.unwrap_err().is_transient());
    assert!(bench.world.attempts.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn under_load_a_batch_costs_one_commit() {
    let mut bench = Bench::start(|_, _, options| options.batch_rows = 10);
    bench.send([assigned(&[0])].into_iter().chain((0..100).map(|offset| like(0, offset))));
    bench.until("all", |world| world.offset(0) == Some(100)).await;
    let log = bench.world.log.lock().unwrap().clone();
    let commits = log.iter().filter(|what| **what == "commit").count();
    assert_eq!(commits, 1 + 10 + 1, "the start, one per batch, the end: {log:?}");
    bench.stop().await;
}
