//! The envelope that every event wears from the moment it is decoded: version, identity, time, payload; and the
//! events that applications themselves write, in every version there has been.
//!
//! Table changes and application events meet in [`EventEnvelope`]; nothing behind the decoders asks where
//! an event came from.
//!
//! Invariants: a document of a newer version is refused, by whatever way it comes in, and never half understood;
//! nothing that is read can make this crate panic; without the feature `outbox` there is no I/O.
//!
//! ```
//! use nova_envelope::{EngagementBuilder, Uuid, decode_engagement};
//! use std::time::Duration;
//!
//! let (post, user) = (Uuid::now_v7(), Uuid::now_v7());
//! let event = EngagementBuilder::view(post, user, "feed-api/2.14.0").dwell_time(Duration::from_millis(4_200)).build()?;
//! let document = serde_json::to_vec(&event)?;
//! assert_eq!(decode_engagement(&document)?, event);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod engagement;
mod error;
#[cfg(feature = "outbox")]
mod outbox;
mod trace;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

pub use engagement::{
    EngagementBuilder, EngagementEvent, EngagementTexts, EngagementType, EngagementV1, EngagementV2,
    InvalidEvent, MAX_CLOCK_AHEAD, MAX_DWELL_TIME_MS, UNKNOWN_PRODUCER, Version, decode_engagement,
    decode_engagement_texts,
};
pub use error::{EnvelopeError, EnvelopeErrorKind, value_in_words};
#[cfg(feature = "outbox")]
pub use outbox::{OUTBOX_AGGREGATE_TYPE, OutboxError, write_outbox};
pub use trace::{TraceParent, TraceParentError};
pub use uuid::Uuid;

/// The envelope version that this library writes, and the newest that it reads.
pub const CURRENT_VERSION: u32 = 3;

/// One event: what happened (`payload`), when, and an identity that never changes.
///
/// On the wire the payload's fields stand beside the envelope's own (`#[serde(flatten)]`). Reading one through serde
/// refuses a version that [`is_compatible`] refuses; it does not upcast, so documents that applications wrote are
/// read by [`decode_engagement`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEnvelope<T> {
    /// Version of the envelope's form; see [`CURRENT_VERSION`].
    #[serde(deserialize_with = "known_version")]
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

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if is_compatible(CURRENT_VERSION, version) {
        Ok(version)
    } else {
        Err(D::Error::custom(EnvelopeErrorKind::unknown_version(version.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Like {
        post: u32,
    }

    #[test]
    fn a_consumer_reads_its_own_and_older_versions_only() {
        assert!(is_compatible(3, 1) && is_compatible(3, 3) && is_compatible(2, 2));
        assert!(!is_compatible(2, 3) && !is_compatible(3, 0) && !is_compatible(0, 0));
    }

    #[test]
    fn the_payload_stands_beside_the_envelope_fields() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let event = EventEnvelope::new(Uuid::nil(), at, Like { post: 7 });
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.contains(r#""version":3"#) && text.contains(r#""post":7"#), "{text}");
        assert_eq!(serde_json::from_str::<EventEnvelope<Like>>(&text).unwrap(), event);
    }

    #[test]
    fn serde_refuses_a_newer_version_too() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let mut event = EventEnvelope::new(Uuid::nil(), at, Like { post: 7 });
        event.version = 4;
        let text = serde_json::to_string(&event).unwrap();
        let error = serde_json::from_str::<EventEnvelope<Like>>(&text).unwrap_err().to_string();
        assert!(error.contains("version 4 is newer than version 3"), "{error}");
    }
}
