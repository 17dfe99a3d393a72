//! One cell as RowBinary bytes; the limits of a column's type are worked out once, when the encoder is made.
//!
//! Source: <https://clickhouse.com/docs/interfaces/formats/RowBinary>. All numbers are little-endian. A UUID is two
//! 64-bit halves, each little-endian, the high one first: not the order of its text.
//!
//! Invariant: what is written is a value that the column holds. The server does not check the ranges of dates and
//! decimals in a binary body; it would store something else.

use nova_streams::{Cell, ColumnType};

/// Seconds that `DateTime64` holds: 1900-01-01 to 2299-12-31T23:59:59.
const DATETIME64_SECONDS: (i64, i64) = (-2_208_988_800, 10_413_791_999);
/// Days that `Date32` holds: 1900-01-01 to 2299-12-31.
const DATE32_DAYS: (i32, i32) = (-25_567, 120_529);

/// Why a cell cannot be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// A value of the right sort that the type does not hold.
    Range,
    /// A cell of another sort than the column: mapping and sink disagree about the table.
    Sort(&'static str),
}

/// Writes the cells of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Encoder {
    Bool,
    Int { bytes: usize, low: i64, high: i64 },
    UInt { bytes: usize, high: u64 },
    Float32,
    Float64,
    String,
    Uuid,
    Date,
    Date32,
    DateTime,
    DateTime64 { low: i64, high: i64 },
    Decimal { bytes: usize, limit: i128 },
    Enum { bytes: usize, numbers: Vec<i16> },
    Nullable(Box<Encoder>),
    Array(Box<Encoder>),
}

impl Encoder {
    pub(crate) fn new(column_type: &ColumnType) -> Self {
        let width = |bits: u8| usize::from(bits / 8);
        match column_type {
            ColumnType::Bool => Self::Bool,
            ColumnType::Int(bits) => {
                let high = i64::MAX >> 64u32.saturating_sub(u32::from(*bits)).min(63);
                Self::Int { bytes: width(*bits), low: -high - 1, high }
            }
            ColumnType::UInt(bits) => {
                let high = u64::MAX >> 64u32.saturating_sub(u32::from(*bits)).min(63);
                Self::UInt { bytes: width(*bits), high }
            }
            ColumnType::Float(32) => Self::Float32,
            ColumnType::Float(_) => Self::Float64,
            ColumnType::String => Self::String,
            ColumnType::Uuid => Self::Uuid,
            ColumnType::Date => Self::Date,
            ColumnType::Date32 => Self::Date32,
            ColumnType::DateTime => Self::DateTime,
            ColumnType::DateTime64(precision) => {
                let scale = 10i64.saturating_pow(u32::from(*precision));
                let (low, high) = DATETIME64_SECONDS;
                let high = high.saturating_mul(scale).saturating_add(scale - 1);
                Self::DateTime64 { low: low.saturating_mul(scale), high }
            }
            ColumnType::Decimal { precision, .. } => {
                let bytes = match precision {
                    0..=9 => 4,
                    10..=18 => 8,
                    _ => 16,
                };
                Self::Decimal { bytes, limit: 10i128.saturating_pow(u32::from(*precision)) }
            }
            ColumnType::Enum { bits, members } => Self::Enum {
                bytes: width(*bits),
                numbers: members.iter().map(|(_, number)| *number).collect(),
            },
            ColumnType::Nullable(inner) => Self::Nullable(Box::new(Self::new(inner))),
            ColumnType::Array(inner) => Self::Array(Box::new(Self::new(inner))),
        }
    }

