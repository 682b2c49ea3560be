//! What this computer must have, and its name in each package manager.
//!
//! `NEEDS` is the whole list: a program or file, what it is for, its packages per family of distributions. `up`
//! installs what is missing before anything else; `doctor` only reports it. On NixOS nothing is installed: the
//! flake's development shell brings everything (`enter_dev_shell`).
//!
//! Debian 12 is installed by this table in every run of the tests. Names for the others come from their package lists;
//! if one is renamed, `up` reports what is still missing and what it is for.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::apt;
use crate::distribution::Family;
use crate::progress::Line;
use crate::project::Project;
use crate::sh::{self, Cmd};

/// Which work needs a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Building and running the portal.
    Portal,
    /// The tests.
    Tests,
}

/// How to check that a thing is installed.
#[derive(Clone, Copy, Debug)]
enum Probe {
    /// A program, under any one of these names.
    Program(&'static [&'static str]),
    /// Several programs, all of them.
    Programs(&'static [&'static str]),
    /// A library known to pkg-config.
    Library(&'static str),
    /// Any one of these files.
    File(&'static [&'static str]),
}

/// One thing that must be installed.
#[derive(Debug)]
pub struct Need {
    probe: Probe,
    /// What it is for, to follow "needed to".
    pub purpose: &'static str,
    /// Which work needs it.
    pub why: For,
    apt: &'static [&'static str],
    dnf: &'static [&'static str],
    pacman: &'static [&'static str],
}

/// `need(why, probe, purpose, apt, dnf, pacman)`: keeps the table below one entry per line or two.
const fn need(
    why: For,
    probe: Probe,
    purpose: &'static str,
    [apt, dnf, pacman]: [&'static [&'static str]; 3],
) -> Need {
    Need { probe, purpose, why, apt, dnf, pacman }
}

/// Set in the development shell that we entered, so that it is entered once.
pub const INSIDE_DEV_SHELL: &str = "SNOWGLOBE_DEV_SHELL";

/// Programs that run the browser tests, the likeliest first.
pub const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Debian packages with different names in Ubuntu.
const ON_UBUNTU: [(&str, &str); 1] = [("chromium", "chromium-browser")];

/// UEFI without Secure Boot: Debian and Ubuntu, Fedora (two generations), Arch, NixOS (nixpkgs' `libvirtd.nix`).
const OVMF: &[&str] = &[
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_CODE.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2",
    "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    "/run/libvirt/nix-ovmf/edk2-x86_64-code.fd",
];

use For::{Portal, Tests};
use Probe::{File, Library, Program, Programs};

/// Of the GNU core utilities, those that we use.
const COREUTILS: &[&str] = &[
    "base64",
    "cat",
    "chgrp",
    "chmod",
    "cp",
    "cut",
    "dirname",
    "du",
    "env",
    "head",
    "id",
    "install",
    "ls",
    "mkdir",
    "mkfifo",
    "mktemp",
    "mv",
    "readlink",
    "rm",
    "rmdir",
    "sha256sum",
    "sort",
    "sync",
    "tac",
    "tail",
    "timeout",
    "tr",
    "wc",
];

