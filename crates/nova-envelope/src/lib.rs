//! The envelope that every event wears from the moment it is decoded: version, identity, time, payload.
//!
//! Table changes and application events meet in [`EventEnvelope`]; nothing behind the decoders asks where
//! an event came from.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The envelope version that this library writes.
pub const CURRENT_VERSION: u32 = 3;

/// One event: what happened (`payload`), when, and an identity that never changes.
///
/// On the wire the payload's fields stand beside the envelope's own (`#[serde(flatten)]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEnvelope<T> {
    /// Version of the envelope's form; see [`CURRENT_VERSION`].
    pub version: u32,
    /// Identity of the event: the same event always carries the same id, however often it is delivered.
    pub event_id: Uuid,
    /// When the event became true at its origin (commit time of a table change), not when it was read.
    pub timestamp: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub payload: T,
}

impl<T> EventEnvelope<T> {
    /// Wraps `payload` in an envelope of the [`CURRENT_VERSION`].
    pub fn new(event_id: Uuid, timestamp: DateTime<Utc>, payload: T) -> Self {
        Self { version: CURRENT_VERSION, event_id, timestamp, payload }
    }
}

/// Whether a consumer that knows `consumer` versions can read a message of version `message`.
///
/// A consumer reads its own version and every older one, back to 1; never a newer one.
#[must_use]
pub fn is_compatible(consumer: u32, message: u32) -> bool {
    (1..=consumer).contains(&message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_reads_its_own_and_older_versions_only() {
        assert!(is_compatible(3, 1) && is_compatible(3, 3) && is_compatible(2, 2));
        assert!(!is_compatible(2, 3) && !is_compatible(3, 0) && !is_compatible(0, 0));
    }

    #[test]
    fn the_payload_stands_beside_the_envelope_fields() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Like {
            post: u32,
        }
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let event = EventEnvelope::new(Uuid::nil(), at, Like { post: 7 });
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.contains(r#""version":3"#) && text.contains(r#""post":7"#), "{text}");
        assert_eq!(serde_json::from_str::<EventEnvelope<Like>>(&text).unwrap(), event);
    }
}