    /// Appends the cell's bytes. After an error, `out` may end in a part of the cell.
    pub(crate) fn write(&self, cell: &Cell<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        match (self, cell) {
            (Self::Nullable(_), Cell::Null) => out.push(1),
            (Self::Nullable(inner), cell) => {
                out.push(0);
                inner.write(cell, out)?;
            }
            (Self::Bool, Cell::Bool(value)) => out.push(u8::from(*value)),
            (Self::Int { bytes, low, high }, Cell::Int(value)) => {
                within(value, low, high)?;
                put(out, &value.to_le_bytes(), *bytes);
            }
            (Self::UInt { bytes, high }, Cell::UInt(value)) => {
                within(value, &0, high)?;
                put(out, &value.to_le_bytes(), *bytes);
            }
            (Self::Enum { bytes, numbers }, Cell::Int(value)) => {
                if !numbers.iter().any(|number| i64::from(*number) == *value) {
                    return Err(Misfit::Range);
                }
                put(out, &value.to_le_bytes(), *bytes);
            }
            (Self::Float32, Cell::Float(value)) => put(out, &float32(*value)?.to_le_bytes(), 4),
            (Self::Float64, Cell::Float(value)) => put(out, &value.to_le_bytes(), 8),
            (Self::String, Cell::Text(text)) => put_string(out, text.as_bytes()),
            (Self::String, Cell::Bytes(bytes)) => put_string(out, bytes),
            (Self::Uuid, Cell::Uuid(uuid)) => {
                let (high, low) = uuid.as_u64_pair();
                put(out, &(u128::from(low) << 64 | u128::from(high)).to_le_bytes(), 16);
            }
            (Self::Date, Cell::Days(days)) => put(out, &narrow::<_, u16>(*days)?.to_le_bytes(), 2),
            (Self::Date32, Cell::Days(days)) => {
                within(days, &DATE32_DAYS.0, &DATE32_DAYS.1)?;
                put(out, &days.to_le_bytes(), 4);
            }
            (Self::DateTime, Cell::Ticks(seconds)) => put(out, &narrow::<_, u32>(*seconds)?.to_le_bytes(), 4),
            (Self::DateTime64 { low, high }, Cell::Ticks(ticks)) => {
                within(ticks, low, high)?;
                put(out, &ticks.to_le_bytes(), 8);
            }
            (Self::Decimal { bytes, limit }, Cell::Decimal(value)) => {
                within(value, &(1 - limit), &(limit - 1))?;
                put(out, &value.to_le_bytes(), *bytes);
            }
            (Self::Array(inner), Cell::Array(cells)) => {
                put_length(out, cells.len());
                for cell in cells {
                    inner.write(cell, out)?;
                }
            }
            (_, cell) => return Err(Misfit::Sort(sort(cell))),
        }
        Ok(())
    }
}

fn within<T: PartialOrd + std::fmt::Display>(value: &T, low: &T, high: &T) -> Result<(), Misfit> {
    if value < low || value > high { Err(Misfit::Range) } else { Ok(()) }
}

fn narrow<T: Copy + std::fmt::Display, N: TryFrom<T>>(value: T) -> Result<N, Misfit> {
    N::try_from(value).map_err(|_| Misfit::Range)
}

/// The nearest `Float32`; a finite number must stay finite.
fn float32(value: f64) -> Result<f32, Misfit> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what Float32 means")]
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() { Err(Misfit::Range) } else { Ok(narrow) }
}

/// The low `width` bytes of a little-endian number.
#[inline(always)]
fn put<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N], width: usize) {
    // A length that the compiler knows costs a store, any other a call.
    match (width, bytes.as_slice()) {
        (1, [byte, ..]) => out.push(*byte),
        (4, [a, b, c, d, ..]) => out.extend_from_slice(&[*a, *b, *c, *d]),
        _ if width == N => out.extend_from_slice(bytes),
        _ => out.extend_from_slice(bytes.get(..width).unwrap_or(bytes)),
    }
}

