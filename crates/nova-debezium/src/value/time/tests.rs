//! Times against chrono, against known values and at the ends of every range.

use chrono::{DateTime, NaiveDate, SecondsFormat};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use super::*;

const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn timestamps_agree_with_chrono(micros in -8_000_000_000_000_000_000_i64..8_000_000_000_000_000_000, unit in 0..4) {
        let micros = micros.max(FIRST_DAY * DAY_MICROS);
        let (format, step) = match unit {
            0 => (SecondsFormat::Secs, 1_000_000),
            1 => (SecondsFormat::Millis, 1_000),
            2 => (SecondsFormat::Micros, 1),
            _ => (SecondsFormat::Nanos, 1),
        };
        let micros = micros.div_euclid(step) * step;
        let micros = if micros < FIRST_DAY * DAY_MICROS { micros + step } else { micros };
        if let Some(time) = DateTime::from_timestamp_micros(micros) {
            prop_assert_eq!(timestamp_from_iso(&time.to_rfc3339_opts(format, true)), Ok(micros));
        }
    }

    #[test]
    fn dates_agree_with_chrono(days in -2_440_588_i32..95_000_000) {
        let date = EPOCH.checked_add_signed(chrono::TimeDelta::days(i64::from(days)));
        if let Some(date) = date {
            prop_assert_eq!(date_from_iso(&date.format("%Y-%m-%dZ").to_string()), Ok(days));
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), near in "[-+]?[0-9]{1,12}-[0-9]{1,2}-[0-9]{1,2}T[0-9:.]{0,20}[Z+-]?[0-9:]{0,8}") {
        for text in [&text, &near] {
            let _ = (timestamp_from_iso(text), date_from_iso(text), time_from_iso(text));
        }
    }
}

#[test]
fn known_timestamps() {
    let iso = timestamp_from_iso;
    assert_eq!(iso("1970-01-01T00:00:00Z"), Ok(0));
    assert_eq!(iso("1969-12-31T23:59:59.999999Z"), Ok(-1));
    assert_eq!(iso("2024-02-29T23:59:59.123456Z"), Ok(1_709_251_199_123_456));
    assert_eq!(iso("2024-02-29T23:59:59.123456000"), Ok(1_709_251_199_123_456));
    assert_eq!(iso("2024-03-01T05:29:59+05:30"), Ok(1_709_251_199_000_000));
    assert_eq!(iso("2024-02-29T23:59-00:01"), Ok(1_709_251_200_000_000));
    assert_eq!(iso("+12024-01-02T03:04:05Z"), Ok(317_273_684_645_000_000));
    assert_eq!(iso("-0043-03-15T12:00:00Z"), Ok(-63_517_780_800_000_000));
    assert_eq!(iso("0000-02-29T00:00:00Z"), Ok(-62_162_121_600_000_000));
}

#[test]
fn the_ends_of_the_timestamp_range() {
    let iso = timestamp_from_iso;
    assert_eq!(iso("-4713-11-24T00:00:00Z"), Ok(-210_866_803_200_000_000));
    assert_eq!(iso("-4713-11-23T23:59:59.999999Z"), Err(Problem::Infinite));
    assert_eq!(iso("+294247-01-10T04:00:54.775807Z"), Ok(i64::MAX));
    assert_eq!(iso("+294276-12-31T23:59:59.999999Z"), Err(Problem::Overflow));
    assert_eq!(iso("+294277-01-01T00:00:00Z"), Err(Problem::Infinite));
    for infinite in ["infinity", "-infinity", "+292278994-08-16T23:00:00Z", "-292275055-05-16T23:00:00Z"] {
        assert_eq!(iso(infinite), Err(Problem::Infinite), "{infinite}");
    }
}

