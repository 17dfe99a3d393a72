//! The older versions of an engagement event, and the steps that lead to the newest.
//!
//! Invariant: a step is total and pure. It adds what the older version could not say in the form that means "not
//! known" (dwell time 0, producer `unknown`) and changes nothing else.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::{EngagementEvent, EngagementType, EventEnvelope, UNKNOWN_PRODUCER, Uuid};

/// The number `N`, as a document's `version`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version<const N: u32>;

impl<const N: u32> Serialize for Version<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(N)
    }
}

/// Version 1: time in seconds, no dwell time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngagementV1 {
    /// 1.
    pub version: Version<1>,
    /// See [`EventEnvelope`].
    pub event_id: Uuid,
    /// Written as whole seconds since 1970; fractions are lost.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub timestamp: DateTime<Utc>,
    /// What was done.
    pub event_type: EngagementType,
    /// The post.
    pub post_id: Uuid,
    /// Who did it.
    pub user_id: Uuid,
}

/// Version 2: time in milliseconds, dwell time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngagementV2 {
    /// 2.
    pub version: Version<2>,
    /// See [`EventEnvelope`].
    pub event_id: Uuid,
    /// Written as whole milliseconds since 1970; finer fractions are lost.
    #[serde(serialize_with = "chrono::serde::ts_milliseconds::serialize")]
    pub timestamp: DateTime<Utc>,
    /// What was done.
    pub event_type: EngagementType,
    /// The post.
    pub post_id: Uuid,
    /// Who did it.
    pub user_id: Uuid,
    /// See [`EngagementEvent::dwell_time_ms`].
    pub dwell_time_ms: u32,
}

impl EngagementV1 {
    /// The same event in version 2: nobody measured a dwell time.
    #[must_use]
    pub fn upcast(self) -> EngagementV2 {
        let Self { version: _, event_id, timestamp, event_type, post_id, user_id } = self;
        EngagementV2 { version: Version, event_id, timestamp, event_type, post_id, user_id, dwell_time_ms: 0 }
    }
}

impl EngagementV2 {
    /// The same event in version 3: the producer is not known, and there is no trace.
    #[must_use]
    pub fn upcast(self) -> EventEnvelope<EngagementEvent<'static>> {
        let Self { version: _, event_id, timestamp, event_type, post_id, user_id, dwell_time_ms } = self;
        let payload = EngagementEvent {
            event_type,
            post_id,
            user_id,
            dwell_time_ms,
            producer: Cow::Borrowed(UNKNOWN_PRODUCER),
            traceparent: None,
        };
        EventEnvelope::new(event_id, timestamp, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_1() -> EngagementV1 {
        EngagementV1 {
            version: Version,
            event_id: Uuid::from_u128(1),
            timestamp: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            event_type: EngagementType::View,
            post_id: Uuid::from_u128(2),
            user_id: Uuid::from_u128(3),
        }
    }

    #[test]
    fn from_1_to_2_only_the_dwell_time_is_new_and_the_time_is_the_same_moment() {
        let old = version_1();
        let new = old.clone().upcast();
        assert_eq!(new.dwell_time_ms, 0);
        assert_eq!(
            (new.event_id, new.timestamp, new.event_type),
            (old.event_id, old.timestamp, old.event_type)
        );
        assert_eq!((new.post_id, new.user_id), (old.post_id, old.user_id));
        let (old, new) = (serde_json::to_value(old).unwrap(), serde_json::to_value(new).unwrap());
        assert_eq!((&old["version"], &new["version"]), (&1.into(), &2.into()));
        assert_eq!(
            (&old["timestamp"], &new["timestamp"]),
            (&1_700_000_000.into(), &1_700_000_000_000_u64.into())
        );
    }

    #[test]
    fn from_2_to_3_only_producer_and_trace_are_new() {
        let old = EngagementV2 { dwell_time_ms: 77, ..version_1().upcast() };
        let new = old.clone().upcast();
        assert_eq!((new.version, new.event_id, new.timestamp), (3, old.event_id, old.timestamp));
        let expected = EngagementEvent {
            event_type: old.event_type,
            post_id: old.post_id,
            user_id: old.user_id,
            dwell_time_ms: 77,
            producer: "unknown".into(),
            traceparent: None,
        };
        assert_eq!(new.payload, expected);
        let document = serde_json::to_value(new).unwrap();
        assert_eq!(document["timestamp"], "2023-11-14T22:13:20Z");
    }
}
