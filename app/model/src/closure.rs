//! What an image is made of, and how two images differ: the manifest that a build writes beside the image file
//! (`nix/modules/closure.nix`).
//!
//! - [`Closure::parse`] reads a manifest. Profiles come from users, so it may hold anything: it is read within limits.
//! - [`Closure::diff`] groups packages by name and compares their versions, as `nix store diff-closures` does.
//! - [`ClosureDiff`] displays as one line.

use crate::newtype::Refused;
use crate::size::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The longest manifest that is read, in bytes. One of a desktop with 4,000 paths takes half a megabyte.
pub const MANIFEST_MAX: u64 = 8 << 20;
/// The most packages that a manifest may list.
pub const PACKAGES_MAX: usize = 50_000;
/// The longest name or version, in bytes. A whole store name has at most 211.
const TEXT_MAX: usize = 211;

/// Everything that the system in an image is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// The kernel's version, where the manifest names it.
    pub kernel: Option<String>,
    /// The version of systemd.
    pub systemd: Option<String>,
    /// One for each store path.
    pub packages: Vec<Package>,
}

/// A store path, or whatever else an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name without version and output.
    pub name: String,
    /// Its version; empty for what has none, such as a configuration file.
    pub version: String,
    /// Its size in bytes.
    pub size: u64,
    /// The hash in its store path; another one means that it was built from something else.
    pub hash: Option<String>,
}

/// A manifest as it is written.
#[derive(Deserialize)]
struct Manifest {
    version: u32,
    kernel: Option<String>,
    systemd: Option<String>,
    packages: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    /// With the version, unless that is given.
    name: String,
    version: Option<String>,
    size: u64,
    /// In two halves, or Nix would take it for a reference.
    hash: Option<(String, String)>,
}

impl Closure {
    /// Reads a manifest. The refusal says what is wrong with it, as the end of a sentence.
    ///
    /// # Errors
    /// When it is not a manifest, is written in a later form, exceeds a limit, or has text that is not printable.
    pub fn parse(manifest: &[u8]) -> Result<Self, Refused> {
        // Counted before anything is allocated for them.
        let objects = manifest.iter().filter(|byte| **byte == b'{').count();
        if manifest.len() as u64 > MANIFEST_MAX || objects > PACKAGES_MAX + 1 {
            return Err(Refused::new(format!("it lists more than {PACKAGES_MAX} packages")));
        }
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(|e| Refused(invalid(&e)))?;
        if manifest.version != 1 {
            return Err(Refused::new("a later version of Snowglobe wrote it"));
        }
        let packages: Result<Vec<Package>, Refused> =
            manifest.packages.into_iter().map(Listed::package).collect();
        let known = |text: Option<String>| text.filter(|text| !text.is_empty()).map(printable).transpose();
        Ok(Self { kernel: known(manifest.kernel)?, systemd: known(manifest.systemd)?, packages: packages? })
    }

    /// The size of all packages together, in bytes.
    pub fn size(&self) -> u64 {
        self.packages.iter().fold(0, |sum, package| sum.saturating_add(package.size))
    }

    /// What changes from this closure to another one.
    pub fn diff(&self, to: &Self) -> ClosureDiff {
        let (before, after) = (self.by_name(), to.by_name());
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        let mut diff = ClosureDiff {
            size: (self.size(), to.size()),
            kernel: Notable { from: self.kernel.clone(), to: to.kernel.clone() },
            systemd: Notable { from: self.systemd.clone(), to: to.systemd.clone() },
            ..ClosureDiff::default()
        };
        for name in names {
            match (before.get(name), after.get(name)) {
                (None, None) => {}
                (None, Some(new)) => diff.added.push(change(name, &Group::default(), new)),
                (Some(old), None) => diff.removed.push(change(name, old, &Group::default())),
                (Some(old), Some(new)) if old.versions != new.versions => {
                    diff.changed.push(change(name, old, new));
                }
                (Some(old), Some(new)) => diff.rebuilt += usize::from(old.hashes != new.hashes),
            }
        }
        diff
    }

    fn by_name(&self) -> BTreeMap<&str, Group<'_>> {
        let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
        for package in &self.packages {
            let group = groups.entry(&package.name).or_default();
            group.versions.extend(Some(package.version.as_str()).filter(|version| !version.is_empty()));
            group.hashes.extend(package.hash.as_deref());
            group.size = group.size.saturating_add(package.size);
        }
        groups
    }
}

impl Listed {
    fn package(self) -> Result<Package, Refused> {
        let whole = printable(self.name)?;
        let (name, version) = match self.version {
            Some(version) => (whole, printable(version)?),
            None => {
                let (name, version) = split_name(&whole);
                (name.to_owned(), version.to_owned())
            }
        };
        let hash = self.hash.map(|(first, second)| printable(first + &second)).transpose()?;
        Ok(Package { name, version, size: self.size, hash })
    }
}

