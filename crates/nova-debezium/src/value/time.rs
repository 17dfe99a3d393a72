//! Timestamps, dates and times of day, from numbers of a unit and from ISO 8601 text.
//!
//! Invariant: every result is a time that PostgreSQL can hold. Debezium writes `infinity` as text, as the extremes of
//! 64 bits, and as numbers and dates from the Java driver's constants; all but the text lie outside PostgreSQL's range
//! (<https://www.postgresql.org/docs/current/datatype-datetime.html>), so the range is what tells them.

use super::{Outcome, Problem};

/// The unit of a number that stands for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Milliseconds: `time.precision.mode=connect`; `adaptive` for precisions up to 3.
    Millis,
    /// Microseconds: `microseconds`; `adaptive` for precisions above 3, the default of a `timestamp`.
    Micros,
    /// Nanoseconds: `nanoseconds`.
    Nanos,
}

impl TimeUnit {
    pub(crate) fn of_timestamp(semantic: &str) -> Option<Self> {
        Some(match semantic {
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => Self::Millis,
            "io.debezium.time.MicroTimestamp" => Self::Micros,
            "io.debezium.time.NanoTimestamp" => Self::Nanos,
            _ => return None,
        })
    }

    pub(crate) fn of_time(semantic: &str) -> Option<Self> {
        Some(match semantic {
            "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time" => Self::Millis,
            "io.debezium.time.MicroTime" => Self::Micros,
            "io.debezium.time.NanoTime" => Self::Nanos,
            _ => return None,
        })
    }

    fn to_micros(self, number: i128) -> Outcome<i128> {
        match self {
            Self::Millis => number.checked_mul(1_000).ok_or(Problem::Overflow),
            Self::Micros => Ok(number),
            Self::Nanos if number % 1_000 == 0 => Ok(number / 1_000),
            Self::Nanos => Err(Problem::LostDigits),
        }
    }
}

const DAY_SECONDS: i64 = 86_400;
const DAY_MICROS: i64 = DAY_SECONDS * 1_000_000;
/// Julian day 0, 24 November 4714 BC, in days since 1970.
const FIRST_DAY: i64 = -2_440_588;
/// The first day that a `date` cannot hold, 1 January 5874898.
const DATE_END: i64 = 2_145_042_906;
/// The first day that a `timestamp` cannot hold, 1 January 294277.
const TIMESTAMP_END: i64 = 106_762_940;

/// A number of units since 1970 as microseconds.
pub(crate) fn timestamp_from_number(number: i128, unit: TimeUnit) -> Outcome<i64> {
    if number == i128::from(i64::MAX) || number == i128::from(i64::MIN) {
        return Err(Problem::Infinite);
    }
    in_timestamp_range(unit.to_micros(number)?)
}

/// `2024-02-29T23:59:59.123456Z`, years 0000 to 9999, with up to six digits of a second or none; `None` for every other
/// text, be it a time or not. The form that nearly all times have, at a tenth of what the general one costs.
#[inline]
pub(crate) fn timestamp_from_usual_iso(text: &str) -> Option<i64> {
    let (clock, fraction) = text.as_bytes().split_first_chunk::<19>()?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = clock
    else {
        return None;
    };
    let fraction = match fraction {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if (1..=6).contains(&digits.len()) => {
            let scale = 10_i64.pow(u32::try_from(6 - digits.len()).ok()?);
            digits.iter().try_fold(0, |number, byte| Some(number * 10 + digit(*byte)?))? * scale
        }
        _ => return None,
    };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let days = days_of(year, pair(m1, m2)?, pair(d1, d2)?).ok()?;
    let (hours, minutes, seconds) = (pair(h1, h2)?, pair(n1, n2)?, pair(s1, s2)?);
    // No leap seconds and no 24:00 here: the general form decides about those.
    let is_usual = hours < 24 && minutes < 60 && seconds < 60;
    let seconds = days * DAY_SECONDS + hours * 3_600 + minutes * 60 + seconds;
    is_usual.then_some(seconds * 1_000_000 + fraction)
}

