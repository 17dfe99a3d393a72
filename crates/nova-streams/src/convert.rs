//! A field of a change as a cell of a column's type: exact, or an error; nothing is rounded except times, which
//! are cut to the column's precision toward the past, as PostgreSQL's `date_trunc` does.

use nova_debezium::{Field, ValueError};

use crate::{Cell, ColumnType, FieldSource};

/// Days that `Date` holds: 1970-01-01 to 2149-06-06.
const DATE_DAYS: std::ops::RangeInclusive<i32> = 0..=65_535;
/// Days that `Date32` holds: 1900-01-01 to 2299-12-31.
const DATE32_DAYS: std::ops::RangeInclusive<i32> = -25_567..=120_529;
/// Seconds that `DateTime64` holds: 1900-01-01 to 2299-12-31T23:59:59.
const DATETIME64_SECONDS: std::ops::RangeInclusive<i64> = -2_208_988_800..=10_413_791_999;

/// Why a field did not become a cell; the column's name is added by the caller.
#[derive(Debug)]
pub(crate) enum ConvertError {
    /// The message's value is not of the form that its type promises.
    Value(ValueError),
    /// A good value that the column cannot hold.
    OutOfRange,
    /// NULL, and the column is not `Nullable`.
    Null,
    /// An enum member that the column does not know; its length in characters.
    NoMember(usize),
}

impl From<ValueError> for ConvertError {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}

/// Converts a field to the column's type.
pub(crate) fn convert<'a>(
    field: &Field<'a>,
    column_type: &ColumnType,
    source: &FieldSource,
) -> Result<Cell<'a>, ConvertError> {
    if let ColumnType::Nullable(inner) = column_type {
        return if field.is_null() { Ok(Cell::Null) } else { convert(field, inner, source) };
    }
    if field.is_null() {
        return Err(ConvertError::Null);
    }
    match column_type {
        ColumnType::Bool => Ok(Cell::Bool(field.boolean()?)),
        ColumnType::Int(bits) => {
            let value = field.integer()?;
            in_int_range(value, *bits).map(Cell::Int).ok_or(ConvertError::OutOfRange)
        }
        ColumnType::UInt(bits) => {
            let value = field.integer()?;
            in_uint_range(value, *bits).map(Cell::UInt).ok_or(ConvertError::OutOfRange)
        }
        ColumnType::Float(_) => Ok(Cell::Float(field.float()?)),
        ColumnType::String if source.encoding.is_some() => {
            Ok(Cell::Bytes(field.bytes(source.encoding)?.into()))
        }
        ColumnType::String => Ok(Cell::Text(field.text()?)),
        ColumnType::Uuid => Ok(Cell::Uuid(field.uuid()?)),
        ColumnType::Date => days(field.date_days()?, DATE_DAYS),
        ColumnType::Date32 => days(field.date_days()?, DATE32_DAYS),
        ColumnType::DateTime => {
            let seconds = field.timestamp_micros(source.unit)?.div_euclid(1_000_000);
            match u32::try_from(seconds) {
                Ok(_) => Ok(Cell::Ticks(seconds)),
                Err(_) => Err(ConvertError::OutOfRange),
            }
        }
        ColumnType::DateTime64(precision) => {
            let micros = field.timestamp_micros(source.unit)?;
            ticks_from_micros(micros, *precision).map(Cell::Ticks).ok_or(ConvertError::OutOfRange)
        }
        ColumnType::Decimal { precision, scale } => {
            let value = field.decimal(u32::from(*scale))?;
            if value.unsigned_abs() < 10u128.pow(u32::from(*precision)) {
                Ok(Cell::Decimal(value))
            } else {
                Err(ConvertError::OutOfRange)
            }
        }
        ColumnType::Enum { members, .. } => {
            let text = field.text()?;
            match enum_member(members, &text) {
                Some(number) => Ok(Cell::Int(number.into())),
                None => Err(ConvertError::NoMember(text.chars().count())),
            }
        }
        ColumnType::Array(inner) => {
            let cells = field
                .elements()?
                .iter()
                .map(|element| convert(element, inner, source))
                .collect::<Result<_, _>>();
            cells.map(Cell::Array)
        }
        ColumnType::Nullable(_) => Ok(Cell::Null),
    }
}

fn days<'a>(days: i32, range: std::ops::RangeInclusive<i32>) -> Result<Cell<'a>, ConvertError> {
    if range.contains(&days) { Ok(Cell::Days(days)) } else { Err(ConvertError::OutOfRange) }
}

/// The value, if a signed integer of that many bits holds it.
pub(crate) fn in_int_range(value: i128, bits: u8) -> Option<i64> {
    let limit = 1i128 << (bits - 1);
    if (-limit..limit).contains(&value) { i64::try_from(value).ok() } else { None }
}

/// The value, if an unsigned integer of that many bits holds it.
pub(crate) fn in_uint_range(value: i128, bits: u8) -> Option<u64> {
    if (0..1i128 << bits).contains(&value) { u64::try_from(value).ok() } else { None }
}

/// Microseconds as ticks of 10⁻ᵖ s, cut toward the past; `None` outside of what `DateTime64` holds.
pub(crate) fn ticks_from_micros(micros: i64, precision: u8) -> Option<i64> {
    if !DATETIME64_SECONDS.contains(&micros.div_euclid(1_000_000)) {
        return None;
    }
    if precision <= 6 {
        Some(micros.div_euclid(10i64.pow(u32::from(6 - precision))))
    } else {
        micros.checked_mul(10i64.pow(u32::from(precision - 6)))
    }
}

/// The number of an enum's member.
pub(crate) fn enum_member(members: &[(String, i16)], name: &str) -> Option<i16> {
    members.iter().find(|(member, _)| member == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_toward_the_past_on_both_sides_of_1970() {
        assert_eq!(ticks_from_micros(1_999, 3), Some(1));
        assert_eq!(ticks_from_micros(-1, 3), Some(-1));
        assert_eq!(ticks_from_micros(5, 9), Some(5_000));
        assert_eq!(ticks_from_micros(i64::MAX, 3), None);
        // 2299-12-31 needs more ticks of 1 ns than 64 bits hold.
        assert_eq!(ticks_from_micros(10_413_791_999_000_000, 9), None);
    }

    #[test]
    fn integer_ranges_are_exact() {
        assert_eq!(
            (in_int_range(127, 8), in_int_range(128, 8), in_int_range(-128, 8)),
            (Some(127), None, Some(-128))
        );
        assert_eq!(
            (in_uint_range(255, 8), in_uint_range(256, 8), in_uint_range(-1, 8)),
            (Some(255), None, None)
        );
        assert_eq!(in_uint_range(i128::from(u64::MAX), 64), Some(u64::MAX));
        assert_eq!(in_int_range(i128::from(i64::MIN), 64), Some(i64::MIN));
    }
}
