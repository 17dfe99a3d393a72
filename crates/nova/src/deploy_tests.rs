//! What `deploy/` tells nova, held against nova itself.
//!
//! Invariant: every command and every setting in a manifest exists, a worker has the time to drain that its configuration asks
//! for, and each stream is scaled by its own group.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use nova_streams::StreamSet;
use serde_json::Value;

use crate::cli::Cli;
use crate::config::{Config, Loaded};

/// What a pod needs beyond the drain: the admin server's end, the runtime's.
const MARGIN_SECONDS: u64 = 10;

pub(crate) fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

/// The documents of a YAML file below `deploy/`.
pub(crate) fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(deploy(path)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Variables by name.
type Variables = BTreeMap<String, String>;

/// A program that a manifest starts.
struct Started {
    name: String,
    args: Vec<String>,
    variables: Variables,
    grace_seconds: Option<u64>,
}

impl Started {
    /// The configuration that nova would have; the files of passwords are there.
    fn config(&self, file: &Path) -> Config {
        let password = tempfile::NamedTempFile::new().unwrap();
        let value = |name: &str, value: &str| {
            if name.ends_with("_FILE") { password.path().display().to_string() } else { value.to_owned() }
        };
        let variables = self.variables.iter().map(|(name, text)| (name.clone(), value(name, text)));
        // The cluster's CA is not here; without it the system's are trusted.
        let without_ca = ("NOVA_KAFKA_CA_FILE".to_owned(), String::new());
        let loaded = Loaded::load_from(Some(file), variables.chain([without_ca]), &[]);
        loaded.unwrap_or_else(|error| panic!("{}: {error}", self.name)).config
    }

    fn check_command(&self) {
        let line = std::iter::once("nova").chain(self.args.iter().map(String::as_str));
        if let Err(error) = Cli::try_parse_from(line) {
            panic!("{}: {:?}: {error}", self.name, self.args);
        }
    }

    fn check_grace(&self, config: &Config) {
        let wanted = config.pipeline.shutdown_deadline.as_secs() + MARGIN_SECONDS;
        let grace = self.grace_seconds.unwrap_or(10);
        assert!(grace >= wanted, "{}: {grace} s of grace, and its drain may take {wanted} s", self.name);
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn strings(value: &Value, pointer: &str) -> Vec<String> {
    list(value, pointer).iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The literals of a kustomization's ConfigMaps of variables.
fn literals(kustomization: &str) -> Variables {
    let generators = documents(kustomization).remove(0);
    let of_generator = |generator: &Value| strings(generator, "/literals");
    let all = list(&generators, "/configMapGenerator").iter().flat_map(of_generator);
    all.map(|literal| literal.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap()).collect()
}

/// What a Kubernetes manifest starts.
fn started(file: &str, environment: &Variables) -> Started {
    let object = documents(file).remove(0);
    let template = ["/spec/template", "/spec/jobTemplate/spec/template"];
    let pod = template.iter().find_map(|pointer| object.pointer(&format!("{pointer}/spec"))).unwrap();
    let mut variables = environment.clone();
    for variable in list(pod, "/containers/0/env") {
        variables.insert(text(variable, "/name"), text(variable, "/value"));
    }
    let expand = |argument: String| match argument.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'))
    {
        Some(variable) => variables[variable].clone(),
        None => argument,
    };
    let args = strings(pod, "/containers/0/args").into_iter().map(expand).collect();
    variables.retain(|name, _| name.starts_with("NOVA_"));
    let grace_seconds = pod.get("terminationGracePeriodSeconds").and_then(Value::as_u64);
    Started { name: file.to_owned(), args, variables, grace_seconds }
}

#[test]
fn kubernetes_starts_commands_that_exist_with_settings_that_exist() {
    let config = deploy("kubernetes/base/nova.toml");
    for overlay in ["dev", "staging", "prod"] {
        let mut environment = literals("kubernetes/base/kustomization.yaml");
        environment.extend(literals(&format!("kubernetes/overlays/{overlay}/kustomization.yaml")));
        environment.extend(literals("kubernetes/components/replay/kustomization.yaml"));
        for file in ["worker-cdc", "worker-events", "migrate", "reconcile", "outbox"] {
            let started = started(&format!("kubernetes/base/{file}.yaml"), &environment);
            started.check_command();
            let config = started.config(&config);
            if file.starts_with("worker-") {
                started.check_grace(&config);
                assert!(config.monitoring.listen.starts_with("0.0.0.0:"), "the kubelet asks from outside");
            }
        }
        let replay = started("kubernetes/components/replay/replay.yaml", &environment);
        replay.check_command();
        replay.config(&config);
    }
}

#[test]
fn compose_starts_commands_that_exist_with_settings_that_exist() {
    let model = documents("compose/compose.yaml").remove(0);
    let services = model["services"].as_object().unwrap();
    let (mut workers, mut dashboards) = (0, 0);
    for (name, service) in services.iter().filter(|(_, service)| service.get("build").is_some()) {
        let variables = service["environment"].as_object().unwrap();
        let variables =
            variables.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let grace = service.get("stop_grace_period").and_then(Value::as_str);
        let grace_seconds = grace.map(|text| humantime::parse_duration(text).unwrap().as_secs());
        let (name, args) = (format!("compose {name}"), strings(service, "/command"));
        let started = Started { name, args, variables: variables.collect(), grace_seconds };
        started.check_command();
        let config = started.config(&deploy("compose/nova.toml"));
        if started.args[0] == "run" {
            started.check_grace(&config);
            workers += 1;
            let shown =
                started.variables.get("NOVA_ADMIN_LISTEN").is_some_and(|at| at.starts_with("0.0.0.0:"));
            assert_eq!(shown, started.variables.contains_key("NOVA_ADMIN_TOKEN_FILE"), "{}", started.name);
            dashboards += usize::from(shown);
        }
    }
    assert_eq!((workers, dashboards), (3, 1));
}

#[test]
fn clickhouse_is_two_shards_of_two_replicas_on_volumes() {
    let mut servers = Vec::new();
    for shard in ["0", "1"] {
        let set = documents(&format!("kubernetes/components/clickhouse/shard-{shard}.yaml")).remove(0);
        assert_eq!(list(&set, "/spec/volumeClaimTemplates").len(), 1);
        let (name, service) = (text(&set, "/metadata/name"), text(&set, "/spec/serviceName"));
        let replicas = set.pointer("/spec/replicas").and_then(Value::as_u64).unwrap();
        servers.extend((0..replicas).map(|replica| format!("{name}-{replica}.{service}")));
    }
    let known =
        std::fs::read_to_string(deploy("kubernetes/components/clickhouse/config/cluster.xml")).unwrap();
    let (_, known) = known.split_once("<remote_servers").unwrap();
    let (known, _) = known.split_once("</remote_servers>").unwrap();
    let hosts = known.split("<host>").skip(1).filter_map(|rest| rest.split_once("</host>"));
    assert_eq!(hosts.map(|(host, _)| host).collect::<Vec<_>>(), servers);
    assert_eq!((servers.len(), known.matches("<shard>").count()), (4, 2));
}

#[test]
fn every_stream_is_scaled_by_its_own_group() {
    let streams = StreamSet::load(&deploy("../config/streams.toml")).unwrap();
    let config = Config::default();
    for worker in streams.workers() {
        let scaled = documents(&format!("kubernetes/components/autoscaling/scale-{worker}.yaml")).remove(0);
        let mut triggers: Vec<_> = list(&scaled, "/spec/triggers")
            .iter()
            .map(|trigger| (text(trigger, "/metadata/consumerGroup"), text(trigger, "/metadata/topic")))
            .collect();
        let of_worker = streams.of_worker(worker);
        let mut wanted: Vec<_> =
            of_worker.iter().map(|stream| (config.group(&stream.name), stream.topic.clone())).collect();
        triggers.sort();
        wanted.sort();
        assert_eq!(triggers, wanted, "{worker}");
    }
}