#[inline]
fn pair(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[inline]
fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

/// `2024-02-29T23:59:59.123456Z`, with any offset or none, a sign before years of more than four digits or before
/// 1 BC, up to nine digits of a second.
pub(crate) fn timestamp_from_iso(text: &str) -> Outcome<i64> {
    if matches!(text, "infinity" | "-infinity") {
        return Err(Problem::Infinite);
    }
    let (date, rest) = text.split_once('T').ok_or(Problem::Type)?;
    let (time, offset) = split_offset(rest);
    let time = time_of_day(time)?;
    if time >= DAY_MICROS {
        return Err(Problem::Type);
    }
    let micros = i128::from(days(date)?) * i128::from(DAY_MICROS) + i128::from(time);
    in_timestamp_range(micros - i128::from(offset_seconds(offset)?) * 1_000_000)
}

fn in_timestamp_range(micros: i128) -> Outcome<i64> {
    let day = i128::from(DAY_MICROS);
    if micros < i128::from(FIRST_DAY) * day || micros >= i128::from(TIMESTAMP_END) * day {
        return Err(Problem::Infinite);
    }
    // PostgreSQL counts from 2000, so its last thirty years do not fit 64 bits counted from 1970.
    i64::try_from(micros).map_err(|_| Problem::Overflow)
}

/// A number of days since 1970.
pub(crate) fn date_from_number(number: i128) -> Outcome<i32> {
    let days = i64::try_from(number).map_err(|_| Problem::Infinite)?;
    if (FIRST_DAY..DATE_END).contains(&days) {
        i32::try_from(days).map_err(|_| Problem::Overflow)
    } else {
        Err(Problem::Infinite)
    }
}

/// `2024-02-29`, with or without the `Z` that Debezium appends.
pub(crate) fn date_from_iso(text: &str) -> Outcome<i32> {
    if matches!(text, "infinity" | "-infinity") {
        return Err(Problem::Infinite);
    }
    date_from_number(i128::from(days(text.strip_suffix('Z').unwrap_or(text))?))
}

/// A number of units since midnight as microseconds.
pub(crate) fn time_from_number(number: i128, unit: TimeUnit) -> Outcome<i64> {
    let micros = i64::try_from(unit.to_micros(number)?).map_err(|_| Problem::Overflow)?;
    if (0..=DAY_MICROS).contains(&micros) { Ok(micros) } else { Err(Problem::Overflow) }
}

/// `23:59:59.123456`, with or without the `Z` that Debezium appends; `timetz` arrives converted to UTC.
pub(crate) fn time_from_iso(text: &str) -> Outcome<i64> {
    time_of_day(text.strip_suffix('Z').unwrap_or(text))
}

/// Days since 1970 of a date in the proleptic Gregorian calendar, where the year before 1 is 0.
fn days(text: &str) -> Outcome<i64> {
    let (rest, day) = text.rsplit_once('-').ok_or(Problem::Type)?;
    let (year, month) = rest.rsplit_once('-').ok_or(Problem::Type)?;
    let (sign, digits) = match year.as_bytes().first() {
        Some(b'-') => (-1, year.get(1..).unwrap_or_default()),
        Some(b'+') => (1, year.get(1..).unwrap_or_default()),
        _ => (1, year),
    };
    if !(4..=9).contains(&digits.len()) {
        return Err(Problem::Type);
    }
    days_of(sign * number(digits)?, two_digits(month)?, two_digits(day)?)
}

#[inline]
fn days_of(year: i64, month: i64, day: i64) -> Outcome<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return Err(Problem::Type),
    };
    if !(1..=length).contains(&day) {
        return Err(Problem::Type);
    }
    // Years that begin in March put the leap day last; 400 of them are one cycle of 146,097 days.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    let march_of_year_0 = -719_468;
    Ok(march_of_year_0 + cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year)
}

/// Microseconds since midnight of `23:59`, `23:59:59` or `23:59:59.123456`; up to `24:00`.
fn time_of_day(text: &str) -> Outcome<i64> {
    let (clock, fraction) =
        text.split_once('.').map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    let seconds = clock_seconds(clock, 24)?;
    let micros = match fraction {
        None => 0,
        // A fraction belongs to a second, so the seconds have to be there.
        Some(fraction) if clock.len() == 8 => fraction_micros(fraction)?,
        Some(_) => return Err(Problem::Type),
    };
    let micros = seconds * 1_000_000 + micros;
    if micros <= DAY_MICROS { Ok(micros) } else { Err(Problem::Type) }
}

fn fraction_micros(digits: &str) -> Outcome<i64> {
    if !(1..=9).contains(&digits.len()) {
        return Err(Problem::Type);
    }
    let missing = u32::try_from(9 - digits.len()).unwrap_or_default();
    let nanos = number(digits)? * 10_i64.pow(missing);
    if nanos % 1_000 == 0 { Ok(nanos / 1_000) } else { Err(Problem::LostDigits) }
}

/// Seconds of `hh`, `hh:mm` or `hh:mm:ss`.
fn clock_seconds(text: &str, max_hours: i64) -> Outcome<i64> {
    let mut parts = text.split(':');
    let mut next = |max: i64| match parts.next() {
        None => Ok(0),
        Some(part) => {
            two_digits(part).and_then(|value| if value <= max { Ok(value) } else { Err(Problem::Type) })
        }
    };
    let seconds = next(max_hours)? * 3_600 + next(59)? * 60 + next(59)?;
    if parts.next().is_none() { Ok(seconds) } else { Err(Problem::Type) }
}

/// A time of day and its offset: `Z`, `+hh:mm` or nothing.
fn split_offset(text: &str) -> (&str, &str) {
    text.find(['Z', '+', '-']).and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}

fn offset_seconds(offset: &str) -> Outcome<i64> {
    match offset.as_bytes().first() {
        None => Ok(0),
        Some(b'Z') if offset.len() == 1 => Ok(0),
        Some(b'+') => clock_seconds(offset.get(1..).unwrap_or_default(), 18),
        Some(b'-') => clock_seconds(offset.get(1..).unwrap_or_default(), 18).map(|seconds| -seconds),
        _ => Err(Problem::Type),
    }
}

fn two_digits(text: &str) -> Outcome<i64> {
    if text.len() == 2 { number(text) } else { Err(Problem::Type) }
}

/// At most nine digits.
fn number(digits: &str) -> Outcome<i64> {
    digits.bytes().try_fold(0, |number, byte| match byte {
        b'0'..=b'9' => Ok(number * 10 + i64::from(byte - b'0')),
        _ => Err(Problem::Type),
    })
}

#[cfg(test)]
mod tests;
