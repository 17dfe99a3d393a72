//! A value in ClickHouse's own text form (`toString`) as a cell: how a row that a report or a plan names comes back into
//! a block.
//!
//! Invariant: the cell is written into the table as the very value that the text was made from, or refused. Times are
//! read as UTC.

use chrono::{NaiveDate, NaiveDateTime};
use nova_streams::{Cell, ColumnType};
use thiserror::Error;
use uuid::Uuid;

/// A text that is no value of its column's type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no value of type {column_type}")]
pub struct CellTextError {
    /// The text, at most 80 characters of it.
    pub text: String,
    /// The type.
    pub column_type: String,
}

/// The cell of a column that holds bytes, from `\x` and hexadecimal digits; `None` is NULL.
///
/// # Errors
/// As [`cell_from_text`].
pub(super) fn bytes_from_text(
    text: Option<&str>,
    column_type: &ColumnType,
) -> Result<Cell<'static>, CellTextError> {
    let bare = if let ColumnType::Nullable(inner) = column_type { inner } else { column_type };
    match text.and_then(bytes) {
        Some(bytes) if *bare == ColumnType::String => Ok(Cell::Bytes(bytes.into())),
        None if text.is_none() => cell_from_text(None, column_type),
        _ => Err(refused(text, column_type)),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.strip_prefix("\\x")?.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        // `from_str_radix` takes a sign, too.
        let digits = str::from_utf8(pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit))?;
        u8::from_str_radix(digits, 16).ok()
    };
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

fn refused(text: Option<&str>, column_type: &ColumnType) -> CellTextError {
    CellTextError {
        text: text.unwrap_or("NULL").chars().take(80).collect(),
        column_type: column_type.to_string(),
    }
}

/// The cell that `toString(column)` says; `None` is NULL.
///
/// # Errors
/// A text that is no value of the type, NULL for a type without NULL, and text that stands for bytes which are not UTF-8.
pub(super) fn cell_from_text(
    text: Option<&str>,
    column_type: &ColumnType,
) -> Result<Cell<'static>, CellTextError> {
    match (text, column_type) {
        (None, ColumnType::Nullable(_)) => Ok(Cell::Null),
        (Some(_), ColumnType::Nullable(inner)) => cell_from_text(text, inner),
        (None, _) => Err(refused(None, column_type)),
        (Some(value), _) => read(value, column_type).ok_or_else(|| refused(text, column_type)),
    }
}

fn read(text: &str, column_type: &ColumnType) -> Option<Cell<'static>> {
    Some(match column_type {
        ColumnType::Bool => Cell::Bool(text.parse().ok()?),
        ColumnType::Int(_) => Cell::Int(text.parse().ok()?),
        ColumnType::UInt(_) => Cell::UInt(text.parse().ok()?),
        // Read as what it becomes: rounded twice, it could be the neighbour.
        ColumnType::Float(32) => Cell::Float(text.parse::<f32>().ok()?.into()),
        ColumnType::Float(_) => Cell::Float(text.parse().ok()?),
        // Whoever made the text has put the replacement character where bytes were no UTF-8.
        ColumnType::String if text.contains('\u{fffd}') => return None,
        ColumnType::String => Cell::Text(text.to_owned().into()),
        ColumnType::Uuid => Cell::Uuid(Uuid::try_parse(text).ok()?),
        ColumnType::Date | ColumnType::Date32 => {
            let days = text.parse::<NaiveDate>().ok()?.signed_duration_since(NaiveDate::default());
            Cell::Days(i32::try_from(days.num_days()).ok()?)
        }
        ColumnType::DateTime => Cell::Ticks(ticks(text, 0)?),
        ColumnType::DateTime64(precision) => Cell::Ticks(ticks(text, *precision)?),
        ColumnType::Decimal { scale, .. } => Cell::Decimal(scaled(text, *scale)?),
        ColumnType::Enum { members, .. } => {
            let (_, number) = members.iter().find(|(name, _)| name == text)?;
            Cell::Int((*number).into())
        }
        ColumnType::Array(inner) => Cell::Array(elements(text, inner)?),
        ColumnType::Nullable(inner) => read(text, inner)?,
    })
}

/// `2026-01-31 12:00:00.123` as ticks of 10⁻ᵖ s.
fn ticks(text: &str, precision: u8) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = NaiveDateTime::parse_from_str(seconds, "%Y-%m-%d %H:%M:%S").ok()?.and_utc().timestamp();
    if fraction.len() != usize::from(precision) {
        return None;
    }
    let fraction = if fraction.is_empty() { 0 } else { digits(fraction)? };
    let ticks = i128::from(seconds) * 10i128.pow(precision.into()) + fraction;
    i64::try_from(ticks).ok()
}

/// `-1.5` as the value times 10ˢ.
fn scaled(text: &str, scale: u8) -> Option<i128> {
    let (sign, amount) = text.strip_prefix('-').map_or((1, text), |amount| (-1, amount));
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let missing = usize::from(scale).checked_sub(fraction.len())?;
    digits(&format!("{whole}{fraction}{}", "0".repeat(missing))).map(|amount| sign * amount)
}

/// A number of nothing but digits.
fn digits(text: &str) -> Option<i128> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `[1,NULL,2]` or `['a','it\'s']`.
fn elements(text: &str, inner: &ColumnType) -> Option<Vec<Cell<'static>>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut cells = Vec::new();
    while !rest.is_empty() {
        let (element, tail) = element(rest)?;
        cells.push(cell_from_text(element.as_deref(), inner).ok()?);
        rest = match tail.strip_prefix(',') {
            Some(next) if !next.is_empty() => next,
            Some(_) => return None,
            None if tail.is_empty() => tail,
            None => return None,
        };
    }
    Some(cells)
}

/// The first element, and what follows it.
fn element(text: &str) -> Option<(Option<String>, &str)> {
    if let Some(quoted) = text.strip_prefix('\'') {
        return unquoted(quoted).map(|(element, tail)| (Some(element), tail));
    }
    let (mut depth, mut is_quoted, mut is_escaped) = (0usize, false, false);
    let end = text.char_indices().find(|(_, character)| {
        match character {
            _ if is_escaped => {
                is_escaped = false;
                return false;
            }
            '\\' => is_escaped = is_quoted,
            '\'' => is_quoted = !is_quoted,
            '[' if !is_quoted => depth += 1,
            ']' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        *character == ',' && depth == 0 && !is_quoted
    });
    let (element, tail) = text.split_at(end.map_or(text.len(), |(at, _)| at));
    Some(((element != "NULL").then(|| element.to_owned()), tail))
}

/// Text up to its closing quote, escapes resolved, and what follows the quote.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' => return text.get(at + 1..).map(|tail| (found, tail)),
            '\\' => found.push(match characters.next()?.1 {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                other => other,
            }),
            other => found.push(other),
        }
    }
    None
}
