//! Messages that were put aside and are taken up again.

use std::sync::Arc;

use nova_streams::SkipReason;

use super::row;
use crate::fakes::{
    FakeBlock, FakeMessage, FakeRow, FakeSink, InsertFault, World, like, mapping, message, poison, source,
};
use crate::{Block as _, DeadLetter, ErrorKind, Formed, Policy, Redelivery, SourceEvent, SourceMessage as _};

fn letter(event: SourceEvent<FakeMessage>) -> DeadLetter {
    let SourceEvent::Message(message) = event else { panic!("a message") };
    DeadLetter {
        stream: "likes".to_owned(),
        topic: "cdc.likes".to_owned(),
        partition: message.partition,
        offset: message.offset,
        headers: message.headers(),
        key: message.key,
        value: message.value,
        kind: ErrorKind::Unmappable,
        reason: "of those days".to_owned(),
        path: String::new(),
    }
}

struct Bench {
    world: Arc<World>,
    redelivery: Redelivery<FakeSink>,
}

impl Bench {
    fn new(rows: Vec<FakeRow>) -> Self {
        let world = Arc::new(World::default());
        world.inserted.lock().unwrap().push((String::new(), rows));
        let sink = FakeSink { world: Arc::clone(&world) };
        Self { world, redelivery: Redelivery::new("cdc.likes", mapping(), sink) }
    }

    fn formed(&self, letter: &DeadLetter) -> FakeBlock {
        let Formed::Rows { block, event_id } = self.redelivery.form(letter) else { panic!("no rows") };
        assert_eq!(event_id, Some(block.0[0].id.event_id));
        block
    }

    /// Rows that were lacking, rows that were there, and why none are wanted.
    async fn again(&self, letter: &DeadLetter) -> (usize, usize, Option<SkipReason>) {
        let lacking = self.redelivery.lacking(letter, &self.formed(letter)).await.unwrap();
        let rows = lacking.block.rows();
        let has = self.redelivery.insert(letter, &lacking.block).await.unwrap();
        assert_eq!(has, rows, "of the rows that it lacked");
        (rows, lacking.there, lacking.known)
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_becomes_its_rows_once_under_a_token_of_its_own() {
    let bench = Bench::new(vec![row(0, 3)]);
    let letter = letter(like(0, 7));
    assert_eq!(bench.again(&letter).await, (1, 0, None));
    assert_eq!(bench.again(&letter).await, (0, 1, None), "found by its lineage");
    assert_eq!(bench.world.rows(), [row(0, 3), row(0, 7)]);
    let attempts = bench.world.attempts.lock().unwrap().clone();
    let [(token, _)] = &attempts[..] else { panic!("{attempts:?}") };
    let batch = [(0, 7..8)].into_iter().collect::<crate::Ranges>();
    assert_eq!(*token, format!("letter-{}", batch.token("cdc.likes", "post_engagement_events")));
}

#[tokio::test(start_paused = true)]
async fn what_another_message_has_told_is_left_out() {
    let bench = Bench::new(vec![row(0, 3)]);
    let again = DeadLetter { offset: 9, ..letter(like(0, 3)) };
    assert_eq!(bench.again(&again).await, (0, 0, Some(SkipReason::Repeated)));
    let change = r#""before":null,"after":{"id":"l0-3","user_id":7},"op":"r""#;
    let read = message(0, 10, "l0-3", change, &source(None, 5_000, 900, "true"));
    let read = letter(SourceEvent::Message(read));
    assert_eq!(bench.again(&read).await, (0, 0, Some(SkipReason::AlreadyThere)));
    assert_eq!(bench.world.rows().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_a_lost_reply_and_a_forgotten_part_leave_the_rows_once() {
    let bench = Bench::new(Vec::new());
    let faults =
        [InsertFault::Reject(ErrorKind::Unavailable), InsertFault::DropSilently, InsertFault::FailAfterWrite];
    bench.world.insert_faults.lock().unwrap().extend(faults);
    assert_eq!(bench.again(&letter(like(0, 7))).await, (1, 0, None));
    assert_eq!(bench.world.rows().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_lasts_ends_the_attempt_and_a_later_one_succeeds() {
    let bench = Bench::new(Vec::new());
    let letter = letter(like(0, 7));
    bench.world.insert_faults.lock().unwrap().extend([InsertFault::Reject(ErrorKind::Unavailable); 5]);
    let block = bench.formed(&letter);
    let error = bench.redelivery.insert(&letter, &block).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(bench.again(&letter).await, (1, 0, None));
}

#[tokio::test(start_paused = true)]
async fn what_was_told_since_it_was_judged_is_left_out() {
    let bench = Bench::new(Vec::new());
    let letter = letter(like(0, 7));
    let lacking = bench.redelivery.lacking(&letter, &bench.formed(&letter)).await.unwrap();
    let again = DeadLetter { offset: 9, ..letter.clone() };
    assert_eq!(bench.again(&again).await, (1, 0, None), "the stream tells it by another message");
    assert_eq!(bench.redelivery.insert(&letter, &lacking.block).await, Ok(0));
    assert_eq!(bench.world.rows().len(), 1);
}

#[tokio::test]
async fn what_is_still_poison_says_why_and_what_needs_no_rows_is_no_poison() {
    let bench = Bench::new(Vec::new());
    let Formed::Refused(error) = bench.redelivery.form(&letter(poison(0, 1))) else { panic!("refused") };
    assert_eq!(error.kind.policy(), Policy::DeadLetter);
    assert_ne!(error.message, "of those days");
    let tombstone = DeadLetter { value: None, ..letter(like(0, 7)) };
    assert!(matches!(bench.redelivery.form(&tombstone), Formed::Skipped(SkipReason::Tombstone)));
}
