//! Which distribution of Linux this is, and how to call its package manager.

use std::fs;

use crate::sh;

/// Families of distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Debian and derivatives.
    Apt,
    /// Ubuntu and derivatives: Debian's packages, some under other names.
    Ubuntu,
    /// Fedora and derivatives.
    Dnf,
    /// Arch and derivatives.
    Pacman,
    /// NixOS: packages come from the flake's shell.
    NixOs,
    /// Anything else: we report what is missing and install nothing.
    Unknown,
}

impl Family {
    /// The family of this computer: by its own declaration, else by its package manager.
    pub fn detect() -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let managers = [("apt-get", Self::Apt), ("dnf", Self::Dnf), ("pacman", Self::Pacman)];
        let by_manager = || managers.into_iter().find(|(program, _)| sh::find_program(program).is_some());
        Self::of(&release).or_else(|| Some(by_manager()?.1)).unwrap_or(Self::Unknown)
    }

    /// By os-release(5): the distribution itself, then those it is like, nearest first.
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
            // Arch does not support partial upgrades.
            Self::Pacman => format!("pacman -Syu {packages}"),
            Self::NixOs => "nix develop ./nix provides it".to_owned(),
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
