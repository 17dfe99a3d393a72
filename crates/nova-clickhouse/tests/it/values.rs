//! Every column type through the production encoder and back: the server says, in text, what it has stored, and writes
//! the same bytes when it is asked for a row's state.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_clickhouse::{Client, RowBinaryBlock, TableSink};
use nova_pipeline::{Block as _, MessageRows, Ranges, Sink as _, Standing};
use nova_streams::{Cell, LINEAGE_COLUMNS, Row};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::server::{Server, number, sink};

/// Type, how the server is asked for the value as text, and the kind of cells to make.
type Column = (&'static str, &'static str, Kind);

const COLUMNS: &[Column] = &[
    ("Bool", "toUInt8(?)", Kind::Bool),
    ("Int8", "?", Kind::Int(8)),
    ("Int16", "?", Kind::Int(16)),
    ("Int32", "?", Kind::Int(32)),
    ("Int64", "?", Kind::Int(64)),
    ("UInt8", "?", Kind::UInt(8)),
    ("UInt16", "?", Kind::UInt(16)),
    ("UInt32", "?", Kind::UInt(32)),
    ("UInt64", "?", Kind::UInt(64)),
    ("Float32", "reinterpretAsUInt32(?)", Kind::Float32),
    ("Float64", "reinterpretAsUInt64(?)", Kind::Float64),
    ("String", "hex(?)", Kind::Bytes),
    ("LowCardinality(String)", "hex(?)", Kind::Text),
    ("UUID", "?", Kind::Uuid),
    ("Date", "toInt32(?)", Kind::Days(0, 65_535)),
    ("Date32", "toInt32(?)", Kind::Days(-25_567, 120_529)),
    ("DateTime('Europe/Zurich')", "toUnixTimestamp(?)", Kind::Ticks(0, 4_294_967_295)),
    ("DateTime64(0, 'UTC')", "toInt64(?)", Kind::Ticks(-2_208_988_800, 10_413_791_999)),
    (
        "DateTime64(3, 'UTC')",
        "toUnixTimestamp64Milli(?)",
        Kind::Ticks(-2_208_988_800_000, 10_413_791_999_999),
    ),
    (
        "DateTime64(6)",
        "toUnixTimestamp64Micro(?)",
        Kind::Ticks(-2_208_988_800_000_000, 10_413_791_999_999_999),
    ),
    ("DateTime64(9, 'UTC')", "toUnixTimestamp64Nano(?)", Kind::Ticks(-2_208_988_800_000_000_000, i64::MAX)),
    ("Decimal(9, 2)", "?", Kind::Decimal(9, 2)),
    ("Decimal(18, 4)", "?", Kind::Decimal(18, 4)),
    ("Decimal(38, 10)", "?", Kind::Decimal(38, 10)),
    ("Enum8('a' = -128, 'b,\\'' = 0, 'c' = 127)", "CAST(?, 'Int16')", Kind::OneOf(&[-128, 0, 127])),
    ("Enum16('a' = -32768, 'b' = 300)", "CAST(?, 'Int16')", Kind::OneOf(&[-32768, 300])),
    ("Nullable(Int32)", "?", Kind::Nullable(&Kind::Int(32))),
    ("LowCardinality(Nullable(String))", "hex(?)", Kind::Nullable(&Kind::Text)),
    ("Nullable(UUID)", "?", Kind::Nullable(&Kind::Uuid)),
    ("Array(UInt16)", "arrayStringConcat(arrayMap(x -> toString(x), ?), ' ')", Kind::Array(&Kind::UInt(16))),
    (
        "Array(Nullable(Int64))",
        "arrayStringConcat(arrayMap(x -> ifNull(toString(x), 'NULL'), ?), ' ')",
        Kind::Array(&Kind::Nullable(&Kind::Int(64))),
    ),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    Int(u8),
    UInt(u8),
    Float32,
    Float64,
    Bytes,
    Text,
    Uuid,
    Days(i32, i32),
    Ticks(i64, i64),
    Decimal(u32, u32),
    OneOf(&'static [i64]),
    Nullable(&'static Kind),
    Array(&'static Kind),
}

type Cells = BoxedStrategy<Cell<'static>>;

/// Values of a kind; both ends of its range come up often.
fn cells(kind: Kind) -> Cells {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Cell::Bool).boxed(),
        Kind::Int(bits) => {
            let (low, high) = (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits));
            prop_oneof![Just(low), Just(high), low..=high].prop_map(Cell::Int).boxed()
        }
        Kind::UInt(bits) => {
            let high = u64::MAX >> (64 - bits);
            prop_oneof![Just(high), 0..=high].prop_map(Cell::UInt).boxed()
        }
        Kind::Float32 => any::<f32>().prop_map(|value| Cell::Float(value.into())).boxed(),
        Kind::Float64 => {
            prop_oneof![any::<f64>(), Just(f64::INFINITY), Just(-0.0)].prop_map(Cell::Float).boxed()
        }
        Kind::Bytes => {
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Cell::Bytes(bytes.into())).boxed()
        }
        Kind::Text => any::<String>().prop_map(|text| Cell::Text(text.into())).boxed(),
        Kind::Uuid => any::<u128>().prop_map(|bits| Cell::Uuid(Uuid::from_u128(bits))).boxed(),
        Kind::Days(low, high) => prop_oneof![Just(low), Just(high), low..=high].prop_map(Cell::Days).boxed(),
        Kind::Ticks(low, high) => {
            prop_oneof![Just(low), Just(high), low..=high].prop_map(Cell::Ticks).boxed()
        }
        Kind::Decimal(precision, _) => {
            let high = 10i128.pow(precision) - 1;
            prop_oneof![Just(-high), Just(high), -high..=high].prop_map(Cell::Decimal).boxed()
        }
        Kind::OneOf(numbers) => proptest::sample::select(numbers).prop_map(Cell::Int).boxed(),
        Kind::Nullable(inner) => prop_oneof![Just(Cell::Null), cells(*inner)].boxed(),
        Kind::Array(inner) => proptest::collection::vec(cells(*inner), 0..5).prop_map(Cell::Array).boxed(),
    }
}

