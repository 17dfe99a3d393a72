//! One column on both sides: the form in which PostgreSQL's value and ClickHouse's have the same bits.
//!
//! It follows what the stream's mapping does (`nova-streams/src/convert.rs`): times are cut toward the past to the
//! column's precision, a `default` stands in for NULL, text is text byte for byte.
//!
//! Invariant: no expression fails on a value that PostgreSQL can hold. A value that the mapping refuses (infinity, out
//! of range) hashes to anything; its row is missing from ClickHouse, and the count of rows says so.

use nova_streams::{Cell, ColumnSource, ColumnType, FieldSource};

use super::array;
use super::ladder::Kind;
use super::lookup3::hash_bytes;
use crate::source_table::SourceColumn;
use crate::sql::{ch_name, pg_literal, pg_name};

/// What NULL hashes to on both sides.
const NULL: i64 = 0x6e6f_7661_6e75_6c6c;
/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
const EPOCH_2000: i64 = 946_684_800_000_000;

/// A column of the checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnHash {
    /// An expression of type `bigint`, never NULL.
    pub(crate) postgres: String,
    /// What ClickHouse hashes.
    pub(crate) clickhouse: ClickHouseHash,
    /// The condition under which ClickHouse's hash is [`NULL`].
    pub(crate) null_if: Option<String>,
    /// Whether every row has the same in PostgreSQL.
    pub(crate) is_constant: bool,
}

/// ClickHouse's side of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClickHouseHash {
    /// Goes through the ladder.
    Ladder(Kind, String),
    /// An expression of type `Int64` that is the hash itself.
    Ready(String),
}

/// A value before it is hashed.
enum Form {
    Uuid(String),
    /// A `bigint`.
    Integer(String),
    /// A `timestamp`, hashed by its microseconds since 2000.
    Time(String),
    /// A text or `bytea`.
    Bytes(String),
    /// The hash itself.
    Ready(String),
}

impl Form {
    fn postgres(&self) -> String {
        match self {
            Self::Uuid(value) => format!("uuid_hash_extended({value}, 0)"),
            Self::Integer(value) => format!("hashint8extended({value}, 0)"),
            Self::Time(value) => format!("timestamp_hash_extended({value}, 0)"),
            Self::Bytes(value) => format!("('x' || left(md5({value}), 16))::bit(64)::bigint"),
            Self::Ready(value) => value.clone(),
        }
    }
}

/// What stands in the way of a checksum over a column.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotHashable(String);

impl ColumnHash {
    /// The column `name` of type `column_type`, filled from `source`; `find` knows PostgreSQL's columns.
    pub(crate) fn declared<'t>(
        name: &str,
        column_type: &ColumnType,
        source: &ColumnSource,
        find: impl Fn(&str) -> Option<&'t SourceColumn>,
    ) -> Result<Self, NotHashable> {
        let clickhouse = clickhouse(&ch_name(name), column_type)
            .map_err(|what| NotHashable(format!("column `{name}` {column_type}: {what}")))?;
        let null_if =
            matches!(column_type, ColumnType::Nullable(_)).then(|| format!("isNull({})", ch_name(name)));
        let postgres = match source {
            ColumnSource::Value(value) => {
                let cell = nova_streams::literal(value, column_type).map_err(NotHashable)?;
                constant(&cell, column_type).postgres()
            }
            ColumnSource::Field(field) => {
                let column = find(&field.field).ok_or_else(|| {
                    NotHashable(format!("PostgreSQL's table has no column `{}`", field.field))
                })?;
                of_field(column, column_type, field).map_err(|what| {
                    let from = &column.type_name;
                    NotHashable(format!(
                        "column `{name}` {column_type} from {from} `{}`: {what}",
                        field.field
                    ))
                })?
            }
        };
        let is_constant = matches!(source, ColumnSource::Value(_));
        Ok(Self { postgres, clickhouse, null_if, is_constant })
    }

    /// The row's identity, where it is one uuid of PostgreSQL.
    pub(crate) fn identity(key: &str) -> Self {
        Self {
            postgres: Form::Uuid(pg_name(key)).postgres(),
            clickhouse: ClickHouseHash::Ladder(Kind::Uuid, "source_key".to_owned()),
            null_if: None,
            is_constant: false,
        }
    }

    /// What [`Self::null_if`] stands for.
    pub(crate) fn null() -> i64 {
        NULL
    }
}

fn of_field(column: &SourceColumn, column_type: &ColumnType, field: &FieldSource) -> Result<String, String> {
    let (inner, is_nullable) = match column_type {
        ColumnType::Nullable(inner) => (&**inner, true),
        other => (other, false),
    };
    let hash = postgres(column, inner, field)?.postgres();
    let for_null = match &field.default {
        Some(default) if !is_nullable => constant(&nova_streams::literal(default, inner)?, inner).postgres(),
        _ => NULL.to_string(),
    };
    Ok(format!("coalesce({hash}, {for_null})"))
}

