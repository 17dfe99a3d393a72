//! Events of an outbox on their way into a batch: how they stand by their numbers, and what becomes a dead letter.

use nova_streams::Mapping;
use uuid::Uuid;

use crate::batch::Batch;
use crate::fakes::{FakeBlock, mapping_of};
use crate::transform::{event_id, take};
use crate::{ErrorKind, Position, SourceMessage, Standing};

/// A message with headers.
#[derive(Clone)]
struct Event {
    offset: i64,
    value: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl SourceMessage for Event {
    fn partition(&self) -> i32 {
        0
    }
    fn offset(&self) -> i64 {
        self.offset
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref().map(str::as_bytes)
    }
    fn timestamp_ms(&self) -> Option<i64> {
        Some(1_700_000_000_000)
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_bytes())
    }
    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let copied = |(key, value): &(&str, String)| ((*key).to_owned(), Some(value.clone().into_bytes()));
        self.headers.iter().map(copied).collect()
    }
}

fn stream() -> Mapping {
    mapping_of(
        r#"
        [streams.likes]
        worker = "events"
        topic = "events.engagement"
        format = "envelope"
        source = "public.engagement_outbox"
        table = "post_engagement_events"
        key = ["id"]
        time = "created_at"
        [streams.likes.columns]
        user_id = { field = "dwell_time_ms" }
    "#,
    )
}

fn document(version: u32, id: u128) -> String {
    let (id, other) = (Uuid::from_u128(id), Uuid::from_u128(7));
    format!(
        r#"{{"version":{version},"event_id":"{id}","timestamp":1700000000,"event_type":"view","post_id":"{other}","user_id":"{other}"}}"#
    )
}

/// The event `id` with this number at this offset.
fn event(offset: i64, id: u128, seq: Option<&str>) -> Event {
    let seq = seq.map(|seq| ("seq", seq.to_owned()));
    let headers = seq.into_iter().chain([("source_tx", "700".to_owned())]).collect();
    Event { offset, value: Some(document(1, id)), headers }
}

fn taken(position: &mut Position, events: &[Event]) -> Batch<FakeBlock> {
    let mut batch = Batch::new(FakeBlock::default());
    for event in events {
        take(&stream(), "events.engagement", event, position, &mut batch).unwrap();
    }
    batch
}

#[test]
fn what_was_told_before_in_the_partition_is_never_new() {
    let mut position = Position::default();
    let events = [
        event(0, 10, Some("10")),
        event(1, 12, Some("12")),
        // An overtaken transaction; a repeat; the last one once more; a later one.
        event(2, 11, Some("11")),
        event(3, 10, Some("10")),
        event(4, 12, Some("12")),
        event(5, 13, Some("13")),
    ];
    let batch = taken(&mut position, &events);
    let standings: Vec<Standing> = batch.block.0.iter().map(|row| row.standing).collect();
    use Standing::{Doubtful, New};
    assert_eq!(standings, [New, New, Doubtful, Doubtful, Doubtful, New]);
    assert_eq!(batch.block.0.iter().map(|row| row.lsn).collect::<Vec<_>>(), [10, 12, 11, 10, 12, 13]);
    assert_eq!(batch.block.0[0].id.event_id, Uuid::from_u128(10), "the producer's own");
    assert_eq!(batch.block.0[0].key, Uuid::from_u128(10));
    // What a worker after this one knows.
    let mut position = Position::parse(&position.to_string()).unwrap();
    let batch = taken(&mut position, &[event(6, 13, Some("13")), event(7, 14, Some("14"))]);
    assert_eq!(batch.block.0.iter().map(|row| row.standing).collect::<Vec<_>>(), [Doubtful, New]);
}

#[test]
fn an_event_without_a_number_is_always_doubtful() {
    let events = [event(0, 1, None), event(1, 2, Some("")), event(2, 3, Some("-4")), event(3, 4, Some("4"))];
    let batch = taken(&mut Position::default(), &events);
    let doubtful = batch.block.0.iter().filter(|row| row.standing == Standing::Doubtful).count();
    assert_eq!((doubtful, batch.letters.len()), (3, 0));
}

#[test]
fn numbers_that_the_table_has_from_another_reading_are_doubtful() {
    let batch =
        taken(&mut Position::behind(0, 12, false), &[event(0, 12, Some("12")), event(1, 13, Some("13"))]);
    assert_eq!(
        batch.block.0.iter().map(|row| row.standing).collect::<Vec<_>>(),
        [Standing::Doubtful, Standing::New]
    );
}

#[test]
fn what_is_no_event_of_a_known_version_is_a_dead_letter_with_its_path() {
    let newer = Event { value: Some(document(4, 1)), ..event(0, 1, Some("1")) };
    let broken = Event { value: Some("{".to_owned()), ..event(1, 1, Some("1")) };
    let tombstone = Event { value: None, ..event(2, 1, None) };
    let batch = taken(&mut Position::default(), &[newer.clone(), broken, tombstone]);
    assert_eq!((batch.messages, batch.letters.len(), batch.skipped.len()), (3, 2, 1));
    let letter = &batch.letters[0];
    assert_eq!((letter.kind, letter.path.as_str()), (ErrorKind::Malformed, "version"));
    assert!(letter.reason.contains("version 4 is newer than version 3"), "{}", letter.reason);
    assert_eq!(letter.headers.len(), 2);
    assert_eq!(batch.letters[1].path, "document");
    assert_eq!(event_id(stream().format(), &newer), None);
}
