//! A TOML value as a cell of a column's type; done once, when a mapping is compiled.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate};
use toml::Value;
use uuid::Uuid;

use crate::convert::{enum_member, in_int_range, in_uint_range, ticks_from_micros};
use crate::{Cell, ColumnType};

/// The cell that a literal stands for.
///
/// # Errors
/// What the column would take instead, as a sentence.
pub fn literal(value: &Value, column_type: &ColumnType) -> Result<Cell<'static>, String> {
    let expected = |what: &str| Err(format!("`{value}` does not fit {column_type}: write {what}"));
    match (column_type, value) {
        (ColumnType::Nullable(inner), _) => literal(value, inner),
        (ColumnType::Bool, Value::Boolean(value)) => Ok(Cell::Bool(*value)),
        (ColumnType::Int(bits), Value::Integer(value)) => in_int_range(i128::from(*value), *bits)
            .map(Cell::Int)
            .ok_or_else(|| out_of_range(value, column_type)),
        (ColumnType::UInt(bits), Value::Integer(value)) => in_uint_range(i128::from(*value), *bits)
            .map(Cell::UInt)
            .ok_or_else(|| out_of_range(value, column_type)),
        (ColumnType::Float(_), Value::Float(value)) => Ok(Cell::Float(*value)),
        (ColumnType::Float(_), Value::Integer(_)) => expected("a number with a point, for example `1.0`"),
        (ColumnType::String, Value::String(text)) => Ok(Cell::Text(Cow::Owned(text.clone()))),
        (ColumnType::Uuid, Value::String(text)) => {
            Uuid::parse_str(text).map(Cell::Uuid).or_else(|_| expected("a UUID in quotes"))
        }
        (ColumnType::Enum { members, .. }, Value::String(text)) => match enum_member(members, text) {
            Some(number) => Ok(Cell::Int(number.into())),
            None => {
                let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                Err(format!("`{text}` is no member of the enum: write one of {}", names.join(", ")))
            }
        },
        (ColumnType::DateTime | ColumnType::DateTime64(_), Value::String(text)) => {
            let precision = if let ColumnType::DateTime64(precision) = column_type { *precision } else { 0 };
            let micros = DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros());
            match micros.and_then(|micros| ticks_from_micros(micros, precision)) {
                Some(ticks) => Ok(Cell::Ticks(ticks)),
                None => expected("a time in quotes, for example `\"2026-01-31T12:00:00Z\"`"),
            }
        }
        (ColumnType::Date | ColumnType::Date32, Value::String(text)) => match text.parse::<NaiveDate>() {
            Ok(date) => i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days())
                .map(Cell::Days)
                .or_else(|_| expected("a date of our age")),
            Err(_) => expected("a date in quotes, for example `\"2026-01-31\"`"),
        },
        (ColumnType::Array(inner), Value::Array(values)) => {
            values.iter().map(|value| literal(value, inner)).collect::<Result<_, _>>().map(Cell::Array)
        }
        (ColumnType::Decimal { .. }, _) => {
            Err("a literal for a Decimal column is not supported: map a field".into())
        }
        (ColumnType::Bool, _) => expected("`true` or `false`"),
        (ColumnType::Int(_) | ColumnType::UInt(_), _) => expected("a whole number"),
        (ColumnType::Float(_), _) => expected("a number"),
        (ColumnType::Array(_), _) => expected("a list in `[ ]`"),
        _ => expected("a string in quotes"),
    }
}

fn out_of_range(value: &i64, column_type: &ColumnType) -> String {
    format!("{value} is outside of the range of {column_type}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_take_the_type_of_their_column() {
        let members = vec![("view".to_owned(), 1), ("like".to_owned(), 2)];
        let cases = [
            (Value::from("like"), ColumnType::Enum { bits: 8, members }, Cell::Int(2)),
            (Value::from(7), ColumnType::UInt(8), Cell::UInt(7)),
            (Value::from("1970-01-02"), ColumnType::Date, Cell::Days(1)),
            (Value::from("1970-01-01T00:00:01.5Z"), ColumnType::DateTime64(3), Cell::Ticks(1500)),
        ];
        for (value, column_type, expected) in cases {
            assert_eq!(literal(&value, &column_type).unwrap(), expected, "{column_type}");
        }
    }

    #[test]
    fn a_literal_that_does_not_fit_says_what_would() {
        assert!(literal(&Value::from(300), &ColumnType::UInt(8)).unwrap_err().contains("range of UInt8"));
        assert!(literal(&Value::from(-1), &ColumnType::UInt(64)).unwrap_err().contains("range"));
        assert!(literal(&Value::from(1), &ColumnType::String).unwrap_err().contains("in quotes"));
    }
}
