//! What an embedded schema says about a column, read from the schema's text only when a value needs it.
//!
//! Invariant: the schema's text is parsed at most once per message, and never for messages whose values do not
//! depend on it.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::shape::Text;

/// The schema of one column or array element, in Kafka Connect's JSON form.
#[derive(Debug, Clone, Deserialize)]
pub struct FieldSchema<'a> {
    #[serde(borrow, default)]
    field: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    connect_type: Text<'a>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow, default)]
    items: Option<&'a RawValue>,
}

impl<'a> FieldSchema<'a> {
    /// Kafka Connect's type: `int64`, `string`, `bytes`, `array`, `struct`, …
    #[must_use]
    pub fn connect_type(&self) -> &str {
        &self.connect_type.0
    }

    /// The semantic type: `io.debezium.time.MicroTimestamp`, `io.debezium.data.Uuid`, …
    #[must_use]
    pub fn semantic_name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.0.as_ref())
    }

    /// The parameters as a JSON object, like `{"scale":"2","connect.decimal.precision":"10"}`.
    #[must_use]
    pub fn parameters(&self) -> Option<&'a str> {
        self.parameters.map(RawValue::get)
    }

    /// The `scale` parameter of `org.apache.kafka.connect.data.Decimal`.
    #[must_use]
    pub fn scale(&self) -> Option<i32> {
        #[derive(Deserialize)]
        struct Parameters<'a> {
            #[serde(borrow)]
            scale: Text<'a>,
        }
        serde_json::from_str::<Parameters<'_>>(self.parameters()?).ok()?.scale.0.parse().ok()
    }

    fn items(&self) -> Option<Self> {
        serde_json::from_str(self.items?.get()).ok()
    }
}

/// The schema of a table's rows, as text until first asked.
#[derive(Debug)]
pub(crate) struct RowSchema<'a> {
    envelope: &'a str,
    fields: OnceLock<Vec<FieldSchema<'a>>>,
}

impl<'a> RowSchema<'a> {
    pub(crate) fn new(envelope: &'a RawValue) -> Self {
        Self { envelope: envelope.get(), fields: OnceLock::new() }
    }

    /// The column at `index` if it has that name, else the first of that name.
    fn field(&self, name: &str, index: usize) -> Option<&FieldSchema<'a>> {
        // A schema that cannot be read describes nothing: values that need it then say what they miss.
        let fields = self.fields.get_or_init(|| row_fields(self.envelope).unwrap_or_default());
        let named = |field: &FieldSchema<'a>| field.field.as_ref().is_some_and(|text| text.0 == name);
        fields.get(index).filter(|field| named(field)).or_else(|| fields.iter().find(|field| named(field)))
    }
}

/// The columns in the schema of a change message. `before` and `after` are described alike, one is enough.
fn row_fields(envelope: &str) -> Option<Vec<FieldSchema<'_>>> {
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(borrow, default)]
        field: Option<Text<'a>>,
        #[serde(borrow, default)]
        fields: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        fields: Vec<Block<'a>>,
    }
    let envelope: Envelope<'_> = serde_json::from_str(envelope).ok()?;
    let is_row = |block: &Block<'_>| {
        block.field.as_ref().is_some_and(|field| field.0 == "before" || field.0 == "after")
    };
    let row = envelope.fields.iter().find(|block| is_row(block))?.fields?;
    serde_json::from_str(row.get()).ok()
}

/// Where a field's schema is.
#[derive(Debug, Clone, Default)]
pub(crate) enum SchemaRef<'a> {
    /// The message embeds none.
    #[default]
    None,
    /// In the row's schema, probably at this index.
    Row(Arc<RowSchema<'a>>, usize),
    /// Here: an array element's.
    Item(Arc<FieldSchema<'a>>),
}

impl<'a> SchemaRef<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&FieldSchema<'a>> {
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
