//! The arrows between our packages and inside them, and who may use which library, read from `cargo metadata` and the
//! sources.
//!
//! A layer that is only a habit does not last a year. Changing a rule means changing this table, where a
//! reviewer sees it. Called by `cargo xtask test`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::modules;
use crate::project::Project;

/// Our packages and those of ours that each may use.
const ARROWS: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("app", &["model"]),
    ("frontend", &["app"]),
    ("ports", &["model"]),
    ("host-tools", &["model", "ports"]),
    ("engine", &["host-tools", "model", "ports"]),
    ("hypervisors", &["host-tools", "model", "ports"]),
    ("snowglobe", &["app", "engine", "host-tools", "hypervisors", "model", "ports"]),
    ("xtask", &[]),
    ("wasm-glue", &[]),
];

/// What tests may use besides: the contract suite for hypervisors is beside the rules that rely on it.
const TEST_ARROWS: [(&str, &str); 1] = [("hypervisors", "engine")];

/// Libraries (a trailing `*` matches any ending) and the only packages of ours that may name them.
const RESERVED: [(&str, &[&str]); 10] = [
    ("virt", &["hypervisors"]),
    ("virt-sys", &["hypervisors"]),
    ("russh*", &["hypervisors"]),
    ("leptos*", &["app", "frontend", "snowglobe"]),
    ("sqlx*", &["engine"]),
    ("axum*", &["snowglobe"]),
    ("hyper", &["snowglobe"]),
    ("hyper-util", &["snowglobe"]),
    ("tower*", &["snowglobe"]),
    ("web-sys", &["app", "frontend"]),
];

/// What the vocabulary must not pull in, not even transitively: IO, threads of its own, a framework.
const NOT_IN_MODEL: [&str; 10] =
    ["tokio*", "async-std*", "sqlx*", "axum*", "hyper*", "leptos*", "virt*", "russh*", "reqwest*", "web-sys"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

/// A crate of a package.
#[derive(Deserialize)]
struct Target {
    /// `lib`, `cdylib`, `bin`, `test`, `bench` …
    kind: Vec<String>,
    /// The file of its root module.
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    kind: Option<String>,
}

impl Target {
    fn is_for_tests(&self) -> bool {
        self.kind.iter().any(|kind| ["test", "bench", "example", "custom-build"].contains(&kind.as_str()))
    }
}

/// Checks every rule. The error lists all that is broken, not only the first.
pub fn check(project: &Project) -> Result<()> {
    let text = project.cargo().args(["metadata", "--format-version=1", "--no-deps"]).capture()?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("`cargo metadata` printed something unexpected")?;
    let mut broken = edges(&metadata.packages);
    let tree =
        ["tree", "--package=model", "--edges=normal", "--all-features", "--prefix=none", "--format={p}"];
    broken.extend(brought_along(&project.cargo().args(tree).capture()?));
    for package in &metadata.packages {
        let crates = package.targets.iter().filter(|target| !target.is_for_tests());
        let roots: Vec<&Path> = crates.map(|target| target.src_path.as_path()).collect();
        broken.extend(modules::faults(&package.name, &roots)?);
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!(
        "{} dependencies break the arrows:\n{}  fix: move the code to where its dependency is allowed \
         (xtask/src/arrows.rs has the table of packages, xtask/src/modules.rs the one of modules)",
        broken.len(),
        broken.iter().map(|line| format!("  {line}\n")).collect::<String>()
    )
}

fn edges(packages: &[Package]) -> Vec<String> {
    let arrows: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let mut broken = Vec::new();
    for package in packages {
        let Some(allowed) = arrows.get(package.name.as_str()) else {
            broken.push(format!("{} has no row in the table", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            // Tests may reach further, and a package may use itself with its test features.
            let for_tests = dependency.kind.as_deref() == Some("dev");
            let ours = arrows.contains_key(name);
            let tested_by =
                for_tests && (name == package.name || TEST_ARROWS.contains(&(&package.name, name)));
            if ours && !allowed.contains(name) && !tested_by {
                broken.push(format!("{} uses {name}", package.name));
            }
            let reserved = RESERVED.iter().find(|(pattern, _)| matches(pattern, name));
            if reserved.is_some_and(|(_, users)| !for_tests && !users.contains(&package.name.as_str())) {
                broken.push(format!("{} uses {name}, which it must not", package.name));
            }
        }
    }
    broken
}

fn brought_along(tree: &str) -> Vec<String> {
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let banned = names.iter().filter(|name| NOT_IN_MODEL.iter().any(|pattern| matches(pattern, name)));
    banned.map(|name| format!("model pulls in {name}")).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependencies = uses
            .iter()
            .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) })
            .collect();
        Package { name: name.to_owned(), dependencies, targets: Vec::new() }
    }

    #[test]
    fn the_design_passes() {
        let packages = [
            package("model", &[("serde", None)]),
            package("app", &[("model", None), ("leptos_router", None)]),
            package("engine", &[("model", None), ("sqlx", None), ("engine", Some("dev"))]),
            package("hypervisors", &[("ports", None), ("virt", None), ("engine", Some("dev"))]),
        ];
        assert_eq!(edges(&packages), Vec::<String>::new());
    }

    #[test]
    fn every_wrong_edge_is_named() {
        let packages = [
            package("model", &[("engine", None)]),
            package("app", &[("sqlx", None), ("hypervisors", Some("dev"))]),
            package("engine", &[("virt", None), ("leptos", None)]),
            package("newcomer", &[]),
        ];
        assert_eq!(
            edges(&packages),
            [
                "model uses engine",
                "app uses sqlx, which it must not",
                "app uses hypervisors",
                "engine uses virt, which it must not",
                "engine uses leptos, which it must not",
                "newcomer has no row in the table",
            ]
        );
    }

    #[test]
    fn io_that_comes_through_others_is_found() {
        let tree = "model v0.1.0 (/x)\nserde v1.0.0\ntokio-util v0.7.0\n";
        assert_eq!(brought_along(tree), ["model pulls in tokio-util"]);
    }
}
