//! Damaged and foreign messages: always a typed, bounded error or a message, never a panic.

use std::sync::LazyLock;

use crate::support::{CONFIGURATIONS, recorded};
use nova_debezium::{
    BytesEncoding, Change, DecodeErrorKind, FOUND_CHARS, Field, Message, Record, TimeUnit, ValueErrorKind,
    decode,
};
use proptest::{collection::vec, prelude::*, sample::Index};

static VALUES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let records = CONFIGURATIONS.into_iter().flat_map(|(name, _)| recorded(name));
    records.filter_map(|record| record.value).map(String::into_bytes).collect()
});

/// Decodes a value and reads everything in it in every way.
fn exercise(value: &[u8]) {
    match decode(Record { key: Some(b"key"), value: Some(value) }) {
        Ok(Message::Change(event)) => exercise_change(&event.payload),
        Ok(_) => {}
        Err(error) => bounded(&error.to_string()),
    }
}

fn exercise_change(change: &Change<'_>) {
    let rows = [&change.before, &change.after].into_iter().flatten();
    for field in rows.flat_map(nova_debezium::Row::fields) {
        exercise_field(field);
        for element in field.elements().unwrap_or_default() {
            exercise_field(&element);
        }
    }
}

fn exercise_field(field: &Field<'_>) {
    let unit = Some(TimeUnit::Millis);
    let errors = [
        field.boolean().err(),
        field.integer().err(),
        field.float().err(),
        field.text().err(),
        field.uuid().err(),
        field.timestamp_micros(None).err(),
        field.timestamp_micros(unit).err(),
        field.date_days().err(),
        field.time_micros(unit).err(),
        field.decimal(0).err(),
        field.decimal(u32::MAX).err(),
        field.bytes(None).err(),
        field.bytes(Some(BytesEncoding::Hex)).err(),
        field.elements().err(),
    ];
    errors.into_iter().flatten().for_each(|error| bounded(&error.to_string()));
}

/// Path, expectation and advice are ours; two excerpts (name and value) are the message's.
fn bounded(error: &str) {
    assert!(error.chars().count() <= 300 + 2 * FOUND_CHARS, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn flipped_bytes(value in any::<Index>(), flips in vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut bytes = value.get(&VALUES).clone();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        exercise(&bytes);
    }

    #[test]
    fn truncated(value in any::<Index>(), at in any::<Index>()) {
        let bytes = value.get(&VALUES);
        let cut = &bytes[..at.index(bytes.len())];
        let decoded = decode(Record { key: None, value: Some(cut) });
        prop_assert!(decoded.is_err());
        exercise(cut);
    }

    #[test]
    fn spliced(one in any::<Index>(), other in any::<Index>(), cut in any::<Index>(), from in any::<Index>()) {
        let (one, other) = (one.get(&VALUES), other.get(&VALUES));
        let mut bytes = one[..cut.index(one.len())].to_vec();
        bytes.extend_from_slice(&other[from.index(other.len())..]);
        exercise(&bytes);
    }

    #[test]
    fn structure_around(value in any::<Index>(), at in any::<Index>(), piece in "(null|true|-?[0-9]{1,40}|\"[^\"\\\\]{0,5}\"|[{}\\[\\],:]){1,3}") {
        let bytes = value.get(&VALUES);
        // Replace one value after a colon, which often leaves valid JSON.
        let colons: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] == b':').collect();
        let start = colons[at.index(colons.len())] + 1;
        let end = (start..bytes.len()).find(|at| matches!(bytes[*at], b',' | b'}')).unwrap_or(bytes.len());
        exercise(&[&bytes[..start], piece.as_bytes(), &bytes[end..]].concat());
    }

    #[test]
    fn random_columns(value in "\\PC{0,80}", raw in "[-+0-9a-zA-Z:.,TZ\\[\\]{}\"]{0,60}") {
        let source = r#""source":{"name":"s","db":"d","schema":"p","table":"t","ts_us":1}"#;
        let quoted = serde_json::to_string(&value).unwrap();
        exercise(format!(r#"{{"op":"c",{source},"after":{{"a":{quoted},"b":{raw}}}}}"#).as_bytes());
    }

    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
    }
}

