//! The ClickHouse column types that a stream can write, parsed from the server's own spelling.
//!
//! Source of the grammar: <https://clickhouse.com/docs/sql-reference/data-types>.

use std::fmt;

use thiserror::Error;

/// A column's type, as far as writing needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// `Bool`.
    Bool,
    /// `Int8` … `Int64`, by width in bits.
    Int(u8),
    /// `UInt8` … `UInt64`, by width in bits.
    UInt(u8),
    /// `Float32`, `Float64`, by width in bits.
    Float(u8),
    /// `String`.
    String,
    /// `UUID`.
    Uuid,
    /// `Date`: days, 1970-01-01 to 2149-06-06.
    Date,
    /// `Date32`: days, 1900-01-01 to 2299-12-31.
    Date32,
    /// `DateTime`: whole seconds, 1970 to 2106.
    DateTime,
    /// `DateTime64(precision)`: ticks of 10⁻ᵖ s.
    DateTime64(u8),
    /// `Decimal(precision, scale)`, at most 38 digits.
    Decimal {
        /// Total digits.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// `Enum8`/`Enum16`: its members, by width in bits.
    Enum {
        /// 8 or 16.
        bits: u8,
        /// Name and number of each member.
        members: Vec<(String, i16)>,
    },
    /// `Nullable(T)`.
    Nullable(Box<ColumnType>),
    /// `Array(T)`.
    Array(Box<ColumnType>),
}

/// A column type that cannot be written by a stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column type `{0}` is not supported by streams")]
pub struct ColumnTypeError(pub String);

impl ColumnType {
    /// Parses the server's spelling of a type, for example `LowCardinality(Nullable(String))`.
    ///
    /// `LowCardinality` changes storage, not values, and is dropped. A time zone changes display only and is dropped.
    ///
    /// # Errors
    /// A type that streams cannot write (tuples, maps, wide integers, aggregate states …).
    pub fn parse(text: &str) -> Result<Self, ColumnTypeError> {
        let text = text.trim();
        let unsupported = || ColumnTypeError(text.to_owned());
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or_else(unsupported)?)),
            None => (text, None),
        };
        Ok(match (name, arguments) {
            ("Bool", None) => Self::Bool,
            ("Int8", None) => Self::Int(8),
            ("Int16", None) => Self::Int(16),
            ("Int32", None) => Self::Int(32),
            ("Int64", None) => Self::Int(64),
            ("UInt8", None) => Self::UInt(8),
            ("UInt16", None) => Self::UInt(16),
            ("UInt32", None) => Self::UInt(32),
            ("UInt64", None) => Self::UInt(64),
            ("Float32", None) => Self::Float(32),
            ("Float64", None) => Self::Float(64),
            ("String", None) => Self::String,
            ("UUID", None) => Self::Uuid,
            ("Date", None) => Self::Date,
            ("Date32", None) => Self::Date32,
            ("DateTime", _) => Self::DateTime,
            ("DateTime64", Some(arguments)) => {
                let precision = arguments.split(',').next().unwrap_or_default().trim();
                Self::DateTime64(precision.parse().ok().filter(|p| *p <= 9).ok_or_else(unsupported)?)
            }
            ("Decimal", Some(arguments)) => parse_decimal(arguments).ok_or_else(unsupported)?,
            ("Enum8", Some(arguments)) => {
                Self::Enum { bits: 8, members: parse_members(arguments).ok_or_else(unsupported)? }
            }
            ("Enum16", Some(arguments)) => {
                Self::Enum { bits: 16, members: parse_members(arguments).ok_or_else(unsupported)? }
            }
            ("LowCardinality", Some(inner)) => Self::parse(inner)?,
            ("Nullable", Some(inner)) => Self::Nullable(Box::new(Self::parse(inner)?)),
            ("Array", Some(inner)) => Self::Array(Box::new(Self::parse(inner)?)),
            _ => return Err(unsupported()),
        })
    }
}

fn parse_decimal(arguments: &str) -> Option<ColumnType> {
    let (precision, scale) = arguments.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    (precision <= 38 && scale <= precision).then_some(ColumnType::Decimal { precision, scale })
}

/// Parses `'view' = 1, 'it\'s' = -2`.
fn parse_members(arguments: &str) -> Option<Vec<(String, i16)>> {
    let mut members = Vec::new();
    let mut rest = arguments.trim();
    while let Some(quoted) = rest.strip_prefix('\'') {
        let (name, after) = parse_quoted(quoted)?;
        let number = after.trim_start().strip_prefix('=')?.trim_start();
        let end = number.find(',').unwrap_or(number.len());
        let (digits, tail) = number.split_at(end);
        members.push((name, digits.trim().parse().ok()?));
        rest = tail.strip_prefix(',').unwrap_or_default().trim_start();
    }
    (rest.is_empty() && !members.is_empty()).then_some(members)
}

/// The string up to the closing quote (escapes undone), and what follows it.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.push(characters.next()?.1),
            '\'' => return Some((name, text.get(at + 1..)?)),
            other => name.push(other),
        }
    }
    None
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("Bool"),
            Self::Int(bits) => write!(f, "Int{bits}"),
            Self::UInt(bits) => write!(f, "UInt{bits}"),
            Self::Float(bits) => write!(f, "Float{bits}"),
            Self::String => f.write_str("String"),
            Self::Uuid => f.write_str("UUID"),
            Self::Date => f.write_str("Date"),
            Self::Date32 => f.write_str("Date32"),
            Self::DateTime => f.write_str("DateTime"),
            Self::DateTime64(precision) => write!(f, "DateTime64({precision})"),
            Self::Decimal { precision, scale } => write!(f, "Decimal({precision}, {scale})"),
            Self::Enum { bits, members } => {
                let names: Vec<String> = members.iter().map(|(name, n)| format!("'{name}' = {n}")).collect();
                write!(f, "Enum{bits}({})", names.join(", "))
            }
            Self::Nullable(inner) => write!(f, "Nullable({inner})"),
            Self::Array(inner) => write!(f, "Array({inner})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_the_server_writes() {
        let cases = [
            ("UInt32", ColumnType::UInt(32)),
            ("DateTime64(3, 'UTC')", ColumnType::DateTime64(3)),
            ("DateTime('Europe/Zurich')", ColumnType::DateTime),
            ("LowCardinality(Nullable(String))", ColumnType::Nullable(Box::new(ColumnType::String))),
            ("Decimal(18, 4)", ColumnType::Decimal { precision: 18, scale: 4 }),
            ("Array(UUID)", ColumnType::Array(Box::new(ColumnType::Uuid))),
        ];
        for (text, expected) in cases {
            assert_eq!(ColumnType::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn parses_enum_members_with_quotes_commas_and_negative_numbers() {
        let parsed = ColumnType::parse(r"Enum8('view' = 1, 'a,b' = 2, 'it\'s' = -3)").unwrap();
        let ColumnType::Enum { bits: 8, members } = parsed else { panic!("not an enum") };
        assert_eq!(members, [("view".into(), 1), ("a,b".into(), 2), ("it's".into(), -3)]);
    }

    #[test]
    fn refuses_what_it_cannot_write_and_broken_text() {
        for text in
            ["Map(String, String)", "UInt256", "Array(", "Enum8()", "Decimal(76, 2)", "DateTime64(12)", ""]
        {
            assert!(ColumnType::parse(text).is_err(), "{text}");
        }
    }
}
