//! `nova config show`: every key, its value with secrets hidden, and where it came from.

use figment::value::{Dict, Value};

use super::{HIDDEN, Loaded};

/// What the names of settings that hold secrets contain, those of librdkafka and of the connector included.
const SECRETS: [&str; 8] =
    ["password", "secret", "token", "headers", "jaas", "credential", "key.pem", "keystore.key"];

/// Keys whose values are never shown, and are read as they are.
pub(super) fn is_secret(key: &str) -> bool {
    !key.ends_with("_file") && SECRETS.iter().any(|word| key.contains(word))
}

impl Loaded {
    /// All keys in order: key, value, origin.
    pub fn listing(&self) -> Vec<(String, String, String)> {
        let mut rows = Vec::new();
        if let Ok(Value::Dict(_, values)) = Value::serialize(&self.config) {
            collect(String::new(), &values, &mut rows);
        }
        rows.into_iter()
            .map(|(key, value)| {
                let origin = self.origins.of(&key);
                let shown = if is_secret(&key) { HIDDEN.to_owned() } else { value };
                (key, shown, origin)
            })
            .collect()
    }
}

fn collect(prefix: String, values: &Dict, rows: &mut Vec<(String, String)>) {
    for (key, value) in values {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Dict(_, inner) => collect(path, inner, rows),
            Value::Empty(..) => {}
            other => rows.push((path, text(other))),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Bool(_, value) => value.to_string(),
        Value::Char(_, value) => value.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map(|value| value.to_string())
            .or_else(|| number.to_u128().map(|value| value.to_string()))
            .or_else(|| number.to_f64().map(|value| value.to_string()))
            .unwrap_or_default(),
        Value::Array(_, values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Dict(..) | Value::Empty(..) => String::new(),
    }
}