/// The parser's message, which can quote a text of any length.
fn invalid(error: &serde_json::Error) -> String {
    let words: String = error.to_string().chars().take(200).collect();
    format!("it is not valid: {words}")
}

/// Store names and Debian's versions are printable ASCII without blanks.
fn printable(text: String) -> Result<String, Refused> {
    if text.is_empty() || text.len() > TEXT_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refused::new("it has a name or a version that is not one"));
    }
    Ok(text)
}

/// Splits a store name as `builtins.parseDrvName` does (Nix manual, “Built-ins”): the version begins after the first `-`
/// that no letter follows. Of the version, the name of an output is left out, which `nix store diff-closures` recognises
/// by its letters: `linux-6.12.3-modules` is `linux` in version `6.12.3`.
pub fn split_name(text: &str) -> (&str, &str) {
    let begins =
        |at: &usize| text.as_bytes().get(at + 1).is_some_and(|next| *at > 0 && !next.is_ascii_alphabetic());
    let dash = text.match_indices('-').map(|(at, _)| at).find(begins);
    let Some((name, rest)) = dash.and_then(|at| text.split_at_checked(at)) else { return (text, "") };
    let version = rest.strip_prefix('-').unwrap_or(rest);
    match version.rsplit_once('-') {
        Some((version, output)) if !version.is_empty() && is_output(output) => (name, version),
        _ => (name, version),
    }
}

fn is_output(text: &str) -> bool {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word || text == "lib32" || text == "lib64"
}

/// The packages of one name.
#[derive(Default)]
struct Group<'a> {
    /// None of what has no version.
    versions: BTreeSet<&'a str>,
    hashes: BTreeSet<&'a str>,
    size: u64,
}

fn change(name: &str, old: &Group<'_>, new: &Group<'_>) -> Change {
    let versions = |group: &Group<'_>| group.versions.iter().map(|version| (*version).to_owned()).collect();
    let growth = Growth::between(old.size, new.size);
    Change { name: name.to_owned(), from: versions(old), to: versions(new), growth }
}

/// How two closures differ. Every list is in the order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosureDiff {
    /// Packages of names that are new.
    pub added: Vec<Change>,
    /// Packages of names that are gone.
    pub removed: Vec<Change>,
    /// Packages that are there in other versions.
    pub changed: Vec<Change>,
    /// How many packages are there in the same versions, but built from something else.
    pub rebuilt: usize,
    /// The size of all packages, before and after, in bytes.
    pub size: (u64, u64),
    /// The kernel.
    pub kernel: Notable,
    /// systemd.
    pub systemd: Notable,
}

/// What becomes of the packages of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The name.
    pub name: String,
    /// All versions before.
    pub from: Vec<String>,
    /// All versions after.
    pub to: Vec<String>,
    /// By how much their size changes.
    pub growth: Growth,
}

/// The version of something that people want to know about, before and after; `None` where the manifest does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notable {
    /// Before.
    pub from: Option<String>,
    /// After.
    pub to: Option<String>,
}

/// A change in size, in bytes; shown with its sign, `+14 MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Growth(pub i64);

impl Growth {
    /// From one size to another.
    pub fn between(before: u64, after: u64) -> Self {
        let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Self(if after < before { -bytes(before - after) } else { bytes(after - before) })
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.0 {
            0 => "±",
            1.. => "+",
            _ => "−",
        };
        write!(f, "{sign}{}", Bytes(self.0.unsigned_abs()))
    }
}

impl fmt::Display for Notable {
    /// `6.12.1 → 6.12.3`, or the version alone when it stays.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".to_owned());
        match self.changes() {
            true => write!(f, "{} → {}", name(&self.from), name(&self.to)),
            false => f.write_str(&name(&self.to)),
        }
    }
}

impl Notable {
    /// Whether the version is another one.
    pub fn changes(&self) -> bool {
        self.from != self.to
    }
}

impl ClosureDiff {
    /// By how much the size of all packages changes.
    pub fn growth(&self) -> Growth {
        Growth::between(self.size.0, self.size.1)
    }

    /// Whether both are made of the same.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.added, &self.removed, &self.changed];
        let same = !self.kernel.changes() && !self.systemd.changes();
        same && self.rebuilt == 0 && lists.iter().all(|list| list.is_empty())
    }
}

impl fmt::Display for ClosureDiff {
    /// In one line: `12 changed, 3 added, 1 removed, kernel 6.12.1 → 6.12.3, +14 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("the same packages");
        }
        let counts =
            [(self.changed.len(), "changed"), (self.added.len(), "added"), (self.removed.len(), "removed")];
        let mut parts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if parts.is_empty() && self.rebuilt > 0 {
            parts.push(format!("{} rebuilt in the same version", self.rebuilt));
        }
        let notable = [("kernel", &self.kernel), ("systemd", &self.systemd)];
        parts.extend(notable.iter().filter(|(_, n)| n.changes()).map(|(name, n)| format!("{name} {n}")));
        parts.push(self.growth().to_string());
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests;
