//! `cargo xtask sbom` against CycloneDX's own schema, and against what is known of `nova`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

const HOME: &str = "http://cyclonedx.org/schema/";

fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn valid(document: &Value) -> Result<(), String> {
    let registry = Registry::new()
        .add(format!("{HOME}spdx.schema.json"), schema(include_str!("schema/spdx.schema.json")))
        .unwrap()
        .add(format!("{HOME}jsf-0.82.schema.json"), schema(include_str!("schema/jsf-0.82.schema.json")))
        .unwrap()
        .prepare()
        .unwrap();
    let bom = schema(include_str!("schema/bom-1.5.schema.json"));
    let validator: Validator = jsonschema::options().with_registry(&registry).build(&bom).unwrap();
    let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

#[test]
fn the_document_is_valid_and_the_same_every_time() {
    let document = xtask::sbom::document("nova").unwrap();
    valid(&document).unwrap();
    assert_eq!(document, xtask::sbom::document("nova").unwrap());

    let mut broken = document.clone();
    broken["components"][0]["type"] = json!("thing");
    assert!(valid(&broken).is_err(), "the schema is looked at");
    let mut twice = document;
    let first = twice["components"][0].clone();
    twice["components"].as_array_mut().unwrap().push(first);
    assert!(valid(&twice).is_err());
}

#[test]
fn it_names_what_nova_links_and_not_what_tests_do() {
    let document = xtask::sbom::document("nova").unwrap();
    let components = document["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|component| component["name"] == name);
    let rdkafka = named("rdkafka").unwrap();
    assert_eq!(rdkafka["licenses"][0]["expression"], "MIT");
    assert_eq!(rdkafka["hashes"][0]["content"].as_str().unwrap().len(), 64);
    let carried = named("librdkafka").unwrap()["purl"].as_str().unwrap();
    assert!(carried.starts_with("pkg:github/confluentinc/librdkafka@v2."), "{carried}");
    assert!(named("nova-pipeline").unwrap().get("purl").is_none(), "it is in no registry");
    assert!(named("proptest").is_none() && named("xtask").is_none() && named("tempfile").is_none());
    assert!(components.iter().all(|component| component["version"].is_string()));

    let references: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    for entry in document["dependencies"].as_array().unwrap() {
        for needed in entry["dependsOn"].as_array().unwrap() {
            assert!(references.contains(&needed), "{needed} is no component");
        }
    }
}

#[test]
fn a_package_that_is_not_there_is_named() {
    assert!(xtask::sbom::document("nowa").unwrap_err().to_string().contains("`nowa`"));
}
