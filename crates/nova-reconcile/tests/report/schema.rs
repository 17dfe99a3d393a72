//! The JSON form, its schema and its examples say the same.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use nova_reconcile::{Report, render};
use serde_json::{Value, json};

use crate::samples;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/reports/reconcile")
}

fn validator() -> Validator {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(folder().join("v1.json")).unwrap()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

#[test]
fn generated_reports_are_valid_and_read_back() {
    let validator = validator();
    for report in [samples::well(), samples::trouble(), samples::huge()] {
        let text = render::json(&report);
        let value: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0]);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}

/// With `REPORT_BLESS=1` the examples are written anew.
#[test]
fn the_examples_are_what_nova_writes() {
    let mut different = samples::trouble();
    for stream in &mut different.streams {
        stream.windows.truncate(12);
        stream.differences.retain(|difference| difference.window < 12);
        stream.differences.truncate(4);
        stream.listed_all = false;
    }
    let mut equal = samples::well();
    equal.streams.truncate(1);
    equal.streams[0].windows.truncate(2);
    for (name, report) in [("different.json", different), ("equal.json", equal)] {
        let path = folder().join("examples/v1").join(name);
        let text = render::json(&report);
        if std::env::var_os("REPORT_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let example = std::fs::read_to_string(&path).unwrap();
        assert!(example == text, "{} is not what nova writes; REPORT_BLESS=1 writes it anew", path.display());
        validator().validate(&serde_json::from_str(&example).unwrap()).unwrap();
    }
}

#[test]
fn what_is_no_report_is_refused() {
    let validator = validator();
    let valid = serde_json::to_value(samples::trouble()).unwrap();
    assert!(validator.is_valid(&valid));
    let wrong: [(&str, Value); 8] = [
        ("/version", json!(2)),
        ("/run_id", json!("today")),
        ("/streams/2/verdict", json!("fine")),
        ("/streams/2/differences/0/kind", json!("lost")),
        ("/streams/2/windows/0/postgres/checksum", json!("1f")),
        ("/streams/2/tally/missing", json!(-1)),
        ("/streams/2/differences/0/postgres/0/value", json!(7)),
        ("/scope/incremental", Value::Null),
    ];
    for (pointer, value) in wrong {
        let mut report = valid.clone();
        *report.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&report), "{pointer}");
    }
    let mut report = valid;
    report["surprise"] = json!(1);
    assert!(!validator.is_valid(&report));
}
