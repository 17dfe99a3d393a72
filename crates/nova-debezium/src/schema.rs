//! What an embedded schema says about a column, read from the schema's text only when a value needs it.
//!
//! With embedded schemas the schema is most of each message and the same in all messages of a table. Each thread keeps
//! the last few it has seen, with what was read from them.
//!
//! Invariant: a kept text is one JSON object that `serde_json` took, so a message that goes on with the very same bytes
//! holds this schema there. What is kept is bounded, and decides nothing but how fast a message is read.

use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
};

use serde::Deserialize;
use serde_json::value::RawValue;

/// Schemas kept by a thread: those of the tables whose messages it reads by turns.
const KEPT: usize = 16;
/// A longer schema is not kept; a table of a thousand columns has one of about 200 KB.
const KEPT_BYTES: usize = 256 << 10;

thread_local! {
    static KNOWN: RefCell<Vec<Arc<RowSchema>>> = const { RefCell::new(Vec::new()) };
}

/// The schema that the bytes begin with, if it is a known one, and its length in bytes.
pub(crate) fn known_prefix(bytes: &[u8]) -> Option<(Arc<RowSchema>, usize)> {
    KNOWN.with_borrow(|known| {
        let schema = known.iter().find(|schema| bytes.starts_with(schema.envelope.as_bytes()))?;
        Some((Arc::clone(schema), schema.envelope.len()))
    })
}

/// The schema of that text, which from now on is known.
pub(crate) fn of(envelope: &RawValue) -> Arc<RowSchema> {
    let text = envelope.get();
    KNOWN.with_borrow_mut(|known| {
        if let Some(schema) = known.iter().find(|schema| *schema.envelope == *text) {
            return Arc::clone(schema);
        }
        let schema = Arc::new(RowSchema { envelope: text.into(), fields: OnceLock::new() });
        // An object ends by itself; of anything else the text might go on.
        if text.starts_with('{') && text.len() <= KEPT_BYTES {
            known.truncate(KEPT - 1);
            known.insert(0, Arc::clone(&schema));
        }
        schema
    })
}

/// The schema of one column or array element, in Kafka Connect's JSON form.
#[derive(Debug, Clone, Deserialize)]
pub struct FieldSchema {
    #[serde(default)]
    field: Option<String>,
    #[serde(rename = "type")]
    connect_type: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    parameters: Option<Box<RawValue>>,
    #[serde(default)]
    items: Option<Box<RawValue>>,
}

impl FieldSchema {
    /// Kafka Connect's type: `int64`, `string`, `bytes`, `array`, `struct`, …
    #[must_use]
    pub fn connect_type(&self) -> &str {
        &self.connect_type
    }

    /// The semantic type: `io.debezium.time.MicroTimestamp`, `io.debezium.data.Uuid`, …
    #[must_use]
    pub fn semantic_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The parameters as a JSON object, like `{"scale":"2","connect.decimal.precision":"10"}`.
    #[must_use]
    pub fn parameters(&self) -> Option<&str> {
        self.parameters.as_deref().map(RawValue::get)
    }

    /// The `scale` parameter of `org.apache.kafka.connect.data.Decimal`.
    #[must_use]
    pub fn scale(&self) -> Option<i32> {
        #[derive(Deserialize)]
        struct Parameters {
            scale: String,
        }
        serde_json::from_str::<Parameters>(self.parameters()?).ok()?.scale.parse().ok()
    }

    fn items(&self) -> Option<Self> {
        serde_json::from_str(self.items.as_deref()?.get()).ok()
    }
}

/// The schema of a table's rows, as text until first asked.
#[derive(Debug)]
pub(crate) struct RowSchema {
    envelope: Box<str>,
    fields: OnceLock<Vec<FieldSchema>>,
}

impl RowSchema {
    /// The column at `index` if it has that name, else the first of that name.
    fn field(&self, name: &str, index: usize) -> Option<&FieldSchema> {
        // A schema that cannot be read describes nothing: values that need it then say what they miss.
        let fields = self.fields.get_or_init(|| row_fields(&self.envelope).unwrap_or_default());
        let named = |field: &FieldSchema| field.field.as_deref() == Some(name);
        fields.get(index).filter(|field| named(field)).or_else(|| fields.iter().find(|field| named(field)))
    }
}

/// The columns in the schema of a change message. `before` and `after` are described alike, one is enough.
fn row_fields(envelope: &str) -> Option<Vec<FieldSchema>> {
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(default)]
        field: Option<String>,
        #[serde(borrow, default)]
        fields: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        fields: Vec<Block<'a>>,
    }
    let envelope: Envelope<'_> = serde_json::from_str(envelope).ok()?;
    let is_row = |block: &Block<'_>| matches!(block.field.as_deref(), Some("before" | "after"));
    let row = envelope.fields.iter().find(|block| is_row(block))?.fields?;
    serde_json::from_str(row.get()).ok()
}

/// Where a field's schema is.
#[derive(Debug, Clone, Default)]
pub(crate) enum SchemaRef {
    /// The message embeds none.
    #[default]
    None,
    /// In the row's schema, probably at this index.
    Row(Arc<RowSchema>, usize),
    /// Here: an array element's.
    Item(Arc<FieldSchema>),
}

impl SchemaRef {
    pub(crate) fn get(&self, name: &str) -> Option<&FieldSchema> {
        match self {
            Self::None => None,
            Self::Row(row, index) => row.field(name, *index),
            Self::Item(item) => Some(item),
        }
    }

    /// The schema of the elements of the array called `name`.
    pub(crate) fn items(&self, name: &str) -> Self {
        self.get(name).and_then(FieldSchema::items).map_or(Self::None, |items| Self::Item(Arc::new(items)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(number: usize) -> String {
        format!(r#"{{"fields":[{{"field":"after","fields":[{{"type":"int32","field":"n{number}"}}]}}]}}"#)
    }

    #[test]
    fn a_schema_is_known_by_its_bytes_and_the_oldest_is_forgotten() {
        let of_number = |number| of(serde_json::from_str(&schema(number)).unwrap());
        let goes_on = |number| format!("{},\"payload\":1}}", schema(number));
        assert!(known_prefix(goes_on(0).as_bytes()).is_none());
        let first = of_number(0);
        let (known, length) = known_prefix(goes_on(0).as_bytes()).unwrap();
        assert!(Arc::ptr_eq(&first, &known) && length == schema(0).len());
        assert!(Arc::ptr_eq(&first, &of_number(0)));
        assert!(known_prefix(&schema(0).as_bytes()[1..]).is_none());
        for number in 1..=KEPT {
            of_number(number);
        }
        assert!(
            known_prefix(goes_on(0).as_bytes()).is_none() && known_prefix(goes_on(1).as_bytes()).is_some()
        );
        assert!(
            of(serde_json::from_str("1").unwrap()).field("n", 0).is_none() && known_prefix(b"12").is_none()
        );
    }
}
