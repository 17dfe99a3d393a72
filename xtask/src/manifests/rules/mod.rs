//! What no schema says: rules that every built environment keeps.
//!
//! Invariant: each finding names the object and what it lacks.

mod network;
mod pods;
mod references;
mod scaling;

use serde_json::Value;

use super::yaml;
pub(super) use pods::is_pinned;

/// What is wrong with the objects of one environment.
pub(super) fn findings(objects: &[Value]) -> Vec<String> {
    let rules = [pods::findings, network::findings, references::findings, scaling::findings];
    rules.iter().flat_map(|rule| rule(objects)).collect()
}

/// Where the pods of a kind are described.
const PODS: [(&str, &str); 4] = [
    ("Deployment", "/spec/template"),
    ("StatefulSet", "/spec/template"),
    ("Job", "/spec/template"),
    ("CronJob", "/spec/jobTemplate/spec/template"),
];

/// Each object that makes pods, with their template.
fn templates(objects: &[Value]) -> impl Iterator<Item = (String, &Value)> {
    objects.iter().filter_map(|object| {
        let (_, pointer) = PODS.iter().find(|(kind, _)| yaml::text(object, "/kind") == *kind)?;
        Some((yaml::name(object), object.pointer(pointer)?))
    })
}

/// One finding for each requirement that does not hold.
fn unmet(name: &str, requirements: &[(bool, &str)]) -> Vec<String> {
    requirements.iter().filter(|(met, _)| !met).map(|(_, what)| format!("{name}: {what}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    /// The objects of files below deploy/kubernetes, as they are committed.
    pub(super) fn committed(files: &[&str]) -> Vec<Value> {
        let folder = workspace::root().join("deploy/kubernetes");
        files.iter().flat_map(|file| yaml::read(&folder.join(file)).unwrap()).collect()
    }

    /// What a rule finds after one value was replaced; the value must have been there.
    pub(super) fn after(
        rule: fn(&[Value]) -> Vec<String>,
        objects: &[Value],
        name: &str,
        pointer: &str,
        value: Value,
    ) -> Vec<String> {
        let mut objects = objects.to_vec();
        let object = objects.iter_mut().find(|object| yaml::name(object) == name).unwrap();
        *object.pointer_mut(pointer).unwrap() = value;
        rule(&objects)
    }
}
