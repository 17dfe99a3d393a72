//! Two versions of a schema, compared in one direction: which documents of the writer's would the reader refuse?
//!
//! Backward is a reader of the newer version and a writer of the older; forward is the other way round. The field
//! `version` is left out, since it differs by its nature.
//!
//! Invariants: every keyword of [`Form`] is compared, and what cannot be decided (two different patterns) counts as a
//! break. A field that the writer does not describe counts as absent.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use super::form::Form;

/// A form and the name of its version, `v2`.
#[derive(Clone, Copy)]
pub(super) struct Side<'f> {
    pub name: &'f str,
    pub form: &'f Form,
}

/// One way in which the reader refuses what the writer may write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Break {
    /// JSON pointer of the field in a document.
    pub path: String,
    /// The whole story in a sentence.
    pub sentence: String,
}

/// All breaks, by field.
pub(super) fn breaks(writer: Side<'_>, reader: Side<'_>) -> Vec<Break> {
    let mut found = Vec::new();
    object(writer, reader, "", &mut found);
    found
}

fn object(writer: Side<'_>, reader: Side<'_>, path: &str, found: &mut Vec<Break>) {
    for name in reader.form.required.difference(&writer.form.required) {
        let lack =
            if writer.form.properties.contains_key(name) { "documents may lack" } else { "does not have" };
        let sentence = format!("{} requires `{name}`, which {} {lack}", reader.name, writer.name);
        found.push(Break { path: format!("{path}/{name}"), sentence });
    }
    for (name, form) in &reader.form.properties {
        let Some(written) = writer.form.properties.get(name) else { continue };
        let path = format!("{path}/{name}");
        if path != "/version" {
            field(Side { form: written, ..writer }, Side { form, ..reader }, &path, name, found);
        }
    }
}

fn field(writer: Side<'_>, reader: Side<'_>, path: &str, name: &str, found: &mut Vec<Break>) {
    let reasons = match types(writer, reader, name) {
        // Of another type, nothing else about it can be compared.
        Some(reason) => vec![reason],
        None => [values(writer, reader, name)]
            .into_iter()
            .chain(bounds(writer, reader, name))
            .chain(texts(writer, reader, name))
            .flatten()
            .collect(),
    };
    let broken = |sentence| Break { path: path.to_owned(), sentence };
    found.extend(reasons.into_iter().map(broken));
    object(writer, reader, path, found);
}

fn types(writer: Side<'_>, reader: Side<'_>, name: &str) -> Option<String> {
    let taken = reader.form.types()?;
    let takes = |one: &str| taken.contains(one) || (one == "integer" && taken.contains("number"));
    let written = writer.form.types();
    if written.as_ref().is_some_and(|written| written.iter().all(|one| takes(one))) {
        return None;
    }
    let written = written.map_or_else(|| "of any type".to_owned(), |written| list(&written));
    Some(format!("`{name}` is {written} in {}, and {} takes only {}", writer.name, reader.name, list(&taken)))
}

fn list(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(" or ")
}

fn values(writer: Side<'_>, reader: Side<'_>, name: &str) -> Option<String> {
    let taken = reader.form.values()?;
    let text = |values: &[&Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let Some(mut written) = writer.form.values() else {
        let (writer, reader) = (writer.name, reader.name);
        return Some(format!(
            "`{name}` has no list of values in {writer}, and {reader} takes only {}",
            text(&taken)
        ));
    };
    written.retain(|value| !taken.contains(value));
    (!written.is_empty()).then(|| {
        format!("`{name}` may be {} in {}, which {} does not take", text(&written), writer.name, reader.name)
    })
}

fn bounds(writer: Side<'_>, reader: Side<'_>, name: &str) -> [Option<String>; 4] {
    let (w, r) = (writer.form, reader.form);
    let story = |written: &Option<Number>, taken: &Option<Number>, lower: bool, what: &str| {
        let bound = taken.as_ref()?.as_f64()?;
        let fits = |value: f64| if lower { value >= bound } else { value <= bound };
        if written.as_ref().and_then(Number::as_f64).is_some_and(fits) {
            return None;
        }
        let side = if lower { "at least" } else { "at most" };
        let written = match written {
            Some(written) => format!("is {side} {written}{what}"),
            None => "has no such bound".to_owned(),
        };
        let taken = taken.as_ref()?;
        Some(format!("`{name}` {written} in {}, and {} wants {side} {taken}{what}", writer.name, reader.name))
    };
    [
        story(&w.minimum, &r.minimum, true, ""),
        story(&w.maximum, &r.maximum, false, ""),
        story(&w.min_length, &r.min_length, true, " characters long"),
        story(&w.max_length, &r.max_length, false, " characters long"),
    ]
}

fn texts(writer: Side<'_>, reader: Side<'_>, name: &str) -> [Option<String>; 2] {
    let (w, r) = (writer.form, reader.form);
    let story = |written: &Option<String>, taken: &Option<String>, what: &str| {
        let taken = taken.as_ref().filter(|taken| written.as_ref() != Some(*taken))?;
        Some(format!(
            "{} wants `{name}` to have the {what} `{taken}`, which {} does not promise",
            reader.name, writer.name
        ))
    };
    [story(&w.pattern, &r.pattern, "pattern"), story(&w.format, &r.format, "format")]
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
