//! The rules that hold the workspace together, checked over `cargo metadata` and the manifests.
//!
//! Invariant: the table of crates in `docs/ARCHITECTURE.md` is the rule. A crate or an arrow that it lacks fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The package that builds and links librdkafka.
const LIBRDKAFKA: &str = "rdkafka-sys";

fn metadata() -> Metadata {
    let manifest = Path::new(ROOT).join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).other_options(["--locked".into()]).exec().unwrap()
}

/// The third column of the table of crates: crate → the short names it may use.
fn table() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/ARCHITECTURE.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("Crates\n")).unwrap();
    let rows = section.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, _, may_use] = cells.try_into().ok()?;
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), may_use.split(", ").map(str::to_owned).collect()))
    });
    rows.collect()
}

/// All crates of the workspace that `name` may use, also through others.
fn allowed(table: &BTreeMap<String, Vec<String>>, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in &table[name] {
        match entry.as_str() {
            "—" => {}
            "all" => found.extend(table.keys().filter(|name| name.starts_with("nova-")).cloned()),
            "any" | "no crate that links librdkafka" => found.extend(table.keys().cloned()),
            short => {
                let name = format!("nova-{short}");
                found.extend(allowed(table, &name));
                found.insert(name);
            }
        }
    }
    found
}

fn members(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id))
}

#[test]
fn every_arrow_is_one_that_the_table_names() {
    let (metadata, table) = (metadata(), table());
    let names: BTreeSet<&str> = members(&metadata).map(|package| package.name.as_str()).collect();
    let listed: BTreeSet<&str> = table.keys().map(String::as_str).collect();
    assert_eq!(
        names, listed,
        "the workspace's crates, and those that the table in docs/ARCHITECTURE.md lists"
    );
    for package in members(&metadata) {
        let allowed = allowed(&table, &package.name);
        let ours = package.dependencies.iter().filter(|dependency| {
            dependency.kind == DependencyKind::Normal && names.contains(dependency.name.as_str())
        });
        for dependency in ours {
            let (from, to) = (&package.name, &dependency.name);
            assert!(allowed.contains(to), "{from} uses {to}; docs/ARCHITECTURE.md allows only {allowed:?}");
        }
    }
}

#[test]
fn the_tools_that_install_a_compiler_do_not_need_one_for_librdkafka() {
    let metadata = metadata();
    let ids: BTreeMap<&str, &PackageId> =
        metadata.packages.iter().map(|package| (package.name.as_str(), &package.id)).collect();
    assert!(built_with(&metadata, ids["nova-kafka"]).contains(ids[LIBRDKAFKA]), "the search itself works");
    for name in ["xtask", "embedded-clickhouse"] {
        assert!(!built_with(&metadata, ids[name]).contains(ids[LIBRDKAFKA]), "{name} links librdkafka");
    }
}

#[test]
fn a_nova_for_production_has_no_fail_points() {
    let metadata = metadata();
    let nova = metadata.packages.iter().find(|package| package.name.as_str() == "nova").unwrap();
    let built = built_with(&metadata, &nova.id);
    let names: BTreeSet<&str> = metadata
        .packages
        .iter()
        .filter(|package| built.contains(&package.id))
        .map(|package| package.name.as_str())
        .collect();
    assert!(names.contains("nova-pipeline") && !names.contains("fail"), "nova links {names:?}");
}

/// The packages that are compiled before this one, for itself and its build scripts.
fn built_with<'m>(metadata: &'m Metadata, of: &'m PackageId) -> BTreeSet<&'m PackageId> {
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let (mut found, mut open) = (BTreeSet::new(), vec![of]);
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node.id == *id).unwrap();
        let needed = node.deps.iter().filter(|dependency| {
            dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
        });
        open.extend(needed.map(|dependency| &dependency.pkg).filter(|id| found.insert(*id)));
    }
    found
}

#[test]
fn a_folder_has_the_name_of_its_package() {
    for package in members(&metadata()) {
        let folder = package.manifest_path.parent().unwrap().file_name();
        assert_eq!(folder, Some(package.name.as_str()));
    }
}

#[test]
fn members_take_lints_and_versions_from_the_workspace() {
    for package in members(&metadata()) {
        let manifest = read(package.manifest_path.as_std_path());
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints, Some(&true.into()), "{}: [lints] workspace = true", package.name);
        for (name, value) in dependencies(&manifest) {
            let alone = value.as_table().is_some_and(|value| {
                value.get("workspace") == Some(&true.into())
                    && ["version", "path", "git"].iter().all(|key| !value.contains_key(*key))
            });
            assert!(alone, "{}: write `{name}.workspace = true`; versions are in the root", package.name);
        }
    }
}

fn read(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Every dependency of a manifest: of the package, its tests and its build script, on every platform.
fn dependencies(manifest: &toml::Table) -> Vec<(&String, &toml::Value)> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let platforms = platforms.filter_map(|(_, platform)| platform.as_table());
    let sections = platforms.chain([manifest]).flat_map(|table| {
        ["dependencies", "dev-dependencies", "build-dependencies"].map(|section| table.get(section))
    });
    sections.flatten().filter_map(toml::Value::as_table).flatten().collect()
}

#[test]
fn a_source_file_opens_with_what_it_is_for() {
    let mut files = Vec::new();
    for package in members(&metadata()) {
        rust_files(package.manifest_path.parent().unwrap().as_std_path(), &mut files);
    }
    assert!(files.len() > 100, "the search itself works");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with a `//!` line", file.display());
    }
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}
