//! From the bytes of a document, of any version, to the event in the newest.
//!
//! Invariant: one pass over the bytes, which finds the fields by name; then the version decides what they must be.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::versions::{EngagementV1, EngagementV2, Version};
use super::{EngagementEvent, EngagementTexts, EngagementType, read};
use crate::error::{VERSION, value_in_words};
use crate::{EnvelopeError, EnvelopeErrorKind, EventEnvelope};

const UUID: &str = "a UUID as 36 characters with hyphens";
const EVENT_TYPE: &str = "\"view\" or \"share\"";
const SECONDS: &str = "whole seconds since 1970, in the years 2000 to 2099";
const MILLISECONDS: &str = "whole milliseconds since 1970, in the years 2000 to 2099";
const RFC3339: &str = "a time such as \"2026-01-31T23:59:59.123Z\", in the years 2000 to 2099";
const DWELL_TIME: &str = "milliseconds as an integer from 0 to 86400000 (a day)";
const PRODUCER: &str = "a name such as \"feed-api/2.14.0\", 1 to 100 characters of A-Za-z0-9._/@+-";
const TRACEPARENT: &str = "a W3C traceparent of version 00";

/// Reads a view or a share of any version from 1 to [`CURRENT_VERSION`](crate::CURRENT_VERSION), as JSON in UTF-8, and answers it in the
/// newest version.
///
/// Fields that its version does not have are ignored. The producer's name is borrowed from `document` unless it is
/// written with escapes; nothing else is on the heap.
///
/// # Errors
/// A newer version ([`EnvelopeErrorKind::NewerVersion`], whatever else the document holds), and every document that
/// its schema in `schemas/events` refuses. Also two spellings that a schema cannot tell apart: a field that stands there
/// twice, and an integer written as `7.0` or `7e0`.
pub fn decode_engagement(document: &[u8]) -> Result<EventEnvelope<EngagementEvent<'_>>, EnvelopeError> {
    let fields = Fields::of(document)?;
    fields.event(fields.version()?)
}

/// Reads as [`decode_engagement`] does, and answers the payload as the JSON texts of its fields: for whoever maps
/// fields by name.
///
/// # Errors
/// As for [`decode_engagement`].
pub fn decode_engagement_texts(document: &[u8]) -> Result<EventEnvelope<EngagementTexts<'_>>, EnvelopeError> {
    let fields = Fields::of(document)?;
    let version = fields.version()?;
    let EventEnvelope { event_id, timestamp, .. } = fields.event(version)?;
    Ok(EventEnvelope::new(event_id, timestamp, fields.texts(version)))
}

/// The fields of all versions, as they stand in the document.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    event_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    event_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    post_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    user_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    dwell_time_ms: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    producer: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    traceparent: Option<&'a RawValue>,
}

