//! The producer's side: how an event is made.
//!
//! Invariant: a finished event is valid under its schema, and its time is not further ahead of this machine's clock
//! than [`MAX_CLOCK_AHEAD`].

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use thiserror::Error;

use super::{EngagementEvent, EngagementType, MAX_DWELL_TIME_MS, UNKNOWN_PRODUCER, read};
use crate::{CURRENT_VERSION, EventEnvelope, TraceParent, Uuid};

/// How far an event's time may lie in the future of the producer's own clock: five minutes, for clocks that disagree.
pub const MAX_CLOCK_AHEAD: TimeDelta = TimeDelta::minutes(5);

/// An event that must not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// An id that was never set.
    #[error("{field} is the nil UUID; give the id that the application knows it by")]
    NilId {
        /// The field.
        field: &'static str,
    },
    /// A dwell time above [`MAX_DWELL_TIME_MS`].
    #[error("dwell_time_ms is {found}, more than a day ({MAX_DWELL_TIME_MS}); cut it where it is measured")]
    DwellTime {
        /// In milliseconds.
        found: u128,
    },
    /// A producer's name of another form, or [`UNKNOWN_PRODUCER`].
    #[error(
        "producer `{found}` is no name; give `name/version` in 1 to 100 characters of A-Za-z0-9._/@+-, beginning with \
         a letter or digit, and not `{UNKNOWN_PRODUCER}`"
    )]
    Producer {
        /// The name, shortened.
        found: String,
    },
    /// A time outside of the years 2000 to 2099.
    #[error("timestamp {found} is not in the years 2000 to 2099; is it in another unit?")]
    Timestamp {
        /// The time.
        found: DateTime<Utc>,
    },
    /// A time in the future.
    #[error("timestamp {found} is more than {} s ahead of this machine's clock ({now}); set the clock that made it",
        MAX_CLOCK_AHEAD.num_seconds())]
    Future {
        /// The time.
        found: DateTime<Utc>,
        /// This machine's.
        now: DateTime<Utc>,
    },
    /// An envelope that was read or made for another version.
    #[error("version is {found}; events are written in version {CURRENT_VERSION}")]
    Version {
        /// The envelope's version.
        found: u32,
    },
}

/// Makes one view or share.
///
/// Without further words the event gets a new time-ordered id (UUIDv7) and the time of [`build`](Self::build), in milliseconds. A
/// producer that repeats its transaction after a failure should choose the id before the first attempt.
#[derive(Debug, Clone)]
#[must_use]
pub struct EngagementBuilder<'a> {
    event_id: Option<Uuid>,
    timestamp: Option<DateTime<Utc>>,
    event_type: EngagementType,
    post_id: Uuid,
    user_id: Uuid,
    dwell_time: Duration,
    producer: Cow<'a, str>,
    traceparent: Option<TraceParent>,
}

impl<'a> EngagementBuilder<'a> {
    /// `user_id` looked at `post_id`; `producer` is the program that says so, `name/version`.
    pub fn view(post_id: Uuid, user_id: Uuid, producer: impl Into<Cow<'a, str>>) -> Self {
        Self::new(EngagementType::View, post_id, user_id, producer.into())
    }

    /// `user_id` passed `post_id` on; `producer` is the program that says so, `name/version`.
    pub fn share(post_id: Uuid, user_id: Uuid, producer: impl Into<Cow<'a, str>>) -> Self {
        Self::new(EngagementType::Share, post_id, user_id, producer.into())
    }

    fn new(event_type: EngagementType, post_id: Uuid, user_id: Uuid, producer: Cow<'a, str>) -> Self {
        Self {
            event_id: None,
            timestamp: None,
            event_type,
            post_id,
            user_id,
            dwell_time: Duration::ZERO,
            producer,
            traceparent: None,
        }
    }

    /// How long the post was looked at; cut to milliseconds.
    pub fn dwell_time(mut self, dwell_time: Duration) -> Self {
        self.dwell_time = dwell_time;
        self
    }

    /// The event's identity.
    pub fn event_id(mut self, event_id: Uuid) -> Self {
        self.event_id = Some(event_id);
        self
    }

    /// When it happened.
    pub fn timestamp(mut self, timestamp: DateTime<Utc>) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The span in which it happened.
    pub fn traceparent(mut self, traceparent: TraceParent) -> Self {
        self.traceparent = Some(traceparent);
        self
    }

