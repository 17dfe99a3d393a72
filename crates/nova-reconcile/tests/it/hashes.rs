//! Every pair of types on both real servers: equal rows have equal checksums, a changed value has another one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use nova_clickhouse::{TableInfo, TableSink};
use nova_debezium::{Message, Record, decode};
use nova_pipeline::{Block as _, MessageRows, Sink as _, Standing};
use nova_reconcile::{CompareOptions, Difference, DifferenceKind, Scope, StreamReport, Verdict, compare};
use nova_streams::{Lineage, Mapped, Mapping, Stream, StreamSet};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::servers::Servers;

const ROWS: usize = 80;
const ROUNDS: usize = 2;
const CHANGES: usize = 24;

type Values = BoxedStrategy<String>;

/// A column: PostgreSQL's type, ClickHouse's, what the declaration says beside the field, how Debezium writes it
/// (`?` is the column), and values as SQL.
pub(crate) struct Pair {
    postgres: &'static str,
    clickhouse: &'static str,
    declared: &'static str,
    written: &'static str,
    values: Values,
}

fn pair(postgres: &'static str, clickhouse: &'static str, written: &'static str, values: Values) -> Pair {
    Pair { postgres, clickhouse, declared: "", written, values }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn integers(low: i64, high: i64) -> Values {
    prop_oneof![Just(low), Just(high), Just(0), low..=high].prop_map(|number| format!("'{number}'")).boxed()
}

fn texts() -> Values {
    let hostile = prop_oneof![
        Just(String::new()),
        Just("\\N".to_owned()),
        Just("a'b\\c\n\t\"d\u{2028}".to_owned()),
        any::<String>()
    ];
    hostile.prop_map(|text| quoted(&text.replace('\0', ""))).boxed()
}

fn times(from_seconds: i64, to_seconds: i64) -> Values {
    (from_seconds..to_seconds, 0..1_000_000_i64)
        .prop_map(|(seconds, micros)| format!("to_timestamp({seconds}) + '{micros} microseconds'"))
        .boxed()
}

fn days(low: i64, high: i64) -> Values {
    (low..=high).prop_map(|days| format!("date '1970-01-01' + {days}")).boxed()
}

fn numerics(digits: u32, scale: usize) -> Values {
    let high = 10_i128.pow(digits) - 1;
    let text = move |number: i128| {
        let (sign, number) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
        let power = 10_u128.pow(u32::try_from(scale).unwrap());
        format!("'{sign}{}.{:0scale$}'", number / power, number % power)
    };
    prop_oneof![Just(high), Just(-high), Just(0), -high..=high].prop_map(text).boxed()
}

fn floats(special: bool) -> Values {
    let finite = any::<f64>()
        .prop_filter("finite", |value| value.is_finite())
        .prop_map(|value| format!("'{value:e}'"));
    if !special {
        return any::<f32>()
            .prop_filter("finite", |v| v.is_finite())
            .prop_map(|v| format!("'{v:e}'"))
            .boxed();
    }
    let special = prop::sample::select(vec!["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "'0'", "'1.1'"]);
    prop_oneof![finite, special.prop_map(str::to_owned)].boxed()
}

fn uuids() -> Values {
    any::<u128>().prop_map(|bits| format!("'{}'", Uuid::from_u128(bits))).boxed()
}

fn bytes() -> Values {
    let hex = |bytes: Vec<u8>| {
        let digits = bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        format!("'\\x{digits}'")
    };
    prop::collection::vec(any::<u8>(), 0..150).prop_map(hex).boxed()
}

fn one_of(values: &'static [&'static str]) -> Values {
    prop::sample::select(values).prop_map(str::to_owned).boxed()
}

fn or_null(values: Values) -> Values {
    prop_oneof![1 => Just("NULL".to_owned()), 3 => values].boxed()
}

fn arrays(of: &'static str, values: Values) -> Values {
    prop::collection::vec(values, 0..4)
        .prop_map(move |all| format!("ARRAY[{}]::{of}[]", all.join(", ")))
        .boxed()
}

const UTC: &str = "to_char(? AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
const PLAIN: &str = "to_char(?, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

pub(crate) fn pairs() -> Vec<Pair> {
    let (young, old) = (0, 4_294_967_295);
    let all_times = || times(-2_208_988_800, 10_413_791_999);
    let mut pairs = vec![
        pair("bool", "Bool", "?", one_of(&["true", "false"])),
        pair("int2", "Int16", "?", integers(i16::MIN.into(), i16::MAX.into())),
        pair("int2", "Int8", "?", integers(-128, 127)),
        pair("int4", "Int32", "?", integers(i32::MIN.into(), i32::MAX.into())),
        pair("int8", "Int64", "?", integers(i64::MIN, i64::MAX)),
        pair("int8", "UInt64", "?", integers(0, i64::MAX)),
        pair("int4", "UInt8", "?", integers(0, 255)),
        pair("int8", "UInt32", "?", integers(0, u32::MAX.into())),
        pair("float4", "Float32", "?", floats(false)),
        pair("float4", "Float64", "?", floats(false)),
        pair("float8", "Float64", "?", floats(true)),
        pair("int4", "Float64", "?", integers(i32::MIN.into(), i32::MAX.into())),
        pair("text", "String", "?", texts()),
        pair("varchar", "LowCardinality(String)", "?", texts()),
        pair("char(5)", "String", "format('%s', ?)", one_of(&["'ab'", "'   c '", "''", "'äöü'"])),
        pair("jsonb", "String", "?::text", one_of(&["'{\"a\": [1, null]}'", "'\"x\"'", "'1'"])),
        pair("inet", "String", "format('%s', ?)", one_of(&["'10.0.0.1'", "'10.0.0.0/8'", "'::1'"])),
        pair("mood", "String", "?::text", one_of(&["'sad'", "'it''s ok'"])),
        pair("uuid", "UUID", "?", uuids()),
        pair("uuid", "String", "?", uuids()),
        pair("date", "Date", "?::text", days(0, 65_535)),
        pair("date", "Date32", "?::text", days(-25_567, 120_529)),
        pair("timestamptz", "DateTime", UTC, times(young, old)),
        pair("timestamptz", "DateTime('Europe/Zurich')", UTC, times(young, old)),
        pair("timestamptz", "DateTime64(0, 'UTC')", UTC, all_times()),
        pair("timestamptz", "DateTime64(1)", UTC, all_times()),
        pair("timestamptz", "DateTime64(3, 'America/New_York')", UTC, all_times()),
        pair("timestamptz", "DateTime64(6, 'UTC')", UTC, all_times()),
        pair("timestamp", "DateTime64(3, 'UTC')", PLAIN, times(-2_208_988_800, 10_413_791_999)),
        pair("timestamp", "DateTime64(9, 'UTC')", PLAIN, times(-2_208_988_800, 9_223_372_036)),
        pair("numeric(9, 2)", "Decimal(9, 2)", "?::text", numerics(9, 2)),
        pair("numeric", "Decimal(18, 4)", "?::text", numerics(18, 4)),
        pair("numeric", "Decimal(18, 4)", "?::text", numerics(9, 1)),
        pair("numeric", "Decimal(38, 10)", "?::text", numerics(38, 10)),
        pair("text", "Enum8('a' = -128, 'b,\\'' = 0, 'c' = 127)", "?", one_of(&["'a'", "'b,'''", "'c'"])),
        pair("mood", "Enum16('sad' = -3, 'it\\'s ok' = 300)", "?::text", one_of(&["'sad'", "'it''s ok'"])),
        pair("int8", "Nullable(Int64)", "?", or_null(integers(i64::MIN, i64::MAX))),
        pair("text", "LowCardinality(Nullable(String))", "?", or_null(texts())),
        pair("uuid", "Nullable(UUID)", "?", or_null(uuids())),
        pair("timestamptz", "Nullable(DateTime64(3, 'UTC'))", UTC, or_null(all_times())),
        pair("int8[]", "Array(Int64)", "to_json(?)", arrays("int8", integers(i64::MIN, i64::MAX))),
        pair("int4[]", "Array(Nullable(Int32))", "to_json(?)", arrays("int4", or_null(integers(-9, 9)))),
        pair("text[]", "Array(Nullable(String))", "to_json(?)", arrays("text", or_null(texts()))),
        pair("uuid[]", "Array(UUID)", "to_json(?)", arrays("uuid", uuids())),
        pair("bool[]", "Array(Bool)", "to_json(?)", arrays("bool", one_of(&["true", "false"]))),
        pair("bytea", "String", "replace(encode(?, 'base64'), E'\\n', '')", bytes()),
    ];
    let declared = |pair: Pair, declared| Pair { declared, ..pair };
    pairs.extend([
        declared(pair("bytea", "String", "encode(?, 'hex')", bytes()), ", encoding = \"hex\""),
        declared(pair("text", "String", "?", or_null(texts())), ", default = \"it's\""),
        declared(pair("int4", "UInt16", "?", or_null(integers(0, 65_535))), ", default = 7"),
        declared(
            pair("mood", "Enum8('sad' = 1, 'it\\'s ok' = 2)", "?::text", or_null(one_of(&["'sad'"]))),
            ", default = \"it's ok\"",
        ),
        declared(
            pair("timestamptz", "DateTime64(3)", UTC, or_null(all_times())),
            ", default = \"1969-12-31T23:59:59.9999Z\"",
        ),
    ]);
    pairs
}

/// Literals of every kind, which PostgreSQL's table does not have.
const LITERALS: &[(&str, &str)] = &[
    ("Enum8('view' = 1, 'like' = 2)", "\"like\""),
    ("UInt32", "0"),
    ("Int64", "-5"),
    ("Bool", "true"),
    ("String", "\"it's\""),
    ("Float64", "1.5"),
    ("UUID", "\"7d444840-9dc0-11d1-b245-5ffdce74fad2\""),
    ("DateTime64(3, 'UTC')", "\"2026-01-31T12:00:00.123Z\""),
    ("Date", "\"2026-01-31\""),
    ("Array(String)", "[\"a\", \"b'\"]"),
];

pub(crate) async fn stream(servers: &Servers, pairs: &[Pair]) -> Stream {
    let (mut postgres, mut clickhouse, mut columns) = (String::new(), String::new(), String::new());
    for (number, pair) in pairs.iter().enumerate() {
        write!(postgres, ", f{number} {}", pair.postgres).unwrap();
        write!(clickhouse, ", c{number} {}", pair.clickhouse).unwrap();
        writeln!(columns, "c{number} = {{ field = \"f{number}\"{} }}", pair.declared).unwrap();
    }
    for (number, (column_type, value)) in LITERALS.iter().enumerate() {
        write!(clickhouse, ", l{number} {column_type}").unwrap();
        writeln!(columns, "l{number} = {{ value = {value} }}").unwrap();
    }
    servers.sql("CREATE TYPE mood AS ENUM ('sad', 'it''s ok')").await;
    servers
        .sql(&format!("CREATE TABLE pairs (id uuid PRIMARY KEY, at timestamptz NOT NULL{postgres})"))
        .await;
    let sql = format!(
        "CREATE TABLE it.pairs (event_time DateTime64(3, 'UTC'){clickhouse}, sign Int8, event_id UUID, source_key UUID, \
         source_lsn UInt64, source_tx UInt64, topic LowCardinality(String), kafka_partition UInt32, \
         kafka_offset UInt64, ordinal UInt8) ENGINE = MergeTree ORDER BY event_time \
         SETTINGS non_replicated_deduplication_window = 100, allow_suspicious_low_cardinality_types = 1"
    );
    servers.clickhouse.execute(&sql).await.unwrap();
    let text = format!(
        "[streams.pairs]\nworker = \"cdc\"\ntopic = \"cdc.pairs\"\nformat = \"debezium\"\nsource = \"public.pairs\"\n\
         table = \"pairs\"\nkey = [\"id\"]\ntime = \"at\"\n[streams.pairs.columns]\n\
         event_time = {{ field = \"at\" }}\n{columns}"
    );
    StreamSet::parse("it.toml", &text).unwrap().get("pairs").unwrap().clone()
}

/// Writes random rows into PostgreSQL, and by the mapping and the encoder of the pipeline into ClickHouse.
pub(crate) async fn fill(servers: &Servers, stream: &Stream, pairs: &[Pair], runner: &mut TestRunner) {
    servers.sql("TRUNCATE pairs").await;
    servers.clickhouse.execute("TRUNCATE TABLE it.pairs").await.unwrap();
    let mut values = Vec::new();
    for _ in 0..ROWS {
        let mut row = vec![uuids().new_tree(runner).unwrap().current()];
        row.push(times(1_700_000_000, 1_700_100_000).new_tree(runner).unwrap().current());
        row.extend(pairs.iter().map(|pair| pair.values.new_tree(runner).unwrap().current()));
        values.push(format!("({})", row.join(", ")));
    }
    servers.sql(&format!("INSERT INTO pairs VALUES {}", values.join(", "))).await;
    let written: Vec<String> = pairs
        .iter()
        .enumerate()
        .map(|(number, pair)| format!("'f{number}', {}", pair.written.replace('?', &format!("f{number}"))))
        .collect();
    // More than a hundred arguments are too many for one function.
    let parts: Vec<String> =
        written.chunks(40).map(|some| format!("json_build_object({})::text", some.join(", "))).collect();
    let at = UTC.replace('?', "at");
    let sql = format!(
        "SELECT ARRAY[json_build_object('id', id, 'at', {at})::text, {}] FROM pairs",
        parts.join(", ")
    );
    let images: Vec<Vec<String>> =
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&servers.postgres).await.unwrap();
    let images = images
        .iter()
        .map(|parts| parts.iter().map(|part| &part[1..part.len() - 1]).collect::<Vec<_>>().join(","));
    let info = TableInfo::read(&servers.clickhouse, "pairs").await.unwrap();
    let mapping = Mapping::compile(stream, &info.schema).unwrap();
    let sink = TableSink::new(servers.clickhouse.clone(), &info, mapping.columns()).unwrap();
    let mut block = sink.block();
    for (offset, image) in (0_u32..).zip(images) {
        let message = format!(
            r#"{{"before":null,"after":{{{image}}},"source":{{"version":"3","connector":"postgresql","name":"cdc","ts_ms":0,"snapshot":"false","db":"nova","schema":"public","table":"pairs","txId":1,"lsn":1}},"op":"c","ts_ms":0}}"#
        );
        let record = Record { key: None, value: Some(message.as_bytes()) };
        let Message::Change(event) = decode(record).unwrap() else { panic!("no change") };
        let lineage = Lineage { topic: "cdc.pairs", partition: 0, offset: offset.into() };
        let Mapped::Rows(rows) = mapping.map(&event, lineage).unwrap_or_else(|error| panic!("{error}"))
        else {
            panic!("skipped")
        };
        let message = MessageRows {
            partition: 0,
            offset: offset.into(),
            event_id: event.event_id,
            lsn: 1,
            standing: Standing::New,
            rows: &rows,
        };
        block.push(&message).unwrap();
    }
    sink.insert(&block, &Uuid::new_v4().to_string()).await.unwrap();
}

pub(crate) async fn compared(servers: &Servers, stream: &Stream) -> StreamReport {
    let options = CompareOptions { scope: Scope::default(), max_listed: 1_000, parallel: 2, touched: None };
    let mut snapshot = servers.snapshot().await;
    let report = compare(&servers.clickhouse, &mut snapshot, stream, &options).await;
    snapshot.close().await;
    report.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn random_values_of_every_pair_of_types_have_equal_checksums_until_one_is_changed() {
    let servers = Servers::start().await;
    let pairs = pairs();
    let stream = stream(&servers, &pairs).await;
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..ROUNDS {
        fill(&servers, &stream, &pairs, &mut runner).await;
        let report = compared(&servers, &stream).await;
        let rows: i64 = report.windows.iter().map(|window| window.clickhouse.rows).sum();
        let differing: std::collections::BTreeSet<String> =
            report.differences.iter().flat_map(differing).collect();
        assert_eq!((report.verdict, rows), (Verdict::Equal, 80), "{differing:#?}");
    }
    let mut unfound: Vec<usize> = (0..pairs.len()).collect();
    for _ in 0..CHANGES {
        if unfound.is_empty() {
            break;
        }
        unfound = change(&servers, &stream, &pairs, unfound, &mut runner).await;
    }
    // The same value may come again, or one that the column's precision does not tell apart, but not every time.
    let unfound: Vec<_> =
        unfound.iter().map(|number| (pairs[*number].postgres, pairs[*number].clickhouse)).collect();
    assert!(unfound.is_empty(), "no change of these was found: {unfound:?}");
}

/// The columns in which both sides differ, with their values.
fn differing(difference: &Difference) -> Vec<String> {
    let Some((postgres, clickhouse)) = difference.postgres.as_ref().zip(difference.clickhouse.first()) else {
        return vec![format!("{:?}", difference.kind)];
    };
    let unequal = postgres.iter().zip(&clickhouse.columns).filter(|(one, other)| one != other);
    unequal.map(|(one, other)| format!("{}: {:?} {:?}", one.name, one.value, other.value)).collect()
}

/// WHEN each row has another value in a column of its own / THEN each is found, and that column of it. Answers the
/// columns whose rows were not found.
async fn change(
    servers: &Servers,
    stream: &Stream,
    pairs: &[Pair],
    wanted: Vec<usize>,
    runner: &mut TestRunner,
) -> Vec<usize> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM pairs ORDER BY id").fetch_all(&servers.postgres).await.unwrap();
    servers.sql("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM pairs").await;
    for (number, id) in wanted.iter().zip(&ids) {
        let value = pairs[*number].values.new_tree(runner).unwrap().current();
        servers.sql(&format!("UPDATE pairs SET f{number} = {value} WHERE id = '{id}'")).await;
    }
    let report = compared(servers, stream).await;
    let mut left = Vec::new();
    for (number, id) in wanted.into_iter().zip(&ids) {
        let Some(difference) = report.differences.iter().find(|found| found.source_key == *id) else {
            left.push(number);
            continue;
        };
        assert_eq!(difference.kind, DifferenceKind::Different);
        let differing = differing(difference);
        let [column] = differing.as_slice() else { panic!("{differing:#?}") };
        assert!(column.starts_with(&format!("c{number}:")), "{column}");
    }
    servers.sql("TRUNCATE pairs; INSERT INTO pairs SELECT * FROM kept").await;
    left
}
