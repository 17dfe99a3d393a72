//! A cell as the text that ClickHouse's `toString` writes, times in UTC; so both sides of a difference read alike.
//!
//! Columns that hold bytes (a `bytea` with an `encoding`) are written as `\x` and hexadecimal digits, as PostgreSQL
//! writes them, because not all bytes are text.
//!
//! Invariant: equal cells have equal texts, different ones different texts.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, TimeDelta};
use nova_streams::{Cell, ColumnSource, ColumnType, Stream};

use crate::sql::ch_name;

/// The text of a cell; `None` for NULL.
pub(crate) fn cell_text(cell: &Cell<'_>, column_type: &ColumnType) -> Option<String> {
    let inner = if let ColumnType::Nullable(inner) = column_type { inner } else { column_type };
    Some(match cell {
        Cell::Null => return None,
        Cell::Bool(value) => value.to_string(),
        Cell::Int(number) => match inner {
            ColumnType::Enum { members, .. } => {
                let member = members.iter().find(|(_, known)| i64::from(*known) == *number);
                member.map_or_else(|| number.to_string(), |(name, _)| name.clone())
            }
            _ => number.to_string(),
        },
        Cell::UInt(number) => number.to_string(),
        Cell::Float(value) => float(*value, inner),
        Cell::Text(text) => text.to_string(),
        Cell::Bytes(bytes) => bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Cell::Uuid(uuid) => uuid.to_string(),
        Cell::Ticks(ticks) => time(*ticks, inner),
        Cell::Days(days) => {
            let date = NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(*days)));
            date.map_or_else(|| days.to_string(), |date| date.to_string())
        }
        Cell::Decimal(value) => {
            let scale = if let ColumnType::Decimal { scale, .. } = inner { *scale } else { 0 };
            decimal(*value, scale)
        }
        Cell::Array(cells) => {
            let of = if let ColumnType::Array(of) = inner { of } else { inner };
            let elements: Vec<String> = cells.iter().map(|cell| element(cell, of)).collect();
            format!("[{}]", elements.join(","))
        }
    })
}

/// Whether a column holds bytes rather than text.
pub(crate) fn holds_bytes(stream: &Stream, column: &str) -> bool {
    let source = stream.columns.get(column).map(|declaration| &declaration.source);
    matches!(source, Some(ColumnSource::Field(field)) if field.encoding.is_some())
}

/// ClickHouse's expression for the text of a column, `Nullable(String)`.
pub(crate) fn column_text(name: &str, column_type: &ColumnType, holds_bytes: bool) -> String {
    let name = ch_name(name);
    let (inner, _) =
        if let ColumnType::Nullable(inner) = column_type { (&**inner, true) } else { (column_type, false) };
    let text = match inner {
        ColumnType::String if holds_bytes => format!("concat('\\\\x', lower(hex({name})))"),
        ColumnType::String => format!("toValidUTF8({name})"),
        ColumnType::DateTime | ColumnType::DateTime64(_) => format!("toString(toTimeZone({name}, 'UTC'))"),
        _ => format!("toString({name})"),
    };
    format!("CAST({text}, 'Nullable(String)')")
}

/// What ClickHouse wrote, in the form of [`cell_text`]: numbers with a point have more than one.
pub(crate) fn normal(text: String, column_type: &ColumnType) -> String {
    let inner = if let ColumnType::Nullable(inner) = column_type { inner } else { column_type };
    match inner {
        ColumnType::Float(_) => text.parse::<f64>().map_or(text, |value| float(value, inner)),
        ColumnType::Decimal { .. } => trimmed(text),
        _ => text,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a Float32 column stores the nearest real")]
fn float(value: f64, column_type: &ColumnType) -> String {
    let text = match column_type {
        _ if value.is_nan() => "nan".to_owned(),
        ColumnType::Float(32) => format!("{:?}", value as f32),
        _ => format!("{value:?}"),
    };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn decimal(value: i128, scale: u8) -> String {
    let (sign, digits) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    let power = 10_u128.pow(u32::from(scale));
    let text = format!("{sign}{}.{:0width$}", digits / power, digits % power, width = usize::from(scale));
    if scale == 0 { format!("{sign}{digits}") } else { trimmed(text) }
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn time(ticks: i64, column_type: &ColumnType) -> String {
    let precision =
        if let ColumnType::DateTime64(precision) = column_type { u32::from(*precision) } else { 0 };
    let per_second = 10_i64.pow(precision);
    let Some(time) = DateTime::from_timestamp(ticks.div_euclid(per_second), 0) else {
        return ticks.to_string();
    };
    let seconds = time.format("%Y-%m-%d %H:%M:%S");
    match precision {
        0 => seconds.to_string(),
        _ => format!("{seconds}.{:0width$}", ticks.rem_euclid(per_second), width = precision as usize),
    }
}

/// An element of an array: texts, dates and UUIDs in quotes.
fn element(cell: &Cell<'_>, column_type: &ColumnType) -> String {
    let Some(text) = cell_text(cell, column_type) else { return "NULL".to_owned() };
    if matches!(cell, Cell::Bool(_) | Cell::UInt(_) | Cell::Float(_) | Cell::Decimal(_) | Cell::Array(_)) {
        return text;
    }
    let bare = if let ColumnType::Nullable(inner) = column_type { inner } else { column_type };
    if matches!(cell, Cell::Int(_)) && !matches!(bare, ColumnType::Enum { .. }) {
        return text;
    }
    let mut quoted = String::from("'");
    for character in text.chars() {
        match character {
            '\\' => quoted.push_str("\\\\"),
            '\'' => quoted.push_str("\\'"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\0' => quoted.push_str("\\0"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}
