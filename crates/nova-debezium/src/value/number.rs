//! Integers and floating-point numbers.

use super::{Outcome, Problem};

/// A JSON number without fraction and exponent.
pub(crate) fn integer(raw: &str) -> Outcome<i128> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Type);
    }
    match raw.parse::<i64>() {
        Ok(number) => Ok(i128::from(number)),
        Err(_) => raw.parse().map_err(|_| Problem::Overflow),
    }
}

/// A JSON number, or the string that stands for a special one.
pub(crate) fn float(raw: &str) -> Outcome<f64> {
    match raw {
        r#""NaN""# => Ok(f64::NAN),
        r#""Infinity""# => Ok(f64::INFINITY),
        r#""-Infinity""# => Ok(f64::NEG_INFINITY),
        _ if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            let number: f64 = raw.parse().map_err(|_| Problem::Type)?;
            if number.is_finite() { Ok(number) } else { Err(Problem::Overflow) }
        }
        _ => Err(Problem::Type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_whole_and_bounded() {
        assert_eq!(integer("-9223372036854775808"), Ok(i128::from(i64::MIN)));
        assert_eq!(integer("18446744073709551615"), Ok(i128::from(u64::MAX)));
        assert_eq!(integer(&"9".repeat(40)), Err(Problem::Overflow));
        for wrong in ["1.0", "1e3", "\"1\"", "true", "-", "[1]", "+1"] {
            assert_eq!(integer(wrong), Err(Problem::Type), "{wrong}");
        }
    }

    #[test]
    fn floats_know_the_special_strings() {
        assert!(float(r#""NaN""#).unwrap().is_nan());
        assert_eq!(float(r#""-Infinity""#), Ok(f64::NEG_INFINITY));
        assert_eq!(float("5e-324"), Ok(5e-324));
        assert_eq!(float("1e999"), Err(Problem::Overflow));
        for wrong in [r#""1.5""#, "true", "null", "[1]", "-inf", "-nan"] {
            assert!(float(wrong).is_err(), "{wrong}");
        }
    }
}
