//! The compose file, read by the library that Compose itself uses (<https://github.com/compose-spec/compose-go>).
//!
//! Invariant: passwords are files, images are pinned, ports are on loopback, and what keeps running says whether it is well.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use super::rules::is_pinned;
use super::yaml::{self, list, text};
use crate::artifacts::{Cache, versions};
use crate::{command, say, workspace};

/// What is wrong with the compose file; a file that Compose would refuse is an error.
pub(super) async fn findings(cache: &Cache) -> Result<Vec<String>> {
    let program = cache.go_tool(&versions::COMPOSE).await?;
    let model = model(&program, &workspace::root().join("deploy/compose/compose.yaml")).await?;
    let findings = of_model(&model);
    let services = model.get("services").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    say(&format!("manifests: compose: {services} services, {} findings", findings.len()));
    Ok(findings.into_iter().map(|finding| format!("compose: {finding}")).collect())
}

/// The file as Compose understands it: merged, with the defaults of its variables.
async fn model(program: &Path, file: &Path) -> Result<Value> {
    let folder = file.parent().context("the compose file lies in a folder")?;
    let mut command = Command::new(program);
    // Without our environment: a variable that happens to be set would stand for its default.
    command.env_clear().arg("--no-path-resolution").arg(file).current_dir(folder);
    let output = command::run("compose-go", &mut command).await?;
    let read = yaml::documents(&String::from_utf8_lossy(&output.stdout)).context("what compose-go writes")?;
    read.into_iter().next().context("compose-go writes nothing")
}

fn of_model(model: &Value) -> Vec<String> {
    let services = model.get("services").and_then(Value::as_object);
    services.into_iter().flatten().flat_map(|(name, service)| of_service(name, service)).collect()
}

fn of_service(name: &str, service: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut wanted = |met: bool, what: &str| {
        if !met {
            findings.push(format!("{name}: {what}"));
        }
    };
    wanted(is_pinned(text(service, "/image")), "its image has no tag, or `latest`");
    let keeps_running = text(service, "/restart") == "unless-stopped";
    wanted(!keeps_running || service.get("healthcheck").is_some(), "it keeps running without a health check");
    for port in list(service, "/ports") {
        wanted(text(port, "/host_ip") == "127.0.0.1", "a port is open to other machines");
    }
    if service.get("build").is_some() {
        let is = |pointer: &str, value: Value| service.pointer(pointer) == Some(&value);
        wanted(is("/read_only", json!(true)), "its root is not read-only");
        wanted(is("/cap_drop", json!(["ALL"])), "it keeps capabilities");
        wanted(is("/security_opt", json!(["no-new-privileges:true"])), "it may gain privileges");
        wanted(!["", "0", "root"].contains(&text(service, "/user")), "it runs as root");
    }
    for variable in
        service.get("environment").and_then(Value::as_object).into_iter().flat_map(|all| all.keys())
    {
        let secret = ["PASSWORD", "SECRET", "TOKEN"].iter().any(|part| variable.contains(part));
        if secret && !variable.ends_with("_FILE") {
            findings.push(format!("{name}: {variable} is a secret in plain sight; name a file"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nova() -> Value {
        json!({"services": {"cdc": {
            "image": "nova:0.1.0", "build": {}, "restart": "unless-stopped", "healthcheck": {}, "user": "65532:65532",
            "read_only": true, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"],
            "ports": [{"host_ip": "127.0.0.1", "target": 9464}],
            "environment": {"NOVA_CLICKHOUSE_PASSWORD_FILE": "/run/secrets/clickhouse"},
        }}})
    }

    #[test]
    fn each_rule_is_missed_by_name() {
        assert_eq!(of_model(&nova()), Vec::<String>::new());
        for (field, value, finding) in [
            ("image", json!("nova"), "no tag"),
            ("healthcheck", Value::Null, "without a health check"),
            ("ports", json!([{"target": 9464}]), "open to other machines"),
            ("read_only", json!(false), "not read-only"),
            ("user", json!("0"), "runs as root"),
            ("environment", json!({"NOVA_CLICKHOUSE_PASSWORD": "x"}), "NOVA_CLICKHOUSE_PASSWORD is a secret"),
        ] {
            let mut model = nova();
            let service = model.pointer_mut("/services/cdc").and_then(Value::as_object_mut).unwrap();
            if value.is_null() {
                service.remove(field);
            } else {
                service.insert(field.to_owned(), value);
            }
            let found = of_model(&model);
            assert!(found.len() == 1 && found[0].contains(finding), "{field}: {found:?}");
        }
    }
}