#[rustfmt::skip]
static NEEDS: &[Need] = &[
    // Most systems have these; minimal container images do not.
    need(Portal, Programs(&["sh"]), "run scripts", [&["dash"], &["bash"], &["bash"]]),
    need(Portal, Programs(COREUTILS), "work with files", [&["coreutils"], &["coreutils"], &["coreutils"]]),
    need(Portal, Programs(&["find", "xargs"]), "work with files", [&["findutils"], &["findutils"], &["findutils"]]),
    need(Portal, Programs(&["sed"]), "edit text in scripts", [&["sed"], &["sed"], &["sed"]]),
    need(Portal, Programs(&["awk"]), "edit text in scripts", [&["mawk"], &["gawk"], &["gawk"]]),
    need(Portal, Programs(&["gzip"]), "compress the site", [&["gzip"], &["gzip"], &["gzip"]]),
    need(Portal, Programs(&["flock", "setpriv"]), "separate two runs and drop privileges", [&["util-linux"], &["util-linux"], &["util-linux"]]),
    need(Portal, Programs(&["kill"]), "restart libvirt", [&["procps"], &["util-linux"], &["util-linux"]]),
    need(Portal, Programs(&["usermod"]), "let a user manage machines", [&["passwd"], &["shadow-utils"], &["shadow"]]),
    need(Portal, Programs(&["cc"]), "link Rust programs", [&["gcc", "libc6-dev"], &["gcc"], &["base-devel"]]),
    need(Portal, Programs(&["pkg-config"]), "find libvirt's library", [&["pkg-config"], &["pkgconf-pkg-config"], &["pkgconf"]]),
    need(Portal, Program(&["libvirtd", "virtqemud"]), "run machines", [&["libvirt-daemon-system"], &["libvirt-daemon-kvm", "libvirt-daemon-config-network"], &["libvirt"]]),
    need(Portal, Programs(&["virtlogd"]), "keep what machines print", [&["libvirt-daemon-system"], &["libvirt-daemon-log"], &["libvirt"]]),
    need(Portal, Programs(&["virsh"]), "check whether libvirt answers", [&["libvirt-clients"], &["libvirt-client"], &["libvirt"]]),
    need(Portal, Library("libvirt"), "compile the libvirt backend", [&["libvirt-dev"], &["libvirt-devel"], &["libvirt"]]),
    need(Portal, Program(&["qemu-system-x86_64", "qemu-kvm"]), "run machines", [&["qemu-system-x86"], &["qemu-system-x86-core"], &["qemu-system-x86"]]),
    need(Portal, Programs(&["qemu-img", "qemu-storage-daemon"]), "write machines' disks", [&["qemu-utils"], &["qemu-img"], &["qemu-img"]]),
    need(Portal, Programs(&["fusermount3"]), "write machines' disks", [&["fuse3"], &["fuse3"], &["fuse3"]]),
    need(Portal, Programs(&["debugfs", "dumpe2fs", "e2fsck", "mke2fs", "resize2fs"]), "write machines' disks", [&["e2fsprogs"], &["e2fsprogs"], &["e2fsprogs"]]),
    need(Portal, File(OVMF), "boot machines with UEFI", [&["ovmf"], &["edk2-ovmf"], &["edk2-ovmf"]]),
    need(Portal, Programs(&["dnsmasq"]), "give machines addresses", [&["dnsmasq-base"], &["dnsmasq"], &["dnsmasq"]]),
    need(Portal, Programs(&["iptables"]), "give machines a network", [&["iptables"], &["iptables-nft"], &["iptables"]]),
    need(Portal, Programs(&["ip"]), "give machines a network", [&["iproute2"], &["iproute"], &["iproute2"]]),
    need(Portal, Programs(&["nix", "nix-store"]), "build images", [&["nix-bin"], &["nix", "nix-daemon"], &["nix"]]),
    need(Portal, Programs(&["git"]), "read flakes", [&["git"], &["git"], &["git"]]),
    need(Portal, Programs(&["brotli"]), "compress the site", [&["brotli"], &["brotli"], &["brotli"]]),
    need(Portal, Programs(&["node"]), "fetch the terminal's script", [&["nodejs"], &["nodejs"], &["nodejs"]]),
    need(Portal, Programs(&["npm"]), "fetch the terminal's script", [&["npm"], &["npm"], &["npm"]]),
    need(Tests, Programs(&["mount", "setsid", "unshare"]), "keep the tests' libvirt apart", [&["mount", "util-linux"], &["util-linux"], &["util-linux"]]),
    need(Tests, Programs(&["cmp"]), "run the guest's scripts", [&["diffutils"], &["diffutils"], &["diffutils"]]),
    need(Tests, Programs(&["grep"]), "run the guest's scripts", [&["grep"], &["grep"], &["grep"]]),
    need(Tests, Programs(&["nft"]), "check the guest's firewall", [&["nftables"], &["nftables"], &["nftables"]]),
    need(Tests, Programs(&["busybox"]), "run the guest's scripts in its shell", [&["busybox"], &["busybox"], &["busybox"]]),
    need(Tests, Programs(&["getent"]), "check the Nix files", [&["libc-bin"], &["glibc-common"], &["glibc"]]),
    need(Tests, Programs(&["nix-instantiate"]), "check the Nix files", [&["nix-bin"], &["nix"], &["nix"]]),
    need(Tests, Programs(&["shellcheck"]), "check the scripts", [&["shellcheck"], &["ShellCheck"], &["shellcheck"]]),
    need(Tests, Programs(&["ssh", "ssh-keygen"]), "log in to test machines", [&["openssh-client"], &["openssh-clients"], &["openssh"]]),
    need(Tests, Programs(&["openssl"]), "make a test machine's password", [&["openssl"], &["openssl"], &["openssl"]]),
    need(Tests, Programs(&["python3"]), "boot the offline image", [&["python3"], &["python3"], &["python"]]),
    need(Tests, Programs(&["mypy"]), "check the scripts of virtual machine tests", [&["mypy"], &["python3-mypy"], &["mypy"]]),
    need(Tests, Program(&["pyflakes3", "pyflakes"]), "check the scripts of virtual machine tests", [&["pyflakes3"], &["python3-pyflakes"], &["python-pyflakes"]]),
    need(Tests, Programs(&["systemd-analyze", "systemd-escape"]), "check the order of the images' units", [&["systemd"], &["systemd"], &["systemd"]]),
    need(Tests, Program(BROWSERS), "run the browser tests", [&["chromium", "fonts-liberation"], &["chromium"], &["chromium"]]),
];

