//! Ranges that are taken up again: what the table lacks is written once, and what later messages made good is left alone.

use std::sync::Arc;

use nova_streams::SkipReason;
use nova_worker::CancellationToken;
use uuid::Uuid;

use super::{row, rows_of};
use crate::fakes::{
    FakeDeadLetters, FakeMessage, FakeRow, FakeSink, InsertFault, World, like, mapping, message, poison,
    source,
};
use crate::{
    ErrorKind, PipelineError, PoisonLimits, REPAIR_PARTITION, Replay, ReplayParts, Replayed, RowId,
    SourceEvent,
};

const JOB: Uuid = Uuid::from_u128(7);

struct Bench {
    world: Arc<World>,
    replay: Replay<FakeSink, FakeDeadLetters>,
}

impl Bench {
    fn new(rows: Vec<FakeRow>) -> Self {
        let world = Arc::new(World::default());
        world.inserted.lock().unwrap().push((String::new(), rows));
        let replay = Replay::new(ReplayParts {
            topic: "cdc.likes".to_owned(),
            mapping: mapping(),
            sink: FakeSink { world: Arc::clone(&world) },
            dead_letters: Some(FakeDeadLetters(Arc::clone(&world))),
            poison: PoisonLimits { count: 2, ..PoisonLimits::default() },
            job: JOB,
            status: Arc::default(),
            shutdown: CancellationToken::new(),
        });
        Self { world, replay }
    }

    /// Replays these messages of partition 0 as one chunk.
    async fn replay(&self, messages: &[FakeMessage]) -> Result<Replayed, PipelineError> {
        let mut chunk = self.replay.chunk(0, messages[0].offset);
        for message in messages {
            self.replay.take(&mut chunk, message)?;
            chunk.ends(message.offset + 1);
        }
        self.replay.write(chunk).await
    }

    /// Rows written, rows that were there, messages left out.
    async fn counts(&self, messages: &[FakeMessage]) -> (u64, u64, u64) {
        let replayed = self.replay(messages).await.unwrap();
        (replayed.written, replayed.already_there, replayed.left_out)
    }

    /// Key and value of every row that counts, once for each time.
    fn state(&self, key: Uuid) -> Vec<(i64, i64)> {
        let mut rows: Vec<_> =
            self.world.rows().iter().filter(|row| row.key == key).map(|row| (row.value, row.sign)).collect();
        rows.sort_unstable();
        rows
    }
}

fn event(event: SourceEvent<FakeMessage>) -> FakeMessage {
    let SourceEvent::Message(message) = event else { panic!("a message") };
    message
}

fn likes(offsets: std::ops::Range<i64>) -> Vec<FakeMessage> {
    offsets.map(|offset| event(like(0, offset))).collect()
}