/// The text by which the server should answer for this cell.
fn expected(kind: Kind, cell: &Cell<'_>) -> String {
    match (kind, cell) {
        (_, Cell::Null) => "\\N".to_owned(),
        (Kind::Nullable(inner), cell) => expected(*inner, cell),
        (Kind::Array(inner), Cell::Array(cells)) => {
            let text =
                |cell| if matches!(cell, &Cell::Null) { "NULL".to_owned() } else { expected(*inner, cell) };
            cells.iter().map(text).collect::<Vec<_>>().join(" ")
        }
        (_, Cell::Bool(value)) => u8::from(*value).to_string(),
        (_, Cell::Int(value) | Cell::Ticks(value)) => value.to_string(),
        (_, Cell::UInt(value)) => value.to_string(),
        #[expect(clippy::cast_possible_truncation, reason = "made from a f32")]
        (Kind::Float32, Cell::Float(value)) => (*value as f32).to_bits().to_string(),
        (_, Cell::Float(value)) => value.to_bits().to_string(),
        (_, Cell::Text(text)) => hex(text.as_bytes()),
        (_, Cell::Bytes(bytes)) => hex(bytes),
        (_, Cell::Uuid(uuid)) => uuid.to_string(),
        (_, Cell::Days(days)) => days.to_string(),
        (Kind::Decimal(_, scale), Cell::Decimal(value)) => {
            let power = 10u128.pow(scale);
            let (sign, digits) = (if *value < 0 { "-" } else { "" }, value.unsigned_abs());
            format!("{sign}{}.{:0width$}", digits / power, digits % power, width = scale as usize)
        }
        other => format!("no expectation for {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn every_type_comes_back_as_it_was_sent_by_rows() {
    assert_eq!(come_back(COLUMNS), Ok(()));
}

#[test]
fn every_type_that_goes_by_columns_comes_back_as_it_was_sent() {
    let by_rows = |(text, ..): &&Column| text.contains("Nullable") || text.contains("Array");
    let columns: Vec<Column> = COLUMNS.iter().filter(|column| !by_rows(column)).copied().collect();
    assert_eq!(come_back(&columns), Ok(()));
}

fn come_back(columns: &[Column]) -> Result<(), String> {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let client = server.client();
    let sink = runtime.block_on(make_table(&client, columns));
    let row = columns.iter().map(|(_, _, kind)| cells(*kind)).collect::<Vec<_>>();
    let mut runner = TestRunner::new(Config {
        cases: 6,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    });
    let outcome = runner.run(&proptest::collection::vec(row, 1..120), |rows| {
        runtime.block_on(check(&client, &sink, columns, rows))
    });
    // The rows themselves would fill pages; the reason names the cell.
    outcome.map_err(|error| match error {
        TestError::Fail(reason, _) | TestError::Abort(reason) => reason.to_string(),
    })
}

async fn make_table(client: &Client, columns: &[Column]) -> TableSink {
    let declared: Vec<String> =
        columns.iter().enumerate().map(|(index, (text, _, _))| format!("c{index} {text}")).collect();
    let sql = format!(
        "CREATE TABLE it.v (id UInt64, {}, sign Int8, event_id UUID, source_key UUID, source_lsn UInt64, \
         source_tx UInt64, topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, ordinal UInt8) \
         ENGINE = MergeTree ORDER BY id \
         SETTINGS non_replicated_deduplication_window = 100",
        declared.join(", ")
    );
    client.execute(&sql).await.unwrap();
    let names: Vec<String> = (0..columns.len()).map(|index| format!("c{index}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.insert(0, "id");
    names.extend(LINEAGE_COLUMNS);
    sink(client, "v", &names).await
}

/// Each row as a message of its own, from an offset on; its key is its number.
fn block(sink: &TableSink, rows: &[Row<'static>], offset: u64, standing: Standing) -> RowBinaryBlock {
    let mut block = sink.block();
    for (id, row) in (0u64..).zip(rows) {
        let (key, event_id) = (Uuid::from_u128(id.into()), Uuid::from_u128((offset + id).into()));
        let mut cells = vec![Cell::UInt(id)];
        cells.extend(row.iter().cloned());
        cells.extend([Cell::Int(1), Cell::Uuid(event_id), Cell::Uuid(key), Cell::UInt(0), Cell::UInt(0)]);
        cells.extend([Cell::Text("cdc.v".into()), Cell::UInt(0), Cell::UInt(offset + id), Cell::UInt(0)]);
        let offset = (offset + id).try_into().unwrap();
        block
            .push(&MessageRows { partition: 0, offset, event_id, lsn: 0, standing, rows: &[cells] })
            .unwrap();
    }
    block
}

async fn check(
    client: &Client,
    sink: &TableSink,
    columns: &[Column],
    rows: Vec<Row<'static>>,
) -> Result<(), TestCaseError> {
    client.execute("TRUNCATE TABLE it.v").await.unwrap();
    sink.insert(&block(sink, &rows, 0, Standing::New), &Uuid::new_v4().to_string()).await.unwrap();
    let selected: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, (_, asked, _))| asked.replace('?', &format!("c{index}")))
        .collect();
    let sql = format!(
        "SELECT {} FROM it.v ORDER BY id SETTINGS output_format_decimal_trailing_zeros = 1",
        selected.join(", ")
    );
    let text = client.query_text(&sql, &[]).await.unwrap();
    let stored: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    prop_assert_eq!(stored.len(), rows.len());
    for (row, stored) in rows.iter().zip(stored) {
        for ((cell, stored), (type_text, _, kind)) in row.iter().zip(stored).zip(columns) {
            prop_assert_eq!(stored, expected(*kind, cell), "{} {:?}", type_text, cell);
        }
    }
    prop_assert_eq!(number(client, "SELECT count() FROM system.parts WHERE table = 'v' AND active").await, 1);
    // Otherwise the rows have come in the form that names a changed column, and the other was refused.
    let refused = "SELECT sum(value) FROM system.errors WHERE name = 'TYPE_MISMATCH'";
    prop_assert_eq!(number(client, refused).await, 0);
    // What an audit compares: the stored bytes are the encoder's, and the server can put them into words.
    let sent = block(sink, &rows, 0, Standing::New);
    let plain = sent.plain("cdc.v").unwrap();
    let found = sink.stored("cdc.v", 0, 0..1_000).await.unwrap();
    prop_assert_eq!(found.len(), plain.len());
    for (found, plain) in found.iter().zip(&plain) {
        prop_assert_eq!((found.offset, &found.bytes[..], found.times), (plain.id.offset, plain.bytes, 1));
    }
    let bytes: Vec<&[u8]> = plain.iter().map(|row| row.bytes).collect();
    prop_assert_eq!(sink.texts(&bytes).await.unwrap().len(), rows.len());
    // Read again by a snapshot, every row is what the table has, byte for byte.
    let read = block(sink, &rows, 1_000, Standing::State { afresh: false });
    let resolved =
        sink.resolve("cdc.v", &Ranges::from_iter([(0, 1_000..2_000)]), &read, false).await.unwrap();
    prop_assert_eq!((resolved.known, resolved.block.rows()), (rows.len() as u64, 0));
    Ok(())
}
