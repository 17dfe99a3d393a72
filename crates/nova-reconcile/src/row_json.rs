//! A row of PostgreSQL through the stream's own mapping: written as the message Debezium would write, decoded and
//! mapped by the code of the pipeline, so that there is no second way to read a row.
//!
//! Invariant: what the mapping refuses is still listed, by its key and PostgreSQL's own texts.

use nova_debezium::{BytesEncoding, Message, Record, decode};
use nova_streams::Cell;
use nova_streams::{
    ColumnSource, EventOrigin, Format, LINEAGE_COLUMNS, Lineage, Mapped, Mapping, Stream, decode_event,
    source_key,
};
use uuid::Uuid;

use crate::cell_text::cell_text;
use crate::report::Column;
use crate::source_table::{SourceColumn, SourceTable};
use crate::sql::{pg_literal, pg_name};

/// A row as PostgreSQL has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceRow {
    pub(crate) source_key: Uuid,
    pub(crate) key: Vec<Column>,
    pub(crate) columns: Vec<Column>,
}

/// Columns of one JSON object: a function of PostgreSQL takes a hundred arguments.
const OBJECT: usize = 50;

/// PostgreSQL's expression for the row's `after` image, as JSON objects of which it is made up (`text[]`).
pub(crate) fn image(stream: &Stream, source: &SourceTable) -> String {
    if stream.format == Format::Envelope {
        // As the EventRouter sends it, which leaves out what is null.
        return "ARRAY[jsonb_strip_nulls(payload)::text]".to_owned();
    }
    let mut fields = Vec::new();
    for name in stream.source_columns() {
        let Some(column) = source.column(name) else { continue };
        let encoding = stream.columns.values().find_map(|declaration| match &declaration.source {
            ColumnSource::Field(field) if field.field == name => field.encoding,
            _ => None,
        });
        fields.push(format!("{}, {}", pg_literal(name), value(column, encoding)));
    }
    let objects: Vec<String> =
        fields.chunks(OBJECT).map(|some| format!("json_build_object({})::text", some.join(", "))).collect();
    format!("ARRAY[{}]", objects.join(", "))
}

/// PostgreSQL's expression for the texts of the key's columns, as an array.
pub(crate) fn key(stream: &Stream) -> String {
    let texts: Vec<String> = stream.key.iter().map(|name| format!("{}::text", pg_name(name))).collect();
    format!("ARRAY[{}]", texts.join(", "))
}

fn value(column: &SourceColumn, encoding: Option<BytesEncoding>) -> String {
    let name = pg_name(&column.name);
    let finite = |written: String| format!("CASE WHEN isfinite({name}) THEN {written} ELSE {name}::text END");
    match column.type_name.as_str() {
        "timestamptz" => {
            finite(format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"))
        }
        "timestamp" => finite(format!("to_char({name}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")),
        "date" => format!("CASE WHEN isfinite({name}) THEN {name} - date '1970-01-01' END"),
        "numeric" | "money" | "interval" => format!("{name}::text"),
        "bytea" => match encoding {
            Some(BytesEncoding::Hex) => format!("encode({name}, 'hex')"),
            Some(BytesEncoding::Base64UrlSafe) => {
                format!("translate(encode({name}, 'base64'), E'+/\\n', '-_')")
            }
            _ => format!("replace(encode({name}, 'base64'), E'\\n', '')"),
        },
        _ => column.text().unwrap_or(name),
    }
}

/// The `after` image as one JSON object.
pub(crate) fn whole(image: &[String]) -> String {
    let inside = |object: &String| {
        let inner = object.strip_prefix('{').and_then(|object| object.strip_suffix('}'));
        inner.unwrap_or_default().to_owned()
    };
    format!("{{{}}}", image.iter().map(inside).collect::<Vec<_>>().join(","))
}

/// The message by which Debezium would tell that a snapshot read this image, at a position in the log and in a
/// transaction.
pub(crate) fn message(stream: &Stream, image: &str, lsn: u64, transaction: u64) -> String {
    let (schema, table) = stream.source.split_once('.').unwrap_or(("public", &stream.source));
    let name = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        r#"{{"before":null,"after":{image},"source":{{"version":"3","connector":"postgresql","name":"nova","ts_ms":0,"snapshot":"false","db":"nova","schema":{},"table":{},"txId":{transaction},"lsn":{lsn}}},"op":"r","ts_ms":0}}"#,
        name(schema),
        name(table)
    )
}

/// The row that an image and a key's texts stand for.
pub(crate) fn read(
    stream: &Stream,
    mapping: &Mapping,
    image: &[String],
    key: Vec<Option<String>>,
) -> SourceRow {
    let image = whole(image);
    let key: Vec<Column> =
        stream.key.iter().cloned().zip(key).map(|(name, value)| Column { name, value }).collect();
    if let Some((source_key, columns)) = mapped(stream, mapping, &image) {
        return SourceRow { source_key, key, columns };
    }
    let parts: Vec<&str> = key.iter().map(|column| column.value.as_deref().unwrap_or_default()).collect();
    SourceRow { source_key: source_key(&parts), columns: raw(stream, &image), key }
}

fn mapped(stream: &Stream, mapping: &Mapping, image: &str) -> Option<(Uuid, Vec<Column>)> {
    let message = message(stream, image, 1, 1);
    let event = match stream.format {
        Format::Envelope => decode_event(image.as_bytes(), EventOrigin::default()).ok()?,
        Format::Debezium => {
            let record = Record { key: None, value: Some(message.as_bytes()) };
            let Ok(Message::Change(event)) = decode(record) else { return None };
            event
        }
    };
    let lineage = Lineage { topic: &stream.topic, partition: 0, offset: 0 };
    let Ok(Mapped::Rows(rows)) = mapping.map(&event, lineage) else { return None };
    let row = rows.first()?;
    let declared = mapping.columns().len().checked_sub(LINEAGE_COLUMNS.len())?;
    let place = LINEAGE_COLUMNS.iter().position(|name| *name == "source_key")?;
    let Some(Cell::Uuid(source_key)) = row.get(declared + place) else { return None };
    let columns = mapping.columns().iter().zip(row).take(declared).map(|((name, column_type), cell)| {
        Column { name: name.clone(), value: cell_text(cell, column_type) }
    });
    Some((*source_key, columns.collect()))
}

/// The declared columns with PostgreSQL's own texts, for a row that the mapping refuses.
fn raw(stream: &Stream, image: &str) -> Vec<Column> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(image).unwrap_or_default();
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let columns = stream.columns.iter().map(|(name, declaration)| {
        let value = match &declaration.source {
            ColumnSource::Field(field) => fields.get(&field.field).and_then(text),
            ColumnSource::Value(value) => {
                value.as_str().map(str::to_owned).or_else(|| Some(value.to_string()))
            }
        };
        Column { name: name.clone(), value }
    });
    columns.collect()
}
