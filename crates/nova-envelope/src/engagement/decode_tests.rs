//! Reading documents: the versions, the errors' words, and that nothing panics.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{CURRENT_VERSION, Uuid, is_compatible};

fn version_3() -> Value {
    json!({
        "version": 3, "event_id": "018f2f00-0000-7000-8000-000000000001", "timestamp": "2026-11-21T12:00:00.123Z",
        "event_type": "view", "post_id": "018f2f00-0000-7000-8000-000000000002",
        "user_id": "018f2f00-0000-7000-8000-000000000003", "dwell_time_ms": 4200, "producer": "feed-api/2.14.0",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    })
}

fn with(field: &str, value: Value) -> String {
    let mut document = version_3();
    document[field] = value;
    document.to_string()
}

fn without(field: &str) -> String {
    let mut document = version_3();
    document.as_object_mut().unwrap().remove(field);
    document.to_string()
}

fn refused(document: &str) -> String {
    decode_engagement(document.as_bytes()).unwrap_err().to_string()
}

#[test]
fn version_3_is_read_without_copying() {
    let text = version_3().to_string();
    let event = decode_engagement(text.as_bytes()).unwrap();
    assert!(matches!(event.payload.producer, Cow::Borrowed("feed-api/2.14.0")));
    assert_eq!((event.version, event.event_id.as_u128() & 0xf), (3, 1));
    assert_eq!(event.timestamp.timestamp_subsec_millis(), 123);
    assert_eq!(event.payload.traceparent.unwrap().flags, 1);
    assert_eq!(serde_json::to_value(&event).unwrap(), version_3());
}

#[test]
fn each_refusal_names_the_field_what_is_there_and_what_should_be() {
    let newer = refused(&with("version", json!(4)));
    assert_eq!(
        newer,
        "version: version 4 is newer than version 3, the newest that this consumer reads; update the consumer \
         (always before its producers), then process the message again"
    );
    assert_eq!(
        refused(&with("version", json!("3"))),
        "version: expected an integer from 1 on, found a text of 1 character"
    );
    assert_eq!(refused(&without("version")), "version: expected an integer from 1 on, found nothing");
    assert_eq!(
        refused(&without("producer")),
        "producer: missing; version 3 has a name such as \"feed-api/2.14.0\", 1 to 100 characters of A-Za-z0-9._/@+- \
         here"
    );
    assert_eq!(
        refused(&with("traceparent", Value::Null)),
        "traceparent: expected a W3C traceparent of version 00, found null"
    );
    assert_eq!(
        refused(&with("dwell_time_ms", json!(86_400_001))),
        "dwell_time_ms: expected milliseconds as an integer from 0 to 86400000 (a day), found a number of 8 characters"
    );
    assert_eq!(
        refused(&with("event_type", json!("like"))),
        "event_type: expected \"view\" or \"share\", found a text of 4 characters"
    );
}

#[test]
fn what_is_no_object_is_refused() {
    assert_eq!(refused("  "), "document: expected a JSON object, found nothing");
    assert_eq!(refused("[3]"), "document: expected a JSON object, found an array");
    assert!(
        refused(&json!(version_3().to_string()).to_string())
            .contains("`table.expand.json.payload` is not true")
    );
    assert!(refused("{\"version\":3").starts_with("document: expected one JSON object, but EOF"));
    assert!(refused("{\"version\":3,\"version\":1}").contains("duplicate field `version`"));
    let error = decode_engagement(b"{\"a\":\"\xff\"}").unwrap_err();
    assert_eq!(error.kind, EnvelopeErrorKind::Utf8 { offset: 6 });
}

#[test]
fn only_a_share_may_lack_the_dwell_time() {
    assert!(refused(&without("dwell_time_ms")).starts_with("dwell_time_ms: missing; version 3"));
    let mut document = version_3();
    document.as_object_mut().unwrap().remove("dwell_time_ms");
    document["event_type"] = json!("share");
    let text = document.to_string();
    assert_eq!(decode_engagement(text.as_bytes()).unwrap().payload.dwell_time_ms, 0);
}

/// JSON objects that look like events here and there.
fn events_almost() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!("018f2f00-0000-7000-8000-000000000001")),
        Just(json!(["view", { "nested": [] }])),
    ];
    let fields: Vec<String> = version_3().as_object().unwrap().keys().cloned().collect();
    let changes = prop::collection::vec((prop::sample::select(fields), prop::option::of(value)), 0..4);
    (changes, 0..5_u32).prop_map(|(changes, version)| {
        let mut document = version_3();
        document["version"] = json!(version);
        for (field, value) in changes {
            match value {
                Some(value) => document[field] = value,
                None => drop(document.as_object_mut().unwrap().remove(&field)),
            }
        }
        document
    })
}

proptest! {
    #[test]
    fn a_newer_version_is_refused_as_newer_whatever_else_is_there(
        version in u64::from(CURRENT_VERSION) + 1.., document in events_almost(),
    ) {
        let mut document = document;
        document["version"] = json!(version);
        let error = decode_engagement(document.to_string().as_bytes()).unwrap_err();
        prop_assert_eq!(error, EnvelopeErrorKind::NewerVersion { message: version, consumer: CURRENT_VERSION }.at("version"));
    }

    #[test]
    fn what_is_read_is_compatible_and_in_the_newest_version(document in events_almost()) {
        let text = document.to_string();
        if let Ok(event) = decode_engagement(text.as_bytes()) {
            let version = document["version"].as_u64().and_then(|version| u32::try_from(version).ok());
            prop_assert!(version.is_some_and(|version| is_compatible(CURRENT_VERSION, version)));
            prop_assert_eq!(event.version, CURRENT_VERSION);
            prop_assert_ne!(event.event_id, Uuid::nil());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
        let _ = decode_engagement(&bytes);
        let text = version_3().to_string();
        let mut broken = text.as_bytes().to_vec();
        let at = cut.index(broken.len());
        broken[at] = bytes.first().copied().unwrap_or_default();
        let _ = decode_engagement(&broken);
        broken.truncate(at);
        prop_assert!(decode_engagement(&broken).is_err());
    }
}