/// A length, unsigned LEB128.
pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Bytes with their length in front.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn sort(cell: &Cell<'_>) -> &'static str {
    match cell {
        Cell::Null => "NULL",
        Cell::Bool(_) => "a truth value",
        Cell::Int(_) => "a signed integer",
        Cell::UInt(_) => "an unsigned integer",
        Cell::Float(_) => "a floating-point number",
        Cell::Text(_) => "text",
        Cell::Bytes(_) => "bytes",
        Cell::Uuid(_) => "a UUID",
        Cell::Ticks(_) => "a time",
        Cell::Days(_) => "a date",
        Cell::Decimal(_) => "a decimal number",
        Cell::Array(_) => "an array",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(column_type: &str, cell: &Cell<'_>) -> Result<Vec<u8>, Misfit> {
        let mut out = Vec::new();
        Encoder::new(&ColumnType::parse(column_type).unwrap()).write(cell, &mut out).map(|()| out)
    }

    #[test]
    fn bytes_are_those_of_the_format_page() {
        let uuid = Cell::Uuid("61f0c404-5cb3-11e7-907b-a6006ad3dba0".parse().unwrap());
        let cases = [
            (
                "UUID",
                uuid,
                vec![
                    0xe7, 0x11, 0xb3, 0x5c, 0x04, 0xc4, 0xf0, 0x61, 0xa0, 0xdb, 0xd3, 0x6a, 0x00, 0xa6, 0x7b,
                    0x90,
                ],
            ),
            ("Int16", Cell::Int(-2), vec![0xfe, 0xff]),
            ("Enum8('a' = -3)", Cell::Int(-3), vec![0xfd]),
            ("Nullable(UInt8)", Cell::Null, vec![1]),
            ("Nullable(UInt8)", Cell::UInt(7), vec![0, 7]),
            ("Decimal(9, 2)", Cell::Decimal(-1), vec![0xff; 4]),
            ("Array(UInt8)", Cell::Array(vec![Cell::UInt(1), Cell::UInt(2)]), vec![2, 1, 2]),
            ("String", Cell::Text("é".into()), vec![2, 0xc3, 0xa9]),
        ];
        for (column_type, cell, expected) in cases {
            assert_eq!(encode(column_type, &cell).unwrap(), expected, "{column_type}");
        }
    }

    #[test]
    fn lengths_are_leb128() {
        for (length, expected) in [(0, vec![0]), (127, vec![127]), (128, vec![0x80, 1]), (300, vec![0xac, 2])]
        {
            let mut out = Vec::new();
            put_length(&mut out, length);
            assert_eq!(out, expected, "{length}");
        }
    }

    #[test]
    fn one_beyond_each_limit_is_refused() {
        let beyond = [
            ("Int8", Cell::Int(128)),
            ("Int32", Cell::Int(-2_147_483_649)),
            ("UInt8", Cell::UInt(256)),
            ("Date", Cell::Days(65_536)),
            ("Date", Cell::Days(-1)),
            ("Date32", Cell::Days(120_530)),
            ("DateTime", Cell::Ticks(4_294_967_296)),
            ("DateTime64(3)", Cell::Ticks(10_413_792_000_000)),
            ("DateTime64(3)", Cell::Ticks(-2_208_988_800_001)),
            ("Decimal(4, 2)", Cell::Decimal(10_000)),
            ("Decimal(38, 0)", Cell::Decimal(-10i128.pow(38))),
            ("Enum8('a' = 1)", Cell::Int(2)),
            ("Float32", Cell::Float(1e300)),
        ];
        for (column_type, cell) in beyond {
            assert!(matches!(encode(column_type, &cell), Err(Misfit::Range)), "{column_type}");
        }
    }

    #[test]
    fn the_limits_themselves_fit() {
        let limits = [
            ("Int64", Cell::Int(i64::MIN)),
            ("UInt64", Cell::UInt(u64::MAX)),
            ("DateTime64(9)", Cell::Ticks(i64::MAX)),
            ("DateTime64(0)", Cell::Ticks(10_413_791_999)),
            ("Decimal(38, 0)", Cell::Decimal(10i128.pow(38) - 1)),
            ("Float32", Cell::Float(f64::NEG_INFINITY)),
        ];
        for (column_type, cell) in limits {
            assert!(encode(column_type, &cell).is_ok(), "{column_type}");
        }
    }

    #[test]
    fn a_cell_of_another_sort_is_not_squeezed_in() {
        assert_eq!(encode("UInt8", &Cell::Int(1)), Err(Misfit::Sort("a signed integer")));
        assert_eq!(encode("String", &Cell::Null), Err(Misfit::Sort("NULL")));
    }
}
