//! Messages as Debezium 3.7's EventRouter and the JSON converter without schemas wrote them, from rows of
//! `engagement_outbox`. The first four were written with `table.expand.json.payload=true`, in versions 3, 3, 2 and 1; so
//! were the next four, from the payloads `{"version": null, "x": []}`, `[1, "a"]`, `7` and `null`; the last one without.

use nova_envelope::{
    CURRENT_VERSION, EngagementTexts, EngagementType, EnvelopeErrorKind, decode_engagement,
    decode_engagement_texts,
};

const RECORDED: &str = include_str!("fixtures/event_router.jsonl");

#[test]
fn events_of_all_versions_are_read_as_the_router_sends_them() {
    let events: Vec<_> =
        RECORDED.lines().take(4).map(|line| decode_engagement(line.as_bytes()).unwrap()).collect();
    assert!(events.iter().all(|event| event.version == CURRENT_VERSION));
    let times: Vec<String> = events.iter().map(|event| event.timestamp.to_rfc3339()).collect();
    assert_eq!(times[0], "2026-11-21T12:55:05.407325192+00:00");
    assert_eq!(times[2], "2026-11-21T12:55:05.407+00:00");
    assert_eq!(times[3], "2026-11-21T12:55:05+00:00");
    assert_eq!(events[1].payload.event_type, EngagementType::Share);
    assert_eq!((events[0].payload.dwell_time_ms, events[3].payload.dwell_time_ms), (4200, 0));
}

/// Mapping by name and mapping by type see the same event.
#[test]
fn the_texts_of_the_fields_say_what_the_event_says() {
    for line in RECORDED.lines().take(4) {
        let event = decode_engagement(line.as_bytes()).unwrap();
        let texts = decode_engagement_texts(line.as_bytes()).unwrap();
        assert_eq!((texts.version, texts.timestamp), (event.version, event.timestamp));
        let mut expected = serde_json::to_value(&event.payload).unwrap();
        expected["id"] = event.event_id.to_string().into();
        let found: serde_json::Map<_, _> = texts
            .payload
            .fields()
            .into_iter()
            .map(|(name, text)| (name.to_owned(), serde_json::from_str(text).unwrap()))
            .filter(|(_, value): &(String, serde_json::Value)| !value.is_null())
            .collect();
        assert_eq!(serde_json::Value::Object(found), expected, "{line}");
        assert_eq!(texts.payload.fields().map(|(name, _)| name), EngagementTexts::NAMES);
    }
}

/// The router leaves out fields that are null and lists that are empty, and sends what is no object as text.
#[test]
fn whatever_else_the_router_sends_is_refused() {
    let errors: Vec<_> =
        RECORDED.lines().skip(4).map(|line| decode_engagement(line.as_bytes()).unwrap_err()).collect();
    assert_eq!(errors[0].path, "version");
    assert_eq!(errors.len(), 5);
    assert!(errors.iter().skip(1).all(|error| error.kind == EnvelopeErrorKind::QuotedObject));
}
