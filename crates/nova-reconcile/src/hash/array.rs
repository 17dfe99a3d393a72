//! Arrays as one text of which both sides take the MD5: each element is its length, a colon and its text; NULL is `N`.
//!
//! Invariant: two different arrays have different texts, whatever their elements contain.

use std::fmt::Write as _;

use nova_streams::{Cell, ColumnType};

use crate::source_table::SourceColumn;
use crate::sql::pg_name;

/// PostgreSQL's text of the array.
pub(super) fn postgres(column: &SourceColumn, inner: &ColumnType) -> Result<String, String> {
    let element = column.element.as_deref().ok_or("PostgreSQL's column is no array")?;
    let text = match (bare(inner), element) {
        (ColumnType::Int(_) | ColumnType::UInt(_), "int2" | "int4" | "int8" | "oid")
        | (ColumnType::Uuid, "uuid")
        | (ColumnType::String, "text" | "varchar") => "e::text",
        (ColumnType::Bool, "bool") => "e::int::text",
        _ => return Err(format!("arrays of {element} cannot be compared as {inner}; leave the column out")),
    };
    let each = format!("coalesce(octet_length({text}) || ':' || {text}, 'N')");
    let name = pg_name(&column.name);
    Ok(format!(
        "CASE WHEN {name} IS NOT NULL THEN \
         (SELECT coalesce(string_agg({each}, '' ORDER BY i), '') FROM unnest({name}) WITH ORDINALITY AS u (e, i)) END"
    ))
}

/// ClickHouse's text of the array.
pub(super) fn clickhouse(name: &str, inner: &ColumnType) -> Result<String, String> {
    let value = if let ColumnType::Nullable(_) = inner { "assumeNotNull(x)" } else { "x" };
    let text = match bare(inner) {
        ColumnType::Int(_) | ColumnType::UInt(_) | ColumnType::Uuid | ColumnType::String => {
            format!("toString({value})")
        }
        ColumnType::Bool => format!("toString(toUInt8({value}))"),
        _ => return Err("arrays of such elements cannot be compared; leave the column out".to_owned()),
    };
    Ok(format!(
        "arrayStringConcat(arrayMap(x -> if(isNull(x), 'N', concat(toString(length({text})), ':', {text})), {name}))"
    ))
}

/// The text of a literal.
pub(super) fn constant(cells: &[Cell<'_>]) -> String {
    let mut text = String::new();
    for cell in cells {
        let element = match cell {
            Cell::Bool(value) => u8::from(*value).to_string(),
            Cell::Int(number) => number.to_string(),
            Cell::UInt(number) => number.to_string(),
            Cell::Text(text) => text.to_string(),
            Cell::Uuid(uuid) => uuid.to_string(),
            _ => {
                text.push('N');
                continue;
            }
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{}:{element}", element.len());
    }
    text
}

fn bare(column_type: &ColumnType) -> &ColumnType {
    if let ColumnType::Nullable(inner) = column_type { inner } else { column_type }
}
