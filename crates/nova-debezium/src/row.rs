//! A row image: column names and undecoded values, in the order Debezium wrote them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{
    Field,
    field::{Part, Place},
    schema::{RowSchema, SchemaRef},
};

/// The image of a row before or after a change.
#[derive(Debug, Clone, Default)]
pub struct Row<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(fields: Vec<Field<'a>>) -> Self {
        Self { fields }
    }

    /// A row that did not come from Debezium: names and JSON texts, as an event's document has them.
    pub fn of_document(fields: impl IntoIterator<Item = (&'static str, &'a str)>) -> Self {
        let place = Place { part: Part::Document, wrapped: false };
        let field = |(name, raw)| Field::new(Cow::Borrowed(name), raw, place);
        Self { fields: fields.into_iter().map(field).collect() }
    }

    /// Tells every field where its description is.
    pub(crate) fn attach(&mut self, schema: &Arc<RowSchema>) {
        for (index, field) in self.fields.iter_mut().enumerate() {
            field.schema = SchemaRef::Row(Arc::clone(schema), index);
        }
    }

    /// The column `name`. Constant time if it stands at position `hint`, else all names are compared.
    #[must_use]
    pub fn get(&self, name: &str, hint: usize) -> Option<&Field<'a>> {
        match self.fields.get(hint) {
            Some(field) if field.name() == name => Some(field),
            _ => self.fields.iter().find(|field| field.name() == name),
        }
    }

    /// All columns, in the order of the message.
    #[must_use]
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }
}