    /// The event.
    ///
    /// # Errors
    /// The first thing about it that is not valid.
    pub fn build(self) -> Result<EventEnvelope<EngagementEvent<'a>>, InvalidEvent> {
        self.build_at(Utc::now())
    }

    fn build_at(self, now: DateTime<Utc>) -> Result<EventEnvelope<EngagementEvent<'a>>, InvalidEvent> {
        let found = self.dwell_time.as_millis();
        let payload = EngagementEvent {
            event_type: self.event_type,
            post_id: self.post_id,
            user_id: self.user_id,
            dwell_time_ms: u32::try_from(found).map_err(|_| InvalidEvent::DwellTime { found })?,
            producer: self.producer,
            traceparent: self.traceparent,
        };
        let event_id = self.event_id.unwrap_or_else(Uuid::now_v7);
        let event =
            EventEnvelope::new(event_id, self.timestamp.unwrap_or_else(|| now.trunc_subsecs(3)), payload);
        check(&event, now).map(|()| event)
    }
}

/// Whether the event may be written at `now`.
pub(crate) fn check(
    event: &EventEnvelope<EngagementEvent<'_>>,
    now: DateTime<Utc>,
) -> Result<(), InvalidEvent> {
    let EventEnvelope { version, event_id, timestamp, payload } = event;
    if *version != CURRENT_VERSION {
        return Err(InvalidEvent::Version { found: *version });
    }
    let ids = [("event_id", event_id), ("post_id", &payload.post_id), ("user_id", &payload.user_id)];
    if let Some((field, _)) = ids.into_iter().find(|(_, id)| id.is_nil()) {
        return Err(InvalidEvent::NilId { field });
    }
    if payload.dwell_time_ms > MAX_DWELL_TIME_MS {
        return Err(InvalidEvent::DwellTime { found: payload.dwell_time_ms.into() });
    }
    if !read::is_producer(&payload.producer) || payload.producer == UNKNOWN_PRODUCER {
        return Err(InvalidEvent::Producer { found: crate::error::shortened(&payload.producer) });
    }
    if !read::is_possible(timestamp) {
        return Err(InvalidEvent::Timestamp { found: *timestamp });
    }
    if *timestamp - now > MAX_CLOCK_AHEAD {
        return Err(InvalidEvent::Future { found: *timestamp, now });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    fn view() -> EngagementBuilder<'static> {
        EngagementBuilder::view(Uuid::from_u128(2), Uuid::from_u128(3), "feed-api/2.14.0")
    }

    #[test]
    fn what_is_not_said_is_new_and_now() {
        let moment = now() + TimeDelta::nanoseconds(999_999);
        let event = view().dwell_time(Duration::from_micros(4_200_999)).build_at(moment).unwrap();
        assert_eq!((event.version, event.timestamp, event.payload.dwell_time_ms), (3, now(), 4_200));
        assert_eq!(event.event_id.get_version_num(), 7);
        assert_ne!(event.event_id, view().build_at(now()).unwrap().event_id);
        let share =
            EngagementBuilder::share(Uuid::from_u128(2), Uuid::from_u128(3), "a").build_at(now()).unwrap();
        assert_eq!(share.payload.event_type, EngagementType::Share);
    }

    #[test]
    fn a_clock_may_be_ahead_but_not_far() {
        let at = |seconds| now() + TimeDelta::seconds(seconds);
        assert_eq!(view().timestamp(at(300)).build_at(now()).unwrap().timestamp, at(300));
        let error = view().timestamp(at(301)).build_at(now()).unwrap_err();
        assert_eq!(error, InvalidEvent::Future { found: at(301), now: now() });
        assert!(error.to_string().contains("more than 300 s ahead"), "{error}");
        let old = DateTime::from_timestamp(1_795_000, 0).unwrap();
        assert_eq!(view().timestamp(old).build_at(now()), Err(InvalidEvent::Timestamp { found: old }));
    }

    #[test]
    fn each_bound_is_held() {
        let nil = view().event_id(Uuid::nil()).build_at(now());
        assert_eq!(nil, Err(InvalidEvent::NilId { field: "event_id" }));
        let nil = EngagementBuilder::view(Uuid::nil(), Uuid::from_u128(3), "a").build_at(now());
        assert_eq!(nil, Err(InvalidEvent::NilId { field: "post_id" }));
        let day = Duration::from_secs(86_400);
        assert!(view().dwell_time(day).build_at(now()).is_ok());
        for (longer, found) in
            [(day + Duration::from_millis(1), 86_400_001), (Duration::from_secs(1 << 40), 1000 << 40)]
        {
            let error = view().dwell_time(longer).build_at(now()).unwrap_err();
            assert_eq!(error, InvalidEvent::DwellTime { found });
        }
        for wrong in ["", "unknown", "feed api", "/1", "größe", &"x".repeat(101)] {
            let error =
                EngagementBuilder::view(Uuid::from_u128(2), Uuid::from_u128(3), wrong).build_at(now());
            assert!(matches!(error, Err(InvalidEvent::Producer { .. })), "{wrong}");
        }
        let mut event = view().build_at(now()).unwrap();
        event.version = 2;
        assert_eq!(check(&event, now()), Err(InvalidEvent::Version { found: 2 }));
    }
}
