//! Declarations that are right, declarations that are wrong in every way, and changes mapped by them.

use nova_debezium::{Message, Record, decode};

use crate::{
    Cell, Column, ColumnType, LINEAGE_COLUMNS, Lineage, MapErrorKind, Mapped, Mapping, SkipReason, StreamSet,
    TableSchema, source_key,
};

const LIKES: &str = r#"
[streams.likes]
worker = "cdc"
topic  = "cdc.likes"
format = "debezium"
source = "public.likes"
table  = "post_engagement_events"
key    = ["id"]
time   = "created_at"
[streams.likes.columns]
event_time    = { field = "created_at" }
event_type    = { value = "like" }
post_id       = { field = "post_id" }
note          = { field = "note", default = "none" }
"#;

const ID: &str = "0190a5b2-7c1d-7e3f-8a4b-5c6d7e8f9a0b";
const POST: &str = "0190a5b2-0000-7000-8000-000000000001";

fn table() -> TableSchema {
    let columns = [
        ("event_time", "DateTime64(3)"),
        ("event_type", "Enum8('view' = 1, 'like' = 2)"),
        ("post_id", "UUID"),
        ("note", "String"),
        ("sign", "Int8"),
        ("event_id", "UUID"),
        ("source_key", "UUID"),
        ("source_lsn", "UInt64"),
        ("source_tx", "UInt64"),
        ("topic", "LowCardinality(String)"),
        ("kafka_partition", "UInt32"),
        ("kafka_offset", "UInt64"),
        ("ordinal", "UInt8"),
        ("ingested_at", "DateTime64(3)"),
    ];
    let column = |(name, text): (&str, &str)| Column {
        name: name.to_owned(),
        column_type: ColumnType::parse(text).unwrap(),
        has_default: name == "ingested_at",
    };
    TableSchema {
        name: "post_engagement_events".to_owned(),
        columns: columns.into_iter().map(column).collect(),
    }
}

fn likes(text: &str) -> StreamSet {
    StreamSet::parse("streams.toml", text).unwrap()
}

fn mapping(text: &str) -> Mapping {
    Mapping::compile(likes(text).get("likes").unwrap(), &table()).unwrap()
}

/// The findings of a declaration, as a user reads them.
fn findings(text: &str) -> String {
    match StreamSet::parse("streams.toml", text) {
        Err(error) => error.to_string(),
        Ok(streams) => Mapping::compile(streams.get("likes").unwrap(), &table()).unwrap_err().to_string(),
    }
}

fn image(post: &str, at: &str, note: &str) -> String {
    format!(r#"{{"id":"{ID}","post_id":"{post}","created_at":"{at}","note":{note}}}"#)
}

fn message(op: &str, before: Option<String>, after: Option<String>) -> String {
    let image = |image: Option<String>| image.unwrap_or_else(|| "null".to_owned());
    format!(
        r#"{{"before":{},"after":{},"source":{{"version":"3.7.0.Final","connector":"postgresql","name":"cdc",
        "ts_ms":1700000000000,"snapshot":"false","db":"app","sequence":"[null,\"99\"]","ts_us":1700000000000000,
        "ts_ns":1700000000000000000,"schema":"public","table":"likes","txId":700,"lsn":99,"xmin":null}},
        "transaction":null,"op":"{op}","ts_ms":1700000000001}}"#,
        image(before),
        image(after)
    )
}

/// Maps one message and gives the named columns of each row, or the error's kind and text.
fn map(mapping: &Mapping, text: &str, columns: &[&str]) -> Result<Vec<Vec<String>>, (MapErrorKind, String)> {
    let Message::Change(event) = decode(Record { key: None, value: Some(text.as_bytes()) }).unwrap() else {
        panic!("not a change")
    };
    let lineage = Lineage { topic: "cdc.likes", partition: 3, offset: 41 };
    match mapping.map(&event, lineage) {
        Ok(Mapped::Rows(rows)) => {
            let position =
                |name: &&str| mapping.columns().iter().position(|(column, _)| column == *name).unwrap();
            Ok(rows
                .iter()
                .map(|row| columns.iter().map(|name| format!("{:?}", row[position(name)])).collect())
                .collect())
        }
        Ok(Mapped::Skipped(reason)) => Ok(vec![vec![reason.name().to_owned()]]),
        Err(error) => Err((error.kind, format!("{}: {error}", error.path))),
    }
}