/// PostgreSQL's value in the form of the type.
fn postgres(column: &SourceColumn, column_type: &ColumnType, field: &FieldSource) -> Result<Form, String> {
    let (name, of) = (pg_name(&column.name), column.type_name.as_str());
    let refuse = || Err(format!("such a pair cannot be compared; {}", "map the column to another type"));
    let is_integer = matches!(of, "int2" | "int4" | "int8" | "oid");
    Ok(match column_type {
        ColumnType::Bool if of == "bool" => Form::Integer(format!("{name}::int::bigint")),
        ColumnType::Int(_) | ColumnType::UInt(_) if is_integer => Form::Integer(format!("{name}::bigint")),
        ColumnType::Float(64) if of == "float8" || is_integer => {
            Form::Integer(float_bits(&format!("{name}::float8"), 8))
        }
        // The message holds the shortest digits that give the same real; read as a double, they are another number.
        ColumnType::Float(64) if of == "float4" => {
            Form::Integer(float_bits(&format!("{name}::text::float8"), 8))
        }
        ColumnType::Float(32) if of == "float4" => Form::Integer(float_bits(&name, 4)),
        ColumnType::String if of == "bytea" => match field.encoding {
            Some(_) => Form::Bytes(name),
            None => Form::Bytes(format!("replace(encode({name}, 'base64'), E'\\n', '')")),
        },
        ColumnType::String if field.encoding.is_none() => match column.text() {
            Some(text) => Form::Bytes(text),
            None => return refuse(),
        },
        ColumnType::Uuid if of == "uuid" => Form::Uuid(name),
        ColumnType::Date | ColumnType::Date32 if of == "date" => {
            let days = format!("({name} - date '1970-01-01')::bigint");
            Form::Integer(format!("CASE WHEN isfinite({name}) THEN {days} END"))
        }
        ColumnType::DateTime | ColumnType::DateTime64(_) if matches!(of, "timestamptz" | "timestamp") => {
            let precision = if let ColumnType::DateTime64(precision) = column_type { *precision } else { 0 };
            // An interval is no zone that has to be looked up by its name.
            let utc = if of == "timestamptz" { format!("({name} AT TIME ZONE interval '0')") } else { name };
            Form::Time(cut(&utc, precision))
        }
        ColumnType::Decimal { precision, scale } if of == "numeric" || is_integer => {
            decimal(&format!("{name}::numeric"), *precision, *scale)
        }
        ColumnType::Enum { members, .. } => match column.text() {
            Some(text) => {
                let known: Vec<String> = members.iter().map(|(member, _)| pg_literal(member)).collect();
                let hash = format!("hashtextextended({text} COLLATE \"C\", 0)");
                let known = known.join(", ");
                Form::Ready(format!(
                    "CASE WHEN {text} IN ({known}) THEN {hash} WHEN {name} IS NOT NULL THEN 0 END"
                ))
            }
            None => return refuse(),
        },
        ColumnType::Array(inner) => Form::Bytes(array::postgres(column, inner)?),
        _ => return refuse(),
    })
}

fn float_bits(value: &str, bytes: u8) -> String {
    let bits = u32::from(bytes) * 8;
    // Every NaN is the same; which one ClickHouse got is the encoder's affair.
    let sent = format!("('x' || encode(float{bytes}send({value}), 'hex'))::bit({bits})::bigint");
    format!("CASE WHEN {value} = 'NaN' THEN -1 ELSE {sent} END")
}

/// Cut toward the past, as the mapping does. `date_bin` is arithmetic of integers, and `date_trunc` several times as dear.
/// It begins at the first timestamp that there is, because older servers err on times before its origin; times that it
/// could not subtract from that are ones that the mapping refuses.
fn cut(utc: &str, precision: u8) -> String {
    if precision >= 6 {
        return utc.to_owned();
    }
    let micros = 10_u64.pow(6 - u32::from(precision));
    format!(
        "CASE WHEN {utc} < timestamp '9999-12-31' \
         THEN date_bin('{micros} microseconds', {utc}, timestamp '4714-11-24 BC') END"
    )
}

fn decimal(value: &str, precision: u8, scale: u8) -> Form {
    let scaled = format!("{value} * 1{:0<width$}::numeric", "", width = usize::from(scale));
    if precision > 18 {
        return Form::Bytes(format!("trunc({scaled})::text"));
    }
    let limit = format!("1{:0<width$}", "", width = usize::from(precision - scale));
    Form::Integer(format!("CASE WHEN abs({value}) < {limit}::numeric THEN trunc({scaled})::bigint END"))
}

