//! Which distribution of Linux this is, and how its package manager is called.

use std::fs;

use crate::sh;

/// Families of distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Debian and its like.
    Apt,
    /// Ubuntu and its like: Debian's packages, some under other names.
    Ubuntu,
    /// Fedora and its like.
    Dnf,
    /// Arch and its like.
    Pacman,
    /// NixOS: packages come from the flake's shell.
    NixOs,
    /// Anything else: we say what is missing and install nothing.
    Unknown,
}

impl Family {
    /// The family of this computer: by what it says it is, else by the package manager that it has.
    pub fn detect() -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let managers = [("apt-get", Self::Apt), ("dnf", Self::Dnf), ("pacman", Self::Pacman)];
        let by_manager = || managers.into_iter().find(|(program, _)| sh::find_program(program).is_some());
        Self::of(&release).or_else(|| Some(by_manager()?.1)).unwrap_or(Self::Unknown)
    }

    /// By os-release(5): the distribution itself, then those that it is like, the nearest first.
    fn of(release: &str) -> Option<Self> {
        let names = [value_of(release, "ID"), value_of(release, "ID_LIKE")];
        names.into_iter().flatten().flat_map(str::split_whitespace).find_map(|name| match name {
            "nixos" => Some(Self::NixOs),
            "ubuntu" => Some(Self::Ubuntu),
            "debian" => Some(Self::Apt),
            "fedora" => Some(Self::Dnf),
            "arch" => Some(Self::Pacman),
            _ => None,
        })
    }

    /// How a person installs packages.
    pub fn advice(self, packages: &[&str]) -> String {
        let packages = packages.join(" ");
        match self {
            Self::Apt | Self::Ubuntu => format!("apt-get install {packages}"),
            Self::Dnf => format!("dnf install {packages}"),
            // Without the rest of the system brought up to date, Arch promises nothing.
            Self::Pacman => format!("pacman -Syu {packages}"),
            Self::NixOs => "nix develop ./nix brings it".to_owned(),
            Self::Unknown => "install it with your package manager".to_owned(),
        }
    }
}

/// A key of `/etc/os-release`.
pub fn os_release(key: &str) -> Option<String> {
    value_of(&fs::read_to_string("/etc/os-release").ok()?, key).map(str::to_owned)
}

/// The value of a key, unquoted.
fn value_of<'a>(release: &'a str, key: &str) -> Option<&'a str> {
    let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_itself_or_by_what_it_is_like() {
        for (release, family) in [
            ("ID=debian\nVERSION_CODENAME=bookworm\n", Some(Family::Apt)),
            ("NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Some(Family::Ubuntu)),
            ("ID=fedora\nVARIANT_ID=server\n", Some(Family::Dnf)),
            ("ID=\"nobara\"\nID_LIKE=\"rhel centos fedora\"\n", Some(Family::Dnf)),
            ("ID=manjaro\nID_LIKE=arch\n", Some(Family::Pacman)),
            ("ID=nixos\n", Some(Family::NixOs)),
            ("ID=alpine\n", None),
            ("", None),
        ] {
            assert_eq!(Family::of(release), family, "{release}");
        }
    }
}