const AT: &str = "2023-11-14T22:13:20.123999Z";

#[test]
fn a_row_is_its_declared_columns_and_then_the_lineage_in_order() {
    let mapping = mapping(LIKES);
    let names: Vec<&str> = mapping.columns().iter().map(|(name, _)| name.as_str()).collect();
    let (declared, lineage) = names.split_at(names.len() - LINEAGE_COLUMNS.len());
    assert_eq!(lineage, LINEAGE_COLUMNS);
    assert_eq!(declared, ["event_time", "event_type", "note", "post_id"]);
}

#[test]
fn an_insert_is_one_row_with_lineage() {
    let text = message("c", None, Some(image(POST, AT, r#""hi""#)));
    let columns = [
        "sign",
        "event_time",
        "event_type",
        "source_key",
        "source_lsn",
        "source_tx",
        "kafka_offset",
        "ordinal",
    ];
    let rows = map(&mapping(LIKES), &text, &columns).unwrap();
    let expected = [
        "Int(1)".to_owned(),
        "Ticks(1700000000123)".to_owned(),
        "Int(2)".to_owned(),
        format!("{:?}", Cell::Uuid(source_key(&[ID]))),
        "UInt(99)".to_owned(),
        "UInt(700)".to_owned(),
        "UInt(41)".to_owned(),
        "UInt(0)".to_owned(),
    ];
    assert_eq!(rows, [expected]);
}

#[test]
fn a_delete_takes_the_before_image_back() {
    let text = message("d", Some(image(POST, AT, "null")), None);
    let rows = map(&mapping(LIKES), &text, &["sign", "note"]).unwrap();
    assert_eq!(rows, [["Int(-1)", r#"Text("none")"#]]);
}

#[test]
fn an_update_of_a_mapped_column_is_two_rows_and_of_another_none() {
    let other = "0190a5b2-0000-7000-8000-000000000002";
    let changed = message("u", Some(image(POST, AT, "null")), Some(image(other, AT, "null")));
    let rows = map(&mapping(LIKES), &changed, &["sign", "post_id", "ordinal"]).unwrap();
    assert_eq!(
        rows,
        [["Int(-1)", &format!("Uuid({POST})"), "UInt(0)"], ["Int(1)", &format!("Uuid({other})"), "UInt(1)"]]
    );
    // Below the column's precision nothing has changed.
    let same =
        message("u", Some(image(POST, AT, "null")), Some(image(POST, "2023-11-14T22:13:20.123001Z", "null")));
    assert_eq!(map(&mapping(LIKES), &same, &[]).unwrap(), [[SkipReason::Unchanged.name()]]);
}

#[test]
fn an_unchanged_toast_value_is_taken_from_the_other_image_and_never_a_value() {
    let placeholder = r#""__debezium_unavailable_value""#;
    let text = message("u", Some(image(POST, AT, r#""long""#)), Some(image(POST, AT, placeholder)));
    assert_eq!(map(&mapping(LIKES), &text, &[]).unwrap(), [["unchanged"]]);
    let lost = message("c", None, Some(image(POST, AT, placeholder)));
    let (kind, text) = map(&mapping(LIKES), &lost, &[]).unwrap_err();
    assert!(kind == MapErrorKind::Value && text.starts_with("after.note"), "{text}");
}

#[test]
fn what_does_not_fit_names_stream_column_and_path_and_not_the_value() {
    let text = message("c", None, Some(image("no-uuid", AT, "null")));
    let (kind, text) = map(&mapping(LIKES), &text, &[]).unwrap_err();
    assert_eq!(kind, MapErrorKind::Value);
    for part in ["after.post_id", "stream `likes`", "column `post_id` UUID", "a text of 7 characters"] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    assert!(!text.contains("no-uuid"), "{text}");
}

#[test]
fn without_a_whole_before_image_the_stream_stops_and_says_how_to_get_one() {
    for before in [None, Some(format!(r#"{{"id":"{ID}","post_id":null,"created_at":null,"note":null}}"#))] {
        let (kind, text) = map(&mapping(LIKES), &message("d", before, None), &[]).unwrap_err();
        assert!(kind == MapErrorKind::NoBeforeImage && text.contains("REPLICA IDENTITY FULL"), "{text}");
    }
}

#[test]
fn truncate_stops_unless_declared_otherwise() {
    let (kind, _) = map(&mapping(LIKES), &message("t", None, None), &[]).unwrap_err();
    assert_eq!(kind, MapErrorKind::Stop);
    let skipping =
        LIKES.replace("[streams.likes.columns]", "on_truncate = \"skip\"\n[streams.likes.columns]");
    assert_eq!(map(&mapping(&skipping), &message("t", None, None), &[]).unwrap(), [["truncate"]]);
}

#[test]
fn another_table_on_the_topic_is_refused() {
    let text =
        message("c", None, Some(image(POST, AT, "null"))).replace(r#""table":"likes""#, r#""table":"loves""#);
    let (kind, text) = map(&mapping(LIKES), &text, &[]).unwrap_err();
    assert!(kind == MapErrorKind::WrongTable && text.contains("public.loves"), "{text}");
}

#[test]
fn every_wrong_declaration_is_found_with_its_line() {
    let cases = [
        ("topic  = \"cdc.likes\"", "topik  = \"cdc.likes\"", "streams.toml:4: unknown field `topik`"),
        ("\"public.likes\"", "\"likes\"", "streams.toml:6: streams.likes: source `likes` is not a table"),
        ("key    = [\"id\"]", "key    = []", "streams.toml:8: streams.likes.key: is empty"),
        (
            "{ value = \"like\" }",
            "{ value = \"lke\" }",
            "streams.toml:12: streams.likes.columns.event_type: `lke` is no member",
        ),
        (
            "{ value = \"like\" }",
            "{ }",
            "streams.toml:12: streams.likes.columns.event_type: needs exactly one of",
        ),
        ("post_id       =", "psot_id       =", "did you mean `post_id`?"),
        ("post_id       =", "ordinal       =", "is filled by Nova"),
        ("event_time    = { field = \"created_at\" }", "", "has this column and the stream does not fill it"),
        ("[streams.likes]", "[streams.\"Likes!\"]", "use a-z, 0-9"),
    ];
    for (right, wrong, finding) in cases {
        assert!(LIKES.contains(right), "{right}");
        let text = LIKES.replace(
            "streams.likes.columns",
            if wrong.contains("Likes!") { "streams.\"Likes!\".columns" } else { "streams.likes.columns" },
        );
        let found = findings(&text.replacen(right, wrong, 1));
        assert!(found.contains(finding), "{wrong}: {found}");
    }
}

#[test]
fn all_findings_come_at_once() {
    let text =
        LIKES.replace("key    = [\"id\"]", "key    = []").replace("time   = \"created_at\"", "time   = \"\"");
    assert_eq!(findings(&text).lines().count(), 2);
}

#[test]
fn a_lineage_column_of_another_type_is_refused() {
    let mut table = table();
    table.columns.iter_mut().find(|column| column.name == "sign").unwrap().column_type = ColumnType::UInt(8);
    let error = Mapping::compile(likes(LIKES).get("likes").unwrap(), &table).unwrap_err().to_string();
    assert!(error.contains("has it as UInt8") && error.contains("`sign Int8`"), "{error}");
}

#[test]
fn the_declared_streams_of_the_project_are_right() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/streams.toml");
    let streams = StreamSet::load(&path).unwrap();
    assert_eq!(
        streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(),
        ["comments", "engagement", "follows", "likes", "posts"]
    );
    assert_eq!(streams.workers(), ["cdc", "events"]);
}
