//! The outbox as a table of typed columns: what an event's document says, in every version of its form.
//!
//! Invariants: no document makes a statement fail, whatever is in it; and a document that `nova-envelope` takes has here
//! the values that it has there. One that is refused there may have any: ClickHouse lacks it, and its dead letter
//! says why.

use nova_streams::{ColumnSource, ColumnType, Stream};

use crate::ReconcileError;
use crate::source_table::{SourceColumn, SourceTable};
use crate::sql::{pg_literal, pg_name};

/// A UUID with hyphens.
const UUID: &str = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
/// A moment of the years 2000 to 2099 that the calendar has, with at most nine digits of a second.
const RFC3339: &str = "^(20[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)\
                       |02-(0[1-9]|1[0-9]|2[0-8]))|20([02468][048]|[13579][26])-02-29)\
                       T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z$";
/// The types of the columns that events have, beside the document and its day.
const COLUMNS: [(&str, &str); 8] = [
    ("id", "uuid"),
    ("event_type", "text"),
    ("post_id", "uuid"),
    ("user_id", "uuid"),
    ("dwell_time_ms", "int4"),
    ("producer", "text"),
    ("traceparent", "text"),
    ("timestamp", "timestamptz"),
];

/// The events of `stream` in the outbox `table`, as the catalog describes it.
///
/// # Errors
/// [`ReconcileError::Refused`] for a table that is no outbox, and for identities that become texts.
pub(crate) fn events(stream: &Stream, table: &SourceTable) -> Result<SourceTable, ReconcileError> {
    let refuse = |reason: String| ReconcileError::Refused { stream: stream.name.clone(), reason };
    let wanted = [("payload", "jsonb"), ("seq", "int8"), ("source_tx", "int8"), ("aggregate_type", "text")];
    for (name, type_name) in wanted {
        if table.column(name).is_none_or(|column| column.type_name != type_name) {
            let cure = "apply schemas/postgres/migrations";
            return Err(refuse(format!("{} has no column `{name}` {type_name}; {cure}", table.name)));
        }
    }
    let columns = COLUMNS.map(|(name, type_name)| SourceColumn {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        is_enum: false,
        element: None,
    });
    Ok(SourceTable {
        name: select(stream, &table.name),
        columns: columns.into(),
        by_time: false,
        pages: 0,
        pieces: Vec::new(),
    })
}

/// What is read of identities: the document's own letters are lost, so a text of them cannot be compared.
///
/// # Errors
/// [`ReconcileError::Refused`] with the column.
pub(crate) fn check(stream: &Stream, columns: &[(String, ColumnType)]) -> Result<(), ReconcileError> {
    for (name, column_type) in columns {
        let source = stream.columns.get(name).map(|declaration| &declaration.source);
        let Some(ColumnSource::Field(field)) = source else { continue };
        let bare = if let ColumnType::Nullable(inner) = column_type { inner } else { column_type };
        if *bare == ColumnType::String && matches!(field.field.as_str(), "id" | "post_id" | "user_id") {
            return Err(ReconcileError::Refused {
                stream: stream.name.clone(),
                reason: format!("column `{name}` holds `{}` as a text; make it a UUID", field.field),
            });
        }
    }
    Ok(())
}

/// The condition for the outbox's rows that become this stream's messages.
pub(super) fn routed(stream: &Stream) -> String {
    let aggregate_type = stream.topic.rsplit_once('.').map_or(stream.topic.as_str(), |(_, last)| last);
    format!("aggregate_type = {}", pg_literal(aggregate_type))
}

fn select(stream: &Stream, table: &str) -> String {
    let text = |field: &str| format!("(payload->>'{field}')");
    // CASE is what keeps a cast from seeing a text that it would refuse.
    let cast = |field: &str, form: &str, to: &str| {
        format!("CASE WHEN {text} ~ '{form}' THEN {text}::{to} END", text = text(field))
    };
    let uuid = |field: &str| cast(field, UUID, "uuid");
    let version = text("version");
    let created_at = pg_name(&stream.time);
    format!(
        "(SELECT coalesce({}, id) AS id, {} AS event_type, {} AS post_id, {} AS user_id, \
         CASE WHEN {version} = '1' THEN 0 ELSE coalesce({}, 0) END AS dwell_time_ms, \
         CASE WHEN {version} IN ('1', '2') THEN 'unknown' ELSE {} END AS producer, \
         CASE WHEN {version} IN ('1', '2') THEN NULL ELSE {} END AS traceparent, \
         coalesce({}, {created_at}) AS \"timestamp\", payload, {created_at} AS nova_created_at \
         FROM {table} WHERE {}) AS events",
        uuid("event_id"),
        text("event_type"),
        uuid("post_id"),
        uuid("user_id"),
        cast("dwell_time_ms", "^[0-9]{1,8}$", "int"),
        text("producer"),
        text("traceparent"),
        timestamp(&version, &text("timestamp")),
        routed(stream)
    )
}

/// The event's own time. PostgreSQL would round what is finer than a microsecond, the mapping cuts it: so it is cut
/// off the text.
fn timestamp(version: &str, text: &str) -> String {
    let number = |digits: &str, unit: &str| {
        format!(
            "CASE WHEN {text} ~ '^[0-9]{{{digits}}}$' THEN \
             timestamptz '1970-01-01 00:00:00+00' + {text}::int8 * interval '{unit}' END"
        )
    };
    format!(
        "CASE {version} WHEN '1' THEN {} WHEN '2' THEN {} \
         ELSE CASE WHEN {text} ~ '{RFC3339}' THEN (left(rtrim({text}, 'Z'), 26) || 'Z')::timestamptz END END",
        number("9,10", "1 second"),
        number("12,13", "1 millisecond")
    )
}
