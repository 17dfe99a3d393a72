//! YAML as JSON values, and short ways into them.
//!
//! Invariant: a file that cannot be read or parsed is named.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The documents of a text; empty ones are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Value>> {
    Ok(serde_saphyr::from_multiple(text)?)
}

/// The documents of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    documents(&text).with_context(|| path.display().to_string())
}

/// The items of the list at a JSON pointer (RFC 6901); none when there is no list.
pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text at a JSON pointer; empty when there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What a Kubernetes object is called in messages: `Deployment/nova-cdc`.
pub(super) fn name(object: &Value) -> String {
    format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"))
}

/// The objects of a kind.
pub(super) fn of_kind<'v>(objects: &'v [Value], kind: &'v str) -> impl Iterator<Item = &'v Value> {
    objects.iter().filter(move |object| text(object, "/kind") == kind)
}
