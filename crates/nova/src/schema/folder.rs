//! The folder of schemas: `<type>/v<N>.json`, and documents under `<type>/examples/v<N>/{valid,invalid}/`.
//!
//! Invariant: a file that is there is read or refused with its name; nothing is passed over.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::form::Form;
use crate::exit::{Exit, Failure};

/// One type of event.
#[derive(Debug)]
pub(super) struct EventType {
    /// The folder's name.
    pub name: String,
    /// Its versions, oldest first.
    pub versions: Vec<Version>,
}

/// One version of its form.
#[derive(Debug)]
pub(super) struct Version {
    /// `N` of `v<N>.json`.
    pub number: u32,
    /// The schema, understood.
    pub form: Form,
    /// The schema as it is written.
    pub schema: Value,
    /// Documents that it must take.
    pub valid: Vec<Example>,
    /// Documents that it must refuse.
    pub invalid: Vec<Example>,
}

/// A document.
#[derive(Debug)]
pub(super) struct Example {
    /// Its file's name.
    pub name: String,
    /// What it holds.
    pub document: Value,
}

/// All types, by name.
///
/// # Errors
/// A folder or file that cannot be read, a name that means nothing here, or a schema that cannot be compared.
pub(super) fn read(dir: &Path) -> Result<Vec<EventType>, Failure> {
    let types: Result<Vec<EventType>, Failure> = entries(dir)?.iter().map(|path| event_type(path)).collect();
    let types = types?;
    if types.is_empty() {
        return Err(
            refused(dir, "no folder of an event type in it").with_cure("Name the right folder by --dir.")
        );
    }
    Ok(types)
}

fn event_type(dir: &Path) -> Result<EventType, Failure> {
    let mut versions = Vec::new();
    for path in entries(dir)?.iter().filter(|path| name(path) != "examples") {
        let number = name(path).strip_prefix('v').and_then(|rest| rest.strip_suffix(".json")?.parse().ok());
        let Some(number) = number.filter(|number| *number > 0) else {
            return Err(refused(path, "here are only `v<N>.json`, N from 1, and `examples`"));
        };
        let text = text(path)?;
        let examples = dir.join("examples").join(format!("v{number}"));
        versions.push(Version {
            number,
            form: serde_json::from_str(&text).map_err(|error| {
                refused(path, &format!("not a schema that can be compared: {error}"))
                    .with_cure("docs/events.md lists the keywords that a schema may use.")
            })?,
            schema: json(path, &text)?,
            valid: read_examples(&examples.join("valid"))?,
            invalid: read_examples(&examples.join("invalid"))?,
        });
    }
    versions.sort_by_key(|version| version.number);
    Ok(EventType { name: name(dir), versions })
}

fn read_examples(dir: &Path) -> Result<Vec<Example>, Failure> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let example = |path: &PathBuf| Ok(Example { name: name(path), document: json(path, &text(path)?)? });
    entries(dir)?.iter().map(example).collect()
}

/// What is in the folder, by name.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read =
        |error: std::io::Error| refused(dir, &error.to_string()).with_cure("Name the right folder by --dir.");
    let paths = fs::read_dir(dir).map_err(read)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(read)?;
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| refused(path, &error.to_string()))
}

fn json(path: &Path, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| refused(path, &format!("no JSON: {error}")))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn refused(path: &Path, reason: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{}: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_sorted_by_number_and_examples_found() {
        let dir = tempfile::tempdir().unwrap();
        let valid = dir.path().join("view/examples/v10/valid");
        fs::create_dir_all(&valid).unwrap();
        fs::write(valid.join("a.json"), "7").unwrap();
        for number in [1, 2, 10] {
            fs::write(dir.path().join(format!("view/v{number}.json")), "{}").unwrap();
        }
        let types = read(dir.path()).unwrap();
        let numbers: Vec<u32> = types[0].versions.iter().map(|version| version.number).collect();
        assert_eq!((types[0].name.as_str(), numbers), ("view", vec![1, 2, 10]));
        assert_eq!(types[0].versions[2].valid[0].name, "a.json");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |text: &str| {
            let failure = read(dir.path()).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains(text), "{}", failure.message);
        };
        refused("no folder of an event type");
        fs::create_dir(dir.path().join("view")).unwrap();
        fs::write(dir.path().join("view/v1.json"), "{\"anyOf\": []}").unwrap();
        refused("view/v1.json: not a schema that can be compared: unknown field `anyOf`");
        fs::rename(dir.path().join("view/v1.json"), dir.path().join("view/v0.json")).unwrap();
        refused("view/v0.json: here are only");
    }
}
