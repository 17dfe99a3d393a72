//! The part of JSON Schema 2020-12 (<https://json-schema.org/draft/2020-12>) in which events are described.
//!
//! Invariant: a keyword that is not here is refused when the schema is read. So the comparison understands all that a
//! schema demands. `additionalProperties` is left out on purpose: readers ignore fields that they do not know.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Number, Value};

/// What a document, or one field of it, must be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Form {
    #[serde(rename = "type")]
    types: Option<Types>,
    #[serde(rename = "const")]
    constant: Option<Value>,
    #[serde(rename = "enum")]
    members: Option<Vec<Value>>,
    /// The fields of an object.
    #[serde(default)]
    pub properties: BTreeMap<String, Form>,
    /// The fields that must be there.
    #[serde(default)]
    pub required: BTreeSet<String>,
    pub minimum: Option<Number>,
    pub maximum: Option<Number>,
    pub min_length: Option<Number>,
    pub max_length: Option<Number>,
    pub pattern: Option<String>,
    pub format: Option<String>,
    /// JSON pointer of a field → why it changed, and what the upcaster does about it.
    #[serde(rename = "x-breaking-changes", default)]
    pub breaking_changes: BTreeMap<String, String>,
    // Keywords that demand nothing.
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    #[serde(rename = "$id")]
    _id: Option<String>,
    #[serde(rename = "$comment")]
    _comment: Option<String>,
    #[serde(rename = "title")]
    _title: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Types {
    One(String),
    Some(BTreeSet<String>),
}

impl Form {
    /// The types it takes; `None` for all. A form that lists its values has their types.
    pub fn types(&self) -> Option<BTreeSet<&str>> {
        match &self.types {
            Some(Types::One(name)) => Some(BTreeSet::from([name.as_str()])),
            Some(Types::Some(names)) => Some(names.iter().map(String::as_str).collect()),
            None => self.values().map(|values| values.into_iter().map(type_of).collect()),
        }
    }

    /// The only values it takes (`const`, `enum`); `None` for any.
    pub fn values(&self) -> Option<Vec<&Value>> {
        match (&self.constant, &self.members) {
            (Some(constant), _) => Some(vec![constant]),
            (None, Some(members)) => Some(members.iter().collect()),
            (None, None) => None,
        }
    }

    /// The one value of the field `name`, where the form fixes it.
    pub fn constant(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)?.constant.as_ref()
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_that_cannot_be_compared_is_refused() {
        for keyword in ["oneOf", "additionalProperties", "patern"] {
            let text = format!("{{\"type\": \"object\", \"{keyword}\": {{}}}}");
            let error = serde_json::from_str::<Form>(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("unknown field `{keyword}`")), "{error}");
        }
    }

    #[test]
    fn listed_values_have_types() {
        let form: Form = serde_json::from_str(r#"{"enum": ["a", 1]}"#).unwrap();
        assert_eq!(form.types(), Some(BTreeSet::from(["integer", "string"])));
        assert_eq!(serde_json::from_str::<Form>("{}").unwrap().types(), None);
    }
}
