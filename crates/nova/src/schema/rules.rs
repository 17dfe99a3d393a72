//! What a folder of schemas must keep, and what is found there.
//!
//! Invariant: a break is a failure unless the newer version declares it at the same field, and a declaration without
//! a break is a failure too, so that the list of declarations is the list of breaks.

use serde_json::Value;

use super::compare::{Break, Side, breaks};
use super::examples;
use super::folder::{EventType, Version};
use super::report::{Direction, Finding, Level};

/// Everything about all types.
pub(super) fn findings(types: &[EventType]) -> Vec<Finding> {
    types.iter().flat_map(of_type).collect()
}

fn of_type(event_type: &EventType) -> Vec<Finding> {
    let name = event_type.name.as_str();
    let mut found = Vec::new();
    if event_type.versions.is_empty() {
        found.push(Finding::new(name, 1, Level::Wrong, "no v1.json"));
    }
    let mut older: Option<&Version> = None;
    for (version, expected) in event_type.versions.iter().zip(1..) {
        let number = version.number;
        let wrong = |message: String| Finding::new(name, number, Level::Wrong, message);
        let before = found.len();
        if number != expected {
            found.push(wrong(format!("v{expected}.json is missing; versions are numbered without gaps")));
        }
        found.extend(form_mistakes(name, version).into_iter().map(wrong));
        found.extend(examples::mistakes(version).into_iter().map(wrong));
        if found.len() == before {
            let (valid, invalid) = (version.valid.len(), version.invalid.len());
            let message = format!("{valid} valid and {invalid} invalid examples are taken and refused");
            found.push(Finding::new(name, number, Level::Ok, message));
        }
        found.extend(changes(name, older, version));
        older = Some(version);
    }
    found
}

/// What every schema has in common.
fn form_mistakes(event_type: &str, version: &Version) -> Vec<String> {
    let mut found = Vec::new();
    for (field, expected) in
        [("version", Value::from(version.number)), ("event_type", Value::from(event_type))]
    {
        let right = version.form.constant(field) == Some(&expected) && version.form.required.contains(field);
        if !right {
            found.push(format!("`{field}` must be required, with \"const\": {expected}"));
        }
    }
    if version.form.types() != Some(["object"].into()) {
        found.push("`type` must be \"object\"".to_owned());
    }
    let unknown = version.form.required.iter().filter(|field| !version.form.properties.contains_key(*field));
    found
        .extend(unknown.map(|field| format!("`{field}` is required, and `properties` does not describe it")));
    found
}

/// From the version before to this one, in both directions.
fn changes(name: &str, older: Option<&Version>, newer: &Version) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut unused: Vec<&String> = newer.form.breaking_changes.keys().collect();
    if let Some(older) = older {
        let (old_name, new_name) = (format!("v{}", older.number), format!("v{}", newer.number));
        let old = Side { name: &old_name, form: &older.form };
        let new = Side { name: &new_name, form: &newer.form };
        let both = [(Direction::Backward, breaks(old, new)), (Direction::Forward, breaks(new, old))];
        for (direction, Break { path, sentence }) in both
            .into_iter()
            .flat_map(|(direction, breaks)| breaks.into_iter().map(move |one| (direction, one)))
        {
            unused.retain(|declared| **declared != path);
            let reason = newer.form.breaking_changes.get(&path).filter(|reason| !reason.trim().is_empty());
            let level = if reason.is_some() { Level::Declared } else { Level::Break };
            found.push(Finding {
                direction: Some(direction),
                path,
                reason: reason.cloned(),
                ..Finding::new(name, newer.number, level, sentence)
            });
        }
    }
    found.extend(unused.into_iter().map(|path| {
        let message = format!("`x-breaking-changes` declares `{path}`, where nothing breaks; remove it");
        Finding::new(name, newer.number, Level::Wrong, message)
    }));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::folder::Example;
    use super::*;

    fn version(number: u32, more: impl FnOnce(&mut Value)) -> Version {
        let mut schema = json!({
            "type": "object", "required": ["version", "event_type"],
            "properties": {"version": {"const": number}, "event_type": {"const": "view"}, "f": {"type": "integer"}},
        });
        more(&mut schema);
        let example = |document| vec![Example { name: "a.json".to_owned(), document }];
        Version {
            number,
            form: serde_json::from_value(schema.clone()).unwrap(),
            schema,
            valid: example(json!({"version": number, "event_type": "view"})),
            invalid: example(json!(7)),
        }
    }

    fn told(versions: Vec<Version>) -> Vec<(Level, String)> {
        let found = findings(&[EventType { name: "view".to_owned(), versions }]);
        found.into_iter().filter(|one| one.level != Level::Ok).map(|one| (one.level, one.message)).collect()
    }

    #[test]
    fn a_break_counts_until_it_is_declared_with_a_reason() {
        let text = |schema: &mut Value| schema["properties"]["f"] = json!({"type": "string"});
        let declared = |reason: &'static str| {
            move |schema: &mut Value| {
                text(schema);
                schema["x-breaking-changes"] = json!({"/f": reason});
            }
        };
        let levels = |versions| told(versions).into_iter().map(|(level, _)| level).collect::<Vec<_>>();
        assert_eq!(levels(vec![version(1, |_| ()), version(2, |_| ())]), []);
        assert_eq!(levels(vec![version(1, |_| ()), version(2, text)]), [Level::Break, Level::Break]);
        assert_eq!(levels(vec![version(1, |_| ()), version(2, declared(" "))]), [Level::Break, Level::Break]);
        assert_eq!(
            levels(vec![version(1, |_| ()), version(2, declared("why"))]),
            [Level::Declared, Level::Declared]
        );
    }

    #[test]
    fn a_declaration_without_a_break_is_a_mistake() {
        let declares = |schema: &mut Value| schema["x-breaking-changes"] = json!({"/f": "why"});
        for versions in [vec![version(1, declares)], vec![version(1, |_| ()), version(2, declares)]] {
            let (level, message) = told(versions).remove(0);
            assert_eq!(level, Level::Wrong);
            assert!(message.contains("declares `/f`, where nothing breaks"), "{message}");
        }
    }

    #[test]
    fn numbers_names_and_required_fields_fit() {
        let gap = told(vec![version(1, |_| ()), version(3, |_| ())]);
        assert!(gap[0].1.starts_with("v2.json is missing"), "{gap:?}");
        let other =
            told(vec![version(1, |schema| schema["properties"]["event_type"] = json!({"type": "string"}))]);
        assert_eq!(other[0].1, "`event_type` must be required, with \"const\": \"view\"");
        let typo =
            told(vec![version(1, |schema| schema["required"] = json!(["version", "event_type", "g"]))]);
        assert!(typo.iter().any(|(_, message)| message.starts_with("`g` is required, and")), "{typo:?}");
        let any = told(vec![version(1, |schema| schema["type"] = json!(["object", "null"]))]);
        assert_eq!(any[0].1, "`type` must be \"object\"");
        assert_eq!(told(vec![])[0].1, "no v1.json");
    }
}
