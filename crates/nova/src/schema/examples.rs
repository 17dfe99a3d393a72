//! The examples against their own version's schema.
//!
//! Invariant: formats (`date-time`) are demands here, not remarks, as in the library that reads the events.

use super::folder::Version;

/// What is wrong with the schema or its examples, each in a sentence; empty when all is right.
pub(super) fn mistakes(version: &Version) -> Vec<String> {
    let schema = match jsonschema::draft202012::options().should_validate_formats(true).build(&version.schema)
    {
        Ok(schema) => schema,
        Err(error) => return vec![format!("not a JSON Schema: {error}, at `{}`", error.instance_path())],
    };
    let mut found = Vec::new();
    for (kind, examples) in [("valid", &version.valid), ("invalid", &version.invalid)] {
        if examples.is_empty() {
            found.push(format!("no examples/v{}/{kind}/*.json; at least one is needed", version.number));
        }
    }
    for example in &version.valid {
        if let Err(error) = schema.validate(&example.document) {
            let place = error.instance_path().to_string();
            found.push(format!("the valid example {} is refused: {error}, at `{place}`", example.name));
        }
    }
    let taken = version.invalid.iter().filter(|example| schema.is_valid(&example.document));
    found.extend(taken.map(|example| format!("the invalid example {} is taken", example.name)));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::folder::Example;
    use super::*;

    fn version(schema: Value, valid: Value, invalid: Value) -> Version {
        let example = |document| vec![Example { name: "a.json".to_owned(), document }];
        let form = serde_json::from_value(schema.clone()).unwrap();
        Version { number: 1, form, schema, valid: example(valid), invalid: example(invalid) }
    }

    #[test]
    fn examples_are_held_against_the_schema() {
        let schema = json!({"type": "string", "format": "date-time"});
        assert!(mistakes(&version(schema.clone(), json!("2026-11-21T12:00:00Z"), json!("today"))).is_empty());
        let found = mistakes(&version(schema, json!("today"), json!("2026-11-21T12:00:00Z")));
        assert!(
            found[0].starts_with("the valid example a.json is refused: \"today\" is not a \"date-time\""),
            "{found:?}"
        );
        assert_eq!(found[1], "the invalid example a.json is taken");
    }

    #[test]
    fn a_schema_must_be_one_and_have_examples() {
        let found = mistakes(&version(json!({"type": "sting"}), json!(1), json!(2)));
        assert!(found[0].starts_with("not a JSON Schema: "), "{found:?}");
        let mut lonely = version(json!({}), json!(1), json!(2));
        lonely.invalid.clear();
        assert_eq!(mistakes(&lonely), ["no examples/v1/invalid/*.json; at least one is needed"]);
    }
}