/// A literal of the declaration, or a `default`.
fn constant(cell: &Cell<'_>, column_type: &ColumnType) -> Form {
    let inner = if let ColumnType::Nullable(inner) = column_type { inner } else { column_type };
    match cell {
        Cell::Null => Form::Ready(NULL.to_string()),
        Cell::Bool(value) => Form::Integer(format!("{}::bigint", u8::from(*value))),
        Cell::Int(number) => match inner {
            ColumnType::Enum { members, .. } => {
                let member = members.iter().find(|(_, known)| i64::from(*known) == *number);
                Form::Ready(format!(
                    "({})::bigint",
                    member.map_or(0, |(name, _)| hash_bytes(name.as_bytes()))
                ))
            }
            _ => Form::Integer(format!("({number})::bigint")),
        },
        Cell::UInt(number) => Form::Integer(format!("({})::bigint", number.cast_signed())),
        Cell::Float(value) => Form::Integer(format!("({})::bigint", float_constant(*value, inner))),
        Cell::Text(text) => Form::Bytes(pg_literal(text)),
        Cell::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Form::Bytes(format!("'\\x{hex}'::bytea"))
        }
        Cell::Uuid(uuid) => Form::Uuid(format!("'{uuid}'::uuid")),
        Cell::Ticks(ticks) => {
            let precision = if let ColumnType::DateTime64(precision) = inner { *precision } else { 0 };
            let micros = match precision {
                0..=6 => ticks.saturating_mul(10_i64.pow(6 - u32::from(precision))),
                over => ticks.div_euclid(10_i64.pow(u32::from(over) - 6)),
            };
            Form::Integer(format!("({})::bigint", micros.saturating_sub(EPOCH_2000)))
        }
        Cell::Days(days) => Form::Integer(format!("({days})::bigint")),
        Cell::Decimal(value) => match inner {
            ColumnType::Decimal { precision: 19.., .. } => Form::Bytes(format!("'{value}'")),
            _ => Form::Integer(format!("({value})::bigint")),
        },
        Cell::Array(cells) => Form::Bytes(pg_literal(&array::constant(cells))),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a Float32 column stores the nearest real")]
fn float_constant(value: f64, column_type: &ColumnType) -> i64 {
    match column_type {
        _ if value.is_nan() => -1,
        ColumnType::Float(32) => i64::from((value as f32).to_bits()),
        _ => value.to_bits().cast_signed(),
    }
}

/// ClickHouse's value in the form of the type.
fn clickhouse(name: &str, column_type: &ColumnType) -> Result<ClickHouseHash, String> {
    let integer = |expression: String| ClickHouseHash::Ladder(Kind::Integer, expression);
    let md5 = |bytes: String| {
        ClickHouseHash::Ready(format!("reinterpretAsInt64(reverse(substring(MD5({bytes}), 1, 8)))"))
    };
    Ok(match column_type {
        ColumnType::Nullable(inner) => return clickhouse(&format!("assumeNotNull({name})"), inner),
        ColumnType::Bool | ColumnType::Int(_) | ColumnType::UInt(_) => integer(format!("toInt64({name})")),
        ColumnType::Float(32) => {
            integer(format!("if(isNaN({name}), -1, toInt64(reinterpretAsUInt32({name})))"))
        }
        ColumnType::Float(_) => integer(format!("if(isNaN({name}), -1, reinterpretAsInt64({name}))")),
        ColumnType::String => md5(name.to_owned()),
        ColumnType::Uuid => ClickHouseHash::Ladder(Kind::Uuid, name.to_owned()),
        ColumnType::Date | ColumnType::Date32 => integer(format!("toInt64(toInt32({name}))")),
        ColumnType::DateTime => integer(format!("toInt64(toUnixTimestamp({name})) * 1000000 - {EPOCH_2000}")),
        ColumnType::DateTime64(precision @ 0..=6) => {
            let factor = 10_i64.pow(6 - u32::from(*precision));
            integer(format!("reinterpretAsInt64({name}) * {factor} - {EPOCH_2000}"))
        }
        ColumnType::DateTime64(precision) => {
            let factor = 10_i64.pow(u32::from(*precision) - 6);
            let ticks = format!("reinterpretAsInt64({name})");
            // Digits below PostgreSQL's microsecond were not written by Nova: any other number will do.
            integer(format!("if({ticks} % {factor} = 0, intDiv({ticks}, {factor}) - {EPOCH_2000}, {ticks})"))
        }
        ColumnType::Decimal { precision: 19.., .. } => md5(format!("toString(reinterpretAsInt128({name}))")),
        ColumnType::Decimal { precision: 10.., .. } => integer(format!("reinterpretAsInt64({name})")),
        ColumnType::Decimal { .. } => integer(format!("toInt64(reinterpretAsInt32({name}))")),
        ColumnType::Enum { members, .. } => {
            let numbers: Vec<String> = members.iter().map(|(_, number)| number.to_string()).collect();
            let hashes: Vec<String> = members
                .iter()
                .map(|(member, _)| format!("toInt64({})", hash_bytes(member.as_bytes())))
                .collect();
            let (numbers, hashes) = (numbers.join(", "), hashes.join(", "));
            ClickHouseHash::Ready(format!(
                "transform(CAST({name}, 'Int16'), [{numbers}], [{hashes}], toInt64(0))"
            ))
        }
        ColumnType::Array(inner) => md5(array::clickhouse(name, inner)?),
    })
}
