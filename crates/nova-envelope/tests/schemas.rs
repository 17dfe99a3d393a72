//! `schemas/events` and this library say the same: what it writes is valid, every example is read or refused alike.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::Validator;
use nova_envelope::{
    CURRENT_VERSION, EngagementBuilder, EngagementEvent, EngagementType, EngagementV1, EngagementV2,
    EventEnvelope, TraceParent, Uuid, Version, decode_engagement,
};
use proptest::prelude::*;
use serde_json::Value;

/// `schemas[type][version - 1]`.
static SCHEMAS: LazyLock<Vec<Vec<Validator>>> = LazyLock::new(|| {
    let of_type = |event_type: EngagementType| {
        (1..=CURRENT_VERSION)
            .map(move |version| validator(&json(&folder(event_type).join(format!("v{version}.json")))))
    };
    EngagementType::ALL.into_iter().map(|event_type| of_type(event_type).collect()).collect()
});

fn schema(event_type: EngagementType, version: u32) -> &'static Validator {
    let place = EngagementType::ALL.iter().position(|one| *one == event_type).unwrap();
    &SCHEMAS[place][version as usize - 1]
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/events")
}

fn folder(event_type: EngagementType) -> PathBuf {
    root().join(event_type.name())
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Where, type, version, text.
type Example = (PathBuf, EngagementType, u32, String);

/// The examples of all types and versions.
fn examples(kind: &str) -> Vec<Example> {
    let mut found = Vec::new();
    for event_type in EngagementType::ALL {
        for version in 1..=CURRENT_VERSION {
            let folder = folder(event_type).join(format!("examples/v{version}/{kind}"));
            for name in names(&folder) {
                let text = std::fs::read_to_string(folder.join(&name)).unwrap();
                found.push((folder.join(name), event_type, version, text));
            }
        }
    }
    found
}

#[test]
fn there_is_a_schema_for_every_type_and_version_and_no_other() {
    assert_eq!(names(&root()), EngagementType::ALL.map(|one| one.name().to_owned()).into());
    for event_type in EngagementType::ALL {
        let mut expected: BTreeSet<_> =
            (1..=CURRENT_VERSION).map(|version| format!("v{version}.json")).collect();
        expected.insert("examples".to_owned());
        assert_eq!(names(&folder(event_type)), expected);
    }
}

#[test]
fn every_valid_example_is_valid_and_read_and_valid_in_the_newest_version() {
    let examples = examples("valid");
    assert!(examples.len() >= 12, "the search itself works");
    for (path, event_type, version, text) in examples {
        let document: Value = serde_json::from_str(&text).unwrap();
        schema(event_type, version).validate(&document).unwrap();
        let event =
            decode_engagement(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!((event.version, event.payload.event_type), (CURRENT_VERSION, event_type));
        schema(event_type, CURRENT_VERSION).validate(&serde_json::to_value(&event).unwrap()).unwrap();
    }
}

#[test]
fn every_invalid_example_is_refused_by_schema_and_library() {
    let examples = examples("invalid");
    assert!(examples.len() >= 30, "the search itself works");
    for (path, event_type, version, text) in examples {
        let document: Value = serde_json::from_str(&text).unwrap();
        assert!(!schema(event_type, version).is_valid(&document), "the schema takes {}", path.display());
        assert!(decode_engagement(text.as_bytes()).is_err(), "the library takes {}", path.display());
    }
}

/// The two spellings that a schema cannot tell apart, as documented.
#[test]
fn the_library_is_stricter_in_two_spellings_only() {
    let path = folder(EngagementType::View).join("examples/v2/valid/complete.json");
    let text = std::fs::read_to_string(path).unwrap();
    let float = text.replace("4200", "4200.0");
    let twice = text.replacen('{', "{ \"version\": 2,", 1);
    for text in [float, twice] {
        schema(EngagementType::View, 2).validate(&serde_json::from_str(&text).unwrap()).unwrap();
        assert!(decode_engagement(text.as_bytes()).is_err(), "{text}");
    }
}

fn event_types() -> impl Strategy<Value = EngagementType> {
    prop::sample::select(EngagementType::ALL.to_vec())
}

fn uuids() -> impl Strategy<Value = Uuid> {
    (1..=u128::MAX).prop_map(Uuid::from_u128)
}

prop_compose! {
    /// Any event that the builder makes; its time lies in the past.
    fn events()(
        event_type in event_types(), (event, post, user) in (uuids(), uuids(), uuids()),
        seconds in 946_684_800..1_750_000_000_i64, nanoseconds in 0..1_000_000_000_u32, dwell in 0..=86_400_000_u64,
        producer in "[A-Za-z0-9][A-Za-z0-9._/@+-]{0,99}", trace in prop::option::of((1..=u128::MAX, 1..=u64::MAX, any::<u8>())),
    ) -> EventEnvelope<EngagementEvent<'static>> {
        let builder = match event_type {
            EngagementType::View => EngagementBuilder::view(post, user, producer),
            EngagementType::Share => EngagementBuilder::share(post, user, producer),
        };
        let builder = builder
            .event_id(event)
            .timestamp(chrono::DateTime::from_timestamp(seconds, nanoseconds).unwrap())
            .dwell_time(std::time::Duration::from_millis(dwell));
        let trace = trace.map(|(trace, parent, flags)| TraceParent {
            trace_id: trace.try_into().unwrap(), parent_id: parent.try_into().unwrap(), flags,
        });
        match trace {
            Some(trace) => builder.traceparent(trace).build().unwrap(),
            None => builder.build().unwrap(),
        }
    }
}

proptest! {
    #[test]
    fn what_the_builder_makes_is_valid_and_read_back_the_same(event in events()) {
        let document = serde_json::to_value(&event).unwrap();
        prop_assert!(schema(event.payload.event_type, CURRENT_VERSION).is_valid(&document), "{document}");
        let text = document.to_string();
        prop_assert_eq!(decode_engagement(text.as_bytes()).unwrap(), event);
    }

    #[test]
    fn what_is_written_in_an_older_version_is_valid_there_and_read_as_its_upcast(
        event_type in event_types(), (event_id, post_id, user_id) in (uuids(), uuids(), uuids()),
        seconds in 946_684_800..4_102_444_800_i64, milliseconds in 0..1000_u32, dwell_time_ms in 0..=86_400_000_u32,
    ) {
        let at = |ms| chrono::DateTime::from_timestamp(seconds, ms * 1_000_000).unwrap();
        let first =
            EngagementV1 { version: Version, event_id, timestamp: at(0), event_type, post_id, user_id };
        let second = EngagementV2 { timestamp: at(milliseconds), dwell_time_ms, ..first.clone().upcast() };
        let documents = [serde_json::to_value(&first).unwrap(), serde_json::to_value(&second).unwrap()];
        let expected = [first.upcast().upcast(), second.upcast()];
        for ((document, expected), version) in documents.into_iter().zip(expected).zip(1..) {
            prop_assert!(schema(event_type, version).is_valid(&document), "{document}");
            let text = document.to_string();
            prop_assert_eq!(decode_engagement(text.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn schema_and_library_agree_about_any_value(
        example in prop::sample::select(examples("valid")), field in any::<prop::sample::Index>(), value in values(),
    ) {
        let fields = replaceable(&example.3);
        let (agreed, text) = agreed(&example, &fields[field.index(fields.len())], value);
        prop_assert!(agreed, "{text}");
    }
}

#[test]
fn schema_and_library_agree_at_the_borders_of_every_field() {
    let numbers = [-1_i64, 0, 86_400_000, 86_400_001, 946_684_799, 946_684_800, 4_102_444_799, 4_102_444_800]
        .into_iter();
    let numbers = numbers.chain([946_684_799_999, 946_684_800_000, 4_102_444_799_999, 4_102_444_800_000]);
    let texts = ["", "a", "-a", "unknown", &"x".repeat(100), &"x".repeat(101), "1999-12-31T23:59:59.999Z"];
    let times = [
        "2000-01-01T00:00:00Z",
        "2099-12-31T23:59:59.999999999Z",
        "2100-01-01T00:00:00Z",
        "2026-12-31T23:59:60Z",
    ];
    let texts = texts.into_iter().chain(times).map(Value::from);
    let values: Vec<Value> = numbers.map(Value::from).chain(texts).chain([Value::Null]).collect();
    for example in examples("valid") {
        for field in replaceable(&example.3) {
            for value in &values {
                let (agreed, text) = agreed(&example, &field, value.clone());
                assert!(agreed, "{text}");
            }
        }
    }
}

/// The fields of a document but for those that would make it another one, and not a wrong one.
fn replaceable(text: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(text).unwrap();
    let others = |name: &&String| *name != "event_type" && *name != "version";
    document.as_object().unwrap().keys().filter(others).cloned().collect()
}

/// Whether schema and library judge the example alike, when one field of it is replaced; and what they judged.
fn agreed(example: &Example, field: &str, value: Value) -> (bool, String) {
    let (_, event_type, version, text) = example;
    let mut document: Value = serde_json::from_str(text).unwrap();
    document[field] = value;
    let text = document.to_string();
    (schema(*event_type, *version).is_valid(&document) == decode_engagement(text.as_bytes()).is_ok(), text)
}

/// Values that look like what some field wants.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..5_000_000_000_000_i64).prop_map(Value::from),
        "[A-Za-z0-9 ._/@+ü-]{0,4}".prop_map(Value::from),
        "[0-9a-fA-F]{8}(-[0-9a-g]{4}){3}-[0-9a-f]{12}".prop_map(Value::from),
        "(19|20|21)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?[Zz]"
            .prop_map(Value::from),
        "0[01]-(0{32}|[0-9a-f]{32})-(0{16}|[0-9a-f]{16})-[0-9a-g]{2}".prop_map(Value::from),
        "\\PC{0,3}".prop_map(Value::from),
    ]
}
