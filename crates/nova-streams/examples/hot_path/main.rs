//! The work of one message, for counting its instructions: bytes → decode → map → RowBinary.
//!
//! `cargo xtask instructions` runs this under callgrind, which writes one dump for each call of
//! [`measured_messages`], in the order of the lines printed here: case, contestant, messages, bytes of a message.
//! Words on the command line (a case, a contestant) choose what runs, to profile it alone.
//!
//! Invariant: both contestants read the same bytes and the same fields. The messages of a case differ in ids,
//! times and positions, as messages in life do.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring program; it fails by panicking")]

mod derived;
// The crate it belongs to brings an HTTP client, which takes minutes to build; the file itself needs none.
#[path = "../../../nova-clickhouse/src/encoder.rs"]
mod encoder;
mod messages;

use std::hint::black_box;

use encoder::Encoder;
use nova_debezium::{Message, Record, decode};
use nova_streams::{Column, ColumnType, Lineage, Mapped, Mapping, StreamSet, TableSchema};

use messages::{Case, Recorded};

/// How many messages one dump counts.
const MESSAGES: usize = 1_000;

const COLUMNS: [(&str, &str); 14] = [
    ("event_time", "DateTime64(3, 'UTC')"),
    ("event_type", "Enum8('view' = 1, 'like' = 2, 'comment' = 3, 'share' = 4)"),
    ("post_id", "UUID"),
    ("user_id", "UUID"),
    ("dwell_time_ms", "UInt32"),
    ("sign", "Int8"),
    ("event_id", "UUID"),
    ("source_key", "UUID"),
    ("source_lsn", "UInt64"),
    ("source_tx", "UInt64"),
    ("topic", "LowCardinality(String)"),
    ("kafka_partition", "UInt32"),
    ("kafka_offset", "UInt64"),
    ("ordinal", "UInt8"),
];

fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let mapping = mapping();
    let encoders: Vec<Encoder> = mapping.columns().iter().map(|(_, kind)| Encoder::new(kind)).collect();
    for case in Case::ALL {
        let messages = case.messages();
        let bytes = messages.iter().map(|message| message.value.len()).sum::<usize>() / messages.len();
        let measure = |contestant: &str, work: &mut dyn FnMut(&Recorded)| {
            if only.iter().all(|word| word == case.name() || word == contestant) {
                println!("{}\t{contestant}\t{MESSAGES}\t{bytes}", case.name());
                measured_messages(&messages, work);
            }
        };
        measure("serde_json", &mut |message| derived::read(&message.value));
        measure("decode", &mut decoded);
        measure("decode+map", &mut |message| mapped(&mapping, message));
        let mut body = Vec::new();
        measure("decode+map+encode", &mut |message| encoded(&mapping, &encoders, message, &mut body));
    }
}

/// What callgrind counts: entering it switches the counters on, leaving it writes a dump.
#[inline(never)]
fn measured_messages(messages: &[Recorded], work: &mut dyn FnMut(&Recorded)) {
    for message in messages.iter().cycle().take(MESSAGES) {
        work(message);
    }
}

fn decoded(message: &Recorded) {
    black_box(decode(message.record()).unwrap());
}

fn mapped(mapping: &Mapping, message: &Recorded) {
    let Message::Change(event) = decode(message.record()).unwrap() else { return };
    black_box(mapping.map(&event, lineage()).unwrap());
}

fn encoded(mapping: &Mapping, encoders: &[Encoder], message: &Recorded, body: &mut Vec<u8>) {
    let Message::Change(event) = decode(message.record()).unwrap() else { return };
    if let Mapped::Rows(rows) = mapping.map(&event, lineage()).unwrap() {
        for row in &rows {
            encoders.iter().zip(row).for_each(|(encoder, cell)| encoder.write(cell, body).unwrap());
        }
    }
}

fn lineage() -> Lineage<'static> {
    Lineage { topic: "cdc.likes", partition: 0, offset: 41 }
}

/// The project's own `likes` stream over its own table.
fn mapping() -> Mapping {
    let streams = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/streams.toml");
    let streams = StreamSet::load(streams.as_ref()).unwrap();
    let column = |(name, text): (&str, &str)| Column {
        name: name.to_owned(),
        column_type: ColumnType::parse(text).unwrap(),
        has_default: false,
    };
    let columns = COLUMNS.into_iter().map(column).collect();
    let table = TableSchema { name: "post_engagement_events".to_owned(), columns };
    Mapping::compile(streams.get("likes").unwrap(), &table).unwrap()
}

impl Recorded {
    fn record(&self) -> Record<'_> {
        Record { key: Some(&self.key), value: Some(&self.value) }
    }
}