impl Need {
    /// Whether it is installed.
    fn met(&self) -> bool {
        match self.probe {
            Probe::Programs(names) => names.iter().all(|name| sh::find_program(name).is_some()),
            Probe::Program(names) => names.iter().any(|name| sh::find_program(name).is_some()),
            Probe::Library(name) => Cmd::new("pkg-config").args(["--exists", name]).succeeds(),
            Probe::File(files) => files.iter().any(|file| Path::new(file).exists()),
        }
    }

    /// The thing's own name: of several programs the first that is missing, if one is.
    pub fn name(&self) -> &'static str {
        let first = |names: &[&'static str]| names.first().copied().unwrap_or_default();
        match self.probe {
            Probe::Programs(names) => {
                let missing = names.iter().find(|name| sh::find_program(name).is_none());
                missing.copied().unwrap_or_else(|| first(names))
            }
            Probe::Program(names) | Probe::File(names) => first(names),
            Probe::Library(name) => name,
        }
    }

    /// The packages that provide it on this family; none if unknown.
    pub fn packages(&self, family: Family) -> Vec<&'static str> {
        match family {
            Family::Apt => self.apt.to_vec(),
            Family::Ubuntu => {
                let renamed = |name: &'static str| ON_UBUNTU.iter().find(|(debian, _)| *debian == name);
                self.apt.iter().map(|name| renamed(name).map_or(*name, |(_, ubuntu)| ubuntu)).collect()
            }
            Family::Dnf => self.dnf.to_vec(),
            Family::Pacman => self.pacman.to_vec(),
            Family::NixOs | Family::Unknown => Vec::new(),
        }
    }
}

/// What `reasons` need and this computer lacks.
fn missing(reasons: &[For]) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| reasons.contains(&need.why) && !need.met()).collect()
}

/// The programs of each row.
#[cfg(test)]
pub fn programs() -> impl Iterator<Item = &'static [&'static str]> {
    NEEDS.iter().filter_map(|need| match need.probe {
        Probe::Programs(names) | Probe::Program(names) => Some(names),
        Probe::Library(_) | Probe::File(_) => None,
    })
}

/// Every need of `reasons`, with whether it is met.
pub fn survey(reasons: &[For]) -> Vec<(&'static Need, bool)> {
    NEEDS.iter().filter(|need| reasons.contains(&need.why)).map(|need| (need, need.met())).collect()
}

