//! From the JSON text of one field to its value. Each function is the twin of a `properties` entry in
//! `schemas/events`; `tests/schemas.rs` holds them together.
//!
//! Invariant: `None` for whatever the schema refuses; no allocation but for strings with escapes.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{EngagementType, MAX_DWELL_TIME_MS};
use crate::{TraceParent, Uuid};

/// Times that an event can have, in milliseconds since 1970: the years 2000 to 2099. The bounds catch seconds taken
/// for milliseconds and the other way round.
const TIMES_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// The string, without copying where it has no escapes.
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The one form with hyphens: the parser alone would also take braces, URNs and bare digits.
pub(super) fn uuid(raw: &str) -> Option<Uuid> {
    let text = text(raw)?;
    (text.len() == 36).then(|| Uuid::try_parse(&text).ok())?
}

pub(super) fn event_type(raw: &str) -> Option<EngagementType> {
    let text = text(raw)?;
    EngagementType::ALL.into_iter().find(|event_type| event_type.name() == text)
}

/// Version 1's time.
pub(super) fn seconds(raw: &str) -> Option<DateTime<Utc>> {
    let seconds: i64 = serde_json::from_str(raw).ok()?;
    DateTime::from_timestamp(seconds, 0).filter(is_possible)
}

/// Version 2's time.
pub(super) fn milliseconds(raw: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(serde_json::from_str(raw).ok()?).filter(is_possible)
}

/// Version 3's time: RFC 3339 in UTC, capital `T` and `Z`, at most nine digits of a second, no leap second.
pub(super) fn rfc3339(raw: &str) -> Option<DateTime<Utc>> {
    let text = text(raw)?;
    let (seconds, rest) = text.split_at_checked("2026-01-31T23:59:59".len())?;
    let form = seconds.bytes().zip("0000-00-00T00:00:00".bytes()).all(|(found, form)| match form {
        b'0' => found.is_ascii_digit(),
        _ => found == form,
    });
    let fraction = match rest.strip_suffix('Z')? {
        "" => true,
        rest => rest.strip_prefix('.').is_some_and(|digits| {
            (1..=9).contains(&digits.len()) && digits.bytes().all(|d| d.is_ascii_digit())
        }),
    };
    if !form || !fraction || seconds.ends_with(":60") {
        return None;
    }
    Some(DateTime::parse_from_rfc3339(&text).ok()?.to_utc()).filter(is_possible)
}

/// Whether the time is one that all versions can say.
pub(super) fn is_possible(time: &DateTime<Utc>) -> bool {
    TIMES_MS.contains(&time.timestamp_millis())
}

pub(super) fn dwell_time_ms(raw: &str) -> Option<u32> {
    serde_json::from_str(raw).ok().filter(|ms| *ms <= MAX_DWELL_TIME_MS)
}

pub(super) fn producer(raw: &str) -> Option<Cow<'_, str>> {
    text(raw).filter(|text| is_producer(text))
}

/// Whether the text has the form of a `producer`.
pub(super) fn is_producer(text: &str) -> bool {
    text.len() <= 100
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/@+-".contains(&byte))
}

pub(super) fn traceparent(raw: &str) -> Option<TraceParent> {
    text(raw)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_borrowed_unless_they_have_escapes() {
        assert!(matches!(text(r#""feed-api""#), Some(Cow::Borrowed("feed-api"))));
        assert!(matches!(text(r#""feed\u002dapi""#), Some(Cow::Owned(text)) if text == "feed-api"));
        assert_eq!([r#"""#, "7", "null", r#""\ud800""#].map(text), [None, None, None, None]);
    }

    #[test]
    fn times_have_one_form_and_a_range() {
        for good in ["2026-11-21T12:00:00Z", "2026-11-21T12:00:00.123456789Z", "2000-01-01T00:00:00Z"] {
            assert!(rfc3339(&format!("\"{good}\"")).is_some(), "{good}");
        }
        for bad in [
            "2026-11-21T12:00:00+00:00",
            "2026-11-21t12:00:00z",
            "2026-11-21 12:00:00Z",
            "2026-11-21T12:00:00.Z",
            "2026-11-21T12:00:00.1234567890Z",
            "2026-12-31T23:59:60Z",
            "2026-02-30T12:00:00Z",
            "1999-12-31T23:59:59Z",
            "2026-11-21T12:00Z",
            "2026-11-21T12:00:0üZ",
        ] {
            assert_eq!(rfc3339(&format!("\"{bad}\"")), None, "{bad}");
        }
    }

    #[test]
    fn seconds_are_not_taken_for_milliseconds() {
        assert!(seconds("1700000000").is_some() && milliseconds("1700000000000").is_some());
        assert_eq!((seconds("1700000000000"), milliseconds("1700000000")), (None, None));
        assert_eq!(
            (seconds("1.7e9"), seconds("\"1700000000\""), seconds("9223372036854775807")),
            (None, None, None)
        );
    }

    #[test]
    fn ids_have_hyphens() {
        assert!(uuid(r#""018f2F00-0000-7000-8000-000000000001""#).is_some());
        assert_eq!(uuid(r#""018f2f00000070008000000000000001""#), None);
        assert_eq!(uuid(r#""{018f2f00-0000-7000-8000-000000000001}""#), None);
    }
}
