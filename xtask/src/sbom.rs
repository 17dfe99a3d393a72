//! `cargo xtask sbom`: what a package is made of, as a CycloneDX document.
//!
//! Components are the packages that cargo compiles for it on x86-64 Linux (tests' dependencies are left out), with the
//! licence that each declares and the checksum of `Cargo.lock`. C libraries that a `-sys` package carries in its sources are
//! named where its version names them.
//!
//! Source: <https://cyclonedx.org/docs/1.5/json/>.
//!
//! Invariant: the document is a function of `Cargo.lock` and the manifests: no time, no random number, sorted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::workspace;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// A `-sys` package whose version says, behind a `+`, which C library is in it; and where that library comes from.
const BUNDLED: [(&str, &str, &str); 1] =
    [("rdkafka-sys", "librdkafka", "pkg:github/confluentinc/librdkafka@v")];

/// Arguments of `sbom`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  cargo xtask sbom --out nova.cdx.json")]
pub struct SbomArgs {
    /// The package
    #[arg(long, default_value = "nova")]
    pub package: String,
    /// The file to write; standard output when none is named
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Writes the document.
///
/// # Errors
/// No such package, a `Cargo.lock` that does not fit the manifests, or a file that cannot be written.
#[expect(clippy::print_stdout, reason = "the document is data")]
pub fn run(args: &SbomArgs) -> Result<()> {
    let text = serde_json::to_string_pretty(&document(&args.package)?)?;
    match &args.out {
        Some(path) => {
            std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
        }
        None => {
            println!("{text}");
            Ok(())
        }
    }
}

/// The document of a workspace package.
///
/// # Errors
/// As [`run`].
pub fn document(package: &str) -> Result<Value> {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace::root().join("Cargo.toml"))
        .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), TARGET.to_owned()])
        .exec()
        .context("cargo metadata")?;
    let graph = Graph::of(&metadata)?;
    let root = metadata
        .workspace_packages()
        .into_iter()
        .find(|found| found.name.as_str() == package)
        .with_context(|| format!("the workspace has no package `{package}`"))?;
    let used = graph.used_by(&root.id);
    let checksums = checksums()?;
    let mut components: Vec<Value> = used
        .iter()
        .filter(|id| **id != &root.id)
        .filter_map(|id| graph.packages.get(id))
        .flat_map(|package| [Some(component(package, "library", &checksums)), bundled(package)])
        .flatten()
        .collect();
    components.sort_by_key(|component| component["bom-ref"].as_str().map(str::to_owned));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(root, "application", &checksums) },
        "components": components,
        "dependencies": graph.dependencies(&used),
    }))
}

/// Packages and what each needs.
struct Graph<'m> {
    packages: BTreeMap<&'m PackageId, &'m Package>,
    nodes: BTreeMap<&'m PackageId, &'m Node>,
}

impl<'m> Graph<'m> {
    fn of(metadata: &'m Metadata) -> Result<Self> {
        let resolve = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
        Ok(Self {
            packages: metadata.packages.iter().map(|package| (&package.id, package)).collect(),
            nodes: resolve.nodes.iter().map(|node| (&node.id, node)).collect(),
        })
    }

    /// What is compiled for the package, build scripts' dependencies included; not those of tests.
    fn needs(&self, id: &PackageId) -> BTreeSet<&'m PackageId> {
        let dependencies = self.nodes.get(id).into_iter().flat_map(|node| &node.deps);
        let compiled = dependencies.filter(|dependency| {
            dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
        });
        compiled.map(|dependency| &dependency.pkg).collect()
    }

    fn used_by(&self, root: &'m PackageId) -> BTreeSet<&'m PackageId> {
        let (mut found, mut open) = (BTreeSet::from([root]), vec![root]);
        while let Some(id) = open.pop() {
            open.extend(self.needs(id).into_iter().filter(|id| found.insert(id)));
        }
        found
    }

    fn dependencies(&self, used: &BTreeSet<&'m PackageId>) -> Vec<Value> {
        let reference = |id: &PackageId| self.packages.get(id).map(|package| reference(package));
        let mut list: Vec<Value> = used
            .iter()
            .filter_map(|id| {
                let package = self.packages.get(id)?;
                let mut needs: Vec<String> = self.needs(id).into_iter().filter_map(reference).collect();
                needs.extend(bundled(package).and_then(|found| found["bom-ref"].as_str().map(str::to_owned)));
                needs.sort_unstable();
                Some(json!({ "ref": reference(id)?, "dependsOn": needs }))
            })
            .collect();
        list.sort_by_key(|entry| entry["ref"].as_str().map(str::to_owned));
        list
    }
}

/// The package URL; our own packages are in no registry, and so it is their reference alone.
/// Source: <https://github.com/package-url/purl-spec/blob/main/types-doc/cargo-definition.md>.
fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version.to_string().replace('+', "%2B"))
}

fn component(package: &Package, kind: &str, checksums: &BTreeMap<(String, String), String>) -> Value {
    let version = package.version.to_string();
    let mut component = json!({
        "type": kind,
        "bom-ref": reference(package),
        "name": package.name.as_str(),
        "version": version,
    });
    if package.source.is_some() {
        component["purl"] = reference(package).into();
    }
    if let Some(text) = &package.description {
        component["description"] = text.trim().into();
    }
    if let Some(licence) = &package.license {
        // The older way to write a choice.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(checksum) = checksums.get(&(package.name.to_string(), version)) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(url) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": url }]);
    }
    component
}

/// The C library in a package's sources.
fn bundled(package: &Package) -> Option<Value> {
    let (_, name, source) = BUNDLED.iter().find(|(holder, ..)| package.name.as_str() == *holder)?;
    let version = package.version.build.as_str();
    let purl = format!("{source}{version}");
    Some(json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl }))
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

fn checksums() -> Result<BTreeMap<(String, String), String>> {
    let path = workspace::root().join("Cargo.lock");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let lock: Lock = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let known = lock.package.into_iter();
    Ok(known.filter_map(|Locked { name, version, checksum }| Some(((name, version), checksum?))).collect())
}