/// Installs what is missing for `reasons`; does nothing, and asks for no password, when nothing is.
pub fn install(project: &Project, reasons: &[For], line: &Line) -> Result<()> {
    let missing = missing(reasons);
    if missing.is_empty() {
        return Ok(());
    }
    let family = Family::detect();
    let mut packages: Vec<&str> = missing.iter().flat_map(|need| need.packages(family)).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        bail!("{}", refusal(family, &missing));
    }
    line.note(&format!("installing {}{}", packages.join(" "), sh::may_ask()));
    let log = project.log("packages")?;
    let outcome = match family {
        Family::Apt | Family::Ubuntu => apt::install(&log, &packages),
        Family::Dnf => sh::run_as_root(&log, Cmd::new("dnf").args(["install", "-y"]).args(&packages)),
        Family::Pacman => {
            sh::run_as_root(&log, Cmd::new("pacman").args(["-S", "--needed", "--noconfirm"]).args(&packages))
        }
        Family::NixOs | Family::Unknown => Ok(()),
    };
    let outcome =
        outcome.with_context(|| format!("these packages could not be installed: {}", packages.join(" ")));
    sh::with_fix(outcome, &format!("see what is in the way with `{}`, as root", family.advice(&packages)))?;
    still_missing(reasons, family)
}

/// A package manager may succeed without bringing what we look for: better reported now than by a failing build.
fn still_missing(reasons: &[For], family: Family) -> Result<()> {
    let missing = missing(reasons);
    if missing.is_empty() { Ok(()) } else { bail!("{}", refusal(family, &missing)) }
}

fn refusal(family: Family, missing: &[&Need]) -> String {
    let list: String = missing
        .iter()
        .map(|need| format!("  {} is missing; it is needed to {}\n", need.name(), need.purpose))
        .collect();
    let fix = match family {
        Family::NixOs => "run the command inside `nix develop ./nix`",
        Family::Unknown => "install them with your package manager; only apt, dnf and pacman are known here",
        _ => "install them by hand, then run the command again",
    };
    format!(
        "this computer lacks programs, and they could not be installed automatically:\n{list}  fix: {fix}"
    )
}

/// On NixOS, runs this command again inside the flake's development shell. Returns if that is not needed.
pub fn enter_dev_shell(project: &Project) -> Result<()> {
    if Family::detect() != Family::NixOs || std::env::var_os(INSIDE_DEV_SHELL).is_some() {
        return Ok(());
    }
    println!("NixOS: continuing inside `nix develop ./nix`");
    let this = std::env::current_exe().context("this program's own file is not known")?;
    let shell = Cmd::new("nix")
        .args(["--extra-experimental-features", "nix-command flakes", "develop"])
        .arg(project.root.join("nix"))
        .arg("--command")
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env(INSIDE_DEV_SHELL, "1")
        .dir(&project.root);
    Err(shell.replace_this_process())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_PACKAGES: [Family; 4] = [Family::Apt, Family::Ubuntu, Family::Dnf, Family::Pacman];

    #[test]
    fn every_need_has_packages_in_every_family_and_a_purpose() {
        for need in NEEDS {
            assert!(!need.name().is_empty() && !need.purpose.is_empty());
            for family in WITH_PACKAGES {
                let packages = need.packages(family);
                assert!(!packages.is_empty(), "{} has no package for {family:?}", need.name());
                let plain =
                    |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-+._".contains(c));
                assert!(packages.iter().all(plain), "{packages:?}");
            }
        }
        let mut names: Vec<&str> = programs().flatten().copied().collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name is listed twice: {names:?}");
    }

    #[test]
    fn packages_of_another_name_on_ubuntu_are_packages_of_debian() {
        let of = |family| NEEDS.iter().flat_map(|need| need.packages(family)).collect::<Vec<_>>();
        for (debian, ubuntu) in ON_UBUNTU {
            assert!(of(Family::Apt).contains(&debian) && !of(Family::Apt).contains(&ubuntu));
            assert!(of(Family::Ubuntu).contains(&ubuntu) && !of(Family::Ubuntu).contains(&debian));
        }
    }
}
