//! Events of every version mapped to the cells of a table, and declarations that cannot be right.

use super::*;
use crate::{Cell, Column, Lineage, Mapped, Mapping, StreamSet, TableSchema};

const STREAM: &str = r#"
[streams.engagement]
worker = "events"
topic  = "events.engagement"
format = "envelope"
source = "public.engagement_outbox"
table  = "post_engagement_events"
key    = ["id"]
time   = "created_at"
[streams.engagement.columns]
event_time    = { field = "timestamp" }
event_type    = { field = "event_type" }
post_id       = { field = "post_id" }
dwell_time_ms = { field = "dwell_time_ms" }
"#;

const EVENT: u128 = 0x018f_2f00_1000_7000_8000_0000_0000_0003;
const POST: u128 = 0x7d44_4840_9dc0_11d1_b245_5ffd_ce74_fad2;

fn table(enum_type: &str) -> TableSchema {
    let columns = [
        ("event_time", "DateTime64(3)"),
        ("event_type", enum_type),
        ("post_id", "UUID"),
        ("dwell_time_ms", "UInt32"),
        ("sign", "Int8"),
        ("event_id", "UUID"),
        ("source_key", "UUID"),
        ("source_lsn", "UInt64"),
        ("source_tx", "UInt64"),
        ("topic", "String"),
        ("kafka_partition", "UInt32"),
        ("kafka_offset", "UInt64"),
        ("ordinal", "UInt8"),
    ];
    let column = |(name, text): (&str, &str)| Column {
        name: name.to_owned(),
        column_type: ColumnType::parse(text).unwrap(),
        has_default: false,
    };
    TableSchema { name: "t".to_owned(), columns: columns.into_iter().map(column).collect() }
}

fn document(version: u32, time: &str, more: &str) -> String {
    format!(
        r#"{{"version":{version},"event_id":"{}","timestamp":{time},"event_type":"view","post_id":"{}",
        "user_id":"1b4e28ba-2fa1-11d2-883f-0016d3cca427"{more}}}"#,
        uuid::Uuid::from_u128(EVENT),
        uuid::Uuid::from_u128(POST)
    )
}

#[test]
fn all_versions_become_rows_of_one_form() {
    let streams = StreamSet::parse("streams.toml", STREAM).unwrap();
    let table = table("Enum8('view' = 1, 'share' = 4)");
    let mapping = Mapping::compile(streams.get("engagement").unwrap(), &table).unwrap();
    let lineage = Lineage { topic: "events.engagement", partition: 3, offset: 9 };
    let origin = EventOrigin { seq: Some(17), tx_id: Some(1 << 40), sent_ms: None };
    let cases = [
        // A field of a later version does not count in an earlier one.
        (document(1, "1763726400", r#","dwell_time_ms":9"#), 1_763_726_400_000, 0),
        (document(2, "1763726400123", r#","dwell_time_ms":4200"#), 1_763_726_400_123, 4200),
        (
            document(3, r#""2025-11-21T12:00:00.1239Z""#, r#","dwell_time_ms":4200,"producer":"a/1""#),
            1_763_726_400_123,
            4200,
        ),
    ];
    for (document, time, dwell) in cases {
        let event = decode_event(document.as_bytes(), origin).unwrap();
        let Mapped::Rows(rows) = mapping.map(&event, lineage).unwrap() else { panic!("no rows") };
        let (id, post) = (uuid::Uuid::from_u128(EVENT), uuid::Uuid::from_u128(POST));
        let expected = [
            Cell::UInt(dwell),
            Cell::Ticks(time),
            Cell::Int(1),
            Cell::Uuid(post),
            Cell::Int(1),
            Cell::Uuid(id),
            Cell::Uuid(id),
            Cell::UInt(17),
            Cell::UInt(1 << 40),
            Cell::Text("events.engagement".into()),
            Cell::UInt(3),
            Cell::UInt(9),
            Cell::UInt(0),
        ];
        assert_eq!(rows, [expected.to_vec()], "{document}");
    }
}

#[test]
fn the_age_of_a_message_is_the_brokers_and_else_the_events() {
    let document = document(1, "1763726400", "");
    let ts_us = |sent_ms| {
        let origin = EventOrigin { sent_ms, ..EventOrigin::default() };
        decode_event(document.as_bytes(), origin).unwrap().payload.source.ts_us
    };
    assert_eq!((ts_us(Some(7)), ts_us(None)), (7_000, 1_763_726_400_000_000));
}

/// The findings of a declaration with one text in place of another.
fn findings(from: &str, to: &str, enum_type: &str) -> String {
    assert!(STREAM.contains(from), "{from}");
    match StreamSet::parse("streams.toml", &STREAM.replacen(from, to, 1)) {
        Err(error) => error.to_string(),
        Ok(streams) => {
            let stream = streams.get("engagement").unwrap();
            Mapping::compile(stream, &table(enum_type)).map(drop).unwrap_err().to_string()
        }
    }
}

#[test]
fn declarations_that_cannot_be_right_are_refused_with_their_line() {
    let both = "Enum8('view' = 1, 'share' = 4)";
    let cases = [
        ("[\"id\"]", "[\"post_id\"]", both, "streams.toml:8: streams.engagement.key"),
        ("\"dwell_time_ms\"", "\"dwell_time\"", both, "did you mean `dwell_time_ms`?"),
        ("\"dwell_time_ms\"", "\"body\"", both, "streams.toml:14: streams.engagement.columns.dwell_time_ms"),
        ("\"dwell_time_ms\"", "\"post_id\"", both, "an event's `post_id` does not fit UInt32"),
        ("\"timestamp\"", "\"dwell_time_ms\"", both, "does not fit DateTime64(3)"),
        ("\"event_type\"", "\"timestamp\"", both, "is a time, and does not fit Enum8"),
        ("\"timestamp\"", "\"timestamp\", unit = \"ms\"", both, "no `unit`"),
        ("\"events\"", "\"events\"", "Enum8('view' = 1)", "an event's `event_type` does not fit"),
    ];
    for (from, to, enum_type, expected) in cases {
        let found = findings(from, to, enum_type);
        assert!(found.contains(expected), "{from} -> {to}: {found}");
    }
}
