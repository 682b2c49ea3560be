//! Images and the profiles they are composed of.

use crate::machine::Mode;
use crate::newtype::{Refused, label};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

crate::id!(
    /// Names one built image.
    ImageId
);

crate::validated_string!(
    /// A profile's name: one label, and the name of its file in `profiles/`.
    ProfileName,
    |text| label("A profile's name", text)
);

/// The profile that every image contains.
pub const CORE: &str = "core";

/// A set of profiles in its one canonical form: unique, sorted, with `core`. Equal sets make equal images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<ProfileName>", into = "BTreeSet<ProfileName>")]
pub struct ProfileSet(BTreeSet<ProfileName>);

impl ProfileSet {
    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &ProfileName> {
        self.0.iter()
    }

    /// True when the set holds a profile of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|p| p.as_str() == name)
    }

    /// The names that a person chose, without `core`.
    pub fn chosen(&self) -> impl Iterator<Item = &ProfileName> {
        self.0.iter().filter(|p| p.as_str() != CORE)
    }
}

impl TryFrom<BTreeSet<ProfileName>> for ProfileSet {
    type Error = Refused;
    fn try_from(mut names: BTreeSet<ProfileName>) -> Result<Self, Refused> {
        names.insert(CORE.parse()?);
        if names.len() > 64 {
            return Err(Refused::new("At most 64 profiles can be combined."));
        }
        Ok(Self(names))
    }
}

impl From<ProfileSet> for BTreeSet<ProfileName> {
    fn from(set: ProfileSet) -> Self {
        set.0
    }
}

impl FromStr for ProfileSet {
    type Err = Refused;
    /// Reads names separated by commas; blanks and repetitions do not matter.
    fn from_str(text: &str) -> Result<Self, Refused> {
        let names: Result<BTreeSet<ProfileName>, Refused> =
            text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::parse).collect();
        Self::try_from(names?)
    }
}

impl ProfileSet {
    /// The names as text for people: `core, docker`.
    pub fn words(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(ProfileName::as_str).collect();
        names.join(", ")
    }
}

impl fmt::Display for ProfileSet {
    /// Comma-separated, the form that names images: `core,docker`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(ProfileName::as_str).collect();
        f.write_str(&names.join(","))
    }
}

/// How large an image with a profile gets; a hint for people, not a promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SizeClass {
    /// Tens of megabytes.
    #[default]
    Small,
    /// Hundreds of megabytes.
    Medium,
    /// Gigabytes.
    Large,
}

/// The ports that a profile's programs listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfilePorts {
    /// TCP.
    #[serde(default)]
    pub tcp: Vec<u16>,
    /// UDP.
    #[serde(default)]
    pub udp: Vec<u16>,
}

/// A profile as its file describes it (`meta` in `profiles/<name>.nix`), read by `nix eval` without nixpkgs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileMeta {
    /// Its name in title case.
    pub title: String,
    /// What it is for, in one line.
    pub summary: String,
    /// Programs and services it brings.
    #[serde(default)]
    pub brings: Vec<String>,
    /// Profiles it requires.
    #[serde(default)]
    pub needs: Vec<ProfileName>,
    /// Profiles it cannot be combined with.
    #[serde(default)]
    pub conflicts: Vec<ProfileName>,
    /// Ports its programs listen on; the form offers to open them.
    #[serde(default)]
    pub ports: ProfilePorts,
    /// Modes in which it works.
    #[serde(default = "all_modes")]
    pub modes: Vec<Mode>,
    /// How large it makes the image.
    #[serde(default)]
    pub size: SizeClass,
}

fn all_modes() -> Vec<Mode> {
    Mode::ALL.to_vec()
}

/// All profiles that can be chosen, by name.
pub type Profiles = BTreeMap<ProfileName, ProfileMeta>;

/// Reports what is wrong with a set of profiles in a mode; empty means nothing. The form shows it at once, the planner
/// refuses by it, and the Nix modules assert the same.
pub fn conflicts(profiles: &Profiles, set: &ProfileSet, mode: Mode) -> Vec<String> {
    let mut found = Vec::new();
    for name in set.iter() {
        let Some(meta) = profiles.get(name) else {
            found.push(format!("There is no profile “{name}”."));
            continue;
        };
        for needed in meta.needs.iter().filter(|n| !set.contains(n.as_str())) {
            found.push(format!("“{name}” needs “{needed}”: choose it too."));
        }
        // Each pair is reported once, by the name that comes first; a conflict that only one side declares counts too.
        for other in set.iter().filter(|o| meta.conflicts.contains(o)) {
            let other_tells = profiles.get(other).is_some_and(|m| m.conflicts.contains(name)) && other < name;
            if !other_tells {
                found.push(format!("“{name}” and “{other}” cannot be combined: choose one of them."));
            }
        }
        if !meta.modes.contains(&mode) {
            found.push(format!("“{name}” does not work in {} mode.", mode.as_str()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(needs: &[&str], conflicts: &[&str]) -> ProfileMeta {
        let names = |list: &[&str]| list.iter().map(|n| n.parse().unwrap()).collect();
        ProfileMeta {
            title: String::new(),
            summary: String::new(),
            brings: vec![],
            needs: names(needs),
            conflicts: names(conflicts),
            ports: ProfilePorts::default(),
            modes: vec![Mode::Immutable],
            size: SizeClass::Small,
        }
    }

    #[test]
    fn a_set_has_one_form_however_it_was_written() {
        for text in ["docker,python", " python , docker,,core", "core,docker,python,docker"] {
            assert_eq!(text.parse::<ProfileSet>().unwrap().to_string(), "core,docker,python");
        }
        assert_eq!("docker".parse::<ProfileSet>().unwrap().words(), "core, docker");
        assert_eq!("".parse::<ProfileSet>().unwrap().to_string(), "core");
        for bad in ["../x", "a b", "<script>", "a\nb", "Docker", "x\"y", "$(id)"] {
            assert!(bad.parse::<ProfileSet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn needs_conflicts_and_modes_are_told_in_words_and_once() {
        let profiles: Profiles = [
            ("core".parse().unwrap(), meta(&[], &[])),
            ("a".parse().unwrap(), meta(&["b"], &[])),
            ("c".parse().unwrap(), meta(&[], &["d"])),
            ("d".parse().unwrap(), meta(&[], &["c"])),
        ]
        .into();
        let told = |set: &str| conflicts(&profiles, &set.parse().unwrap(), Mode::Immutable);
        assert_eq!(told("core"), Vec::<String>::new());
        assert_eq!(told("a"), ["“a” needs “b”: choose it too."]);
        assert_eq!(told("c,d").len(), 1);
        assert!(told("zzz").first().unwrap().contains("no profile"));
        assert_eq!(conflicts(&profiles, &"core".parse().unwrap(), Mode::Mutable).len(), 1);
    }
}
