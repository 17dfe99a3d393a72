//! Quantities for people.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration};

/// A time in one unit: `12s`, `3m`, `2h`, `5d`.
pub fn span(seconds: f64) -> String {
    let span = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    format!("{:#}", HumanDuration(span))
}

/// A number with its thousands apart.
pub fn count(number: i64) -> String {
    HumanCount(u64::try_from(number).unwrap_or(0)).to_string()
}

/// A size in one unit.
pub fn bytes(bytes: i64) -> String {
    HumanBytes(u64::try_from(bytes).unwrap_or(0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_short_and_never_fail() {
        assert_eq!([0.4, 61.0, 200.0, 7_300.0].map(span), ["0s", "61s", "3m", "2h"]);
        assert_eq!(span(f64::INFINITY), span(f64::MAX));
        assert_eq!(
            (count(-1), count(1_234_567), bytes(5 << 20)),
            ("0".into(), "1,234,567".into(), "5.00 MiB".into())
        );
    }
}