#[test]
fn no_time_that_is_none() {
    for wrong in [
        "",
        "T",
        "2024-02-29",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00ZZ",
        "2024-01-01T00:00:00+1",
        "2024-01-01T00:00:00+19:00",
        "2024-01-01T00:00.5Z",
        "24-01-01T00:00:00Z",
        "2024-1-1T00:00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01 00:00:00Z",
        "2024-01-01T0٣:00:00Z",
        "-+2024-01-01T00:00:00Z",
        "9999999999-01-01T00:00:00Z",
    ] {
        assert_eq!(timestamp_from_iso(wrong), Err(Problem::Type), "{wrong}");
    }
    assert_eq!(timestamp_from_iso("2024-01-01T00:00:00.1234567Z"), Err(Problem::LostDigits));
}

#[test]
fn numbers_have_units() {
    use TimeUnit::{Micros, Millis, Nanos};
    assert_eq!(timestamp_from_number(-1, Millis), Ok(-1_000));
    assert_eq!(timestamp_from_number(-1_000, Nanos), Ok(-1));
    assert_eq!(timestamp_from_number(-1, Nanos), Err(Problem::LostDigits));
    assert_eq!(timestamp_from_number(9_224_318_015_999_999, Millis), Err(Problem::Overflow));
    for unit in [Millis, Micros, Nanos] {
        for infinite in [i64::MAX, i64::MIN] {
            assert_eq!(timestamp_from_number(i128::from(infinite), unit), Err(Problem::Infinite));
        }
    }
    for infinite in [9_223_372_036_825_200_000, -9_223_372_036_832_400_000] {
        assert_eq!(timestamp_from_number(infinite, Millis), Err(Problem::Infinite));
    }
    assert_eq!(timestamp_from_number(i128::MAX, Millis), Err(Problem::Overflow));
}

#[test]
fn dates_and_times_of_day() {
    assert_eq!(date_from_iso("2024-02-29Z"), Ok(19_782));
    assert_eq!(date_from_iso("5874897-12-31"), Ok(2_145_042_905));
    for infinite in ["+5877611-06-21Z", "-5877611-06-22Z", "5874898-01-01"] {
        assert_eq!(date_from_iso(infinite), Err(Problem::Infinite), "{infinite}");
    }
    for infinite in [2_146_033_979, -2_147_472_691, i128::MAX] {
        assert_eq!(date_from_number(infinite), Err(Problem::Infinite));
    }
    assert_eq!(time_from_iso("23:59:59.123456Z"), Ok(86_399_123_456));
    assert_eq!(time_from_iso("24:00:00"), Ok(DAY_MICROS));
    assert_eq!(time_from_iso("24:00:01"), Err(Problem::Type));
    assert_eq!(time_from_number(86_400_000, TimeUnit::Millis), Ok(DAY_MICROS));
    assert_eq!(time_from_number(-1, TimeUnit::Micros), Err(Problem::Overflow));
}

#[test]
fn the_usual_form_is_read_as_by_the_general_way() {
    let usual = [
        "2024-02-29T23:59:59.123456Z",
        "2023-11-14T22:13:20Z",
        "1969-12-31T23:59:59.9Z",
        "0000-01-01T00:00:00.000001Z",
        "9999-12-31T00:00:00.12Z",
    ];
    for text in usual {
        assert_eq!(timestamp_from_usual_iso(text), timestamp_from_iso(text).ok(), "{text}");
        assert!(timestamp_from_usual_iso(text).is_some(), "{text}");
    }
    // One character changed: refused by the general way, too, or left to it.
    let text = "2024-02-28T23:59:59.123456Z";
    for at in 0..text.len() {
        for other in [" ", "0", "1", "3", "6", "9", "-", "+", ":", ".", "T", "Z", "z", "\u{e9}", ""] {
            let changed = [&text[..at], other, &text[at + 1..]].concat();
            let quick = timestamp_from_usual_iso(&changed);
            assert!(quick.is_none() || quick == timestamp_from_iso(&changed).ok(), "{changed}");
        }
    }
    for left in [
        "2024-02-29T23:59:59.1234560Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T23:59:59+01:00",
        "2024-02-29T23:59Z",
    ] {
        assert_eq!(timestamp_from_usual_iso(left), None, "{left}");
    }
}