/// A field that is there, also when it is `null`: an `Option` alone would take `null` for absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Fields<'a> {
    fn of(document: &'a [u8]) -> Result<Self, EnvelopeError> {
        let problem = |kind: EnvelopeErrorKind| kind.at("document");
        let text = std::str::from_utf8(document)
            .map_err(|error| problem(EnvelopeErrorKind::Utf8 { offset: error.valid_up_to() }))?;
        // serde would also read the fields, in order, from an array.
        match text.trim_start().chars().next() {
            Some('{') => {}
            Some('"') => return Err(problem(EnvelopeErrorKind::QuotedObject)),
            Some(_) => return Err(problem(EnvelopeErrorKind::NotAnObject { found: value_in_words(text) })),
            None => return Err(problem(EnvelopeErrorKind::NotAnObject { found: "nothing".to_owned() })),
        }
        serde_json::from_str(text)
            .map_err(|error| problem(EnvelopeErrorKind::Json { problem: error.to_string() }))
    }

    fn version(&self) -> Result<u64, EnvelopeError> {
        let raw = self.version.map_or("", RawValue::get);
        serde_json::from_str(raw).map_err(|_| EnvelopeErrorKind::invalid(VERSION, raw).at("version"))
    }

    fn event(&self, version: u64) -> Result<EventEnvelope<EngagementEvent<'a>>, EnvelopeError> {
        match version {
            1 => self.version_1().map(|event| event.upcast().upcast()),
            2 => self.version_2().map(EngagementV2::upcast),
            3 => self.version_3(),
            other => Err(EnvelopeErrorKind::unknown_version(other).at("version")),
        }
    }

    /// The texts of an event that [`Fields::event`] has taken. What its version does not have is what the steps to the
    /// newest write, also where a field of that name stands in the document.
    fn texts(&self, version: u64) -> EngagementTexts<'a> {
        let since = |first: u64, raw: Option<&'a RawValue>, absent: &'static str| {
            raw.filter(|_| version >= first).map_or(absent, RawValue::get)
        };
        EngagementTexts([
            ("id", since(1, self.event_id, "null")),
            ("event_type", since(1, self.event_type, "null")),
            ("post_id", since(1, self.post_id, "null")),
            ("user_id", since(1, self.user_id, "null")),
            ("dwell_time_ms", since(2, self.dwell_time_ms, "0")),
            ("producer", since(3, self.producer, "\"unknown\"")),
            ("traceparent", since(3, self.traceparent, "null")),
        ])
    }

    fn version_1(&self) -> Result<EngagementV1, EnvelopeError> {
        Ok(EngagementV1 {
            version: Version,
            event_id: required(1, "event_id", self.event_id, UUID, read::uuid)?,
            timestamp: required(1, "timestamp", self.timestamp, SECONDS, read::seconds)?,
            event_type: required(1, "event_type", self.event_type, EVENT_TYPE, read::event_type)?,
            post_id: required(1, "post_id", self.post_id, UUID, read::uuid)?,
            user_id: required(1, "user_id", self.user_id, UUID, read::uuid)?,
        })
    }

    fn version_2(&self) -> Result<EngagementV2, EnvelopeError> {
        let event_type = required(2, "event_type", self.event_type, EVENT_TYPE, read::event_type)?;
        Ok(EngagementV2 {
            version: Version,
            event_id: required(2, "event_id", self.event_id, UUID, read::uuid)?,
            timestamp: required(2, "timestamp", self.timestamp, MILLISECONDS, read::milliseconds)?,
            event_type,
            post_id: required(2, "post_id", self.post_id, UUID, read::uuid)?,
            user_id: required(2, "user_id", self.user_id, UUID, read::uuid)?,
            dwell_time_ms: self.dwell_time_ms(2, event_type)?,
        })
    }

    fn version_3(&self) -> Result<EventEnvelope<EngagementEvent<'a>>, EnvelopeError> {
        let event_type = required(3, "event_type", self.event_type, EVENT_TYPE, read::event_type)?;
        let payload = EngagementEvent {
            event_type,
            post_id: required(3, "post_id", self.post_id, UUID, read::uuid)?,
            user_id: required(3, "user_id", self.user_id, UUID, read::uuid)?,
            dwell_time_ms: self.dwell_time_ms(3, event_type)?,
            producer: required(3, "producer", self.producer, PRODUCER, read::producer)?,
            traceparent: optional("traceparent", self.traceparent, TRACEPARENT, read::traceparent)?,
        };
        let event_id = required(3, "event_id", self.event_id, UUID, read::uuid)?;
        let timestamp = required(3, "timestamp", self.timestamp, RFC3339, read::rfc3339)?;
        Ok(EventEnvelope::new(event_id, timestamp, payload))
    }

    /// A view must say it; for a share nobody may have measured.
    fn dwell_time_ms(&self, version: u32, event_type: EngagementType) -> Result<u32, EnvelopeError> {
        let (name, raw) = ("dwell_time_ms", self.dwell_time_ms);
        match event_type {
            EngagementType::View => required(version, name, raw, DWELL_TIME, read::dwell_time_ms),
            EngagementType::Share => {
                optional(name, raw, DWELL_TIME, read::dwell_time_ms).map(Option::unwrap_or_default)
            }
        }
    }
}

fn required<'a, T>(
    version: u32,
    name: &'static str,
    raw: Option<&'a RawValue>,
    expected: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, EnvelopeError> {
    optional(name, raw, expected, read)?
        .ok_or_else(|| EnvelopeErrorKind::Missing { version, expected }.at(name))
}

fn optional<'a, T>(
    name: &'static str,
    raw: Option<&'a RawValue>,
    expected: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<Option<T>, EnvelopeError> {
    let Some(raw) = raw.map(RawValue::get) else { return Ok(None) };
    read(raw).map(Some).ok_or_else(|| EnvelopeErrorKind::invalid(expected, raw).at(name))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