/// The like of offset `first`, changed at `offset` from one user to another.
fn update(offset: i64, first: i64, from: i64, to: i64) -> FakeMessage {
    let key = format!("l0-{first}");
    let image = |user| format!(r#"{{"id":"{key}","user_id":{user}}}"#);
    let change = format!(r#""before":{},"after":{},"op":"u""#, image(from), image(to));
    message(0, offset, &key, &change, &source(Some("9000"), 9_000 + offset, 900 + offset, "false"))
}

/// The same as a snapshot reads it.
fn read(offset: i64, first: i64, user: i64) -> FakeMessage {
    let key = format!("l0-{first}");
    let change = format!(r#""before":null,"after":{{"id":"{key}","user_id":{user}}},"op":"r""#);
    message(0, offset, &key, &change, &source(None, 5_000, 900, "true"))
}

/// The rows of these messages, as somebody else wrote them.
fn elsewhere(messages: &[FakeMessage]) -> Vec<FakeRow> {
    let moved = |row: FakeRow| FakeRow {
        id: RowId { partition: REPAIR_PARTITION, event_id: Uuid::nil(), ..row.id },
        ..row
    };
    rows_of(messages).into_iter().map(moved).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_written_once_and_what_is_there_costs_one_question() {
    let bench = Bench::new(vec![row(0, 1), row(0, 3), row(1, 2)]);
    assert_eq!(bench.counts(&likes(0..5)).await, (3, 2, 0));
    let token = bench.world.attempts.lock().unwrap()[0].0.clone();
    let ranges = [(0, 0..5)].into_iter().collect::<crate::Ranges>();
    assert_eq!(
        token,
        format!("replay-{}-{}", JOB.simple(), ranges.token("cdc.likes", "post_engagement_events"))
    );
    bench.world.log.lock().unwrap().clear();
    assert_eq!(bench.counts(&likes(0..5)).await, (0, 5, 0));
    assert!(bench.world.log.lock().unwrap().is_empty(), "nothing but the lineage was asked");
    assert_eq!(bench.world.rows().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_outage_a_lost_reply_and_a_forgotten_part_leave_the_rows_once() {
    let bench = Bench::new(Vec::new());
    let faults = [
        InsertFault::Reject(ErrorKind::Unavailable),
        InsertFault::Reject(ErrorKind::ReadOnly),
        InsertFault::DropSilently,
        InsertFault::FailAfterWrite,
    ];
    bench.world.insert_faults.lock().unwrap().extend(faults);
    assert_eq!(bench.counts(&likes(0..3)).await, (3, 0, 0));
    assert_eq!(bench.world.rows(), rows_of(&likes(0..3)));
}

#[tokio::test(start_paused = true)]
async fn what_another_message_has_told_is_left_out() {
    let bench = Bench::new(vec![row(0, 1)]);
    let again = FakeMessage { offset: 9, ..event(like(0, 1)) };
    let replayed = bench.replay(&[event(like(0, 8)), again]).await.unwrap();
    assert_eq!((replayed.written, replayed.skipped.get(&SkipReason::Repeated)), (1, Some(&1)));
}

#[tokio::test(start_paused = true)]
async fn a_snapshots_row_is_written_where_its_key_is_not_in_order_and_nowhere_else() {
    let deleted = |offset, row: FakeRow| FakeRow { id: RowId { offset, ..row.id }, sign: -1, ..row };
    // Key 0 was never known. Key 1 was repaired after the snapshot; key 2 deleted; key 3 repaired and deleted.
    let mut table = vec![row(0, 1), row(0, 2), deleted(30, row(0, 2)), row(0, 3)];
    table.push(deleted(31, FakeRow { value: 8, ..row(0, 3) }));
    table.extend(elsewhere(&[update(70, 1, 7, 8), update(71, 3, 7, 8)]));
    let bench = Bench::new(table.clone());
    let reads = [read(10, 0, 7), read(11, 1, 7), read(12, 2, 7), read(13, 3, 7)];
    let replayed = bench.replay(&reads).await.unwrap();
    assert_eq!((replayed.written, replayed.skipped.get(&SkipReason::AlreadyThere)), (1, Some(&3)));
    assert_eq!(bench.world.rows()[table.len()..], rows_of(&reads[..1]));
    assert_eq!(bench.counts(&reads).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_second_row_of_a_state_is_missed_although_the_first_is_there() {
    // The snapshot found another value than the table: -1 and +1, in two months, and the +1 was lost.
    let minus = FakeRow { id: rows_of(&[read(10, 1, 8)])[0].id, sign: -1, ..row(0, 1) };
    let bench = Bench::new(vec![row(0, 1), minus]);
    assert_eq!(bench.counts(&[read(10, 1, 8)]).await, (1, 1, 0));
    assert_eq!(bench.state(row(0, 1).key), [(7, -1), (7, 1), (8, 1)]);
    assert_eq!(bench.counts(&[read(10, 1, 8)]).await, (0, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_made_good_meanwhile_is_left_out_and_what_waits_for_others_comes_in_a_second_pass() {
    // A snapshot or a repair has written the last value already.
    let history = [event(like(0, 0)), update(3, 0, 7, 8)];
    let bench = Bench::new(elsewhere(&[read(50, 0, 8)]));
    assert_eq!(bench.counts(&history).await, (0, 0, 2));
    assert_eq!(bench.counts(&history[..1]).await, (0, 0, 1), "also one by one");
    assert_eq!(bench.counts(&history[1..]).await, (0, 0, 1));
    // An update behind the range is there: its rows take away what only the update in between will bring.
    let bench = Bench::new(rows_of(&[update(9, 0, 8, 9)]));
    assert_eq!(bench.counts(&history[..1]).await, (0, 0, 1));
    assert_eq!(bench.counts(&history[1..]).await, (2, 0, 0));
    assert_eq!(bench.counts(&history[..1]).await, (1, 0, 0));
    assert_eq!(bench.state(row(0, 0).key), [(7, -1), (7, 1), (8, -1), (8, 1), (9, 1)]);
}

#[tokio::test(start_paused = true)]
async fn poison_is_put_aside_once_unless_the_table_has_its_rows_and_too_much_of_it_stops() {
    let mut known = row(0, 1);
    known.id.event_id = Uuid::from_u128(99);
    let bench = Bench::new(vec![known]);
    let replayed =
        bench.replay(&[event(like(0, 0)), event(poison(0, 1)), event(poison(0, 2))]).await.unwrap();
    let letters: Vec<i64> = bench.world.letters.lock().unwrap().iter().map(|letter| letter.offset).collect();
    assert_eq!((letters, replayed.refused.len(), replayed.written), (vec![2], 1, 1));
    let mut chunk = bench.replay.chunk(0, 2);
    chunk.leave_to_letter(&event(poison(0, 2)));
    chunk.ends(3);
    let replayed = bench.replay.write(chunk).await.unwrap();
    assert_eq!((replayed.letters, replayed.refused.len()), (1, 0), "it lies there");
    let many = [event(like(0, 10)), event(poison(0, 11)), event(poison(0, 12))];
    let error = bench.replay(&many).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Poisoned);
    assert!(
        error.message.contains("cdc.likes[0]@11") && error.message.contains("dead_letter_limit"),
        "{error}"
    );
    assert_eq!(
        (bench.world.letters.lock().unwrap().len(), bench.world.rows().len()),
        (1, 2),
        "nothing of it"
    );
}
