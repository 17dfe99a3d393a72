//! Exact decimals as a 128-bit integer and a scale.

use serde::Deserialize;

use super::{Outcome, Problem, bytes};
use crate::{BytesEncoding, shape::Text};

/// The semantic type of `decimal.handling.mode=precise`.
pub(crate) const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";

/// Decimal text, possibly with an exponent, times ten to the power of `scale`.
pub(crate) fn parse(text: &str, scale: u32) -> Outcome<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = match rest.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, parse_exponent(exponent)?),
        None => (rest, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || digits.ends_with('.') {
        return Err(Problem::Type);
    }
    let mut unscaled = 0_u128;
    // Zeros count only once another digit follows, so that 1.000…0 has one digit.
    let mut zeros = 0_u32;
    for byte in whole.bytes().chain(fraction.bytes()) {
        match byte {
            b'0' => zeros = zeros.saturating_add(u32::from(unscaled != 0)),
            b'1'..=b'9' => {
                let shift = 10_u128.checked_pow(zeros.saturating_add(1));
                unscaled = shift
                    .and_then(|shift| unscaled.checked_mul(shift))
                    .and_then(|shifted| shifted.checked_add(u128::from(byte - b'0')))
                    .ok_or(Problem::Overflow)?;
                zeros = 0;
            }
            _ => return Err(Problem::Type),
        }
    }
    let fraction = i64::try_from(fraction.len()).map_err(|_| Problem::Overflow)?;
    let power =
        exponent.saturating_sub(fraction).saturating_add(i64::from(zeros)).saturating_add(i64::from(scale));
    let unsigned = if unscaled == 0 { 0 } else { shift_unsigned(unscaled, power)? };
    if negative {
        0_i128.checked_sub_unsigned(unsigned).ok_or(Problem::Overflow)
    } else {
        i128::try_from(unsigned).map_err(|_| Problem::Overflow)
    }
}

fn parse_exponent(text: &str) -> Outcome<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Type);
    }
    text.parse().map_err(|_| Problem::Overflow)
}

/// A number that ends in no zero, times ten to `power`.
fn shift_unsigned(number: u128, power: i64) -> Outcome<u128> {
    let power =
        u32::try_from(power).map_err(|_| if power < 0 { Problem::LostDigits } else { Problem::Overflow })?;
    10_u128.checked_pow(power).and_then(|factor| number.checked_mul(factor)).ok_or(Problem::Overflow)
}

/// A big-endian two's complement number with `from` decimal places, rescaled to `to`.
pub(crate) fn binary(unscaled: &[u8], from: i32, to: u32) -> Outcome<i128> {
    let sign = if unscaled.first().ok_or(Problem::Type)? & 0x80 == 0 { 0x00 } else { 0xff };
    let surplus = unscaled.len().saturating_sub(16);
    let (head, tail) = unscaled.split_at_checked(surplus).ok_or(Problem::Type)?;
    let mut wide = [sign; 16];
    for (to, from) in wide.iter_mut().rev().zip(tail.iter().rev()) {
        *to = *from;
    }
    let number = i128::from_be_bytes(wide);
    if head.iter().any(|byte| *byte != sign) || (number < 0) != (sign == 0xff) {
        return Err(Problem::Overflow);
    }
    let power = i64::from(to) - i64::from(from);
    let factor = u32::try_from(power.unsigned_abs()).ok().and_then(|power| 10_i128.checked_pow(power));
    match (number, factor, power) {
        (0, ..) => Ok(0),
        (_, Some(factor), 0..) => number.checked_mul(factor).ok_or(Problem::Overflow),
        (_, Some(factor), _) if number % factor == 0 => Ok(number / factor),
        (_, None, 0..) => Err(Problem::Overflow),
        _ => Err(Problem::LostDigits),
    }
}

/// Debezium's `VariableScaleDecimal`: `{"scale":9,"value":"…"}`, for a `numeric` without declared scale.
pub(crate) fn variable_scale(raw: &str, scale: u32) -> Outcome<i128> {
    #[derive(Deserialize)]
    struct VariableScaleDecimal<'a> {
        scale: i32,
        #[serde(borrow)]
        value: Text<'a>,
    }
    let decimal: VariableScaleDecimal<'_> = serde_json::from_str(raw).map_err(|_| Problem::Type)?;
    binary(&bytes::decode(&decimal.value.0, BytesEncoding::Base64)?, decimal.scale, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_exact_or_refused() {
        assert_eq!(parse("-12345678.90", 2), Ok(-1_234_567_890));
        assert_eq!(parse("1.2345678901234567e+19", 0), Ok(12_345_678_901_234_567_000));
        assert_eq!(parse("1E-7", 7), Ok(1));
        assert_eq!(parse(&format!("1.{}", "0".repeat(1_000_000)), 2), Ok(100));
        assert_eq!(parse("0e999999999999", 2), Ok(0));
        assert_eq!(parse("-0.00", 1), Ok(0));
        assert_eq!(parse(&i128::MIN.to_string(), 0), Ok(i128::MIN));
        assert_eq!(parse(&i128::MAX.to_string(), 0), Ok(i128::MAX));
        assert_eq!(parse("170141183460469231731687303715884105728", 0), Err(Problem::Overflow));
        assert_eq!(parse("1e39", 0), Err(Problem::Overflow));
        assert_eq!(parse("1e999999999999", 0), Err(Problem::Overflow));
        assert_eq!(parse("0.001", 2), Err(Problem::LostDigits));
        assert_eq!(parse("1e-999999999999", 2), Err(Problem::LostDigits));
        for wrong in
            ["", "-", ".", "1.", ".5", "NaN", "+1", "1e", "1e+", "1.2.3", "tmn9Lg==", "--1", "1e5e5", " 1"]
        {
            assert_eq!(parse(wrong, 2), Err(Problem::Type), "{wrong}");
        }
    }

    #[test]
    fn binary_is_sign_extended_and_rescaled() {
        assert_eq!(binary(&[0xff], 2, 2), Ok(-1));
        assert_eq!(binary(&[0x7d], 2, 4), Ok(12_500));
        assert_eq!(binary(&[0x64], 2, 0), Ok(1));
        assert_eq!(binary(&[0x7d], 2, 0), Err(Problem::LostDigits));
        assert_eq!(binary(&[0x01], -3, 2), Ok(100_000));
        assert_eq!(binary(&[0x00], -300, 2), Ok(0));
        assert_eq!(binary(&[0x01], -300, 2), Err(Problem::Overflow));
        assert_eq!(binary(&[0x01], i32::MAX, 0), Err(Problem::LostDigits));
        assert_eq!(binary(&[], 0, 0), Err(Problem::Type));
        let mut wide = vec![0xff; 40];
        assert_eq!(binary(&wide, 0, 0), Ok(-1));
        wide.truncate(17);
        wide[1] = 0x7f;
        assert_eq!(binary(&wide, 0, 0), Err(Problem::Overflow));
    }

    #[test]
    fn variable_scale_carries_its_own_scale() {
        let raw = r#"{"scale":9,"value":"J+QbMka+ybFuOYEV"}"#;
        assert_eq!(variable_scale(raw, 9), Ok(12_345_678_901_234_567_890_123_456_789));
        assert_eq!(variable_scale(raw, 8), Err(Problem::LostDigits));
        assert_eq!(variable_scale(r#"{"scale":9}"#, 9), Err(Problem::Type));
    }
}
