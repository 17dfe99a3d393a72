//! The recorded messages, and short ways to them.

use nova_debezium::{Change, Message, Record, decode};
use nova_envelope::EventEnvelope;
use serde::Deserialize;

/// One recorded Kafka record.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Recorded {
    /// Topic it was read from.
    pub(crate) topic: String,
    /// Key, as text.
    pub(crate) key: Option<String>,
    /// Value, as text.
    pub(crate) value: Option<String>,
}

impl Recorded {
    /// The record's bytes.
    pub(crate) fn record(&self) -> Record<'_> {
        Record {
            key: self.key.as_ref().map(String::as_bytes),
            value: self.value.as_ref().map(String::as_bytes),
        }
    }

    /// The record as a change, if it is one.
    pub(crate) fn change(&self) -> Option<EventEnvelope<Change<'_>>> {
        match decode(self.record()).unwrap() {
            Message::Change(change) => Some(change),
            _ => None,
        }
    }
}

/// All recorded configurations, named `schemas-decimal-time-binary`.
pub(crate) const CONFIGURATIONS: [(&str, &str); 10] = [
    ("plain-precise-adaptive-bytes", include_str!("../fixtures/plain-precise-adaptive-bytes.jsonl")),
    ("schema-precise-adaptive-bytes", include_str!("../fixtures/schema-precise-adaptive-bytes.jsonl")),
    ("plain-string-isostring-base64", include_str!("../fixtures/plain-string-isostring-base64.jsonl")),
    ("schema-string-connect-base64", include_str!("../fixtures/schema-string-connect-base64.jsonl")),
    ("plain-double-microseconds-hex", include_str!("../fixtures/plain-double-microseconds-hex.jsonl")),
    ("schema-double-nanoseconds-hex", include_str!("../fixtures/schema-double-nanoseconds-hex.jsonl")),
    ("plain-string-timemicros-urlsafe", include_str!("../fixtures/plain-string-timemicros-urlsafe.jsonl")),
    ("schema-precise-isostring-numeric", include_str!("../fixtures/schema-precise-isostring-numeric.jsonl")),
    ("plain-precise-connect-bytes", include_str!("../fixtures/plain-precise-connect-bytes.jsonl")),
    ("schema-string-structured-bytes", include_str!("../fixtures/schema-string-structured-bytes.jsonl")),
];

/// The records of one configuration, in the order of each topic.
pub(crate) fn recorded(configuration: &str) -> Vec<Recorded> {
    let (_, lines) = CONFIGURATIONS.iter().find(|(name, _)| *name == configuration).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