#[test]
fn deep_nesting_is_no_recursion() {
    let source = r#""source":{"name":"s","db":"d","schema":"p","table":"t","ts_us":1}"#;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}null{}", open.repeat(200_000), close.repeat(200_000));
        for place in
            ["schema", "other", "before", "source", "transaction", "message", "data_collections", "op"]
        {
            exercise(format!(r#"{{"{place}":{deep}}}"#).as_bytes());
        }
        exercise(
            format!(r#"{{"schema":{deep},"payload":{{"op":"c",{source},"after":{{"a":{deep}}}}}}}"#)
                .as_bytes(),
        );
        exercise(deep.as_bytes());
        exercise(open.repeat(200_000).as_bytes());
    }
}

fn error(value: &str) -> (String, DecodeErrorKind) {
    let error = decode(Record { key: None, value: Some(value.as_bytes()) }).unwrap_err();
    (error.path, error.kind)
}

#[test]
fn foreign_messages_are_named() {
    assert_eq!(error("{}"), ("value".into(), DecodeErrorKind::NotDebezium));
    assert_eq!(error(r#"{"id":1,"name":"flattened"}"#).1, DecodeErrorKind::NotDebezium);
    let (path, kind) = error(r#"{"op":"x","source":{}}"#);
    assert_eq!(
        (path.as_str(), kind.to_string().as_str()),
        ("op", "expected the operation c, u, d, r, t or m, found a text of 1 character")
    );
    for (value, place) in [
        (r#"{"op":"c"}"#, "source"),
        (r#"{"payload":{"op":"c"}}"#, "payload.source"),
        (r#"{"op":"c","source":{"name":"s","db":"d","schema":"p"}}"#, "source.table"),
        (r#"{"op":"c","source":{"name":"s","db":"d","schema":"p","table":"t"}}"#, "source.ts_us"),
        (r#"{"op":"c","source":{"name":"s","db":"d","schema":"p","table":"t","ts_ms":1}}"#, "after"),
        (r#"{"op":"m","source":{"name":"s","db":"d","schema":"p","table":"t","ts_ms":1}}"#, "message"),
        (r#"{"status":"BEGIN"}"#, "id"),
    ] {
        let (path, kind) = error(value);
        assert_eq!(path, place);
        assert!(matches!(kind, DecodeErrorKind::Missing { .. }), "{kind}");
    }
}

#[test]
fn an_error_names_the_place() {
    let (path, kind) = error(r#"{"payload":{"source":{"lsn":"abc"}}}"#);
    assert_eq!(path, "payload.source.lsn");
    assert_eq!(kind.to_string(), "expected null or an unsigned integer, found string");
    let (path, kind) = error("{\"op\":\"c\",\n\"after\":{\"id\":1,\"created_at\":tru}}");
    assert_eq!(path, "after.created_at");
    assert_eq!(kind.to_string(), "expected JSON, but expected ident at byte 44");
    let (path, kind) = error(&format!(r#"{{"source":{{"snapshot":"{}"}}}}"#, "ü".repeat(1_000)));
    assert_eq!(path, "source.snapshot");
    assert!(kind.to_string().chars().count() < 200, "{kind}");
    let utf8 = decode(Record { key: None, value: Some(b"{\"op\":\"\xff\"}") }).unwrap_err();
    assert_eq!(utf8.kind, DecodeErrorKind::Utf8 { offset: 7 });
}

#[test]
fn tombstones() {
    for value in [None, Some("null"), Some(r#"{"schema":null,"payload":null}"#)] {
        let message = decode(Record { key: Some(b"k"), value: value.map(str::as_bytes) });
        assert!(matches!(message, Ok(Message::Tombstone)), "{value:?}");
    }
    assert!(decode(Record { key: None, value: Some(b"") }).is_err());
}

#[test]
fn a_wrong_value_is_told_and_not_shown() {
    let long = "secret".repeat(100);
    let value = format!(
        r#"{{"op":"c","source":{{"name":"s","db":"d","schema":"p","table":"t","ts_us":1}},"after":{{"id":"{long}"}}}}"#
    );
    let Ok(Message::Change(event)) = decode(Record { key: None, value: Some(value.as_bytes()) }) else {
        panic!("{value}")
    };
    let error = event.payload.after.as_ref().unwrap().get("id", 0).unwrap().uuid().unwrap_err();
    let ValueErrorKind::Type { expected, found } = &error.kind else { panic!("{error}") };
    assert_eq!((error.path.as_str(), *expected), ("after.id", "a UUID"));
    assert_eq!(found.to_string(), "a text of 600 characters");
    assert!(!format!("{error} {error:?}").contains("secret"));
}
